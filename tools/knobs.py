"""Shows what the keys of a recipe do: one photo, one style, a short training for each key, on one sheet.

    python tools/knobs.py MODEL SHEET --style NAME --photo FILE --photos FOLDER --paintings FOLDER
        --loss-network FILE [--steps 200]

Each training goes on from the model by the recipe that is in it, with this style alone. What differs
between two tiles is the key below them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import measuring_parser

from livestyle.errors import LivestyleError, RecipeError
from livestyle.frame import Image
from livestyle.library import find_model, load_manifest
from livestyle.pictures import check_picture_path, read_picture, write_picture
from livestyle.sheet import arrange_sheet
from livestyle.terminal import progress_bar
from livestyle.training.dataset import resize_short_side, to_image, to_tensor
from livestyle.training.recipe import Recipe, parse_recipe
from livestyle.training.state import TrainState
from livestyle.training.train import train
from livestyle.whole_file import WholeFile

PHOTO_SIZE = 352  # short side of the photo, pixels


@dataclass(frozen=True)
class Knob:
    """Keys of the recipe and of its style that are turned, and the words below the tile."""

    caption: str
    recipe: dict[str, Any] = field(default_factory=dict)
    style: dict[str, Any] = field(default_factory=dict)


KNOBS = (
    Knob("the recipe as it is"),
    Knob("content_weight = 4", {"content_weight": 4.0}),
    Knob("content_weight = 90", {"content_weight": 90.0}),
    Knob("style_weight = 20", {"style_weight": 20.0}),
    Knob("style_weight = 600", {"style_weight": 600.0}),
    Knob("style_size = 200", style={"style_size": 200}),
    Knob("style_size = 800", style={"style_size": 800}),
    Knob("palette_weight = 0", {"palette_weight": 0.0}),
    Knob("structure_weight = 150", {"structure_weight": 150.0}),
    Knob("skin_weight = 0", {"skin_weight": 0.0}),
    Knob("abstraction = 12", {"abstraction": 12}),
    Knob("patch_weight = 60", {"patch_weight": 60.0}),
    Knob('style_loss = "gram"', {"style_loss": "gram"}),
    Knob('style_loss = "mean_std"', {"style_loss": "mean_std"}),
    Knob('style_loss = "sliced_wasserstein"', {"style_loss": "sliced_wasserstein"}),
    Knob("own_colours = true", style={"own_colours": True}),
)


def turned(recipe: Recipe, model: Path, style: str, knob: Knob, steps: int) -> Recipe:
    """The model's recipe with this style alone and the knob turned. Raises RecipeError."""
    found = [known for known in recipe.styles if known.name == style]
    if not found:
        raise RecipeError(
            f"the recipe has no style {style}; it has {', '.join(s.name for s in recipe.styles)}"
        )
    alone = replace(found[0], **{"weight": 1.0, **knob.style})
    # Small steps of few crops: the whole sheet takes minutes. A steered weight would undo what is turned.
    short = replace(recipe, styles=(alone,), steps=steps, batch=2, crop=160, style_target=0.0)
    return replace(short, start_from=str(model.resolve()), **knob.recipe)


def painted(recipe: Recipe, photo: Image, step_done: Callable[[], None]) -> Image:
    """What the recipe's network paints of the photo in its one style, when it has been trained."""
    state = TrainState(recipe, torch.device("cpu"))
    for _ in train(state):
        step_done()
    with torch.inference_mode():
        seen = to_tensor(torch.from_numpy(photo)[None])
        return to_image(state.average.eval()(seen, torch.tensor([[0.0, 1.0]]))[0])


def tiles(options: argparse.Namespace, photo: Image) -> Iterator[tuple[str, Image]]:
    model = find_model(options.model)
    recipe = parse_recipe(load_manifest(model).recipe, where=f"the recipe in {model}").with_paths(
        photos=options.photos, paintings=options.paintings, loss_network=str(options.loss_network)
    )
    yield "the photo", photo
    with progress_bar("steps/s") as bar:
        task = bar.add_task("", total=len(KNOBS) * options.steps)
        for knob in KNOBS:
            bar.update(task, description=knob.caption)
            short = turned(recipe, model, options.style, knob, options.steps)
            yield knob.caption, painted(short, photo, lambda: bar.advance(task))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = measuring_parser(__doc__)
    parser.add_argument("sheet", type=Path, help="a picture, replaced")
    parser.add_argument("--style", required=True)
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args(arguments)
    try:
        check_picture_path(options.sheet, overwrite=True)
        WholeFile(options.sheet, overwrite=True).probe()  # refused now, not after the trainings
        photo = resize_short_side(read_picture(options.photo)[0], PHOTO_SIZE)
        # What four halvings or less, as recipes have them, want of a side.
        photo = np.ascontiguousarray(photo[: photo.shape[0] // 16 * 16, : photo.shape[1] // 16 * 16])
        captions, pictures = zip(*tiles(options, photo), strict=True)
        write_picture(options.sheet, arrange_sheet(list(pictures), list(captions)), overwrite=True)
    except (LivestyleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
