"""Judges a picture by a recipe's losses, as if a network had painted it."""

from __future__ import annotations

import torch

from livestyle.training.dataset import ContentImages
from livestyle.training.features import slim_vgg19
from livestyle.training.network import TransformNet
from livestyle.training.objective import Objective, Shown, StepLoss
from livestyle.training.paintings import (
    Paintings,
)
from livestyle.training.recipe import Recipe
from livestyle.training.state import TrainState

CPU = torch.device("cpu")


class Painted(TransformNet):
    """A network that has painted already: always the picture that it is given."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__(4, widths=(4, 6, 8), n_residual=0)
        self.image = image

    def forward(self, image: torch.Tensor, style_mix: torch.Tensor) -> torch.Tensor:
        return self.image


def judged(
    recipe: Recipe,
    image: torch.Tensor,
    photo: torch.Tensor,
    *,
    step: int = 5,
    row: int = 1,
    strength: float = 1.0,
) -> StepLoss:
    """What the recipe's losses say of a picture painted of a photo in the style of a row."""
    network = slim_vgg19(recipe.folder / "slim.pt")
    photos = ContentImages(recipe.folder / "photos", batch=2, crop=64, steps=recipe.steps, seed=0)
    state = TrainState(recipe, CPU)
    state.network, state.step = Painted(image), step
    shown = Shown(torch.tensor([row]), torch.tensor([0]), torch.tensor([strength]))
    objective = Objective(network, Paintings.measured(recipe, network, photos, CPU))
    return objective.of(state, photo, slice(0, 1), shown)


def random_picture(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
