"""The screen as a camera. Needs mss: pip install "livestyle[screen]"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np

from livestyle.camera import Pace
from livestyle.errors import SourceError

if TYPE_CHECKING:
    from mss import MSS


@dataclass(frozen=True)
class ScreenCamera:
    """A monitor, by number from 1, filmed at a steady rate. height: larger pictures are scaled down to it."""

    monitor: int
    fps: float
    height: int | None = None

    start_hint: ClassVar = "is the screen on and unlocked?"
    hint: ClassVar = "switch it on and unlock it"
    stamps: ClassVar = False

    @property
    def name(self) -> str:
        return f"screen {self.monitor}"

    def open(self) -> ScreenCapture:
        try:
            from mss import MSS, ScreenShotError
        except ModuleNotFoundError as error:
            raise SourceError('filming the screen needs mss: pip install "livestyle[screen]"') from error
        try:
            shooter = MSS()
            # The first of mss's monitors is all of them together.
            monitors = shooter.monitors[1:]
        except ScreenShotError as error:
            raise SourceError(f"cannot film the screen: {error}; start livestyle on the desktop") from error
        if not 1 <= self.monitor <= len(monitors):
            shooter.close()
            known = ", ".join(f"screen:{number + 1}" for number in range(len(monitors)))
            raise SourceError(f"there is no {self.name}; this machine has {known or 'none'}")
        return ScreenCapture(shooter, monitors[self.monitor - 1], self.fps)


class ScreenCapture:
    """An open screen. Its pictures come at a steady rate."""

    def __init__(self, shooter: MSS, monitor: Any, fps: float) -> None:
        self._shooter = shooter
        self._monitor = monitor
        self._fps = fps
        self._pace = Pace(fps)
        self._shot: Any = None

    def grab(self) -> bool:
        from mss import ScreenShotError

        self._pace.wait()
        try:
            self._shot = self._shooter.grab(self._monitor)
        except ScreenShotError:
            return False
        return True

    def retrieve(self) -> tuple[bool, Any]:
        return self._shot is not None, np.asarray(self._shot)  # BGRA

    def get(self, propId: int, /) -> float:  # noqa: N803 (cv2's name)
        return self._fps if propId == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self._shooter.close()
