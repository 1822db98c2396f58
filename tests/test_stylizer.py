from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FakeEngine, tiny_manifest, tiny_stylized

from livestyle.errors import DeviceError, ModelError
from livestyle.governor import Governor
from livestyle.stylizer import BrushStylizer, PacedStylizer, ScaledStylizer, Stylizer, open_stylizer

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


# --- at another size ---


def soft(height: int, width: int) -> Any:
    """A picture without fine detail."""
    return cv2.GaussianBlur(picture(height, width), (0, 0), 4)


def fake_stylizer(**changes: Any) -> tuple[Stylizer, FakeEngine]:
    engine = FakeEngine(tiny_manifest(**changes))
    return Stylizer(engine, engine.manifest), engine


@pytest.mark.parametrize("size_hw", [(48, 64), (47, 65), (5, 3)])
def test_full_size_is_the_stylizer_itself(stylizer: Stylizer, size_hw: tuple[int, int]) -> None:
    image = picture(*size_hw)
    np.testing.assert_array_equal(ScaledStylizer(stylizer)(image, NEGATIVE), stylizer(image, NEGATIVE))


@pytest.mark.parametrize(
    ("size_hw", "scale", "multiple", "painted_hw"),
    [
        ((720, 1280), 0.5, 8, (360, 640)),
        ((720, 1280), 0.85, 8, (608, 1088)),  # 612, of which the even multiple is nearer
        ((480, 640), 0.7, 8, (336, 448)),
        ((359, 641), 0.5, 4, (180, 320)),
        ((40, 48), 0.95, 32, (32, 32)),  # 38 and 46
        ((20, 20), 0.9, 16, (16, 16)),
        ((20, 20), 0.9, 32, (20, 20)),  # no multiple of 32 is smaller
    ],
)
def test_a_smaller_picture_is_painted_and_comes_back_at_full_size(
    size_hw: tuple[int, int], scale: float, multiple: int, painted_hw: tuple[int, int]
) -> None:
    plain, engine = fake_stylizer(size_multiple=multiple)
    scaled = ScaledStylizer(plain, scale)
    image = soft(*size_hw)
    kept = image.copy()
    shown = scaled(image, NEGATIVE)
    assert scaled.size_hw(*size_hw, scale) == painted_hw
    if min(painted_hw) >= 32:
        assert engine.frames[0].shape == (1, *painted_hw, 3)
    assert shown.shape == image.shape
    assert shown.dtype == np.uint8
    assert shown.flags.c_contiguous
    assert np.abs(shown.astype(int) - (255 - image)).mean() < 2
    np.testing.assert_array_equal(image, kept)


def test_network_and_resampling_are_timed_apart() -> None:
    plain, _ = fake_stylizer()
    # began, shrunk, painted, another's work, enlarged; then the same at full size
    times = iter([0.0, 1.0, 11.0, 15.0, 17.0, 20.0, 20.0, 25.0])
    scaled = ScaledStylizer(plain, 0.5, clock=lambda: next(times))
    scaled(picture(96, 96), NEGATIVE)
    assert (scaled.network, scaled.resampling) == (10.0, 3.0)
    scaled.scale = 1.0
    scaled(picture(96, 96), NEGATIVE)
    assert (scaled.network, scaled.resampling) == (5.0, 0.0)


@pytest.mark.parametrize("scale", [0, -1, 1.01, float("nan")])
def test_what_is_no_scale_is_refused(stylizer: Stylizer, scale: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        ScaledStylizer(stylizer, scale)


def test_a_small_painting_of_what_is_no_image_is_refused(stylizer: Stylizer) -> None:
    with pytest.raises(TypeError):
        ScaledStylizer(stylizer, 0.5)(np.zeros((64, 64, 3), np.float32), NEGATIVE)


class SlowToPrepare(FakeEngine):
    """Waits for `ready` before it paints a new size. fails: for a new size, from then on."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.ready = threading.Event()
        self.fails = fails
        self.known: set[tuple[int, ...]] = set()

    def run(self, frame: Any, style_mix: Any) -> Any:
        if self.known and frame.shape not in self.known:
            assert self.ready.wait(10)
            if self.fails:
                raise DeviceError("out of memory")
        self.known.add(frame.shape)
        return super().run(frame, style_mix)


def paced(engine: FakeEngine) -> PacedStylizer:
    # The clock stands: what finished() is told is all there is, and it does not shrink.
    return PacedStylizer(Stylizer(engine, engine.manifest), Governor(10, (1.0, 0.5)), clock=lambda: 0.0)


def paint(stylizer: PacedStylizer, seconds: float, times: int = 1) -> None:
    for _ in range(times):
        picture = soft(96, 128)
        painted = stylizer.paint(picture, NEGATIVE)
        assert painted.shape[0] == round(96 * stylizer.scale)
        assert stylizer.enlarge(painted, picture).shape == (96, 128, 3)
        stylizer.finished(seconds)


def test_a_new_size_is_prepared_beside_the_old_one() -> None:
    engine = SlowToPrepare()
    before = threading.active_count()
    with paced(engine) as stylizer:
        paint(stylizer, 0.2, times=20)  # of the 0.1 s that there are
        assert {frame.shape[1:3] for frame in engine.frames} == {(96, 128)}
        assert (stylizer.scale, stylizer.changes) == (1.0, 1)
        engine.ready.set()
        while stylizer.scale == 1:
            paint(stylizer, 0.05)
        assert engine.frames[-1].shape[1:3] == (48, 64)
        paint(stylizer, 0.05, times=30)  # three seconds with room
        while stylizer.scale < 1:
            paint(stylizer, 0.05)
        assert stylizer.changes == 2
        assert 0.5 < stylizer.mean_scale < 1
    assert threading.active_count() == before


def test_another_brush_is_prepared_beside_the_old_one() -> None:
    engine = SlowToPrepare()
    with paced(engine) as stylizer:
        large = soft(480, 512)
        for brush in (1.0, 2.0, 2.0, 2.0):
            stylizer.paint(large, NEGATIVE, brush)
            stylizer.finished(0.05)
        assert stylizer.scale == 1.0
        engine.ready.set()
        while stylizer.scale == 1:
            stylizer.paint(large, NEGATIVE, 2.0)
            stylizer.finished(0.05)
        assert engine.frames[-1].shape[1:3] == (176, 192)
        assert (stylizer.scale, stylizer.changes) == (0.375, 0)
        while stylizer.scale < 0.75:
            stylizer.paint(large, NEGATIVE, 1.0)
            stylizer.finished(0.05)
        assert stylizer.changes == 0


def test_a_brush_is_as_wide_as_the_scale_says() -> None:
    engine = FakeEngine()
    stylizer = BrushStylizer(Stylizer(engine, engine.manifest), lambda height, width, brush: 1 / brush)
    for brush, size_hw in ((1.0, (96, 128)), (2.0, (48, 64))):
        assert stylizer(soft(96, 128), NEGATIVE, brush).shape == (96, 128, 3)
        assert engine.frames[-1].shape[1:3] == size_hw
    assert stylizer.mean_scale == 0.75


def test_without_a_change_there_is_no_thread() -> None:
    before = threading.active_count()
    with paced(FakeEngine()) as stylizer:
        paint(stylizer, 0.05, times=50)
        assert threading.active_count() == before
        assert (stylizer.scale, stylizer.mean_scale, stylizer.changes) == (1.0, 1.0, 0)


def test_a_size_that_the_engine_refuses_is_an_error_of_the_stream() -> None:
    engine = SlowToPrepare(fails=True)
    engine.ready.set()
    with paced(engine) as stylizer, pytest.raises(DeviceError, match="out of memory"):
        paint(stylizer, 0.2, times=10_000)
