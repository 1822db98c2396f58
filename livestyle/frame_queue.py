"""Frames on their way from one thread to another."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition

from livestyle.frame import Frame

# On Windows, Ctrl-C does not wake a thread that waits without a limit.
_LONGEST_WAIT = 0.1  # seconds


class FrameQueue:
    """Holds up to `size` frames. One thread puts and ends, one takes; anyone stops.

    drops_oldest: when it is full, a new frame takes the oldest one's place; else it waits for room.
    """

    def __init__(self, size: int, drops_oldest: bool) -> None:
        if size < 1:
            raise ValueError(f"a buffer holds at least 1 frame, not {size}")
        self.dropped = 0
        self.stopped = False
        self._size = size
        self._drops_oldest = drops_oldest
        self._frames: deque[Frame] = deque()
        self._ended = False
        self._error: BaseException | None = None  # to be raised at the end
        self._changed = Condition()  # guards all of these

    def put(self, frame: Frame) -> bool:
        """Add a frame; False after the end, when nobody will take it."""
        with self._changed:
            while not (self._drops_oldest or self.stopped) and len(self._frames) >= self._size:
                self._changed.wait(_LONGEST_WAIT)
            if self.stopped or self._ended:
                return False
            if len(self._frames) >= self._size:
                self._frames.popleft()
                self.dropped += 1
            self._frames.append(frame)
            self._changed.notify_all()
            return True

    def take(self, wait: float) -> Frame | None:
        """The next frame; None when none came in `wait` seconds, and after the end. Raises its error once."""
        deadline = time.monotonic() + wait
        with self._changed:
            while not (self._frames or self._ended or self.stopped):
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(min(left, _LONGEST_WAIT))
            if self._frames:
                frame = self._frames.popleft()
                self._changed.notify_all()
                return frame
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will be put; what is in here will still be taken, and then the error raised."""
        with self._changed:
            self._ended = True
            if not self.stopped:
                self._error = error
            self._changed.notify_all()

    def stop(self) -> None:
        """Forget what is in here; nobody waits any more."""
        with self._changed:
            self.stopped = True
            self._frames.clear()
            self._error = None
            self._changed.notify_all()

    def is_over(self) -> bool:
        """Whether there is nothing to take any more, neither a frame nor an error."""
        with self._changed:
            over = self._ended and not self._frames and self._error is None
            return over or self.stopped

    def wait_for_end(self, longest: float) -> None:
        """longest: seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.stopped, longest)
