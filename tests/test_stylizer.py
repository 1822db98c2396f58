from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEngine, tiny_manifest, tiny_stylized

from livestyle.errors import ModelError
from livestyle.stylizer import Stylizer, open_stylizer

NEGATIVE = np.array([0, 1, 0], np.float32)


def picture(height: int, width: int) -> Any:
    return np.random.default_rng(height * 10_000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def stylizer(tiny_model_path: Path) -> Stylizer:
    return open_stylizer(tiny_model_path, "onnx-cpu", threads=1)


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 100), (100, 1), (2, 3), (7, 9), (31, 33), (32, 32), (64, 48), (65, 47), (359, 641)],
)
def test_a_picture_of_any_size_keeps_it_and_its_pixels(stylizer: Stylizer, height: int, width: int) -> None:
    image = picture(height, width)
    kept = image.copy()
    stylized = stylizer(image, NEGATIVE)
    assert stylized.dtype == np.uint8
    assert stylized.flags.c_contiguous
    assert stylized.flags.writeable
    np.testing.assert_array_equal(stylized, 255 - image)
    np.testing.assert_array_equal(image, kept)


def test_a_mix_is_the_weighted_sum_of_its_styles(stylizer: Stylizer) -> None:
    image = picture(40, 32)
    mix = np.array([0.5, 0.25, 0.25], np.float32)
    # 0.5 x + 0.25 (255 - x) + 0.25 * 40
    expected = np.rint(0.25 * image + 73.75)
    assert np.abs(stylizer(image, mix) - expected).max() <= 1
    np.testing.assert_array_equal(stylizer(image, mix), tiny_stylized(image, mix))


@pytest.mark.parametrize(
    ("size_hw", "multiple", "padded_hw"),
    [
        ((1, 1), 8, (32, 32)),
        ((33, 40), 8, (40, 40)),
        ((40, 48), 8, (40, 48)),
        ((5, 65), 4, (32, 68)),
        ((33, 31), 1, (33, 32)),
        ((33, 64), 64, (64, 64)),
    ],
)
def test_the_network_gets_multiples_of_at_least_32(
    size_hw: tuple[int, int], multiple: int, padded_hw: tuple[int, int]
) -> None:
    manifest = tiny_manifest(size_multiple=multiple)
    engine = FakeEngine(manifest)
    Stylizer(engine, manifest)(picture(*size_hw), NEGATIVE)
    assert engine.frames[0].shape == (1, *padded_hw, 3)
    assert engine.frames[0].flags.c_contiguous


def test_the_padding_mirrors_the_picture_without_its_edge() -> None:
    engine = FakeEngine()
    row = np.arange(30, dtype=np.uint8)
    Stylizer(engine, engine.manifest)(np.tile(row[None, :, None], (30, 1, 3)), NEGATIVE)
    # ... 28 29 | 28 27: the edge itself is not repeated.
    assert engine.frames[0][0, 0, :, 0].tolist() == [*range(30), 28, 27]


def test_a_view_into_another_picture_is_taken_as_it_looks(stylizer: Stylizer) -> None:
    image = picture(64, 64)
    for view in (image[::2, ::-1], image[:, :, ::-1], image[3:40, 5:60], image.swapaxes(0, 1)):
        np.testing.assert_array_equal(stylizer(view, NEGATIVE), 255 - view)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((4, 4, 3), np.float32), TypeError),
        (np.zeros((4, 4, 3), np.uint16), TypeError),
        (np.zeros((4, 4), np.uint8), ValueError),
        (np.zeros((4, 4, 4), np.uint8), ValueError),
        (np.zeros((0, 4, 3), np.uint8), ValueError),
        (np.zeros((1, 4, 4, 3), np.uint8), ValueError),
    ],
)
def test_what_is_no_image_is_refused(stylizer: Stylizer, image: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        stylizer(image, NEGATIVE)


@pytest.mark.parametrize(
    ("mix", "error"),
    [
        (np.zeros(3, np.float64), TypeError),
        (np.zeros(4, np.float32), ValueError),
        (np.zeros((1, 3), np.float32), ValueError),
        (np.array([np.nan, 0, 0], np.float32), ValueError),
        (np.array([np.inf, 0, 0], np.float32), ValueError),
    ],
)
def test_what_is_no_style_mix_is_refused(stylizer: Stylizer, mix: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        stylizer(picture(8, 8), mix)


def test_a_network_that_changes_the_size_is_refused() -> None:
    class Shrinking(FakeEngine):
        def run(self, frame: Any, style_mix: Any) -> Any:
            return super().run(frame, style_mix)[:, ::2]

    engine = Shrinking()
    with pytest.raises(ModelError, match="the model tiny gave uint8 of shape"):
        Stylizer(engine, engine.manifest)(picture(32, 32), NEGATIVE)


def test_a_stylizer_knows_its_model_and_its_device(stylizer: Stylizer) -> None:
    assert stylizer.manifest == tiny_manifest()
    assert stylizer.engine.name == "ONNX Runtime CPU"


def test_a_model_that_does_not_exist_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="there is no model 'no_such_model'"):
        open_stylizer("no_such_model")
