"""Teaches a trained network one more painting: one more row of gamma and beta, and nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from livestyle.errors import RecipeError, SourceError
from livestyle.frame import Image
from livestyle.pictures import read_picture
from livestyle.training.dataset import ContentImages, to_tensor
from livestyle.training.features import open_loss_network
from livestyle.training.grown_model import BaseModel, blended_rows, grown, recipe_with
from livestyle.training.network import TransformNet
from livestyle.training.objective import Objective, Shown
from livestyle.training.paintings import BASELINE_BATCHES, Paintings
from livestyle.training.recipe import STYLE_TARGET, Recipe, StyleRecipe
from livestyle.training.run import PREVIEW_PHOTOS, PREVIEW_SIZE, paint_all, photos_in
from livestyle.training.start import is_style_row
from livestyle.training.state import TrainState
from livestyle.training.train import (
    FRACTION_DECAY,
    STEER_BY,
    STEER_EVERY,
    STEER_LIMIT,
    sample_styles,
    schedule,
)

SMALLEST_PAINTING = 32  # pixels: below it the deep layers have nothing to look at
STEP_SIZE = 1e-2  # larger than in a whole training: nothing else moves meanwhile
# Of the layers that --unlock trains, a share of the recipe's own: the other styles are not in sight.
UNLOCKED_SHARE = 0.25
UNLOCKED = ("expand.", "head.")
# The recipe's steps, whatever number is taken: a schedule by the clock passes through them in leaps.
# Batches from here on are never trained on.
STEPS = 1_000_000
WEAK = 1.5  # times what the recipe asks of a style fraction


@dataclass(frozen=True)
class Fractions:
    """What is left of the distance to the painting's style, and the distance to the photo (losses.py)."""

    style: float
    content: float


@dataclass(frozen=True)
class AddStep:
    """What one step did. progress: share of the steps or minutes, up to 1. Fractions are running means."""

    step: int
    progress: float
    loss: float
    fractions: Fractions


class NewStyle:
    """All that the training of one row needs, read and checked, and the row as it is so far.

    style: `image` is the painting's name without its folder. photos: what a recipe's content_folder may be.
    loss_network: vgg16, vgg19 or a weights file. unlock: train the layers after the residual blocks too,
    which changes the network's other styles.
    begun_with: the style whose row, or "mean of all", paints most like the painting before any training.
    Raises RecipeError.
    """

    def __init__(
        self,
        base: BaseModel,
        style: StyleRecipe,
        painting: Path,
        photos: Path,
        loss_network: str,
        *,
        device: torch.device,
        unlock: bool = False,
    ) -> None:
        check_painting(painting)
        recipe_with(base, style)  # refuses now what could not be written later
        recipe = base.recipe.with_paths(photos=photos, paintings=painting.parent, loss_network=loss_network)
        # Where a recipe steers no style, its author weighed each by hand; nobody has weighed this one.
        target = recipe.style_target or STYLE_TARGET
        recipe = replace(recipe, styles=(style,), steps=STEPS, start_from="", style_target=target)
        self.base, self.style, self.unlock, self.step = base, style, unlock, 0
        self.photos = _photos(recipe)
        # Row 0 is "original", as everywhere; row 1 is the one that learns.
        self.state = TrainState(recipe, device)
        self.objective = self._objective(recipe)
        self.begun_with = self._begin()

    @property
    def recipe(self) -> Recipe:
        """The base's recipe with this style alone, on these photos."""
        return self.state.recipe

    def grown(self) -> TransformNet:
        """The base's network with the new row as its last."""
        return grown(self.base, self.state.network)

    def measure(self) -> Fractions:
        """Of the new style, on crops that were not trained on."""
        return self._fractions(self.state, self.objective, 1)

    def measure_base(self, paintings: Path) -> dict[str, Fractions]:
        """Of the network's other styles whose paintings lie in the folder, on the same crops.

        Raises RecipeError where there are none.
        """
        at_hand = [style for style in self.base.recipe.styles if (paintings / style.image).is_file()]
        if not at_hand:
            raise RecipeError(
                f"none of the paintings of {self.base.path} is in {paintings}, such as "
                f"{self.base.recipe.styles[0].image}: give --paintings their folder, or leave it out"
            )
        names = [style.name for style in self.base.manifest.styles]
        rows = [0, *(names.index(style.name) for style in at_hand)]
        plan = replace(self.recipe, styles=tuple(at_hand), style_folder=str(paintings.resolve()))
        state, objective = TrainState(plan, self.state.device), self._objective(plan)
        state.network.load_state_dict(blended_rows(self.base, torch.eye(len(names))[rows]))
        return {
            style.name: self._fractions(state, objective, row) for row, style in enumerate(at_hand, start=1)
        }

    def held_out_photos(self, count: int) -> list[Image]:
        """Crops that are not trained on, as pictures."""
        batches = [self.photos[STEPS + i].numpy() for i in range(-(-count // self.recipe.batch))]
        return [np.ascontiguousarray(photo) for photo in np.concatenate(batches)[:count]]

    def preview(self) -> Image:
        """A few photos (rows) in "original" and in the new style."""
        size = PREVIEW_SIZE
        photos = photos_in(self.recipe.path(self.recipe.content_folder), PREVIEW_PHOTOS, size)
        rows = [paint_all(self.state.network, photo[:size, :size]) for photo in photos]
        return np.ascontiguousarray(np.vstack(rows))

    def learn(self, optimizer: torch.optim.Optimizer) -> tuple[float, Fractions]:
        """One step on the next photos, by the losses that the recipe trains with."""
        state = self.state
        photos = to_tensor(self.photos[self.step].to(state.device))
        shown = Shown(*sample_styles(self.recipe, state.step, self.recipe.batch))
        found = self.objective.of(state, photos, slice(None), shown)
        loss = found.total.mean()
        if not torch.isfinite(loss):
            raise RecipeError(
                f"the loss is not finite at step {self.step + 1}, and nothing was written: "
                "give another --loss-network, or another --style-size"
            )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        trained = [p for p in state.network.parameters() if p.requires_grad]
        for name, parameter in state.network.named_parameters():
            if is_style_row(name) and parameter.grad is not None:
                parameter.grad[0] = 0
        nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        self.step += 1
        alone = (shown.strength == 1).to(state.device)  # half the strength has fractions of its own
        style, content = (
            float(values[alone].mean()) if bool(alone.any()) else math.nan
            for values in (found.style, found.content)
        )
        return float(loss.detach()), Fractions(style, content)

    def _objective(self, recipe: Recipe) -> Objective:
        device = self.state.device
        network = open_loss_network(recipe.loss_network_name, pooling=recipe.pooling).to(device)
        paintings = Paintings.measured(recipe, network, self.photos, device)
        return Objective(network, paintings, from_nothing=False)

    def _begin(self) -> str:
        """Begin with the row, or the mean of all, that the recipe's weights prefer on one batch."""
        names, n = [style.name for style in self.base.manifest.styles], len(self.base.manifest.styles)
        rows = torch.eye(n)
        mixes = {name: rows[k] for k, name in enumerate(names) if k}
        mixes["mean of all"] = rows[1:].mean(0)
        losses = {}
        for name, mix in mixes.items():
            self.state.network.load_state_dict(blended_rows(self.base, torch.stack([rows[0], mix])))
            found = self._fractions(self.state, self.objective, 1, batches=1)
            losses[name] = self.recipe.style_weight * found.style + self.recipe.content_weight * found.content
        best = min(losses, key=losses.__getitem__)
        self.state.network.load_state_dict(blended_rows(self.base, torch.stack([rows[0], mixes[best]])))
        return best

    @torch.no_grad()
    def _fractions(
        self, state: TrainState, objective: Objective, row: int, batches: int = BASELINE_BATCHES
    ) -> Fractions:
        found: list[Tensor] = []
        before, state.step = state.step, 0  # the same dice each time
        for batch in range(STEPS, STEPS + batches):
            photos = to_tensor(self.photos[batch].to(state.device))
            rows = torch.full((len(photos),), row)
            shown = Shown(rows, torch.zeros_like(rows), torch.ones(len(photos)))
            loss = objective.of(state, photos, slice(None), shown)
            found.append(torch.stack([loss.style, loss.content]))
        state.step = before
        style, content = torch.cat(found, dim=1).mean(1).tolist()
        return Fractions(style=style, content=content)


def add_style(
    new: NewStyle,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[AddStep]:
    """Train the new row to the last step or minute, whichever comes first; yield after every step.

    The step size falls to nothing by the share of steps or minutes that is over. clock: seconds.
    Raises RecipeError.
    """
    if steps is None and minutes is None:
        raise ValueError("steps or minutes must say when the training ends")
    state = new.state
    own: list[nn.Parameter] = []
    shared: list[nn.Parameter] = []
    for name, parameter in state.network.named_parameters():
        last = new.unlock and name.startswith(UNLOCKED)
        parameter.requires_grad_(is_style_row(name) or last)
        if parameter.requires_grad:
            (own if is_style_row(name) else shared).append(parameter)
    optimizer = torch.optim.Adam([{"params": own}, {"params": shared}], betas=(0.9, 0.99))
    peaks = (STEP_SIZE, UNLOCKED_SHARE * new.recipe.learning_rate)
    start, progress, fractions = clock(), 0.0, Fractions(math.nan, math.nan)
    while progress < 1:
        state.step = int(progress * STEPS)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * schedule(progress)
        loss, found = new.learn(optimizer)
        fractions = Fractions(
            style=_towards(fractions.style, found.style), content=_towards(fractions.content, found.content)
        )
        if new.step % STEER_EVERY == 0:
            weak = fractions.style > new.recipe.style_target
            state.style_weights *= STEER_BY if weak else 1 / STEER_BY
            state.style_weights.clamp_(1 / STEER_LIMIT, STEER_LIMIT)
        by_steps = 0.0 if steps is None else new.step / steps
        by_clock = 0.0 if minutes is None else (clock() - start) / (60 * minutes)
        progress = min(max(by_steps, by_clock), 1.0)
        yield AddStep(step=new.step, progress=progress, loss=loss, fractions=fractions)


def is_weak(new: NewStyle, found: Fractions) -> bool:
    """Whether the style is far from what the recipe asks for."""
    return found.style > WEAK * new.recipe.style_target


def check_painting(path: Path) -> None:
    """Raises RecipeError for what is no picture, or too small to have a style."""
    try:
        height, width = read_picture(path)[0].shape[:2]
    except SourceError as error:
        raise RecipeError(f"the painting cannot be read: {error}") from error
    if min(height, width) < SMALLEST_PAINTING:
        raise RecipeError(
            f"the painting {path} is only {width}x{height} pixels: give one of at least "
            f"{SMALLEST_PAINTING}x{SMALLEST_PAINTING}, better 256x256 and more"
        )


def _photos(recipe: Recipe) -> ContentImages:
    folder = recipe.path(recipe.content_folder)
    try:
        return ContentImages(folder, batch=recipe.batch, crop=recipe.crop, steps=STEPS, seed=recipe.seed)
    except RecipeError as error:  # it speaks to whoever wrote a recipe; here the folder is an option
        why = str(error).replace("set content_folder in the recipe", "give --photos FOLDER")
        raise RecipeError(why) from error


def _towards(mean: float, found: float) -> float:
    """A running mean that begins with the first number there is."""
    if math.isnan(mean) or math.isnan(found):
        return found if math.isnan(mean) else mean
    return mean + (1 - FRACTION_DECAY) * (found - mean)
