from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import index_of, picture, write_clip

from livestyle.buffering import WhenFull, buffered
from livestyle.errors import SourceError
from livestyle.frame import Frame
from livestyle.sources import CameraSource, LoopedFileSource, open_camera


class Clock:
    """A clock on which time passes only in sleep()."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.longest_sleep = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.longest_sleep = max(self.longest_sleep, seconds)
        self.now += seconds


class FakeCapture:
    """A camera that gives these pictures (BGR; None: no picture), one every 1/25 s, and then none."""

    def __init__(self, pictures: list[Any], clock: Clock, fps: float = 25.0) -> None:
        self.released = 0
        self._pictures = iter(pictures)
        self._clock = clock
        self._fps = fps

    def read(self) -> tuple[bool, Any]:
        assert not self.released
        self._clock.now += 0.04
        picture = next(self._pictures, None)
        return picture is not None, picture

    def get(self, propId: int, /) -> float:  # noqa: N803
        return self._fps if propId == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released += 1


def bgr(index: int) -> Any:
    return cv2.cvtColor(picture(index), cv2.COLOR_RGB2BGR)


def camera(pictures: list[Any], fps: float = 25.0) -> tuple[CameraSource, FakeCapture]:
    clock = Clock()
    capture = FakeCapture(pictures, clock, fps)
    source = CameraSource(0, open_capture=lambda *_: capture, clock=clock, sleep=clock.sleep)
    return source, capture


def test_a_camera_gives_rgb_pictures_with_growing_timestamps() -> None:
    source, _ = camera([bgr(index) for index in range(5)])
    assert (source.info.width, source.info.height, source.info.fps) == (64, 48, 25.0)
    assert source.info.frame_count is None
    assert source.is_live
    frames = list(islice(source, 5))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert all(np.array_equal(frame.image, picture(index)) for index, frame in enumerate(frames))


def test_a_grey_camera_gives_rgb_too() -> None:
    source, _ = camera([np.full((48, 64), 77, np.uint8)])
    assert next(iter(source)).image[0, 0].tolist() == [77, 77, 77]


@pytest.mark.parametrize("told", [0.0, -1.0, float("nan"), 180_000.0])
def test_a_rate_that_cannot_be_is_not_believed(told: float) -> None:
    assert camera([bgr(0)], told)[0].info.fps == 30.0


def test_a_camera_may_take_a_while_to_wake_up() -> None:
    source, _ = camera([None] * 20 + [bgr(3)])
    assert index_of(next(iter(source)).image) == 3


def test_a_camera_without_pictures_is_one_sentence() -> None:
    with pytest.raises(SourceError, match="camera 0 gives no pictures"):
        camera([])


def test_a_camera_that_is_pulled_out_is_one_sentence_after_its_last_picture() -> None:
    source, capture = camera([bgr(0), bgr(1), None, None, bgr(2)])
    with source:
        frames = iter(source)
        assert [index_of(frame.image) for frame in islice(frames, 3)] == [0, 1, 2]
        with pytest.raises(SourceError, match="camera 0 stopped giving pictures"):
            next(frames)
    assert capture.released == 1


def test_closing_a_camera_ends_its_frames_quietly_and_once() -> None:
    source, capture = camera([bgr(0)] * 10)
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    assert capture.released == 1


def test_a_camera_that_is_not_there_is_one_sentence() -> None:
    """In a process of its own: it must not say anything else either."""
    code = (
        "from livestyle.errors import SourceError\n"
        "from livestyle.sources import open_camera\n"
        "for spec in ('99', 'http://127.0.0.1:9/none.mjpg'):\n"
        "    try:\n"
        "        open_camera(spec)\n"
        "    except SourceError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith(
        "cannot open camera 99: there is no such camera. `livestyle webcam --camera FILE`"
    )
    assert second.startswith("cannot open http://127.0.0.1:9/none.mjpg: nothing answers there")
    assert done.stderr == ""


@pytest.mark.skipif(
    not re.search(r"avdevice:\s+YES", cv2.getBuildInformation()), reason="this OpenCV has no test pictures"
)
def test_a_stream_is_read_like_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    # lavfi draws a test picture; FFmpeg inside OpenCV takes it for a stream
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "input_format;lavfi")
    with CameraSource("color=red:size=64x48:rate=25") as source:
        frames = list(islice(source, 3))
    assert (source.info.width, source.info.height, source.info.fps) == (64, 48, 25.0)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert np.abs(frames[0].image[24, 32].astype(int) - (255, 0, 0)).max() <= 3


def looped(path: Path, clock: Clock, height: int | None = None) -> LoopedFileSource:
    return LoopedFileSource(path, height=height, clock=clock, sleep=clock.sleep)


def test_a_file_loops_at_its_own_pace_and_its_timestamps_grow(tmp_path: Path) -> None:
    clock = Clock()
    with looped(write_clip(tmp_path / "a.mp4", pts=range(5)), clock) as source:
        assert source.is_live
        assert source.info.frame_count is None
        seen = [(frame, clock.now) for frame in islice(source, 12)]
    assert [index_of(frame.image) for frame, _ in seen] == [0, 1, 2, 3, 4] * 2 + [0, 1]
    assert [frame.index for frame, _ in seen] == list(range(12))
    timestamps = [frame.timestamp for frame, _ in seen]
    assert timestamps == pytest.approx([index / 25 for index in range(12)])
    assert [now - 1000 for _, now in seen] == pytest.approx(timestamps)


def test_a_file_that_begins_late_begins_at_once(tmp_path: Path) -> None:
    clock = Clock()
    with looped(write_clip(tmp_path / "a.mp4", pts=range(100, 105)), clock) as source:
        assert [frame.timestamp for frame in islice(source, 7)] == pytest.approx([n / 25 for n in range(7)])


def test_a_picture_that_stays_long_comes_again(tmp_path: Path) -> None:
    clock = Clock()
    path = write_clip(tmp_path / "a.mkv", pts=[0, 1000, 1040], time_base=Fraction(1, 1000))
    with looped(path, clock) as source:
        frames = list(islice(source, 13))
    assert [index_of(frame.image) for frame in frames] == [0] * 10 + [1, 2, 2]
    assert [frame.index for frame in frames] == list(range(13))
    timestamps = [frame.timestamp for frame in frames]
    assert timestamps == sorted(timestamps)
    assert timestamps[9:12] == pytest.approx([0.9, 1.0, 1.04])
    assert clock.longest_sleep <= 0.1


def test_a_late_reader_makes_the_film_wait(tmp_path: Path) -> None:
    clock = Clock()
    with looped(write_clip(tmp_path / "a.mp4"), clock) as source:
        frames = iter(source)
        next(frames)
        clock.now += 60.0  # the reader was busy
        for _ in range(3):
            next(frames)
        now = clock.now
        next(frames)
        assert clock.now - now == pytest.approx(0.04)  # its own pace again, no rush to catch up


def test_a_picture_file_is_a_camera_that_looks_at_it(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), bgr(4))
    clock = Clock()
    with looped(path, clock) as source:
        frames = list(islice(source, 50))
    assert {index_of(frame.image) for frame in frames} == {4}
    assert [frame.timestamp for frame in frames] == pytest.approx([index / 25 for index in range(50)])


def test_the_height_is_kept_from_loop_to_loop(tmp_path: Path) -> None:
    with looped(write_clip(tmp_path / "a.mp4", pts=range(2)), Clock(), height=24) as source:
        assert {frame.image.shape for frame in islice(source, 6)} == {(24, 32, 3)}
    assert (source.info.width, source.info.height) == (32, 24)


def test_closing_a_looped_file_ends_its_frames(tmp_path: Path) -> None:
    source = looped(write_clip(tmp_path / "a.mp4"), Clock())
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []


def test_closing_while_a_thread_reads_is_safe(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    for _ in range(5):
        with LoopedFileSource(path, sleep=lambda _: None) as source:
            frames = buffered(source, 1, WhenFull.DROP_OLDEST)
            next(frames)
        # closed under the reader's hands, which then finds the end
        rest: list[Frame] = list(frames)
        assert len(rest) < 1000
    assert not [thread for thread in threading.enumerate() if thread.name == "livestyle reader"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: str(folder / "none.mp4"), "there is no camera or file .*none.mp4"),
        (lambda folder: str(folder), "is a folder"),
        (lambda folder: "nonsense", "there is no camera or file nonsense"),
    ],
)
def test_what_is_no_camera_is_one_sentence(tmp_path: Path, make: Callable[[Path], str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_camera(make(tmp_path))


def test_an_existing_file_is_opened_as_a_camera(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with open_camera(os.fspath(path), size=(32, 24)) as source:
        assert isinstance(source, LoopedFileSource)
        assert (source.info.width, source.info.height) == (32, 24)
