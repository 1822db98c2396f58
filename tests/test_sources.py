from __future__ import annotations

import os
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import pytest
from clips import index_of, write_clip
from fake_cameras import Clock, bgr

from livestyle.buffering import WhenFull, buffered
from livestyle.errors import SourceError
from livestyle.frame import Frame
from livestyle.sources import LoopedFileSource, camera_number, open_camera


def looped(path: Path, clock: Clock, height: int | None = None) -> LoopedFileSource:
    return LoopedFileSource(path, height=height, clock=clock, sleep=clock.sleep)


def test_a_file_loops_at_its_own_pace_and_its_timestamps_grow(tmp_path: Path) -> None:
    clock = Clock()
    with looped(write_clip(tmp_path / "a.mp4", pts=range(5)), clock) as source:
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


def test_the_film_has_a_clock_that_waits_with_it(tmp_path: Path) -> None:
    clock = Clock()
    with looped(write_clip(tmp_path / "a.mp4"), clock) as source:
        frames = iter(source)
        first = next(frames)
        assert source.now() - first.timestamp == 0
        clock.now += 0.03
        assert source.now() - first.timestamp == pytest.approx(0.03)
        clock.now += 60.0  # nobody reads on
        assert source.now() == pytest.approx(0.25)
        second = next(frames)
        assert second.timestamp == pytest.approx(0.04)
        assert source.now() - second.timestamp == pytest.approx(0)
        *_, tenth = islice(frames, 10)
        assert source.now() - tenth.timestamp == pytest.approx(0)


def test_closing_ends_a_picture_that_would_stay_long(tmp_path: Path) -> None:
    clock = Clock()
    path = write_clip(tmp_path / "a.mkv", pts=[0, 60_000], time_base=Fraction(1, 1000))
    with looped(path, clock) as source:
        frames = iter(source)
        assert [frame.timestamp for frame in islice(frames, 4)] == pytest.approx([0, 0.1, 0.2, 0.3])
        source.close()
        assert len(list(frames)) <= 2


def test_a_film_of_one_picture_is_a_camera_that_looks_at_it(tmp_path: Path) -> None:
    clock = Clock()
    with looped(write_clip(tmp_path / "a.mp4", pts=[0]), clock) as source:
        frames = list(islice(source, 50))
    assert {index_of(frame.image) for frame in frames} == {0}
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


def photo_in(folder: Path) -> Path:
    cv2.imwrite(str(folder / "photo.png"), bgr(4))
    return folder / "photo.png"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: str(folder / "none.mp4"), r"there is no camera or file .*none.mp4.*webcam --list"),
        (lambda folder: str(folder), "is a folder"),
        (lambda folder: str(photo_in(folder)), r"photo\.png is a picture, .*`livestyle image"),
        (lambda folder: "nonsense", r"there is no camera or file nonsense.*webcam --list"),
        (lambda folder: "screen:one", "there is no camera or file screen:one"),
        (lambda folder: "/dev/video987", "cannot open camera 987"),
        (lambda folder: "987", "cannot open camera 987"),
    ],
)
def test_what_is_no_camera_is_one_sentence(tmp_path: Path, make: Callable[[Path], str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_camera(make(tmp_path))


def test_a_link_to_a_camera_is_that_camera(tmp_path: Path) -> None:
    link = tmp_path / "usb-stage-camera-index0"
    link.symlink_to("/dev/video987")
    with pytest.raises(SourceError, match="cannot open camera 987"):
        open_camera(str(link))


@pytest.mark.parametrize(
    ("spec", "number"),
    [
        ("0", 0),
        ("/dev/video12", 12),
        ("LINK", 987),
        ("screen", None),
        ("screen:2", None),
        ("rtsp://host/1", None),
        ("1.mp4", None),
        ("20260101", None),
    ],
)
def test_only_this_machine_s_cameras_have_numbers(spec: str, number: int | None, tmp_path: Path) -> None:
    (tmp_path / "usb-stage-camera-index0").symlink_to("/dev/video987")
    spec = str(tmp_path / "usb-stage-camera-index0") if spec == "LINK" else spec
    assert camera_number(spec) == number


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_an_existing_file_is_opened_as_a_camera(prefix: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with open_camera(prefix + os.fspath(path), size=(32, 24)) as source:
        assert isinstance(source, LoopedFileSource)
        assert (source.info.width, source.info.height) == (32, 24)
        assert source.problem is None
