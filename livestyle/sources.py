"""Live sources: cameras, network streams, and files that play in a loop as if they were a camera."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np

from livestyle.errors import SourceError
from livestyle.frame import Frame, Image, VideoInfo
from livestyle.silence import native_stderr_silenced
from livestyle.video_source import VideoFileSource

# A camera that wakes up, or loses its cable for a moment, gives no frames for a while.
PATIENCE = 5.0  # seconds
# What a network stream may take to answer: longer ones are dead, and the window would hang with them.
_NETWORK_TIMEOUT_MS = 5000
_PAUSE = 0.02  # seconds between questions to a camera that has no frame
# While a file shows one picture for long, it comes again, as from a camera that looks at it.
_LONGEST_STILL = 0.1  # seconds
# Later than this, the film waits; less is caught up with.
_LONGEST_DELAY = 0.25  # seconds
# One backend where one is enough: asked for any, OpenCV tries those for depth cameras and files too.
_BACKENDS = {
    "linux": (cv2.CAP_V4L2,),
    "darwin": (cv2.CAP_AVFOUNDATION,),
    "win32": (cv2.CAP_DSHOW, cv2.CAP_MSMF),  # MSMF takes up to 20 s to open a camera
}
_HINT = "`livestyle webcam --camera FILE` plays a video instead"


class Capture(Protocol):
    """What a CameraSource needs of cv2.VideoCapture."""

    def read(self) -> tuple[bool, Any]: ...
    def get(self, propId: int, /) -> float: ...  # noqa: N803 (cv2's name)
    def release(self) -> None: ...


class _LiveSource:
    """What live sources share: they never end by themselves, and close once, from any thread."""

    is_live = True
    info: VideoInfo

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError


class CameraSource(_LiveSource):
    """The pictures of a camera (by number) or a network stream (by URL), as they come.

    size: (width, height) and fps are wishes; info tells what the camera made of them. Timestamps are seconds
    since the first picture. Raises SourceError where no picture comes, also when the camera is pulled out.
    """

    def __init__(
        self,
        camera: int | str,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        open_capture: Callable[..., Capture] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = f"camera {camera}" if isinstance(camera, int) else str(camera)
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()  # another thread may be reading when this one closes
        self._closed = False
        self._capture = (open_capture or _open_capture)(camera, size, fps)
        try:
            first = self._grab()
        except BaseException:
            self.close()
            raise
        if first is None:
            self.close()
            raise SourceError(f"{self._name} gives no pictures; another program may be using it. {_HINT}")
        self._first: tuple[float, Image] | None = first
        height, width = first[1].shape[:2]
        # Many cameras and streams tell no rate, or nonsense; it matters only to those who record.
        told = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = VideoInfo(width, height, told if 1 <= told <= 1000 else 30.0)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        index, beginning = 0, None
        while (grabbed := self._first or self._grab()) is not None:
            self._first = None
            at, image = grabbed
            beginning = at if beginning is None else beginning
            yield Frame(image, index, at - beginning)
            index += 1
        if not self._closed:
            raise SourceError(f"{self._name} stopped giving pictures; is it still connected?")

    def _grab(self) -> tuple[float, Image] | None:
        """The next picture and its time; None when none came for long, or after close()."""
        deadline = self._clock() + PATIENCE
        while True:
            with self._lock:
                if self._closed:
                    return None
                there, picture = self._capture.read()
            if there and picture is not None and picture.size:
                if picture.ndim == 2:
                    return self._clock(), np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)
                return self._clock(), np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
            if self._clock() >= deadline:
                return None
            self._sleep(_PAUSE)


class LoopedFileSource(_LiveSource):
    """A video or picture file that plays at its own pace, over and over, as if a camera looked at it.

    Timestamps grow from loop to loop. When the reader is late, the film waits for it. height: larger pictures
    are scaled down to it. Raises SourceError as VideoFileSource does.
    """

    def __init__(
        self,
        path: Path,
        *,
        height: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._height = height
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()  # another thread may be reading when this one closes
        self._closed = False
        self._file = VideoFileSource(path, height=height)
        info = self._file.info
        self.info = VideoInfo(info.width, info.height, info.fps)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        beginning = self._clock()  # the clock's time of timestamp 0
        shown: Frame | None = None
        for frame in self._endless_film():
            while (left := beginning + frame.timestamp - self._clock()) > 0:
                self._sleep(min(left, _LONGEST_STILL))
                if left > _LONGEST_STILL and shown is not None:
                    at = shown.timestamp + _LONGEST_STILL
                    shown = replace(shown, index=shown.index + 1, timestamp=at)
                    yield shown
            if -left > _LONGEST_DELAY:
                beginning -= left
            shown = replace(frame, index=0 if shown is None else shown.index + 1)
            yield shown

    def _endless_film(self) -> Iterator[Frame]:
        """The file's frames again and again, with timestamps that grow from 0 without waiting for them."""
        offset = 0.0
        while not self._closed:
            first = last = None
            for frame in self._file:
                first, last = first or frame, frame
                yield replace(frame, timestamp=offset + frame.timestamp - first.timestamp)
            if first is None or last is None:
                return
            usual = 1 / self.info.fps
            while first is last and not self._closed:  # a picture: no need to read it again
                offset += usual
                yield replace(last, timestamp=offset)
            offset += last.timestamp - first.timestamp + (float(self._file.last_frame_duration) or usual)
            self._rewind()

    def _rewind(self) -> None:
        self._file.close()
        file = VideoFileSource(self._path, height=self._height)
        with self._lock:
            self._file = file
            if self._closed:
                file.close()


def open_camera(
    spec: str, *, size: tuple[int, int] | None = None, fps: float | None = None
) -> CameraSource | LoopedFileSource:
    """The camera that a text names: a number, a URL, or a file that plays in its place.

    size: (width, height); of a file, only its height counts. Raises SourceError.
    """
    device = re.fullmatch(r"(?:/dev/video)?(\d{1,3})", spec)
    if device:
        return CameraSource(int(device[1]), size=size, fps=fps)
    if "://" in spec:
        return CameraSource(spec, size=size, fps=fps)
    path = Path(spec)
    if not path.exists():
        raise SourceError(f"there is no camera or file {spec}; name a camera's number, a URL or a file")
    return LoopedFileSource(path, height=size[1] if size else None)


def _open_capture(camera: int | str, size: tuple[int, int] | None, fps: float | None) -> Capture:
    with native_stderr_silenced():  # OpenCV reports every backend that has no such camera
        if isinstance(camera, str):
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS]
            timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS]
            capture = cv2.VideoCapture(camera, cv2.CAP_FFMPEG, timeouts)
        else:
            for backend in _BACKENDS.get(sys.platform, (cv2.CAP_ANY,)):
                capture = cv2.VideoCapture(camera, backend)
                if capture.isOpened():
                    break
    if not capture.isOpened():
        capture.release()
        if isinstance(camera, str):
            raise SourceError(f"cannot open {camera}: nothing answers there, or it is no video. {_HINT}")
        raise SourceError(f"cannot open camera {camera}: there is no such camera. {_HINT}")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # stay in the present, where the driver can
    if size is not None:
        if size[0] > 640:
            # Uncompressed, USB carries few large pictures a second. Drivers want the kind first.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    if fps is not None:
        capture.set(cv2.CAP_PROP_FPS, fps)
    return capture
