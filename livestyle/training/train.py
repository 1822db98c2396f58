"""The training loop: a generator of steps. It neither prints nor draws; whoever iterates does."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from livestyle.errors import RecipeError
from livestyle.training.dataset import ContentImages, to_tensor
from livestyle.training.features import open_loss_network
from livestyle.training.objective import Objective, Shown, StepLoss
from livestyle.training.paintings import Paintings
from livestyle.training.ranks import Ranks
from livestyle.training.recipe import Recipe
from livestyle.training.state import TrainState

WARM_UP = 0.05  # of the steps, before the cosine
AVERAGE_DECAY = 0.995  # of the weights that are exported
FRACTION_DECAY = 0.95  # of the fractions that are shown and steered by
# A larger limit doubles the weight of what comes near no target: mosaics without the face.
STEER_EVERY, STEER_BY, STEER_LIMIT = 25, 1.05, 1.25
MIX_SHARE = 0.15  # of the other samples are a mix of two styles: on stage nobody stays on the rows themselves
ALONE = Ranks()


@dataclass(frozen=True)
class TrainStep:
    """What one step did. Fractions are running means, by style name."""

    step: int
    loss: float
    style_fractions: dict[str, float]
    content_fractions: dict[str, float]


def train(state: TrainState, *, workers: int = 0, ranks: Ranks = ALONE) -> Iterator[TrainStep]:
    """Train from `state.step` to the recipe's last step, changing `state`; yield after every step.

    workers: processes that decode photos; 0 decodes in this one. ranks: the processes that share the batches;
    each changes its own state, in the same way. Raises RecipeError, DeviceError.
    """
    recipe, device = state.recipe, state.device
    names = ["original", *(style.name for style in recipe.styles)]
    place = ranks.place(recipe.batch)
    loss_network = open_loss_network(recipe.loss_network_name, pooling=recipe.pooling).to(device)
    photos = ContentImages(
        recipe.path(recipe.content_folder),
        batch=recipe.batch,
        crop=recipe.crop,
        steps=recipe.steps,
        seed=recipe.seed,
    )
    paintings = Paintings.measured(recipe, loss_network, photos, device)
    objective = Objective(loss_network, paintings, from_nothing=not recipe.start_from)
    for batch in _batches(photos, state, ranks, workers):
        for group, peak in zip(
            state.optimizer.param_groups, (recipe.learning_rate, recipe.style_learning_rate), strict=True
        ):
            group["lr"] = peak * schedule(state.step / recipe.steps)
        shown = Shown(*sample_styles(recipe, state.step, recipe.batch))
        loss = _step(state, objective.of(state, to_tensor(batch), place, shown), shown, ranks)
        state.step += 1
        yield TrainStep(
            step=state.step,
            loss=loss,
            style_fractions=dict(zip(names[1:], state.style_fractions[1:].tolist(), strict=True)),
            content_fractions=dict(zip(names[1:], state.content_fractions[1:].tolist(), strict=True)),
        )


def _batches(photos: ContentImages, state: TrainState, ranks: Ranks, workers: int) -> Iterator[Tensor]:
    """Every step's whole batch on every rank. The ranks take turns in reading: no photo is read twice."""
    first, last = state.step, photos.steps
    mine = range(first + (ranks.rank - first) % ranks.count, last, ranks.count)
    read = _one_line(
        DataLoader(photos, batch_size=None, sampler=mine, num_workers=workers, worker_init_fn=_leave_ctrl_c)
    )
    unread = torch.empty(photos.batch, photos.crop, photos.crop, 3, dtype=torch.uint8)
    for step in range(first, last):
        source = step % ranks.count
        batch = next(read) if source == ranks.rank else unread
        yield ranks.shared(batch.to(state.device), source)


def _leave_ctrl_c(_worker: int) -> None:
    """To the process that trains: one that reads photos and ends would take the checkpoint with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _step(state: TrainState, loss: StepLoss, shown: Shown, ranks: Ranks) -> float:
    """Learn from a batch; its mean loss. Raises RecipeError on all ranks where one's is not finite."""
    mean = loss.total.mean()
    found = float(ranks.gathered(mean.detach()[None]).mean())
    if not math.isfinite(found):
        raise RecipeError(
            f"the loss is not finite at step {state.step + 1}: lower learning_rate, "
            "or resume from the last checkpoint"
        )
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(mean)
    ranks.average_gradients(state.network.parameters())
    nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimizer.step()
    _average(state)
    style, content = (ranks.gathered(values).cpu() for values in (loss.style, loss.content))
    _follow(state, shown, style, content)
    return found


def sample_styles(recipe: Recipe, step: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """What each sample of a step shows: a style row, another row, and the first one's share of the mix.

    Shapes: (B,) int64 in 1 … N, (B,) int64 in 0 … N with 0 for "original", (B,) float in [0, 1].
    Rows take turns, so that no batch holds one style only: styles merge if it does.
    """
    n = len(recipe.styles)
    labels = (step * batch + torch.arange(batch)) % n + 1
    # A permutation a round, so that the same paintings do not always meet.
    rounds = (step * batch + torch.arange(batch)) // n
    for i, turn in enumerate(rounds.tolist()):
        order = torch.randperm(n, generator=torch.Generator().manual_seed(recipe.seed * 7919 + turn))
        labels[i] = order[labels[i] - 1] + 1
    dice = torch.rand(4, batch, generator=torch.Generator().manual_seed(recipe.seed * 104729 + step))
    partial = dice[0] < recipe.strength_share
    mixed = (dice[2] < MIX_SHARE) & ~partial & (n > 1)
    strength = torch.where(partial | mixed, dice[1], 1.0)
    # One of the n - 1 rows that follow, round and round.
    other = (labels + (dice[3] * (n - 1)).long()) % n + 1
    return labels, torch.where(mixed, other, 0), strength


def schedule(progress: float) -> float:
    """Share of the peak learning rate: a linear warm-up, then half a cosine down to a hundredth."""
    if progress < WARM_UP:
        return 0.1 + 0.9 * progress / WARM_UP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


@torch.no_grad()
def _average(state: TrainState) -> None:
    # A short memory at first, or the untrained weights would weigh for thousands of steps.
    decay = min(AVERAGE_DECAY, (1 + state.step) / (10 + state.step))
    torch._foreach_lerp_(
        list(state.average.parameters()), [p.detach() for p in state.network.parameters()], 1 - decay
    )


def _follow(state: TrainState, shown: Shown, style: Tensor, content: Tensor) -> None:
    """Update the running fractions, and steer each style's weight towards the recipe's target."""
    for i, label in enumerate(shown.labels.tolist()):
        if shown.strength[i] == 1:
            state.style_fractions[label].lerp_(style[i], 1 - FRACTION_DECAY)
            state.content_fractions[label].lerp_(content[i], 1 - FRACTION_DECAY)
    if state.recipe.style_target and state.step % STEER_EVERY == STEER_EVERY - 1:
        asked = torch.tensor([1.0, *(style.weight for style in state.recipe.styles)])
        weak = state.style_fractions > state.recipe.style_target / asked
        state.style_weights *= torch.where(weak, torch.tensor(STEER_BY), torch.tensor(1 / STEER_BY))
        state.style_weights.clamp_(1 / STEER_LIMIT, STEER_LIMIT)


def _one_line(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    """A process that reads photos sends its error with a traceback in the text; the last line says it all."""
    try:
        yield from loader
    except RecipeError as error:
        last = str(error).strip().splitlines()[-1]
        raise RecipeError(last.split("RecipeError: ")[-1]) from error
