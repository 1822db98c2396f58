"""Lists the cameras of this machine, with the sizes and rates that each can give."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import cv2

from livestyle.camera import Capture, plausible_fps
from livestyle.camera_backends import BACKENDS, Adjustable, enumerated_cameras, open_capture, wish
from livestyle.silence import native_stderr_silenced

_SIZES = ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
_HIGHEST_FPS = 60.0  # cameras answer with the most that they can
_PATIENCE, _PAUSE = 1.0, 0.05  # seconds
_MOST_CAMERAS = 6  # looked for, where nothing tells how many there are


@dataclass(frozen=True)
class CameraInfo:
    """A camera that is connected.

    path: "/dev/video0", or what the system calls it; "" where unknown. modes: (width, height, fps), fps 0 if
    the camera does not tell it. problem: why it cannot be used now, and has no modes; None if it can.
    """

    index: int
    name: str
    path: str = ""
    modes: tuple[tuple[int, int, float], ...] = ()
    problem: str | None = None


class Probed(Capture, Adjustable, Protocol):
    """An open camera that can be asked for other modes."""


Opener = Callable[[int], Probed | None]


def list_cameras() -> list[CameraInfo]:
    """Every camera, by its number. Each is opened, asked and closed again, which takes a second or more."""
    return probe_cameras(named_cameras(_open), _open)


def probe_cameras(
    cameras: Iterable[CameraInfo], opened: Opener, *, sleep: Callable[[float], None] = time.sleep
) -> list[CameraInfo]:
    """The cameras by their numbers, with their modes, or the problem of those that cannot be used now."""
    return [_probed(camera, opened, sleep) for camera in sorted(cameras, key=lambda camera: camera.index)]


def _probed(camera: CameraInfo, opened: Opener, sleep: Callable[[float], None]) -> CameraInfo:
    capture = opened(camera.index)
    if capture is None:
        forbidden = camera.path.startswith("/dev/") and not os.access(camera.path, os.R_OK | os.W_OK)
        return replace(camera, problem="no permission" if forbidden else "in use")
    try:
        # One that another program reads can be opened all the same.
        if not _gives_pictures(capture, sleep):
            return replace(camera, problem="in use")
        return replace(camera, modes=_modes(capture))
    finally:
        capture.release()


def _gives_pictures(capture: Capture, sleep: Callable[[float], None]) -> bool:
    for _ in range(round(_PATIENCE / _PAUSE)):
        try:
            if capture.grab() and capture.retrieve()[0]:  # on Windows it is the second that waits
                return True
        except cv2.error:
            pass
        sleep(_PAUSE)
    return False


def _modes(capture: Probed) -> tuple[tuple[int, int, float], ...]:
    """What the camera makes of the usual sizes, and what it gives unasked."""
    modes = set()
    for size in (None, *_SIZES):
        if size is not None:
            wish(capture, size, _HIGHEST_FPS)
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        modes.add((round(width), round(height), plausible_fps(capture.get(cv2.CAP_PROP_FPS)) or 0.0))
    return tuple(sorted(mode for mode in modes if mode[0] > 0 and mode[1] > 0))


def named_cameras(opened: Opener) -> list[CameraInfo]:
    """The cameras as the system names them, without their modes. Where it does not, those that open."""
    found = enumerated_cameras()
    if found is None:
        return _answering(opened)
    return [CameraInfo(one.index, one.name or f"camera {one.index}", one.path or "") for one in found]


def _answering(opened: Opener) -> list[CameraInfo]:
    found = []
    for index in range(_MOST_CAMERAS):
        capture = opened(index)
        if capture is not None:
            capture.release()
            found.append(CameraInfo(index, f"camera {index}"))
    return found


def _open(index: int) -> cv2.VideoCapture | None:
    with native_stderr_silenced():
        return open_capture(index, BACKENDS.get(sys.platform, (cv2.CAP_ANY,))[0])
