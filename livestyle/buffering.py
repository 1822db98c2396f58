"""Reads ahead in a thread. The only place in livestyle that starts one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from enum import Enum
from threading import Condition, Thread

from livestyle.frame import Frame

# On Windows, Ctrl-C does not wake a thread that waits without a limit.
_LONGEST_WAIT = 0.1  # seconds


class WhenFull(Enum):
    """What the reader does when the buffer is full."""

    WAIT = "wait"  # files: every frame counts
    DROP_OLDEST = "drop oldest"  # live: stay in the present; the gaps in the indexes tell what is gone


def buffered(frames: Iterable[Frame], size: int, when_full: WhenFull) -> Generator[Frame]:
    """The same frames in the same order, read by a thread up to `size` frames ahead of whoever takes them.

    An error in `frames` is raised here, after the frames before it. The thread starts with the first frame
    that is taken, and ends with this generator: when the frames do, or when this is closed and the frame that
    is being read is there. It closes the iterator over `frames` itself.
    """
    if size < 1:
        raise ValueError(f"a buffer holds at least 1 frame, not {size}")
    return _read_ahead(_Reader(frames, size, when_full))


def _read_ahead(reader: _Reader) -> Generator[Frame]:
    # A daemon, so that a reader stuck in a dead device cannot keep the program from ending.
    thread = Thread(target=reader.run, name="livestyle reader", daemon=True)
    thread.start()
    try:
        yield from reader.taken()
    finally:
        reader.stop()
        # It waits for nothing but its current frame: stop() woke it, had it waited for room.
        thread.join()
    if reader.error is not None:
        raise reader.error


class _Reader:
    """The buffer and both its ends. run() is called in the thread, the rest by the consumer."""

    def __init__(self, frames: Iterable[Frame], size: int, when_full: WhenFull) -> None:
        self.error: BaseException | None = None
        self._frames = frames
        self._size = size
        self._when_full = when_full
        self._queue: deque[Frame] = deque()
        self._changed = Condition()  # guards the queue and the two facts below
        self._ended = False
        self._stopped = False

    def run(self) -> None:
        try:
            iterator = iter(self._frames)
            try:
                for frame in iterator:
                    if not self._put(frame):
                        break
            finally:
                close = getattr(iterator, "close", None)  # not every iterator is a generator
                if close is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 (handed on to the consumer)
            self.error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, frame: Frame) -> bool:
        with self._changed:
            while self._when_full is WhenFull.WAIT and len(self._queue) >= self._size and not self._stopped:
                self._changed.wait()
            if len(self._queue) >= self._size:
                self._queue.popleft()
            self._queue.append(frame)
            self._changed.notify_all()
            return not self._stopped

    def taken(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                while not self._queue and not self._ended:
                    self._changed.wait(_LONGEST_WAIT)
                if not self._queue:
                    return
                frame = self._queue.popleft()
                self._changed.notify_all()
            yield frame

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
