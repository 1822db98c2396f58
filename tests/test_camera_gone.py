"""Cameras that are pulled out, block, or are closed meanwhile."""

from __future__ import annotations

import logging
from itertools import islice
from threading import Event, Thread
from typing import Any

import cv2
import numpy as np
import pytest
from clips import index_of
from fake_cameras import Clock, FakeCamera, FakeCapture, bgr, opened

from livestyle.camera import CameraSource
from livestyle.frame import Frame

SILENT = "camera 7 gives no pictures; plug it in again"


def test_a_camera_that_is_pulled_out_and_comes_back_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    first = FakeCapture(clock, [bgr(0), bgr(1)])
    dead = FakeCapture(clock)  # opens, as unplugged V4L2 devices do, but gives nothing
    back = FakeCapture(clock, [None, bgr(2), bgr(3)])
    camera = FakeCamera(clock, first, None, dead, None, back)
    said = []
    with opened(camera, clock) as source:
        frames = iter(source)
        seen = [next(frames), next(frames)]
        gone_at = clock.now
        clock.watch = lambda: said.append((clock.now - gone_at, source.problem))
        seen += [next(frames), next(frames)]
        assert source.problem is None
    assert [index_of(frame.image) for frame in seen] == [0, 1, 2, 3]
    assert [frame.index for frame in seen] == [0, 1, 2, 3]
    timestamps = [frame.timestamp for frame in seen]
    assert timestamps == sorted(timestamps)
    # Given up after 1 s; then rests of 0.5 s, 1 s, 2 s (and the dead one cost 1 s), 2 s.
    tries = np.subtract(camera.opened_at[1:], gone_at)
    assert tries == pytest.approx([1.5, 2.5, 5.5, 7.5], abs=0.1)
    assert timestamps[2] - timestamps[1] == pytest.approx(7.5, abs=0.2)
    assert {words for at, words in said if at < 0.99} == {None}
    assert {words for at, words in said if at > 1.01} == {SILENT}
    assert (first.released, dead.released, back.released) == (1, 1, 1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0] == SILENT
    assert caplog.messages[1].startswith("camera 7 gives pictures again")


def test_the_next_failure_is_told_again_and_tried_as_soon(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    captures = [FakeCapture(clock, [bgr(index)]) for index in range(3)]
    camera = FakeCamera(clock, captures[0], None, captures[1], captures[2])
    frames = iter(opened(camera, clock))
    ends = []
    for _ in range(3):
        next(frames)
        ends.append(clock.now)
    assert camera.opened_at[3] - ends[1] == pytest.approx(1.5, abs=0.1)
    assert len(caplog.records) == 4


def test_a_reader_that_takes_its_time_is_no_problem_of_the_camera() -> None:
    clock = Clock()
    source = opened(FakeCamera(clock, FakeCapture(clock, [bgr(0), bgr(1)])), clock)
    clock.now += 60
    assert source.problem is None
    frames = iter(source)
    next(frames)
    clock.now += 60
    assert source.problem is None


def test_a_camera_that_is_gone_before_it_is_read_shows_its_old_picture_and_is_waited_for() -> None:
    clock = Clock()
    camera = FakeCamera(clock, FakeCapture(clock, [bgr(0)]), None, FakeCapture(clock, [bgr(1)]))
    said = []
    with opened(camera, clock) as source:
        clock.now += 3.0
        frames = iter(source)
        assert index_of(next(frames).image) == 0
        clock.watch = lambda: said.append(source.problem)
        assert index_of(next(frames).image) == 1
    assert SILENT in said


def test_closing_a_camera_that_is_gone_before_it_is_read_ends_soon() -> None:
    clock = Clock()
    source = opened(FakeCamera(clock, FakeCapture(clock, [bgr(0)])), clock)
    clock.now += 3.0
    clock.watch = source.close
    assert list(source) == []
    assert clock.now - 1003 < 0.3


class StuckCapture(FakeCapture):
    """A camera that blocks in grab() after its first picture, until it is let go."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, [bgr(0), bgr(1)])
        self.stuck = Event()
        self.let_go = Event()

    def grab(self) -> bool:
        if self.grabs == 1:
            self.stuck.set()
            assert self.let_go.wait(30)
        return super().grab()


class Reader(Thread):
    def __init__(self, source: CameraSource) -> None:
        super().__init__(daemon=True)
        self.frames: list[Frame] = []
        self._source = source
        self.start()

    def run(self) -> None:
        for frame in self._source:
            self.frames.append(frame)
            if len(self.frames) == 2:
                break


def test_a_camera_that_blocks_is_told_while_it_blocks() -> None:
    clock = Clock()
    capture = StuckCapture(clock)
    source = opened(FakeCamera(clock, capture), clock)
    reader = Reader(source)
    assert capture.stuck.wait(30)
    assert source.problem is None
    clock.now += 0.9
    assert source.problem is None
    clock.now += 0.2
    assert source.problem == SILENT
    capture.let_go.set()
    reader.join(30)
    assert [frame.index for frame in reader.frames] == [0, 1]
    assert source.problem is None


def test_closing_does_not_wait_for_a_camera_that_blocks() -> None:
    clock = Clock()
    capture = StuckCapture(clock)
    source = opened(FakeCamera(clock, capture), clock)
    reader = Reader(source)
    assert capture.stuck.wait(30)
    clock.now += 5
    source.close()  # in this thread, while that one is stuck
    assert capture.released == 0
    assert source.problem is None
    capture.let_go.set()
    reader.join(30)
    assert not reader.is_alive()
    assert capture.released == 1
    assert len(reader.frames) == 1


def test_a_camera_that_opens_after_the_end_is_released() -> None:
    clock = Clock()
    late = FakeCapture(clock, [bgr(1)])

    class SlowCamera(FakeCamera):
        def open(self) -> Any:
            capture = super().open()
            if capture is late:
                source.close()  # what another thread would do meanwhile
            return capture

    source = opened(SlowCamera(clock, FakeCapture(clock, [bgr(0)]), late), clock)
    assert len(list(source)) == 1
    assert late.released == 1
    assert late.grabs == 0


def test_closing_ends_a_long_rest_soon() -> None:
    clock = Clock()
    source = opened(FakeCamera(clock, FakeCapture(clock, [bgr(0)])), clock)
    frames = iter(source)
    next(frames)
    end = clock.now + 4.0  # in a rest of 2 s
    clock.watch = lambda: source.close() if clock.now > end else None
    assert list(frames) == []
    assert clock.now - end < 0.3


def test_closing_a_camera_ends_its_frames_quietly_and_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    capture = FakeCapture(clock, [bgr(0)] * 10)
    source = opened(FakeCamera(clock, capture), clock)
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    assert capture.released == 1
    assert not caplog.records


def test_a_camera_error_while_it_is_opened_again_is_no_end() -> None:
    clock = Clock()

    class FailingCamera(FakeCamera):
        def open(self) -> Any:
            if len(self.opened_at) == 1:
                self.opened_at.append(clock.now)
                raise cv2.error("no bandwidth")
            return super().open()

    camera = FailingCamera(clock, FakeCapture(clock, [bgr(0)]), FakeCapture(clock, [bgr(1)]))
    assert [index_of(frame.image) for frame in islice(opened(camera, clock), 2)] == [0, 1]
    assert len(camera.opened_at) == 3
