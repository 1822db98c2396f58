"""The pictures of whatever can be opened as a camera. They go on when it is unplugged and comes back."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import cv2
import numpy as np

from livestyle.errors import SourceError
from livestyle.frame import Frame, Image, VideoInfo

# A camera that wakes up gives no pictures for a while.
_PATIENCE_AT_START = 5.0  # seconds
# Without pictures for this long, a camera is opened anew, and who watches is told.
_PATIENCE = 1.0  # seconds
_FIRST_REST, _LONGEST_REST = 0.5, 2.0  # seconds between one attempt to open it and the next
_PAUSE = 0.02  # seconds between questions to a camera that has no picture
_NAP = 0.1  # seconds; after close(), no rest goes on for longer
# A driver's time of a picture that is older than this, or of the future, is of some other clock.
_OLDEST = 1.0  # seconds
# The first picture tells the size. When it waited longer than this for its reader, a new one is taken.
_LONGEST_WAIT = 0.1  # seconds
_LONGEST_CATCHING_UP = 0.5  # seconds, with what was kept meanwhile
_USUAL_FPS = 30.0
# Thinner black bars come from rounding the size, not from another aspect.
_THINNEST_BAR = 3  # pixels, both sides together

_log = logging.getLogger(__name__)


class Capture(Protocol):
    """What a CameraSource needs of cv2.VideoCapture. Its methods may block for long, or raise cv2.error."""

    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def get(self, propId: int, /) -> float: ...  # noqa: N803 (cv2's name)
    def release(self) -> None: ...


class Camera(Protocol):
    """Something that can be opened, and opened again.

    name: as in "camera 0". start_hint, hint: what to do when no pictures come at first, or any more.
    height: larger pictures are scaled down to it. stamps: its captures tell when a picture was taken.
    """

    @property
    def name(self) -> str: ...
    @property
    def start_hint(self) -> str: ...
    @property
    def hint(self) -> str: ...
    @property
    def height(self) -> int | None: ...
    @property
    def stamps(self) -> bool: ...
    def open(self) -> Capture:
        """Raises SourceError."""


class CameraSource:
    """The pictures of a camera as they come. They do not end before close(), whatever happens to the camera.

    Timestamps are seconds since the first picture, from when each was taken if the camera tells it. However
    long it was open before it is read, the first picture is of the present. A camera that gives no more is
    opened again and again until it does; meanwhile `problem` says so. Pictures of another size than it had
    when it was opened are fitted into that. Raises SourceError if it gives none then.
    """

    info: VideoInfo

    def __init__(
        self,
        camera: Camera,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._camera = camera
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()  # guards the next three: another thread may be reading when this one closes
        self._closed = False
        self._at_work = False  # the reader is inside the capture, perhaps stuck there
        capture = camera.open()
        self._capture: Capture | None = capture
        self._waiting_since: float | None = None
        try:
            first = self._wait_for_picture(_PATIENCE_AT_START)
            fps = plausible_fps(capture.get(cv2.CAP_PROP_FPS))
        except BaseException:
            self.close()
            raise
        if first is None:
            self.close()
            raise SourceError(f"{camera.name} gives no pictures; {camera.start_hint}")
        self._first = first
        self._first_came = clock()
        self._size = first.image.shape[1::-1]
        self._size_told = False
        width, height = self._size
        if camera.height is not None and camera.height < height:
            width, height = max(1, round(width * camera.height / height)), camera.height
        # Many cameras and streams tell no rate, or nonsense; it matters only to those who record.
        self.info = VideoInfo(width, height, fps or _USUAL_FPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the pictures, without waiting: a reader that is stuck in the camera releases it later."""
        with self._lock:
            self._closed = True
            if not self._at_work:
                self._release()

    def now(self) -> float:
        return self._clock() - self._first.at

    @property
    def problem(self) -> str | None:
        since = self._waiting_since  # read once: the reader may come back at any moment
        if since is None or self._closed or self._clock() - since < _PATIENCE:
            return None
        return self._silence

    @property
    def _silence(self) -> str:
        return f"{self._camera.name} gives no pictures; {self._camera.hint}"

    def __iter__(self) -> Iterator[Frame]:
        index, timestamp = 0, 0.0
        if self._clock() - self._first_came > _LONGEST_WAIT:
            # From a camera that is gone meanwhile the old one comes, so that there is a picture to look at.
            self._first = self._picture_of_now() or self._first
        taken: _Taken | None = self._first
        while taken is not None and not self._closed:
            timestamp = max(timestamp, taken.at - self._first.at)
            yield Frame(self._fitted(taken.image), index, timestamp)
            index += 1
            taken = self._next()

    def _picture_of_now(self) -> _Taken | None:
        """The first picture that is waited for: drivers and networks keep some for a reader who is late."""
        end = self._clock() + _LONGEST_CATCHING_UP
        while True:
            asked = self._clock()
            taken = self._wait_for_picture(_PATIENCE)
            now = self._clock()
            if taken is None or now - asked > 0.5 / self.info.fps or now > end:
                return taken

    def _next(self) -> _Taken | None:
        """The next picture, however long it takes; None after close()."""
        began = self._waiting_since = self._clock()
        taken = self._wait_for_picture(_PATIENCE)
        if taken is None and not self._closed:
            _log.warning("%s", self._silence)
            taken = self._open_until_a_picture_comes()
        waited = self._clock() - began
        if taken is not None and waited >= _PATIENCE:
            _log.warning("%s gives pictures again, after %.1f s", self._camera.name, waited)
        self._waiting_since = None
        return taken

    def _open_until_a_picture_comes(self) -> _Taken | None:
        rest = _FIRST_REST
        taken = None
        while taken is None and not self._closed:
            with self._working():
                self._release()  # now, so that the system can give its number to the camera that comes back
            self._rest(rest)
            rest = min(2 * rest, _LONGEST_REST)
            with self._working() as allowed:
                if allowed:
                    self._capture = self._opened()
            # An unplugged camera can often be opened; only a picture tells that it is back.
            if self._capture is not None:
                taken = self._wait_for_picture(_PATIENCE)
        return taken

    def _opened(self) -> Capture | None:
        try:
            return self._camera.open()
        except (SourceError, cv2.error):
            return None

    def _rest(self, seconds: float) -> None:
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0 and not self._closed:
            self._sleep(min(left, _NAP))

    def _wait_for_picture(self, patience: float) -> _Taken | None:
        """The next picture; None when none came for `patience` seconds, or after close()."""
        deadline = self._clock() + patience
        while not self._closed:
            taken = None
            with self._working():
                if self._capture is not None:
                    taken = self._take(self._capture)
            if taken is not None:
                return taken
            if self._clock() >= deadline:
                break
            self._sleep(_PAUSE)
        return None

    @contextmanager
    def _working(self) -> Iterator[bool]:
        """Meanwhile close() leaves the capture alone, and it is released at the end. False after close()."""
        with self._lock:
            self._at_work = True
            allowed = not self._closed
        try:
            yield allowed
        finally:
            with self._lock:
                self._at_work = False
                if self._closed:
                    self._release()

    def _release(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _take(self, capture: Capture) -> _Taken | None:
        """The picture that comes now; None where none does, or a broken one."""
        try:
            if not capture.grab():
                return None
            now = self._clock()  # before retrieve(), which decodes
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._camera.stamps else now
            there, picture = capture.retrieve()
            if not there or picture is None:
                return None
            if sys.platform == "win32":  # there it is retrieve() that waits for the picture
                now = self._clock()
            return _Taken(_rgb(picture), stamp if now - _OLDEST <= stamp <= now else now)
        except cv2.error:  # also for a picture without pixels
            return None

    def _fitted(self, image: Image) -> Image:
        size = image.shape[1::-1]
        if size != self._size and not self._size_told:
            self._size_told = True
            change = "%s changed its pictures from %dx%d to %dx%d; they are fitted into the old size"
            _log.warning(change, self._camera.name, *self._size, *size)
        return fitted(image, self.info.width, self.info.height)


class _Taken(NamedTuple):
    image: Image
    at: float  # seconds on the source's clock before it counts from the first picture


def fitted(image: Image, width: int, height: int) -> Image:
    """The whole picture as large as it fits into width x height, its aspect kept, black around it."""
    own_height, own_width = image.shape[:2]
    if (own_width, own_height) == (width, height):
        return image
    scale = min(width / own_width, height / own_height)
    inner_width, inner_height = max(1, round(own_width * scale)), max(1, round(own_height * scale))
    if width - inner_width < _THINNEST_BAR and height - inner_height < _THINNEST_BAR:
        inner_width, inner_height = width, height
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    whole = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    inner = whole[top : top + inner_height, left : left + inner_width]
    inner[:] = cv2.resize(image, (inner_width, inner_height), interpolation=way)
    return whole


class Pace:
    """Makes whoever calls wait() do it at a steady rate. After a late one the next ones do not hurry."""

    def __init__(
        self,
        fps: float,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._period = 1 / fps
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    def wait(self) -> None:
        left = self._due - self._clock()
        if left > 0:
            self._sleep(left)
        self._due = (self._due if left > -self._period else self._clock()) + self._period


def plausible_fps(told: float) -> float | None:
    """What a camera tells as its rate, or None where that is no camera's rate."""
    return told if 1 <= told <= 1000 else None


def _rgb(picture: Any) -> Image:
    """From grey, BGR or BGRA."""
    codes = {2: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB}
    code = cv2.COLOR_BGRA2RGB if picture.shape[2:] == (4,) else codes[picture.ndim]
    return np.asarray(cv2.cvtColor(picture, code), np.uint8)
