from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

from livestyle.buffering import WhenFull, buffered
from livestyle.errors import SourceError
from livestyle.frame import Frame

BOTH = pytest.mark.parametrize("when_full", WhenFull)
LIMIT = 10.0  # seconds; a test that needs them hangs


def frame(index: int) -> Frame:
    return Frame(np.zeros((1, 1, 3), np.uint8), index, index / 25)


class Film:
    """Frames 0, 1, 2 … under control: it waits for `go` before each, and notes what happened to it."""

    def __init__(self, count: int, *, waits: bool = False, error: BaseException | None = None) -> None:
        self.go = threading.Semaphore(0 if waits else count + 1)
        self.given = 0
        self.closed = threading.Event()
        self.closed_in: threading.Thread | None = None
        self._count = count
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in range(self._count):
                assert self.go.acquire(timeout=LIMIT)
                self.given += 1
                yield frame(index)
            if self._error is not None:
                raise self._error
        finally:
            self.closed_in = threading.current_thread()
            self.closed.set()


def wait_until(fact: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(LIMIT / 0.002)):
        if fact():
            return
        pause.wait(0.002)
    raise AssertionError("it did not happen")


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "livestyle reader"]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_wait_gives_every_frame_in_order(size: int) -> None:
    frames = buffered(Film(20), size, WhenFull.WAIT)
    assert [got.index for got in frames] == list(range(20))
    assert not readers()


def test_wait_reads_no_further_ahead_than_its_size() -> None:
    film = Film(20)
    with closing(buffered(film, 3, WhenFull.WAIT)) as frames:
        assert next(frames).index == 0
        # 1, 2 and 3 are buffered, 4 is in the reader's hand
        wait_until(lambda: film.given == 5)
        threading.Event().wait(0.02)
        assert film.given == 5


def test_drop_oldest_keeps_the_newest_and_the_gaps_tell() -> None:
    film = Film(10, waits=True)
    with closing(buffered(film, 2, WhenFull.DROP_OLDEST)) as frames:
        film.go.release()
        assert next(frames).index == 0
        film.go.release(6)  # 1 to 6 come while nobody takes any
        wait_until(lambda: film.given == 6 + 1)
        film.go.release()
        wait_until(lambda: film.given == 7 + 1)  # 7 is being put, so 6 is in
        assert next(frames).index in (5, 6)
        film.go.release(2)
        rest = [got.index for got in frames]
    assert rest == sorted(rest)
    assert rest[-1] == 9


@BOTH
def test_an_error_in_the_source_reaches_the_caller_after_the_frames_before_it(when_full: WhenFull) -> None:
    error = SourceError("the camera is gone")
    frames = buffered(Film(3, error=error), 10, when_full)
    assert [got.index for got in islice(frames, 3)] == [0, 1, 2]
    with pytest.raises(SourceError) as raised:
        next(frames)
    assert raised.value is error
    assert not readers()


@BOTH
def test_an_error_before_the_first_frame_reaches_the_caller(when_full: WhenFull) -> None:
    class Broken:
        def __iter__(self) -> Iterator[Frame]:
            raise SourceError("no camera")

    with pytest.raises(SourceError, match="no camera"):
        next(buffered(Broken(), 1, when_full))


@BOTH
@pytest.mark.parametrize("taken", [1, 5])
def test_stopping_early_leaves_no_thread_and_closes_the_source_in_its_own(
    when_full: WhenFull, taken: int
) -> None:
    film = Film(10_000)
    frames = buffered(film, 2, when_full)
    for _ in range(taken):
        next(frames)
    frames.close()
    assert film.closed.is_set()
    assert film.closed_in is not threading.current_thread()
    assert not readers()


def test_an_error_in_the_consumer_ends_a_reader_that_waits_for_room() -> None:
    film = Film(10_000)

    def consume() -> None:
        for _ in buffered(film, 1, WhenFull.WAIT):
            raise RuntimeError("the stylizer failed")

    with pytest.raises(RuntimeError, match="stylizer"):
        consume()
    assert film.closed.wait(LIMIT)
    assert not readers()


def test_closing_waits_for_the_frame_that_is_being_read() -> None:
    film = Film(10, waits=True)
    frames = buffered(film, 1, WhenFull.WAIT)
    film.go.release()
    next(frames)
    timer = threading.Timer(0.05, film.go.release)
    timer.start()
    frames.close()  # while the reader waits for frame 1
    timer.join()
    assert film.closed.is_set()
    assert film.given == 2


def test_nothing_starts_before_the_first_frame_is_taken() -> None:
    film = Film(3)
    buffered(film, 1, WhenFull.WAIT)
    assert not readers()
    assert film.given == 0


def test_iterators_that_cannot_be_closed_do_as_well() -> None:
    frames = [frame(0), frame(1)]
    assert list(buffered(frames, 1, WhenFull.WAIT)) == frames


@pytest.mark.parametrize("size", [0, -1])
def test_a_buffer_of_no_frames_is_refused_at_once(size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        buffered([], size, WhenFull.WAIT)
