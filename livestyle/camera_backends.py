"""Cameras and network streams, opened through OpenCV."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Protocol

import cv2

from livestyle.camera import Capture, Pace, plausible_fps
from livestyle.errors import SourceError
from livestyle.frame import VideoInfo
from livestyle.silence import native_stderr_silenced

# One backend where one is enough: asked for any, OpenCV tries those for depth cameras and files too.
BACKENDS = {
    "linux": (cv2.CAP_V4L2,),
    "darwin": (cv2.CAP_AVFOUNDATION,),
    "win32": (cv2.CAP_DSHOW, cv2.CAP_MSMF),  # MSMF takes up to 20 s to open a camera
}
# What a network stream may take to answer, and then for a picture, which may be seconds from the last.
_NETWORK_TIMEOUT_MS = 5000
# Uncompressed, USB carries few pictures a second that are larger than this, or many small ones.
_RAW_WIDTH, _RAW_FPS = 640, 30
_USUAL_FPS = 30.0
_OTHER_FPS = 0.5  # 29.97 is what 30 was meant to be
_INSTEAD = "`livestyle webcam --list` shows what is connected, and `--camera FILE` plays a video instead"
_FFMPEG_LEVEL, _QUIET = "OPENCV_FFMPEG_LOGLEVEL", "-8"  # AV_LOG_QUIET

_environment = Lock()  # it is the whole process's


@dataclass(frozen=True)
class LocalCamera:
    """A camera of this machine, by number. size (width, height) and fps are wishes."""

    index: int
    size: tuple[int, int] | None = None
    fps: float | None = None
    # What the system called it when it was first opened.
    _paths: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    start_hint: ClassVar = "close the program that uses it, or name another one: `livestyle webcam --list`"
    hint: ClassVar = "plug it in again"
    height: ClassVar = None
    stamps: ClassVar = True

    @property
    def name(self) -> str:
        return f"camera {self.index}"

    def missed(self, info: VideoInfo) -> str | None:
        """Which wishes the camera did not grant, as a sentence; None if all."""
        same_size = self.size is None or self.size == (info.width, info.height)
        if same_size and (self.fps is None or abs(self.fps - info.fps) < _OTHER_FPS):
            return None
        asked = ["{}x{}".format(*self.size)] if self.size else []
        asked += [f"{self.fps:.4g} fps"] if self.fps else []
        given = f"{info.width}x{info.height} at {info.fps:.4g} fps"
        return f"{self.name} gives {given}, not {' at '.join(asked)}"

    def open(self) -> cv2.VideoCapture:
        self._check_that_it_is_the_same(camera_paths())
        for backend in BACKENDS.get(sys.platform, (cv2.CAP_ANY,)):
            with native_stderr_silenced():  # macOS reports there what our own sentence says
                capture = open_capture(self.index, backend)
            if capture is not None:
                capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # stay in the present, where the driver can
                # A Mac's camera gives its lowest rate, often 5, unless it is asked.
                wish(capture, self.size, self.fps or (_USUAL_FPS if sys.platform == "darwin" else None))
                return capture
        raise SourceError(f"cannot open {self.name}: {why_closed(self.index)}")

    def _check_that_it_is_the_same(self, paths: Mapping[int, str]) -> None:
        """Where numbers are places in a list, the next camera moves up when one is unplugged."""
        path = paths.get(self.index)
        if path and not self._paths:
            self._paths.append(path)
        elif path and path != self._paths[0]:
            raise SourceError(f"{self.name} is another one now; {self.hint}")


@dataclass(frozen=True)
class NetworkCamera:
    """A stream at a URL: rtsp, http, udp, … height: larger pictures are scaled down to it."""

    url: str
    height: int | None = None

    start_hint: ClassVar = "is that its whole address, and is it a video?"
    hint: ClassVar = "its sender or the network is down; it comes back by itself"
    stamps: ClassVar = False  # FFmpeg counts from the stream's beginning, or from the sender's

    @property
    def name(self) -> str:
        """The URL without user, password and query: it is shown on screens that others see."""
        return re.sub(r"(?<=://)[^/?#]*@|[?#].*", "", self.url)

    def open(self) -> Capture:
        options = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS),
            # Every further thread of the decoder holds one picture back: with 8 of them, a stream of 30 fps
            # is 0.2 s late. FFmpeg's options for low delay do not change that, and short probes miss streams.
            *(cv2.CAP_PROP_N_THREADS, 1),
        ]
        with _ffmpeg_quiet():
            capture = open_capture(self.url, cv2.CAP_FFMPEG, options)
        if capture is None:
            raise SourceError(
                f"cannot open {self.name}: nothing answers there, or it is no video; check the address. "
                "`--camera FILE` plays a video instead"
            )
        # A web server sends a video file as fast as it can. Live streams do not know their length.
        fps = plausible_fps(capture.get(cv2.CAP_PROP_FPS))
        if fps and self.url.startswith("http") and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            return _PacedCapture(capture, Pace(fps))
        return capture


class _PacedCapture:
    """A capture whose pictures come no faster than at a pace."""

    def __init__(self, capture: Capture, pace: Pace) -> None:
        self._pace = pace
        self._grab = capture.grab
        self.retrieve, self.get, self.release = capture.retrieve, capture.get, capture.release

    def grab(self) -> bool:
        self._pace.wait()
        return self._grab()


class Adjustable(Protocol):
    """What can be asked for another kind of pictures: cv2.VideoCapture."""

    def set(self, propId: int, value: float, /) -> bool: ...  # noqa: N803 (cv2's name)


def camera_paths() -> dict[int, str]:
    """What tells each camera from the others, by its number; {} where numbers stay, or nothing tells."""
    found = enumerated_cameras() if sys.platform in ("win32", "darwin") else None
    return {one.index: one.path or "" for one in found or ()}


def enumerated_cameras() -> list[Any] | None:
    """The system's own list: index, name and path of each. None where it tells none."""
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError:  # on a Mac it needs another package, which may be missing
        return None
    backends = BACKENDS.get(sys.platform)
    return list(enumerate_cameras(backends[0])) if backends else None


def wish(
    capture: Adjustable, size: tuple[int, int] | None, fps: float | None, *, platform: str = sys.platform
) -> None:
    """Ask for a size and a rate, in the order that drivers want. They do as they like: the pictures tell."""
    packed = (size is not None and size[0] > _RAW_WIDTH) or (fps is not None and fps > _RAW_FPS)
    kind = cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")
    if packed and platform != "win32":
        capture.set(*kind)
    if size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    if fps is not None:
        capture.set(cv2.CAP_PROP_FPS, fps)
    if packed and platform == "win32":  # DirectShow forgets the kind with each of the other wishes
        capture.set(*kind)


def open_capture(camera: int | str, backend: int, options: Sequence[int] = ()) -> cv2.VideoCapture | None:
    """Open without a word on the terminal; None where that fails.

    OpenCV reports there whatever goes wrong, of an unplugged camera many times a second, so its log is off
    from here on.
    """
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(camera, backend, options)
    except cv2.error:
        return None
    if capture.isOpened():
        return capture
    capture.release()
    return None


def why_closed(
    index: int,
    *,
    platform: str = sys.platform,
    folder: Path = Path("/dev"),
    may: Callable[[Path, int], bool] = os.access,
) -> str:
    """Why a camera cannot be opened, as far as the system lets one know, and what to do."""
    device = folder / f"video{index}"
    if platform == "darwin":
        return (
            "there is no such camera, or this terminal may not use it: look into System Settings, "
            f"Privacy & Security, Camera. If macOS asks now, allow it and start again. {_INSTEAD}"
        )
    if platform == "win32":
        return (
            "there is no such camera, another program uses it, or Settings, Privacy & security, Camera does "
            f"not let desktop apps use it. {_INSTEAD}"
        )
    if platform != "linux":
        return f"there is no such camera, or another program uses it. {_INSTEAD}"
    if not device.exists():
        return f"there is no such camera. {_INSTEAD}"
    if not may(device, os.R_OK | os.W_OK):
        return f"you may not use {device}: `sudo usermod -aG video $USER`, then log in again"
    return f"another program uses it, or {device} gives no pictures. {_INSTEAD}"


@contextmanager
def _ffmpeg_quiet() -> Iterator[None]:
    """While FFmpeg is loaded, a wish for silence is in the environment, where users may have put theirs."""
    with _environment:
        if _FFMPEG_LEVEL in os.environ:
            yield
            return
        os.environ[_FFMPEG_LEVEL] = _QUIET
        try:
            yield
        finally:
            del os.environ[_FFMPEG_LEVEL]
