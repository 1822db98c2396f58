"""Live sources: cameras, network streams, the screen, and files that play in a loop like a camera."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Protocol, Self

from livestyle.camera import CameraSource
from livestyle.camera_backends import LocalCamera, NetworkCamera
from livestyle.errors import SourceError
from livestyle.frame import Frame, FrameSource, VideoInfo
from livestyle.screen import ScreenCamera
from livestyle.video_source import VideoFileSource

# While a file shows one picture for long, it comes again, as from a camera that looks at it.
_LONGEST_STILL = 0.1  # seconds
# Later than this, the film waits; less is caught up with.
_LONGEST_DELAY = 0.25  # seconds
_SCREEN_FPS = 30.0

_log = logging.getLogger(__name__)


class LiveSource(FrameSource, Protocol):
    """A source that never ends by itself. It may be closed while another thread waits for its pictures."""

    def now(self) -> float:
        """Seconds on the source's own clock, the one its frames' timestamps come from.

        now() - frame.timestamp is a frame's age.
        """

    @property
    def problem(self) -> str | None:
        """Why no pictures come right now, and what to do: one line for the screen. None while they come."""


def open_camera(spec: str, *, size: tuple[int, int] | None = None, fps: float | None = None) -> LiveSource:
    """The camera that a text names: a number or a device, a URL, "screen", "screen:2", or a file that plays.

    size: (width, height), asked of a camera; elsewhere larger pictures are scaled down to its height. fps is
    asked of cameras and kept by the screen. Raises SourceError.
    """
    height = size[1] if size else None
    number = camera_number(spec)
    if number is not None:
        camera = LocalCamera(number, size, fps)
        source = CameraSource(camera)
        missed = camera.missed(source.info)
        if missed is not None:
            _log.warning("%s", missed)
        return source
    screen = re.fullmatch(r"screen(?::(\d+))?", spec)
    if screen:
        return CameraSource(ScreenCamera(int(screen[1] or 1), fps or _SCREEN_FPS, height))
    if "://" in spec and not spec.startswith("file://"):
        return CameraSource(NetworkCamera(spec, height))
    path = Path(spec.removeprefix("file://"))
    if not path.exists():
        raise SourceError(
            f"there is no camera or file {spec}; name a camera's number (`livestyle webcam --list` shows "
            "them), a video, a URL or `screen`"
        )
    return LoopedFileSource(path, height=height)


def camera_number(spec: str) -> int | None:
    """The number of this machine's camera that a text names; None where it names something else."""
    # Links such as those in /dev/v4l/by-id, too: their names stay the same from day to day.
    device = re.fullmatch(r"(?:/dev/video)?(\d{1,3})", os.path.realpath(spec) if spec[:1] == "/" else spec)
    return int(device[1]) if device else None


class LoopedFileSource:
    """A video file that plays at its own pace, over and over, as if a camera looked at it.

    Timestamps grow from loop to loop. When the reader is late, the film waits for it, and so does now().
    height: larger pictures are scaled down to it. Raises SourceError as VideoFileSource does.
    """

    problem = None

    def __init__(
        self,
        path: Path,
        *,
        height: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._height = height
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()  # another thread may be reading when this one closes
        self._closed = False
        self._file = VideoFileSource(path, height=height)
        info = self._file.info
        self.info = VideoInfo(info.width, info.height, info.fps)
        self._beginning = clock()  # the clock's time of timestamp 0
        self._latest = 0.0  # timestamp of the frame given last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._file.close()

    def now(self) -> float:
        return min(self._clock() - self._beginning, self._latest + _LONGEST_DELAY)

    def __iter__(self) -> Iterator[Frame]:
        self._beginning = self._clock()
        shown: Frame | None = None
        for frame in self._endless_film():
            while (left := self._beginning + frame.timestamp - self._clock()) > 0 and not self._closed:
                self._sleep(min(left, _LONGEST_STILL))
                if left > _LONGEST_STILL and shown is not None:
                    self._latest = shown.timestamp + _LONGEST_STILL
                    shown = replace(shown, index=shown.index + 1, timestamp=self._latest)
                    yield shown
            if -left > _LONGEST_DELAY:
                self._beginning -= left
            self._latest = frame.timestamp
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
        file = VideoFileSource(self.path, height=self._height)
        with self._lock:
            self._file = file
            if self._closed:
                file.close()
