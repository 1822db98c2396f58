from __future__ import annotations

import math
import threading
import time
from types import TracebackType
from typing import Self

import pytest
from threads import LIMIT, frame, threads, wait_until

from livestyle.buffering import WhenFull, WriteBehind
from livestyle.errors import SinkError
from livestyle.frame import Frame


class Tape:
    """A sink that notes what is done to it, and waits for `go` before it takes a frame."""

    closed = False

    def __init__(
        self, *, waits: bool = False, error: BaseException | None = None, worn: BaseException | None = None
    ) -> None:
        self.go = threading.Semaphore(0 if waits else 10_000)
        self.frames: list[Frame] = []
        self.times: list[float] = []
        self.threads: set[threading.Thread] = set()
        self.reasons: list[type[BaseException] | None] = []
        self.busy = threading.Event()
        self._error = error  # on the second frame
        self._worn = worn  # on closing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reasons.append(kind)
        if self._worn is not None:
            raise self._worn

    def write(self, frame: Frame) -> None:
        self.busy.set()
        assert self.go.acquire(timeout=LIMIT)
        self.threads.add(threading.current_thread())
        if self._error is not None and self.frames:
            raise self._error
        self.frames.append(frame)
        self.times.append(time.monotonic())

    @property
    def indexes(self) -> list[int]:
        return [frame.index for frame in self.frames]


def writers() -> list[threading.Thread]:
    return threads("writer")


@pytest.mark.parametrize("size", [1, 100])
def test_everything_is_written_in_order_by_one_other_thread(size: int) -> None:
    tape = Tape()
    with WriteBehind(tape, size, WhenFull.WAIT) as sink:
        for index in range(20):
            sink.write(frame(index))
    assert tape.indexes == list(range(20))
    assert len(tape.threads) == 1
    assert threading.current_thread() not in tape.threads
    assert tape.reasons == [None]
    assert sink.dropped == 0
    assert not writers()


def test_writing_never_waits_for_the_sink_and_drops_the_oldest() -> None:
    tape = Tape(waits=True)
    with WriteBehind(tape, 3) as sink:
        sink.write(frame(0))
        assert tape.busy.wait(LIMIT)
        for index in range(1, 10):
            sink.write(frame(index))
        assert sink.dropped == 6
        tape.go.release(4)
    assert tape.indexes == [0, 7, 8, 9]


def test_an_error_of_the_sink_is_raised_by_the_next_write_and_only_there() -> None:
    error = SinkError("the disk is full")
    tape = Tape(error=error)

    def fails() -> bool:
        try:
            sink.write(frame(2))
        except SinkError as raised:
            return raised is error
        return False

    with WriteBehind(tape, 1) as sink:
        sink.write(frame(0))
        wait_until(lambda: bool(tape.frames))
        sink.write(frame(1))
        wait_until(fails)
        with pytest.raises(SinkError, match="full"):  # it stays broken
            sink.write(frame(3))
    assert tape.reasons == [SinkError]
    assert tape.indexes == [0]
    assert not writers()


def test_an_error_wakes_a_writer_that_waits_for_room() -> None:
    def run() -> None:
        with WriteBehind(Tape(error=SinkError("the disk is full")), 1, WhenFull.WAIT) as sink:
            for index in range(100):
                sink.write(frame(index))

    with pytest.raises(SinkError, match="full"):
        run()


@pytest.mark.parametrize(
    "tape", [Tape(error=SinkError("worn out")), Tape(worn=SinkError("worn out"))], ids=["writing", "closing"]
)
def test_an_error_that_no_write_told_is_raised_on_leaving(tape: Tape) -> None:
    def run() -> None:
        with WriteBehind(tape, 2) as sink:
            sink.write(frame(0))
            sink.write(frame(1))

    with pytest.raises(SinkError, match="worn out"):
        run()
    assert not writers()


def test_after_an_exception_the_rest_is_dropped_and_the_exception_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tape = Tape(waits=True, worn=SinkError("worn out"))

    def run() -> None:
        with WriteBehind(tape, 3) as sink:
            sink.write(frame(0))
            assert tape.busy.wait(LIMIT)
            sink.write(frame(1))
            threading.Timer(0.02, tape.go.release).start()
            raise RuntimeError("the stylizer failed")

    with pytest.raises(RuntimeError, match="stylizer"):
        run()
    assert tape.indexes == [0]
    assert tape.reasons == [RuntimeError]
    assert [record.getMessage() for record in caplog.records] == ["worn out"]


def test_a_sink_that_cannot_be_opened_is_told_at_once() -> None:
    class Broken(Tape):
        def __enter__(self) -> Self:
            raise SinkError("no driver")

    sink = WriteBehind(Broken(), 1)
    with pytest.raises(SinkError, match="no driver"), sink:
        pass
    assert not writers()
    with pytest.raises(ValueError, match="not open"):
        sink.write(frame(0))


def test_a_sink_that_is_stuck_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.buffering._LAST_WRITES", 0.05)
    tape = Tape(waits=True)

    def run() -> None:
        with WriteBehind(tape, 3) as sink:
            for index in range(3):
                sink.write(frame(index))
            assert tape.busy.wait(LIMIT)

    with pytest.raises(SinkError, match=r"did not take its last frames within 0\.05 s"):
        run()
    assert tape.reasons == []
    tape.go.release()
    wait_until(lambda: not writers())
    assert tape.indexes == [0]
    assert tape.reasons == [None]  # it closes what it opened


def test_the_last_frame_is_repeated_at_the_rate_that_was_asked_for() -> None:
    tape = Tape()
    with WriteBehind(tape, 1, repeat=100.0) as sink:
        threading.Event().wait(0.03)
        assert tape.frames == []  # nothing to repeat
        sink.write(frame(0))
        wait_until(lambda: len(tape.frames) >= 6)
        sink.write(frame(1))
        wait_until(lambda: tape.indexes[-1] == 1)
        count = len(tape.frames)
        wait_until(lambda: len(tape.frames) >= count + 12)
    assert tape.indexes == sorted(tape.indexes)
    # Never faster: nothing is made up for. A thread that sleeps too long may spoil one time, so 50 ms.
    assert tape.times[-1] - tape.times[0] >= 0.01 * (len(tape.times) - 1) - 0.05


def test_frames_that_a_stuck_driver_missed_are_not_made_up_for() -> None:
    tape = Tape(waits=True)
    with WriteBehind(tape, 1, repeat=100.0) as sink:
        sink.write(frame(0))
        assert tape.busy.wait(LIMIT)
        threading.Event().wait(0.3)  # thirty of them
        tape.go.release(10_000)
        wait_until(lambda: len(tape.frames) >= 20)
    assert tape.times[19] - tape.times[0] >= 0.01 * 19 - 0.05


def test_a_slow_repetition_ends_at_once_and_writes_what_waits() -> None:
    tape = Tape()
    with WriteBehind(tape, 1, repeat=1 / 3600) as sink:
        sink.write(frame(0))
        wait_until(lambda: bool(tape.frames))
        sink.write(frame(1))
    assert tape.indexes == [0, 1]


@pytest.mark.parametrize("repeat", [0.0, -30.0, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(repeat: float) -> None:
    with pytest.raises(ValueError, match="rate above 0"):
        WriteBehind(Tape(), 1, repeat=repeat)
