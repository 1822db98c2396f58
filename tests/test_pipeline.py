from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from fakes import halved_colours, same_picture

from livestyle.flicker import FlickerMeter
from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.pipeline import keep_colours, stylize_film, stylize_frames
from livestyle.take import Cue, Look, Take

Painting = Callable[..., Generator[Frame]]
EACH = pytest.mark.parametrize("painting", [stylize_frames, stylize_film])


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


@EACH
def test_each_frame_is_painted_in_the_look_of_its_own_time(painting: Painting) -> None:
    painted = list(painting(Film(), add_mix, look_at))
    # 10 * index of the picture, and 100 * 0.5 * index of the mix
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 60, 240]


@EACH
def test_what_was_painted_goes_along(painting: Painting) -> None:
    contents = [frame.content for frame in painting(Film(), add_mix, look_at)]
    assert [int(content[0, 0, 0]) for content in contents if content is not None] == [0, 10, 40]


@EACH
def test_a_frozen_look_paints_the_picture_before_it_again(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.array([0, 100 * timestamp], np.float32), frozen=timestamp > 0.2)

    painted = list(painting(Film(), add_mix, look))
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 50, 200]
    assert [frame.index for frame in painted] == [0, 1, 4]


@EACH
def test_a_stream_that_begins_frozen_paints_its_first_picture(painting: Painting) -> None:
    painted = list(painting(Film(), add_mix, lambda at: Look(np.zeros(2, np.float32), frozen=True)))
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 0, 0]


CONTENT = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)


def still_frames(count: int) -> list[Frame]:
    return [Frame(CONTENT, n, n / 30) for n in range(count)]


def flickering() -> Callable[[Image, MixVector], Image]:
    """Paints grey noise around 128, whatever the mix."""
    rng = np.random.default_rng(1)
    return lambda image, mix: np.clip(rng.normal(128, 20, image.shape), 0, 255).astype(np.uint8)


def plain(smooth: float) -> Callable[[float], Look]:
    return lambda timestamp: Look(np.ones(1, np.float32), smooth=smooth)


def test_a_smooth_look_calms_and_a_plain_one_changes_nothing() -> None:
    deviations = []
    for smooth in (0.0, 0.6, 0.9):
        shown = [frame.image for frame in stylize_frames(still_frames(40), flickering(), plain(smooth))]
        deviations.append(float(np.std(shown[20:], axis=0).mean()))
    paint = flickering()
    raw = [paint(CONTENT, np.ones(1, np.float32)) for _ in range(40)]
    assert deviations[0] == pytest.approx(float(np.std(raw[20:], axis=0).mean()), abs=1e-6)
    assert deviations[0] > 1.8 * deviations[1] > 1.8 * 1.8 * deviations[2]


def fading(image: Image, mix: MixVector) -> Image:
    return np.full_like(image, round(200 * float(mix[1])))


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 0), (0.2, 11), (1.0, 11)])
def test_a_mix_that_moves_is_not_shown_late(seconds: float, most: int) -> None:
    take = Take([Cue(0.0, (1.0, 0.0), smooth=0.9), Cue(0.5, (0.0, 1.0), over=seconds, smooth=0.9)])
    again = Take(take.cues)
    for frame in stylize_frames(still_frames(60), fading, take.at):
        expected = 200 * float(again.at(frame.timestamp).style_mix[1])
        assert abs(int(frame.image[0, 0, 0]) - expected) <= most + 1, frame.index


@EACH
def test_own_colours_come_and_go_at_once(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.ones(1, np.float32), own_colours=timestamp > 0.2, smooth=0.9)

    red = np.zeros_like(CONTENT)
    red[..., 0] = 200
    frames = list(painting(still_frames(12), lambda image, mix: red, look))
    assert same_picture(frames[6].image, red, levels=1)
    assert same_picture(frames[7].image, halved_colours(keep_colours(red, CONTENT)))


@EACH
def test_a_frozen_picture_stays_as_it_is_and_the_scene_after_it_is_not_blended(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.ones(1, np.float32), smooth=0.9, frozen=0.3 < timestamp < 0.6)

    other = 255 - CONTENT
    film = [Frame(CONTENT if n < 10 else other, n, n / 30) for n in range(30)]
    shown = [frame.image for frame in painting(film, lambda image, mix: image, look)]
    assert all(same_picture(image, halved_colours(CONTENT)) for image in shown[:18])
    assert all(same_picture(image, halved_colours(other)) for image in shown[18:])


@EACH
def test_smoothing_can_be_turned_on_and_off_on_the_way(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.ones(1, np.float32), smooth=0.9 if 0.3 < timestamp < 0.6 else 0.0)

    paint, again = flickering(), flickering()
    for frame in painting(still_frames(30), paint, look):
        raw = again(CONTENT, np.ones(1, np.float32))
        smoothed = 0.3 < frame.timestamp < 0.6
        assert np.array_equal(frame.image, raw) != smoothed, frame.index
        if frame.index == 10:  # has no past yet
            assert same_picture(frame.image, halved_colours(raw))


@EACH
def test_the_meter_hears_of_the_painting_before_and_after_smoothing(painting: Painting) -> None:
    removed = []
    for smooth in (0.0, 0.9):
        meter = FlickerMeter()
        list(painting(still_frames(60), flickering(), plain(smooth), meter=meter))
        assert meter.overall is not None
        assert meter.overall.removed is not None
        removed.append(meter.overall.removed)
    # differences of successive pictures: sqrt((1 - a)² / (1 + a)) of what they were
    assert removed == pytest.approx([0, 1 - 0.1 / math.sqrt(1.9)], abs=0.03)


@EACH
def test_the_same_take_gives_the_same_pictures_every_time(painting: Painting) -> None:
    def play() -> list[Image]:
        take = Take([Cue(0.0, (1.0, 0.0), smooth=0.88), Cue(0.5, (0.0, 1.0), over=0.3, smooth=0.5)])
        moving = [Frame(np.ascontiguousarray(np.roll(CONTENT, n, axis=1)), n, n / 30) for n in range(30)]
        return [frame.image for frame in painting(moving, flickering(), take.at)]

    assert all(np.array_equal(one, other) for one, other in zip(play(), play(), strict=True))


@EACH
def test_stopping_early_or_failing_leaves_no_thread(painting: Painting) -> None:
    before = threading.active_count()
    painted = painting(still_frames(9), flickering(), plain(0.9))
    next(painted)
    painted.close()
    assert threading.active_count() == before

    def fail(image: Image, mix: MixVector) -> Image:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(painting(still_frames(9), fail, plain(0.9)))
    assert threading.active_count() == before


def test_a_film_s_next_frame_is_painted_while_the_last_one_is_written() -> None:
    second = threading.Event()

    def paint(image: Image, mix: MixVector) -> Image:
        if image[0, 0, 0] == 1:
            second.set()
        return image

    film = (Frame(grey(n), n, n / 30) for n in range(3))
    painted = stylize_film(film, paint, plain(0.0))
    first = next(painted)
    assert first.index == 0
    assert second.wait(5)  # without anybody asking for the second frame
    assert [frame.index for frame in painted] == [1, 2]


def test_a_film_that_is_stopped_paints_nothing_more() -> None:
    begun: list[int] = []
    second, go = threading.Event(), threading.Event()

    def paint(image: Image, mix: MixVector) -> Image:
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

    def paint(image: Image, mix: MixVector) -> Image:
        time.sleep(0.03)
        return image

    for n, _ in enumerate(stylize_frames(frames(), paint, plain(0.6), finished=told.append), start=1):
        assert len(told) == n  # before it is handed on
        time.sleep(0.15)  # whoever takes it
    assert all(seconds >= 0.03 for seconds in told)
    assert min(told) < 0.15


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
    def fail(image: Image, mix: MixVector) -> Image:
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
