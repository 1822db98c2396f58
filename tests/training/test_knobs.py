"""tools/knobs.py: short trainings that differ by one key each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scripts import tool
from tiny_runs import STYLES, noise_picture, tiny_network, tiny_recipe, write_pictures

from livestyle.pictures import read_picture
from livestyle.sheet import arrange_sheet
from livestyle.training.export import export_onnx


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a recipe, its model, photos, paintings and a loss network."""
    recipe = tiny_recipe(tmp_path)
    write_pictures(tmp_path / "photos", ["a.png", "b.png", "c.png"], size_hw=(176, 192))
    export_onnx(tiny_network(1 + len(STYLES)), recipe, tmp_path / "tiny.onnx", [noise_picture(72, 88, 5)])
    cv2.imwrite(str(tmp_path / "face.png"), noise_picture(72, 88, 3))
    return tmp_path


def arguments(world: Path, **changes: object) -> list[str]:
    options = {
        "style": STYLES[1],
        "photo": world / "face.png",
        "photos": world / "photos",
        "paintings": world / "paintings",
        "loss-network": world / "slim.pt",
        "steps": 2,
    }
    given = [word for key, value in (options | changes).items() for word in (f"--{key}", str(value))]
    return [str(world / "tiny.onnx"), str(world / "sheet.png"), *given]


def test_every_knob_turns_what_its_caption_says(tmp_path: Path) -> None:
    # What is 0 in a recipe cannot be turned off.
    knobs, recipe = tool("knobs"), tiny_recipe(tmp_path, skin_weight=12)
    plain = knobs.turned(recipe, tmp_path / "tiny.onnx", STYLES[1], knobs.KNOBS[0], steps=3)
    assert [style.name for style in plain.styles] == [STYLES[1]]
    for knob in knobs.KNOBS[1:]:
        turned = knobs.turned(recipe, tmp_path / "tiny.onnx", STYLES[1], knob, steps=3)
        key, value = knob.caption.split(" = ")
        place: Any = turned if hasattr(turned, key) and key not in knob.style else turned.styles[0]
        untouched: Any = plain if place is turned else plain.styles[0]
        assert str(getattr(place, key)).lower().removesuffix(".0") == value.strip('"')
        assert getattr(place, key) != getattr(untouched, key)


def test_the_sheet_has_the_photo_and_a_tile_for_each_knob(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knobs = tool("knobs")
    monkeypatch.setattr(knobs, "KNOBS", (knobs.KNOBS[0], knobs.KNOBS[2]))
    assert knobs.main(arguments(world)) == 0
    sheet, _ = read_picture(world / "sheet.png")
    tile = np.zeros((352, 416, 3), np.uint8)
    assert sheet.shape == arrange_sheet([tile] * 3, ["a"] * 3).shape
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 1000  # all of it painted, not paper alone


def test_a_style_that_the_recipe_lacks_is_one_line(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool("knobs").main(arguments(world, style="vermeer")) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the recipe has no style vermeer; it has ")
    assert error.count("\n") == 1
    assert not (world / "sheet.png").exists()
