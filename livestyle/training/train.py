"""The training loop: a generator of steps. It neither prints nor draws; whoever iterates does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from livestyle.errors import RecipeError
from livestyle.training.dataset import ContentImages, load_style_image, to_tensor
from livestyle.training.features import LossNetwork, open_loss_network
from livestyle.training.losses import (
    channel_correlation,
    content_distance,
    foreign_edges,
    gram_matrix,
    grid_excess,
    instability,
    out_of_range,
    patch_colours,
    style_distance,
    total_variation,
    unexplained_colours,
)
from livestyle.training.motion import moment_later, warp
from livestyle.training.recipe import Recipe, StyleRecipe
from livestyle.training.state import TrainState

WARM_UP = 0.05  # of the steps, before the cosine
AVERAGE_DECAY = 0.995  # of the weights that are exported
FRACTION_DECAY = 0.95  # of the fractions that are shown and steered by
STEER_EVERY, STEER_BY, STEER_LIMIT = 25, 1.05, 2.0
BASELINE_BATCHES = 8
# Keeps colours from being clipped: clipped rows of pixels show as a grid. Ten times as much drowns all else
# in the first hundred steps, and the network forgets the photo for good.
RANGE_WEIGHT = 300.0
LEAST_COLOUR_RANGE = 1e-3  # of a painting of one colour
STYLE_FULL = (
    0.1  # of the steps: the style's weight grows until then; what lost the photo never finds it again
)
STABLE_FROM, STABLE_FULL = (
    0.25,
    0.5,
)  # of the steps: what cannot paint yet would hold still by painting nothing
BLEND_SHARE = 0.5  # of the identity samples are a blend of "original" and a style
MIX_SHARE = 0.15  # of the other samples are a mix of two styles: on stage nobody stays on the rows themselves


@dataclass(frozen=True)
class TrainStep:
    """What one step did. Fractions are running means, by style name."""

    step: int
    loss: float
    style_fractions: dict[str, float]
    content_fractions: dict[str, float]
    original_error: float  # mean absolute difference of row 0 to the photo, grey levels


def train(state: TrainState, *, workers: int = 0) -> Iterator[TrainStep]:
    """Train from `state.step` to the recipe's last step, changing `state`; yield after every step.

    workers: processes that decode photos; 0 decodes in this one. Raises RecipeError.
    """
    recipe, device = state.recipe, state.device
    names = ["original", *(style.name for style in recipe.styles)]
    loss_network = open_loss_network(recipe.loss_network_name, pooling=recipe.pooling).to(device)
    photos = ContentImages(
        recipe.path(recipe.content_folder),
        batch=recipe.batch,
        crop=recipe.crop,
        steps=recipe.steps,
        seed=recipe.seed,
    )
    grams = style_grams(recipe, loss_network, device)
    baselines = measure_baselines(recipe, loss_network, photos, grams)
    colour_range = torch.tensor([1.0, *(colour_range_of(recipe, style) for style in recipe.styles)])
    loader = DataLoader(
        photos, batch_size=None, sampler=_Steps(state.step, recipe.steps), num_workers=workers
    )
    for batch in _one_line(loader):
        for group, peak in zip(
            state.optimizer.param_groups, (recipe.learning_rate, recipe.style_learning_rate), strict=True
        ):
            group["lr"] = peak * schedule(state.step / recipe.steps)
        loss = _step(state, to_tensor(batch.to(device)), loss_network, grams, baselines, colour_range)
        state.step += 1
        yield TrainStep(
            step=state.step,
            loss=loss,
            style_fractions=dict(zip(names[1:], state.style_fractions[1:].tolist(), strict=True)),
            content_fractions=dict(zip(names[1:], state.content_fractions[1:].tolist(), strict=True)),
            original_error=255 * float(state.original_error),
        )


def _step(
    state: TrainState,
    photo: Tensor,
    loss_network: LossNetwork,
    grams: dict[str, Tensor],
    baselines: tuple[Tensor, Tensor],
    colour_range: Tensor,
) -> float:
    recipe, device = state.recipe, state.device
    style_baseline, content_baseline = baselines
    progress = state.step / recipe.steps
    labels, others, strength = sample_styles(recipe, state.step, photo.shape[0])
    each = torch.arange(len(labels))
    mix = torch.zeros(photo.shape[0], len(recipe.styles) + 1)
    mix[each, others] = 1 - strength
    mix[each, labels] += strength
    painted = (strength > 0).to(device).float()  # (B,): 0 where only "original" shows
    alone = (others == 0).to(device)
    blended = (strength > 0) & (strength < 1) & (others == 0)
    strength_b = strength.to(device)[:, None, None]
    layers = {recipe.content_layer, *recipe.style_layers}

    with _precision(device):
        with torch.no_grad():
            wanted = layers if bool(blended.any()) else {recipe.content_layer}
            photo_features = loss_network(photo, wanted)
        stylized, feature_maps = state.network.trace(photo, mix.to(device))
        stylized = stylized.float()
        seen = clipped(stylized)
        features = loss_network(seen, layers)
        stability_weight = recipe.stability_weight * ramp(progress, STABLE_FROM, STABLE_FULL)
        if stability_weight:
            later = moment_later(photo, torch.Generator().manual_seed(recipe.seed * 15485863 + state.step))
            later_painted = clipped(state.network(later.image, mix.to(device)).float())
    targets = {layer: grams[layer][labels] for layer in recipe.style_layers}
    for layer, target in targets.items():  # half the strength asks for a Gram matrix half way
        own = gram_matrix(photo_features[layer]) if bool(blended.any()) else target
        start = torch.where(alone[:, None, None], own, grams[layer][others])
        targets[layer] = start + strength_b * (target - start)
    first, second = style_baseline[labels.to(device)], style_baseline[others.to(device)]
    from_photo = second + strength.to(device) * (first - second)
    style = style_distance(features, targets) / torch.where(alone, first, from_photo)
    layer = recipe.content_layer
    content = content_distance(features[layer].float(), photo_features[layer].float()) / content_baseline
    difference = (stylized - photo).abs().mean((1, 2, 3))
    weights = state.style_weights[labels].to(device)
    total = painted * (
        recipe.style_weight * ramp(progress, 0.0, STYLE_FULL) * weights * style
        + recipe.content_weight * content
        + recipe.tv_weight * total_variation(seen)
        + recipe.grid_weight * grid_excess(seen)
        + recipe.colour_weight
        * (unexplained_colours(seen, photo) + foreign_edges(seen, photo))
        / colour_range[labels].to(device)
    )
    total = total + (1 - painted) * recipe.identity_weight * difference
    total = total + RANGE_WEIGHT * out_of_range(stylized)
    total = total + recipe.correlation_weight * channel_correlation(feature_maps)
    if stability_weight:
        total = total + stability_weight * instability(later_painted, warp(seen, later.grid), later)
    loss = total.mean()
    if not torch.isfinite(loss):
        raise RecipeError(
            f"the loss is not finite at step {state.step + 1}: lower learning_rate, "
            "or resume from the last checkpoint"
        )
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimizer.step()
    _average(state)
    _follow(state, labels, strength, style.detach().cpu(), content.detach().cpu(), difference.detach().cpu())
    return float(loss.detach())


def clipped(image: Tensor) -> Tensor:
    """What is seen of a picture: [0, 1]. The gradient passes as if nothing had been cut off.

    Clipping one pixel in fifty was enough to turn a calm texture into a grid of two pixels, which a loss that
    looks at the uncut picture cannot see.
    """
    return image + (image.clamp(0, 1) - image).detach()


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
    share = recipe.identity_share
    identity = dice[0] < share
    blend = dice[0] < share * BLEND_SHARE
    strength = torch.where(identity, torch.zeros(batch), torch.ones(batch))
    mixed = (dice[2] < MIX_SHARE) & ~identity & (n > 1)
    strength = torch.where(blend | mixed, dice[1], strength)
    # One of the n - 1 rows that follow, round and round.
    other = (labels + (dice[3] * (n - 1)).long()) % n + 1
    return labels, torch.where(mixed, other, 0), strength


def schedule(progress: float) -> float:
    """Share of the peak learning rate: a linear warm-up, then half a cosine down to a hundredth."""
    if progress < WARM_UP:
        return 0.1 + 0.9 * progress / WARM_UP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def ramp(progress: float, begin: float, full: float) -> float:
    """Share of a weight that grows from 0 at `begin` to 1 at `full`, shares of the steps."""
    return min(max((progress - begin) / (full - begin), 0.0), 1.0)


def style_grams(recipe: Recipe, loss_network: LossNetwork, device: torch.device) -> dict[str, Tensor]:
    """The paintings' Gram matrices: {layer: (1 + n, C, C)}, row 0 (original) zero and never used."""
    rows: dict[str, list[Tensor]] = {layer: [] for layer in recipe.style_layers}
    for style in recipe.styles:
        painting = load_style_image(recipe.path(recipe.style_folder) / style.image, recipe.size_of(style))
        with torch.no_grad():
            for layer, features in loss_network(painting.to(device), recipe.style_layers).items():
                rows[layer].append(gram_matrix(features)[0])
    return {layer: torch.stack([torch.zeros_like(grams[0]), *grams]) for layer, grams in rows.items()}


def colour_range_of(recipe: Recipe, style: StyleRecipe) -> float:
    """Variance of the painting's patch colours: what is a blot in red chalk is a stroke in Matisse."""
    painting = load_style_image(recipe.path(recipe.style_folder) / style.image, recipe.size_of(style))
    return float(patch_colours(painting).var(1, correction=0).mean()) + LEAST_COLOUR_RANGE


def measure_baselines(
    recipe: Recipe, loss_network: LossNetwork, photos: ContentImages, grams: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Style distance of plain photos to each painting, (1 + n,), and content distance of random pairs, ()."""
    device = next(iter(grams.values())).device
    n = len(recipe.styles) + 1
    style, content = torch.zeros(n, device=device), torch.zeros((), device=device)
    with torch.no_grad():
        # Steps beyond the last, so that training never sees these very crops.
        for batch in range(recipe.steps, recipe.steps + BASELINE_BATCHES):
            features = loss_network(
                to_tensor(photos[batch].to(device)), {recipe.content_layer, *recipe.style_layers}
            )
            for k in range(1, n):
                targets = {layer: grams[layer][k : k + 1] for layer in recipe.style_layers}
                style[k] += style_distance(features, targets).mean() / BASELINE_BATCHES
            # Another photo: the next of the batch, or its own mirror image where there is only one.
            maps = features[recipe.content_layer]
            other = maps.roll(1, 0) if len(maps) > 1 else maps.flip(2)
            content += content_distance(maps, other).mean() / BASELINE_BATCHES
    style[0] = 1
    return style.clamp(min=1e-12), content.clamp(min=1e-12)


@torch.no_grad()
def _average(state: TrainState) -> None:
    # A short memory at first, or the untrained weights would weigh for thousands of steps.
    decay = min(AVERAGE_DECAY, (1 + state.step) / (10 + state.step))
    torch._foreach_lerp_(
        list(state.average.parameters()), [p.detach() for p in state.network.parameters()], 1 - decay
    )


def _follow(
    state: TrainState, labels: Tensor, strength: Tensor, style: Tensor, content: Tensor, difference: Tensor
) -> None:
    """Update the running fractions, and steer each style's weight towards the recipe's target."""
    for i, label in enumerate(labels.tolist()):
        if strength[i] == 1:
            state.style_fractions[label].lerp_(style[i], 1 - FRACTION_DECAY)
            state.content_fractions[label].lerp_(content[i], 1 - FRACTION_DECAY)
        elif strength[i] == 0:
            state.original_error.lerp_(difference[i], 1 - FRACTION_DECAY)
    if state.recipe.style_target and state.step % STEER_EVERY == STEER_EVERY - 1:
        weak = state.style_fractions > state.recipe.style_target
        state.style_weights *= torch.where(weak, torch.tensor(STEER_BY), torch.tensor(1 / STEER_BY))
        state.style_weights.clamp_(1 / STEER_LIMIT, STEER_LIMIT)


def _precision(device: torch.device) -> torch.autocast | nullcontext[None]:
    # bfloat16 needs no loss scaling; on the CPU these thin networks get slower by it.
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def _one_line(loader: DataLoader[Tensor]) -> Iterator[Tensor]:
    """A process that reads photos sends its error with a traceback in the text; the last line says it all."""
    try:
        yield from loader
    except RecipeError as error:
        last = str(error).strip().splitlines()[-1]
        raise RecipeError(last.split("RecipeError: ")[-1]) from error


class _Steps(Sampler[int]):
    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last))

    def __len__(self) -> int:
        return max(0, self.last - self.first)
