"""What the pipeline does at once, and that nothing is left running or open when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import write_clip
from fake_films import (
    EACH,
    Film,
    Painting,
    add_mix,
    flickering,
    grey,
    look_at,
    plain,
    still_frames,
    stylize_film,
    stylize_frames,
)

from livestyle import pipeline
from livestyle.frame import Frame, Image
from livestyle.mix import MixVector


@EACH
def test_stopping_early_or_failing_leaves_no_thread(painting: Painting) -> None:
    before = threading.active_count()
    painted = painting(still_frames(9), flickering(), plain(0.9))
    next(painted)
    painted.close()
    assert threading.active_count() == before

    def fail(image: Image, mix: MixVector, brush: float) -> Image:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(painting(still_frames(9), fail, plain(0.9)))
    assert threading.active_count() == before


def test_a_film_s_next_frame_is_painted_while_the_last_one_is_written() -> None:
    second = threading.Event()

    def paint(image: Image, mix: MixVector, brush: float) -> Image:
        if image[0, 0, 0] == 1:
            second.set()
        return image

    film = (Frame(grey(n), n, n / 30) for n in range(3))
    painted = stylize_film(film, paint, plain(0.0))
    first = next(painted)
    assert first.index == 0
    assert second.wait(5)  # without anybody asking for the second frame
    assert [frame.index for frame in painted] == [1, 2]


def test_a_film_s_next_frame_is_enlarged_while_the_last_one_is_written() -> None:
    second = threading.Event()

    class Painter:
        def paint(self, image: Image, mix: MixVector, brush: float) -> Image:
            return image

        def enlarge(self, painted: Image, image: Image) -> Image:
            if image[0, 0, 0] == 1:
                second.set()
            return painted

    frames = pipeline.stylize_film((Frame(grey(n), n, n / 30) for n in range(3)), Painter(), plain(0.6))
    assert next(frames).index == 0
    assert second.wait(5)  # without anybody asking for the second frame
    assert [frame.index for frame in frames] == [1, 2]


def test_a_film_that_is_stopped_paints_nothing_more() -> None:
    begun: list[int] = []
    second, go = threading.Event(), threading.Event()

    def paint(image: Image, mix: MixVector, brush: float) -> Image:
        begun.append(int(image[0, 0, 0]))
        if begun[-1] == 1:
            second.set()
            assert go.wait(10)
        return image

    painted = stylize_film((Frame(grey(n), n, n / 30) for n in range(9)), paint, plain(0.0))
    next(painted)
    assert second.wait(10)
    threading.Timer(0.1, go.set).start()  # while close() waits for the one that is painted
    painted.close()
    assert begun == [0, 1]


def test_every_frame_s_own_work_is_told_and_no_waiting() -> None:
    told: list[float] = []

    def frames() -> Iterator[Frame]:
        for frame in still_frames(3):
            time.sleep(0.15)  # the camera
            yield frame

    def paint(image: Image, mix: MixVector, brush: float) -> Image:
        time.sleep(0.03)
        return image

    for n, _ in enumerate(stylize_frames(frames(), paint, plain(0.6), finished=told.append), start=1):
        assert len(told) == n  # before it is handed on
        time.sleep(0.15)  # whoever takes it
    assert all(seconds >= 0.03 for seconds in told)
    assert min(told) < 0.15


@EACH
def test_stopping_early_closes_the_source(painting: Painting) -> None:
    film = Film()
    painted = painting(film, add_mix, look_at)
    next(painted)
    assert not film.closed
    painted.close()
    assert film.closed


@EACH
def test_an_error_in_the_stylizer_closes_the_source_and_goes_on(painting: Painting) -> None:
    def fail(image: Image, mix: MixVector, brush: float) -> Image:
        raise RuntimeError("out of memory")

    film = Film()
    with pytest.raises(RuntimeError, match="out of memory"):
        list(painting(film, fail, look_at))
    assert film.closed


@EACH
def test_iterators_that_cannot_be_closed_do_as_well(painting: Painting) -> None:
    frames = [Frame(grey(7), 0, 0.0)]
    assert len(list(painting(frames, add_mix, look_at))) == 1


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

class Painter:
    def paint(self, image, mix, brush):
        time.sleep(0.02)
        return 255 - image

    def enlarge(self, painted, image):
        return painted

given, out = map(Path, sys.argv[1:])
try:
    with VideoFileSource(given) as source, VideoFileSink(out, source.info, template=source) as sink:
        frames = buffered(source, 4, WhenFull.WAIT)
        for frame in stylize_frames(frames, Painter(), lambda at: Look(np.ones(1, np.float32))):
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
