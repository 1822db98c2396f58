from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

import pytest
from threads import LIMIT, frame, threads, wait_until

from livestyle.buffering import ReadAhead, WhenFull, buffered
from livestyle.errors import SourceError
from livestyle.frame import Frame

BOTH = pytest.mark.parametrize("when_full", WhenFull)


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


def readers() -> list[threading.Thread]:
    return threads("reader")


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


def test_taking_waits_no_longer_than_asked() -> None:
    film = Film(2, waits=True)
    with ReadAhead(film, 1, WhenFull.DROP_OLDEST) as ahead:
        assert ahead.take(0) is None
        assert ahead.take(0.01) is None
        assert not ahead.ended
        film.go.release()
        assert ahead.take(LIMIT) == frame(0)
        film.go.release()
        assert next(ahead) == frame(1)
        assert ahead.take(LIMIT) is None
        assert ahead.ended
    assert not readers()


def test_a_buffer_has_not_ended_before_its_last_frame_was_taken() -> None:
    film = Film(1)
    with ReadAhead(film, 1, WhenFull.WAIT) as ahead:
        assert film.closed.wait(LIMIT)
        threading.Event().wait(0.02)
        assert not ahead.ended
        assert ahead.take(LIMIT) == frame(0)
        assert ahead.take(LIMIT) is None
        assert ahead.ended


def test_a_buffer_has_not_ended_before_its_error_was_raised() -> None:
    error = SourceError("the camera is gone")
    with ReadAhead(Film(1, error=error), 1, WhenFull.WAIT) as ahead:
        assert ahead.take(LIMIT) == frame(0)
        assert not ahead.ended
        with pytest.raises(SourceError) as raised:
            ahead.take(LIMIT)
        assert raised.value is error
        assert ahead.ended
        assert ahead.take(LIMIT) is None


@pytest.mark.parametrize(("when_full", "dropped"), [(WhenFull.DROP_OLDEST, 7), (WhenFull.WAIT, 0)])
def test_dropped_frames_are_counted(when_full: WhenFull, dropped: int) -> None:
    film = Film(10)
    with ReadAhead(film, 3, when_full) as ahead:
        wait_until(lambda: film.closed.is_set() or film.given == 4)
        assert [got.index for got in ahead] == list(range(dropped, 10))
        assert ahead.dropped == dropped


@BOTH
def test_stopping_wakes_whoever_waits(when_full: WhenFull) -> None:
    film = Film(10, waits=True)
    with ReadAhead(film, 1, when_full) as ahead:
        took: list[Frame | None] = []
        waiter = threading.Thread(target=lambda: took.append(ahead.take(math.inf)))
        waiter.start()
        threading.Timer(0.02, ahead.stop).start()
        waiter.join(LIMIT)
        assert took == [None]
        assert ahead.ended
        assert film.given == 0  # its reader is still stuck
        film.go.release()
    assert film.closed.is_set()


def test_what_was_read_before_the_stop_is_not_given_after_it() -> None:
    film = Film(1, error=SourceError("too late to matter"))
    with ReadAhead(film, 1, WhenFull.WAIT) as ahead:
        assert film.closed.wait(LIMIT)
        ahead.stop()
        assert list(ahead) == []


def test_leaving_does_not_wait_for_a_reader_that_is_stuck(caplog: pytest.LogCaptureFixture) -> None:
    film = Film(10, waits=True)
    with caplog.at_level(logging.DEBUG), ReadAhead(film, 1, WhenFull.DROP_OLDEST):
        pass
    assert len(readers()) == 1
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    film.go.release()
    wait_until(lambda: not readers())
    assert film.closed.is_set()
    assert film.given == 1


def painted(frames: Iterable[Frame]) -> Iterator[Frame]:
    """A stage between two buffers."""
    yield from frames


@BOTH
@pytest.mark.parametrize("taken", [0, 1])
def test_a_stop_reaches_through_all_buffers_but_not_into_a_dead_device(
    when_full: WhenFull, taken: int
) -> None:
    film = Film(10, waits=True)
    if taken:
        film.go.release(taken)
    inner = painted(buffered(film, 1, when_full))
    with ReadAhead(painted(buffered(inner, 1, when_full)), 1, when_full) as ahead:
        for index in range(taken):
            assert ahead.take(LIMIT) == frame(index)
        wait_until(lambda: len(readers()) == 3)
        threading.Event().wait(0.02)  # now all of them wait for the device
    wait_until(lambda: len(readers()) == 1)  # the one that is stuck in it
    film.go.release()
    wait_until(lambda: not readers())
    assert film.closed.is_set()


def test_buffers_that_are_entered_one_by_one_end_together() -> None:
    film = Film(10, waits=True)
    with (
        ReadAhead(film, 1, WhenFull.DROP_OLDEST) as captured,
        ReadAhead(painted(captured), 1, WhenFull.DROP_OLDEST) as shown,
    ):
        assert shown.take(0.05) is None
        shown.stop()
        wait_until(lambda: captured.ended)
        assert not film.closed.is_set()  # nobody waited for the device
        film.go.release()


def test_a_stop_that_comes_before_the_taking_reaches_on_too() -> None:
    film, started, stopped = Film(10, waits=True), threading.Event(), threading.Event()

    def slow(frames: Iterable[Frame]) -> Iterator[Frame]:
        started.set()
        assert stopped.wait(LIMIT)
        yield from frames

    with ReadAhead(film, 1, WhenFull.WAIT) as captured:
        with ReadAhead(slow(captured), 1, WhenFull.WAIT) as shown:
            assert started.wait(LIMIT)
            shown.stop()
            stopped.set()
            wait_until(lambda: captured.ended)
        assert not film.closed.is_set()  # nobody waited for the device
        film.go.release()
