"""Reads ahead and writes behind in threads. The only place in livestyle that starts one."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Iterable
from enum import Enum
from threading import Thread, current_thread
from types import TracebackType
from typing import Self

from livestyle.errors import SinkError
from livestyle.frame import Frame, FrameSink
from livestyle.frame_queue import FrameQueue

# A reader's current frame is there long before; a dead device would keep it for ten seconds or for ever.
_LAST_FRAME = 0.5  # seconds
# What a sink may take for its last frames and for closing, before it counts as stuck.
_LAST_WRITES = 5.0  # seconds

_log = logging.getLogger(__name__)


class WhenFull(Enum):
    """What happens when a frame comes and the buffer is full."""

    WAIT = "wait"  # files: every frame counts
    DROP_OLDEST = "drop oldest"  # live: stay in the present; the gaps in the indexes tell what is gone


def buffered(frames: Iterable[Frame], size: int, when_full: WhenFull) -> Generator[Frame]:
    """The same frames in the same order, read by a thread up to `size` frames ahead of whoever takes them.

    A ReadAhead as a generator: the thread starts with the first frame that is taken, and ends with this, when
    the frames do or when this is closed.
    """
    return _taken(ReadAhead(frames, size, when_full))


def _taken(ahead: ReadAhead) -> Generator[Frame]:
    with ahead:
        yield from ahead


class ReadAhead:
    """Reads frames in a thread, up to `size` frames ahead of whoever takes them, while it is entered.

    An error in `frames` is raised by the taking, once, after the frames before it. The thread closes the
    iterator over `frames` itself. Leaving waits for the frame that is being read, half a second at most: a
    reader stuck in a dead device is left behind, and ends when its frame comes.

    dropped: frames that newer ones replaced before they were taken.
    ended: there is nothing to take any more, neither a frame nor an error.
    """

    def __init__(self, frames: Iterable[Frame], size: int, when_full: WhenFull) -> None:
        self._frames = frames
        self._queue = FrameQueue(size, when_full is WhenFull.DROP_OLDEST)
        self._thread = _Reader(self)
        self._upstream: ReadAhead | None = None  # that the thread took from last

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    @property
    def ended(self) -> bool:
        return self._queue.is_over()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(_LAST_FRAME)
        if self._thread.is_alive():
            _log.debug("a reader is stuck in its last frame and was left behind")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        frame = self.take(math.inf)
        if frame is None:
            raise StopIteration
        return frame

    def take(self, wait: float) -> Frame | None:
        """The next frame; None when none came within `wait` seconds, and after the end."""
        thread = current_thread()
        if isinstance(thread, _Reader):
            thread.ahead._takes_from(self)
        return self._queue.take(wait)

    def stop(self) -> None:
        """End now, from any thread. Whoever waits for a frame, here or further up, wakes and sees the end."""
        self._queue.stop()
        if self._upstream is not None:
            self._upstream.stop()

    def _takes_from(self, upstream: ReadAhead) -> None:
        # stop() does the same two things the other way round, so that one of the two sees the other.
        self._upstream = upstream
        if self._queue.stopped:
            upstream.stop()

    def _read(self) -> None:
        try:
            iterator = iter(self._frames)
            try:
                for frame in iterator:
                    if not self._queue.put(frame):
                        break
            finally:
                close = getattr(iterator, "close", None)  # not every iterator is a generator
                if close is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 (handed on to the consumer)
            self._queue.end(error)
        else:
            self._queue.end()


class _Reader(Thread):
    def __init__(self, ahead: ReadAhead) -> None:
        # A daemon, so that a reader stuck in a dead device cannot keep the program from ending.
        super().__init__(name="livestyle reader", daemon=True)
        self.ahead = ahead

    def run(self) -> None:
        self.ahead._read()


class WriteBehind:
    """A sink that writes into another one in a thread, so that nobody waits for an encoder or a driver.

    write() returns at once: when `size` frames wait, the oldest is dropped. With WhenFull.WAIT it waits for
    room instead. repeat: frames a second to write, the last one again where no newer one is there; virtual
    cameras want that.

    What the inner sink raises is raised by the next write(), or else by leaving. Leaving writes the frames
    that wait, unless an exception does it, and closes the inner sink. One that needs more than five seconds
    for that is left behind: SinkError. dropped: frames that were never written.
    """

    def __init__(
        self,
        sink: FrameSink,
        size: int,
        when_full: WhenFull = WhenFull.DROP_OLDEST,
        *,
        repeat: float | None = None,
    ) -> None:
        if repeat is not None and not 0 < repeat < math.inf:
            raise ValueError(f"frames are repeated at a rate above 0, not {repeat:g}")
        self._sink = sink
        self._queue = FrameQueue(size, when_full is WhenFull.DROP_OLDEST)
        self._period = None if repeat is None else 1 / repeat
        self._is_open = False
        self._error: BaseException | None = None  # of the inner sink
        self._is_told = False
        self._reason: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
        self._reason = (None, None, None)  # why it is left
        self._thread = Thread(target=self._run, name="livestyle writer", daemon=True)

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    @property
    def closed(self) -> bool:
        return self._sink.closed

    def __enter__(self) -> Self:
        self._sink.__enter__()  # here, so that what cannot be opened is told at once
        self._thread.start()
        self._is_open = True
        return self

    def write(self, frame: Frame) -> None:
        if not self._is_open:
            raise ValueError("the sink is not open")
        if not self._queue.put(frame) and self._error is not None:
            self._is_told = True
            raise self._error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._reason = (kind, error, trace)
        if kind is None:
            self._queue.end()
        else:
            self._queue.stop()
        self._thread.join(_LAST_WRITES)
        if self._thread.is_alive():
            self._queue.stop()
            self._error = SinkError(
                f"an output did not take its last frames within {_LAST_WRITES:g} s; its end is lost"
            )
        if self._error is not None and not self._is_told:
            if kind is None:
                raise self._error
            _log.warning("%s", self._error)  # the first error is the one to raise

    def _run(self) -> None:
        try:
            try:
                self._feed()
            except BaseException as error:
                self._sink.__exit__(type(error), error, error.__traceback__)
                raise
            self._sink.__exit__(*self._reason)
        except BaseException as error:  # noqa: BLE001 (handed on to whoever writes)
            self._error = error
            self._queue.stop()

    def _feed(self) -> None:
        last: Frame | None = None
        due = 0.0
        while True:
            if self._period is None or last is None:
                frame = self._queue.take(math.inf)
                due = time.perf_counter()
            else:
                due = max(due + self._period, time.perf_counter())  # what is late is not made up for
                self._queue.wait_for_end(due - time.perf_counter())
                frame = self._queue.take(0)
            if frame is None and self._queue.is_over():
                return
            last = frame or last
            if last is not None:
                self._sink.write(last)
