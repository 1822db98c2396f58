from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo
from livestyle.pictures import read_picture
from livestyle.saver import Saver
from livestyle.video_source import VideoFileSource

INFO = VideoInfo(64, 48, 30.0)
NOON = datetime(2026, 5, 4, 12, 0, 0)


def frame(n: int) -> Frame:
    painted = np.full((48, 64, 3), 10 + n, np.uint8)
    return Frame(painted, n, n / 30, content=np.full((48, 64, 3), 200, np.uint8))


def saver(folder: Path, **changes: object) -> Saver:
    return Saver(INFO, folder, clock=lambda: NOON, **changes)  # type: ignore[arg-type]


def frames_in(path: Path) -> int:
    with VideoFileSource(path) as film:
        return sum(1 for _ in film)


def test_a_snapshot_is_the_painting_and_its_original_as_they_are(tmp_path: Path) -> None:
    path = saver(tmp_path).snapshot(frame(7))
    painting, _ = read_picture(path)
    original, _ = read_picture(tmp_path / "livestyle-20260504-120000-original.png")
    assert np.array_equal(painting, frame(7).image)
    assert (original == 200).all()


def test_snapshots_of_one_second_have_names_of_their_own(tmp_path: Path) -> None:
    keeps = saver(tmp_path)
    for n in range(3):
        keeps.snapshot(frame(n))
    assert len(set(keeps.saved)) == len(list(tmp_path.iterdir())) == 6
    assert all(path.exists() for path in keeps.saved)
    assert int(read_picture(keeps.saved[2])[0][0, 0, 0]) == 11


def test_recordings_hold_what_came_while_they_ran_and_never_replace_each_other(tmp_path: Path) -> None:
    with saver(tmp_path) as keeps:
        keeps.write(frame(0))  # before the first
        for first, count in ((1, 12), (20, 8)):
            keeps.start()
            for n in range(first, first + count):
                keeps.write(frame(n))
            assert keeps.recorded == pytest.approx((count - 1) / 30)
            assert keeps.stop() == keeps.saved[-1]
            assert keeps.recorded is None
        keeps.write(frame(40))
    assert [frames_in(path) for path in keeps.saved] == [12, 8]


def test_leaving_ends_the_recording(tmp_path: Path) -> None:
    target = tmp_path / "show.mp4"
    with saver(tmp_path, record_to=target) as keeps:
        keeps.start()
        for n in range(5):
            keeps.write(frame(n))
    assert frames_in(target) == 5


def test_the_name_given_is_for_the_first_recording_only(tmp_path: Path) -> None:
    target = tmp_path / "show.mp4"
    with saver(tmp_path, record_to=target) as keeps:
        for _ in range(2):
            keeps.start()
            keeps.write(frame(0))
            keeps.stop()
    assert [path.name for path in keeps.saved] == ["show.mp4", "livestyle-20260504-120000.mp4"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    keeps = saver(tmp_path / "missing")
    with pytest.raises(SinkError, match="missing"):
        keeps.start()
    assert keeps.recorded is None
    with pytest.raises(SinkError, match="missing"):
        keeps.snapshot(frame(0))
