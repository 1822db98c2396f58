"""Cameras that do what a test wants, on a clock on which time passes only when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from clips import picture

from livestyle.camera import CameraSource
from livestyle.errors import SourceError


class Clock:
    """A clock on which time passes only in sleep(), and while a fake camera works."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.longest_sleep = 0.0
        self.watch: Callable[[], None] = lambda: None  # called in every sleep

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.longest_sleep = max(self.longest_sleep, seconds)
        self.now += seconds
        self.watch()


def bgr(index: int, width: int = 64, height: int = 48) -> Any:
    return cv2.cvtColor(picture(index, width, height), cv2.COLOR_RGB2BGR)


EMPTY = np.zeros((0, 0, 3), np.uint8)
BROKEN = cv2.error("the driver gave nonsense")


class FakeCapture:
    """An open camera that gives these pictures (BGR), one every 1/25 s, and then none.

    None: no picture, at once. EMPTY: a picture without pixels. BROKEN: retrieving it raises. stamp: what the
    driver tells, in ms, at the clock's time of grab(). decoding: seconds that retrieve() takes.
    """

    def __init__(
        self,
        clock: Clock,
        pictures: Sequence[Any] = (),
        *,
        fps: float = 25.0,
        stamp: Callable[[float], float] = lambda now: 0.0,
        decoding: float = 0.0,
    ) -> None:
        self.released = 0
        self.grabs = 0
        self._clock = clock
        self._pictures = iter(pictures)
        self._grabbed: Any = None
        self._stamped = 0.0
        self._fps = fps
        self._stamp = stamp
        self._decoding = decoding

    def grab(self) -> bool:
        assert not self.released
        self.grabs += 1
        self._grabbed = next(self._pictures, None)
        if self._grabbed is None:
            return False
        self._clock.now += 0.04
        self._stamped = self._stamp(self._clock.now)
        return True

    def retrieve(self) -> tuple[bool, Any]:
        assert not self.released
        self._clock.now += self._decoding
        if isinstance(self._grabbed, cv2.error):
            raise self._grabbed
        return True, self._grabbed

    def get(self, propId: int, /) -> float:  # noqa: N803 (cv2's name)
        return {cv2.CAP_PROP_FPS: self._fps, cv2.CAP_PROP_POS_MSEC: self._stamped}.get(propId, 0.0)

    def release(self) -> None:
        self.released += 1


class FakeCamera:
    """Gives these captures, one each time it is opened. None: it is not there, and so after the last."""

    start_hint = "close the other program"
    hint = "plug it in again"

    def __init__(self, clock: Clock, *captures: Any, height: int | None = None, stamps: bool = True) -> None:
        self.name = "camera 7"
        self.height = height
        self.stamps = stamps
        self.opened_at: list[float] = []
        self._clock = clock
        self._captures = iter(captures)

    def open(self) -> Any:
        self.opened_at.append(self._clock.now)
        capture = next(self._captures, None)
        if capture is None:
            raise SourceError("cannot open camera 7: there is no such camera")
        return capture


def opened(camera: FakeCamera, clock: Clock) -> CameraSource:
    return CameraSource(camera, clock=clock, sleep=clock.sleep)
