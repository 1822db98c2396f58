"""A model of three styles that can learn one more, and all that it takes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tiny_runs import STYLES, noise_picture, recipe_text, tiny_network, write_pictures, write_weights

from livestyle.training.export import export_onnx
from livestyle.training.recipe import StyleRecipe, parse_recipe

N = 1 + len(STYLES)
PHOTO = noise_picture(72, 88, 5)
STRIPES = StyleRecipe("stripes", "stripes.png", "Stripes", artist="Nobody", licence="public domain")


def tiny_world(folder: Path) -> Path:
    """Fill a folder: a model of three styles, its paintings, photos, a loss network and a new painting."""
    write_pictures(folder / "photos", ["a.png", "b.png", "c.png"], size_hw=(80, 96))
    write_pictures(folder / "paintings", [f"{name}.png" for name in STYLES], size_hw=(72, 64))
    write_weights(folder / "slim.pt")
    stripes = np.zeros((80, 72, 3), np.uint8)
    stripes[::4] = stripes[1::4] = (40, 120, 250)
    cv2.imwrite(str(folder / "stripes.png"), stripes)
    recipe = parse_recipe(recipe_text(start_from="gone.onnx", stability_weight=1.0, strength_share=0.25))
    export_onnx(tiny_network(N), recipe, folder / "base.onnx", [PHOTO])
    return folder


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
