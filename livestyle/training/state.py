"""What a training run carries from step to step, and the checkpoint that holds it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from livestyle.errors import DeviceError, RecipeError
from livestyle.manifest import ORIGINAL
from livestyle.training.features import CONVS_PER_BLOCK
from livestyle.training.network import TransformNet
from livestyle.training.recipe import Recipe, parse_recipe
from livestyle.training.start import is_style_row, start_from
from livestyle.training.torch_file import read_torch_file
from livestyle.whole_file import WholeFile

_NEXT_STEP = "give the checkpoint.pt of another run, or train without --resume"
PATH_KEYS = ("content_folder", "style_folder", "loss_network")


class TrainState:
    """All that a run carries from step to step, so that a resumed one continues it exactly.

    Photos, crops, labels and the learning rate follow from the step and the seed, and need no state.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        n_styles = len(recipe.styles) + 1
        self.recipe, self.device, self.step = recipe, device, 0
        self.saved_step = -1  # of the last checkpoint that this process wrote
        self.network = build_network(recipe)
        if recipe.start_from:
            names = [ORIGINAL, *(style.name for style in recipe.styles)]
            model = recipe.path(recipe.start_from)
            if not model.is_file():
                raise RecipeError(
                    f"no model file at {model}, which the recipe's start_from names: give its path there, "
                    "or delete that line to begin from nothing"
                )
            start_from(self.network, names, model)
        self.network.to(device)
        self.average = build_network(recipe).to(device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        own = [p for name, p in self.network.named_parameters() if is_style_row(name)]
        shared = [p for name, p in self.network.named_parameters() if not is_style_row(name)]
        self.optimizer = torch.optim.Adam([{"params": shared}, {"params": own}], betas=(0.9, 0.99))
        self.style_weights = torch.ones(n_styles)
        self.style_fractions = torch.ones(n_styles)
        self.content_fractions = torch.ones(n_styles)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all, in place of an older one. Raises SinkError."""
        content = io.BytesIO()  # a few MB; torch itself reports a full disk as an internal error
        torch.save(self._state(), content)
        with suppress(OSError):  # WholeFile says what is wrong with it
            path.parent.mkdir(parents=True, exist_ok=True)
        with WholeFile(path, overwrite=True) as partial:
            partial.write_bytes(content.getbuffer())
        self.saved_step = self.step

    @classmethod
    def load(cls, path: Path, device: torch.device, recipe: Recipe | None = None) -> TrainState:
        """The state in a checkpoint. With `recipe`, refuse one that shapes another network.

        Loss weights and the number of steps may differ, so that a run can be prolonged.
        """
        saved = read_checkpoint(path)
        try:
            torch.zeros(1, device=device)
        except RuntimeError as error:  # no fault of the checkpoint
            raise DeviceError(f"{device} does not work: {error}; try --device cpu") from error
        try:
            own = _own_recipe(saved["recipe"], path)
            content_folder, style_folder, loss_network = (str(saved["paths"][key]) for key in PATH_KEYS)
            own = replace(
                own, content_folder=content_folder, style_folder=style_folder, loss_network=loss_network
            )
            recipe = recipe or own
            if _shape(recipe) != _shape(own):
                raise RecipeError(
                    f"{path} belongs to another network or other styles than {recipe.name}: "
                    "train without --resume, or give the recipe that it was made by"
                )
            # The checkpoint holds the weights; the model that it began with may be gone.
            state = cls(replace(recipe, start_from=""), device)
            state.recipe = recipe
            state._restore(saved)
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError) as error:
            raise RecipeError(f"{path} is a broken checkpoint; {_NEXT_STEP}") from error
        return state

    def _restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what `_state` gave. Raises KeyError, TypeError, ValueError, RuntimeError and the like."""
        if type(saved["step"]) is not int or saved["step"] < 0:
            raise ValueError("step must be a whole number from 0 up")
        self.step = saved["step"]
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        # Adam's settings are this code's own; only its memory is the checkpoint's.
        settings = self.optimizer.state_dict()["param_groups"]
        memory = saved["optimizer"]["state"]
        if self.step:
            _check_memory(memory, [p for group in self.optimizer.param_groups for p in group["params"]])
        self.optimizer.load_state_dict({"state": memory, "param_groups": settings})
        for name in ("style_weights", "style_fractions", "content_fractions"):
            own: Tensor = getattr(self, name)
            if saved[name].shape != own.shape:
                raise ValueError(f"{name} has another shape")
            own.copy_(saved[name])
        for network in (self.network, self.average):
            if not all(value.isfinite().all() for value in network.state_dict().values()):
                raise ValueError("a weight is not finite")

    def _state(self) -> dict[str, object]:
        return {
            "format": 1,
            "recipe": self.recipe.text,
            "paths": {key: _absolute(self.recipe, key) for key in PATH_KEYS},
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "style_weights": self.style_weights,
            "style_fractions": self.style_fractions,
            "content_fractions": self.content_fractions,
        }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's plain values; nothing in it is executed. Raises RecipeError."""
    try:
        saved = read_torch_file(path, "checkpoint")
    except RecipeError as error:
        raise RecipeError(f"{error}; {_NEXT_STEP}") from error
    if not isinstance(saved, dict) or type(saved.get("format")) is not int or saved["format"] != 1:
        raise RecipeError(f"{path} is not a checkpoint of livestyle, or of another version; {_NEXT_STEP}")
    return saved


def _own_recipe(text: str, path: Path) -> Recipe:
    try:
        return parse_recipe(text, where=f"the recipe in {path}")
    except RecipeError as error:
        what = str(error).partition("; ")[0]  # its next step is for recipes that can be mended
        raise RecipeError(f"{what}; {_NEXT_STEP}") from error


def build_network(recipe: Recipe) -> TransformNet:
    """The network that a recipe describes, untrained: one row for "original" and one a painting."""
    return TransformNet(
        len(recipe.styles) + 1,
        widths=recipe.widths,
        n_residual=recipe.n_residual,
        stem=recipe.stem,
        upsampling=recipe.upsampling,
        head_width=recipe.head_width,
    )


def _check_memory(memory: Mapping[int, Mapping[str, Tensor]], parameters: list[Tensor]) -> None:
    """Refuse what would fail in the middle of Adam's next step."""
    for number, parameter in enumerate(parameters):
        shapes = {name: value.shape for name, value in memory[number].items()}
        if shapes != {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}:
            raise ValueError(f"Adam's memory does not fit parameter {number}")


def _shape(recipe: Recipe) -> tuple[object, ...]:
    keys = ("widths", "n_residual", "stem", "upsampling", "head_width")
    return (*(asdict(recipe)[key] for key in keys), *(style.name for style in recipe.styles))


def _absolute(recipe: Recipe, key: str) -> str:
    value = str(getattr(recipe, key))
    return value if value in CONVS_PER_BLOCK else str(recipe.path(value).resolve())
