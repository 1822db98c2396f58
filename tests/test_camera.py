from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from clips import index_of, picture
from fake_cameras import BROKEN, EMPTY, Clock, FakeCamera, FakeCapture, bgr, opened

from livestyle.camera import CameraSource, Pace, fitted
from livestyle.errors import SourceError


def source_of(pictures: list[Any], clock: Clock | None = None, **options: Any) -> CameraSource:
    clock = clock or Clock()
    return opened(FakeCamera(clock, FakeCapture(clock, pictures, **options)), clock)


def test_a_camera_gives_rgb_pictures_with_growing_timestamps() -> None:
    source = source_of([bgr(index) for index in range(5)])
    assert (source.info.width, source.info.height, source.info.fps) == (64, 48, 25.0)
    assert source.info.frame_count is None
    frames = list(islice(source, 5))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert all(np.array_equal(frame.image, picture(index)) for index, frame in enumerate(frames))


@pytest.mark.parametrize(
    "given",
    [
        np.full((48, 64), 77, np.uint8),
        np.full((48, 64, 3), 77, np.uint8),
        np.full((48, 64, 4), (77, 77, 77, 3), np.uint8),
    ],
    ids=["grey", "bgr", "bgra"],
)
def test_every_kind_of_picture_becomes_rgb(given: Any) -> None:
    image = next(iter(source_of([given]))).image
    assert image.shape == (48, 64, 3)
    assert np.unique(image).tolist() == [77]


@pytest.mark.parametrize("told", [0.0, 0.5, -1.0, float("nan"), 180_000.0])
def test_a_rate_that_cannot_be_is_not_believed(told: float) -> None:
    assert source_of([bgr(0)], fps=told).info.fps == 30.0


@pytest.mark.parametrize(
    ("stamp", "age"),
    [
        (lambda now: 1000 * (now - 0.03), 0.03),  # what V4L2 tells: the system's clock, in ms
        (lambda now: 1000 * (now - 0.9), 0.9),
        (lambda now: 1000 * (now - 1.1), 0.0),  # another clock, or none
        (lambda now: 1000 * (now + 0.1), 0.0),
        (lambda now: 0.0, 0.0),
    ],
)
def test_a_picture_is_as_old_as_its_driver_says_if_that_can_be(
    stamp: Callable[[float], float], age: float
) -> None:
    clock = Clock()
    source = source_of([bgr(0), bgr(1)], clock, stamp=stamp)
    for frame in islice(source, 2):
        assert source.now() - frame.timestamp == pytest.approx(age)
    assert frame.timestamp == pytest.approx(0.04)


def test_a_camera_that_cannot_tell_is_not_asked() -> None:
    clock = Clock()
    capture = FakeCapture(clock, [bgr(0)], stamp=lambda now: 1000 * (now - 0.5))
    source = opened(FakeCamera(clock, capture, stamps=False), clock)
    assert source.now() - next(iter(source)).timestamp == 0


def test_decoding_makes_a_picture_older() -> None:
    source = source_of([bgr(0)], decoding=0.2)
    assert source.now() - next(iter(source)).timestamp == pytest.approx(0.2)


def test_a_camera_may_take_a_while_to_wake_up() -> None:
    assert index_of(next(iter(source_of([None] * 20 + [bgr(3)]))).image) == 3


class KeepingCapture(FakeCapture):
    """A driver or a network that keeps the second to the fifth picture for a reader who is late."""

    def grab(self) -> bool:
        before = self._clock.now
        came = super().grab()
        if 2 <= self.grabs <= 5:
            self._clock.now = before
        return came


@pytest.mark.parametrize(("kind", "first"), [(FakeCapture, 1), (KeepingCapture, 5)])
def test_a_reader_who_comes_late_begins_with_the_present(kind: type[FakeCapture], first: int) -> None:
    clock = Clock()
    source = opened(FakeCamera(clock, kind(clock, [bgr(index) for index in range(9)])), clock)
    clock.now += 3.0  # a model is loaded
    came = [(index_of(frame.image), frame.timestamp, source.now()) for frame in islice(source, 2)]
    assert [index for index, _, _ in came] == [first, first + 1]
    assert [timestamp for _, timestamp, _ in came] == pytest.approx([0, 0.04])
    assert [now for _, _, now in came] == pytest.approx([0, 0.04])


def test_a_reader_who_comes_at_once_misses_nothing() -> None:
    clock = Clock()
    source = opened(FakeCamera(clock, FakeCapture(clock, [bgr(0), bgr(1)])), clock)
    clock.now += 0.09
    assert [index_of(frame.image) for frame in islice(source, 2)] == [0, 1]


def test_a_camera_without_pictures_is_one_sentence() -> None:
    clock = Clock()
    capture = FakeCapture(clock)
    with pytest.raises(SourceError, match=r"^camera 7 gives no pictures; close the other program$"):
        opened(FakeCamera(clock, capture), clock)
    assert capture.released == 1
    with pytest.raises(SourceError, match="cannot open camera 7"):
        opened(FakeCamera(clock), clock)


@pytest.mark.parametrize("bad", [None, EMPTY, BROKEN], ids=["none", "empty", "broken"])
def test_one_bad_picture_is_skipped(bad: Any) -> None:
    clock = Clock()
    camera = FakeCamera(clock, FakeCapture(clock, [bgr(0), bad, bgr(1)]))
    frames = list(islice(opened(camera, clock), 2))
    assert [index_of(frame.image) for frame in frames] == [0, 1]
    assert [frame.index for frame in frames] == [0, 1]
    assert len(camera.opened_at) == 1


def test_pictures_of_another_size_are_fitted_into_the_first(caplog: pytest.LogCaptureFixture) -> None:
    frames = list(islice(source_of([bgr(1), bgr(2, 64, 24), bgr(3, 64, 24), bgr(4)]), 4))
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert not frames[1].image[:12].any()
    assert np.array_equal(frames[1].image[12:36], picture(2, 64, 24))
    assert not frames[1].image[36:].any()
    assert np.array_equal(frames[3].image, picture(4))
    assert [record.getMessage() for record in caplog.records] == [
        "camera 7 changed its pictures from 64x48 to 64x24; they are fitted into the old size"
    ]


@pytest.mark.parametrize(
    ("width", "height", "inside"),
    [
        (50, 100, (25, 0, 50, 100)),  # left, top, width, height of what is not black in 100 x 100
        (100, 50, (0, 25, 100, 50)),
        (400, 100, (0, 37, 100, 25)),
        (200, 200, (0, 0, 100, 100)),
        (3, 2, (0, 16, 100, 67)),
        (1, 1000, (49, 0, 1, 100)),
        (99, 100, (0, 0, 100, 100)),  # that is rounding, not another aspect
    ],
)
def test_a_picture_is_fitted_whole(width: int, height: int, inside: tuple[int, int, int, int]) -> None:
    white = np.full((height, width, 3), 255, np.uint8)
    image = fitted(white, 100, 100)
    assert image.shape == (100, 100, 3)
    rows, columns = np.nonzero(image[..., 0])
    found = tuple(map(int, (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)))
    assert found == inside
    assert len(rows) == found[2] * found[3]


@pytest.mark.parametrize(
    ("height", "expected"), [(24, (32, 24)), (48, (64, 48)), (1000, (64, 48)), (None, (64, 48))]
)
def test_large_pictures_are_scaled_down(
    height: int | None, expected: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    source = opened(FakeCamera(clock, FakeCapture(clock, [bgr(5)] * 2), height=height), clock)
    assert (source.info.width, source.info.height) == expected
    image = next(iter(source)).image
    assert image.shape[1::-1] == expected
    assert index_of(image) == 5
    assert not caplog.records


def test_a_pace_is_kept_and_does_not_hurry_after_a_pause() -> None:
    clock = Clock()
    pace = Pace(10, clock=clock, sleep=clock.sleep)
    began = []
    for work in (0.01, 0.01, 0.12, 0.01, 5.0, 0.01, 0.01, 0.01):
        pace.wait()
        began.append(clock.now - 1000)
        clock.now += work
    assert began == pytest.approx([0, 0.1, 0.2, 0.32, 0.4, 5.4, 5.5, 5.6])
