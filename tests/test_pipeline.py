from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip

from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.pipeline import keep_colours, stylize_frames
from livestyle.take import Look


def grey(level: int) -> Image:
    return np.full((2, 3, 3), level, np.uint8)


class Film:
    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in (0, 1, 4):  # 2 and 3 were dropped
                yield Frame(grey(10 * index), index, 0.5 * index)
        finally:
            self.closed = True


def add_mix(image: Image, mix: MixVector) -> Image:
    painted: Image = image + mix[1].astype(np.uint8)
    return painted


def look_at(timestamp: float) -> Look:
    return Look(np.array([0, 100 * timestamp], np.float32))


def test_each_frame_is_painted_in_the_look_of_its_own_time() -> None:
    painted = list(stylize_frames(Film(), add_mix, look_at))
    # 10 * index of the picture, and 100 * 0.5 * index of the mix
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 60, 240]


def test_what_was_painted_goes_along() -> None:
    contents = [frame.content for frame in stylize_frames(Film(), add_mix, look_at)]
    assert [int(content[0, 0, 0]) for content in contents if content is not None] == [0, 10, 40]


def test_a_frozen_look_paints_the_picture_before_it_again() -> None:
    def look(timestamp: float) -> Look:
        return Look(np.array([0, 100 * timestamp], np.float32), frozen=timestamp > 0.2)

    painted = list(stylize_frames(Film(), add_mix, look))
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 50, 200]
    assert [frame.index for frame in painted] == [0, 1, 4]


def test_a_stream_that_begins_frozen_paints_its_first_picture() -> None:
    painted = list(stylize_frames(Film(), add_mix, lambda at: Look(np.zeros(2, np.float32), frozen=True)))
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 0, 0]


def test_a_smooth_look_lags_behind_and_a_plain_one_forgets_the_past() -> None:
    def look(timestamp: float) -> Look:
        return Look(np.array([0, 100 * timestamp], np.float32), smooth=timestamp < 1)

    greys = [int(frame.image[0, 0, 0]) for frame in stylize_frames(Film(), add_mix, look)]
    assert greys[0] == 0
    assert 55 <= greys[1] <= 60
    assert greys[2] == 240


def test_own_colours_keep_the_brightness_of_the_painting() -> None:
    painted, content = np.full((2, 2, 3), 120, np.uint8), np.zeros((2, 2, 3), np.uint8)
    content[:] = (180, 100, 60)
    kept = keep_colours(painted, content).astype(float)
    brightness = kept @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    assert np.abs(brightness - 120).max() < 1.5
    # the differences to the brightness are the photo's: 180, 100 and 60 against its 119.4
    assert np.abs(kept - brightness[..., None] - (60.6, -19.4, -59.4)).max() < 2.5
    assert content[0, 0].tolist() == [180, 100, 60]  # left as it was


def test_indexes_and_timestamps_stay() -> None:
    painted = stylize_frames(Film(), add_mix, look_at)
    assert [(frame.index, frame.timestamp) for frame in painted] == [(0, 0.0), (1, 0.5), (4, 2.0)]


def test_stopping_early_closes_the_source() -> None:
    film = Film()
    painted = stylize_frames(film, add_mix, look_at)
    next(painted)
    assert not film.closed
    painted.close()
    assert film.closed


def test_an_error_in_the_stylizer_closes_the_source_and_goes_on() -> None:
    def fail(image: Image, mix: MixVector) -> Image:
        raise RuntimeError("out of memory")

    film = Film()
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stylize_frames(film, fail, look_at))
    assert film.closed


def test_iterators_that_cannot_be_closed_do_as_well() -> None:
    frames = [Frame(grey(7), 0, 0.0)]
    assert len(list(stylize_frames(frames, add_mix, look_at))) == 1


RUN = """
import signal, sys, threading, time
# The children of a background job ignore Ctrl-C unless they are told not to.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
import numpy as np
from livestyle.buffering import WhenFull, buffered
from livestyle.pipeline import stylize_frames
from livestyle.take import Look
from livestyle.video_sink import VideoFileSink
from livestyle.video_source import VideoFileSource

def stylize(image, mix):
    time.sleep(0.02)
    return 255 - image

given, out = map(Path, sys.argv[1:])
try:
    with VideoFileSource(given) as source, VideoFileSink(out, source.info, template=source) as sink:
        frames = buffered(source, 4, WhenFull.WAIT)
        for frame in stylize_frames(frames, stylize, lambda at: Look(np.ones(1, np.float32))):
            sink.write(frame)
            if frame.index == 10:
                print("going", flush=True)
except KeyboardInterrupt:
    print("stopped", threading.active_count())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="another Ctrl-C")
def test_ctrl_c_in_a_whole_run_leaves_no_file_and_no_thread(tmp_path: Path) -> None:
    given = write_clip(tmp_path / "in.mp4", pts=range(500))
    command = [sys.executable, "-c", RUN, str(given), str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "going\n"
        os.kill(running.pid, signal.SIGINT)
        out, errors = running.communicate(timeout=20)
    assert (out, errors, running.returncode) == ("stopped 1\n", "", 0)
    assert list(tmp_path.iterdir()) == [given]
