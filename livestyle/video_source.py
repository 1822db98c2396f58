"""Reads video files: every frame upright, in RGB, with the timestamp that the file gives it."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import cv2
import numpy as np

from livestyle.errors import SourceError
from livestyle.frame import Frame, VideoInfo
from livestyle.video_container import (
    LONGEST_SIDE,
    beginning_of,
    exact,
    is_photo,
    open_video,
    photo_refused,
    promised_frames,
)
from livestyle.video_picture import RgbReader, Upright

if TYPE_CHECKING:
    import av
    from av.packet import Packet
    from av.video.stream import VideoStream

# A key frame is filed under its decoding time, which may lie this much before the time it is shown.
SEEK_MARGIN = 2  # seconds
# "1.001", typed by a user, is not exactly 1001/1000; the frames of a video lie much further apart than this.
_TOLERANCE = Fraction(1, 1_000_000)  # seconds
# Of a pixel; real ones lie between 1/2 and 4.
_MOST_ASPECT = Fraction(16)
# What libav assumes for streams that do not tell their rate.
_USUAL_RATE = Fraction(25)
_HIGHEST_RATE = 10_000  # slow-motion cameras; files that tell more mean their clock
_HDR_CURVES = (16, 18)  # AVCOL_TRC_SMPTE2084 (PQ) and ARIB_STD_B67 (HLG)

_log = logging.getLogger(__name__)


class VideoFileSource:
    """The frames of a video file, or of a stretch of it, in the order they are shown.

    start, end: seconds from the file's beginning. The first frame at or after start gets timestamp 0, and no
    frame at or after end is given. Without a start, timestamps are the file's own.
    height: larger pictures are scaled down to it, keeping the aspect.

    Pictures are turned and mirrored as the file says. A broken piece on the way is skipped, with one warning
    in the log at the end. Raises SourceError for what cannot be read, and for photos.

    time_base: every timestamp is a whole number of these seconds. duration: seconds to be read, where known.
    pixel_aspect: width of a pixel over its height.
    trimmed: there is a start. origin: the file's time that is timestamp 0, in seconds. stretch: seconds from
    there to the end that was asked for. last_frame_duration: seconds, of the frame given last; 0 if unknown.
    """

    is_live = False

    def __init__(
        self, path: Path, *, start: float = 0.0, end: float | None = None, height: int | None = None
    ) -> None:
        if height is not None and height < 1:
            raise ValueError(f"height must be at least 1, not {height}")
        if not 0 <= start < math.inf:
            raise SourceError(f"a video cannot be read from {start:g} seconds; start at 0 or later")
        if end is not None and not end > start:
            raise SourceError(f"nothing to read: the end ({end:g} s) is not after the start ({start:g} s)")
        self.path = path
        self.trimmed = start > 0
        self.last_frame_duration = Fraction(0)
        self._lock = Lock()  # another thread may be reading when this one closes
        self._broken_pieces = 0
        self._last_pts: int | None = None
        self._container, self._stream = open_video(path)
        try:
            self._begin(start, end, height)
        except BaseException:
            self.close()
            raise

    def _begin(self, start: float, end: float | None, height: int | None) -> None:
        if is_photo(self._container, self.path):
            raise photo_refused(self.path)
        assert self._stream.time_base is not None  # open_video looked
        self.time_base = exact(self._stream.time_base)
        self._beginning = beginning_of(self._container)
        self._start_pts = self._pts(start) if self.trimmed else None
        self._end_pts = self._pts(end) if end is not None and end < math.inf else None
        self._frames = self._decode_stretch()
        self._next = next(self._frames, None)
        if self._next is None:
            if self._last_pts is None:
                raise SourceError(
                    f"cannot read {self.path}: no frame can be decoded; copy or download it again"
                )
            raise SourceError(self._nothing_from(start))

        first = self._next.picture
        self._zero_pts = self._next.pts if self.trimmed else round(self._beginning / self.time_base)
        self.origin = self._zero_pts * self.time_base
        self.stretch = None if self._end_pts is None else (self._end_pts - self._zero_pts) * self.time_base
        self.duration = self._duration()
        self._upright = Upright.of(first)
        self._to_rgb = RgbReader(self.path)
        width, shown_height = first.width, first.height
        aspect = exact(self._stream.sample_aspect_ratio or Fraction(1))
        self.pixel_aspect = aspect if 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT else Fraction(1)
        if self._upright.transposed:
            width, shown_height = shown_height, width
            self.pixel_aspect = 1 / self.pixel_aspect
        if height is not None and height < shown_height:
            width, shown_height = max(1, round(width * height / shown_height)), height
        whole = not self.trimmed and self._end_pts is None
        count = promised_frames(self._container, self._stream) if whole else 0
        self.info = VideoInfo(width, shown_height, float(_rate(self._stream)), count or None)
        if first.color_trc in _HDR_CURVES:
            _log.warning("%s is HDR video: its colours will look pale", self.path)

    def _nothing_from(self, start: float) -> str:
        last = (self._last_pts or 0) * self.time_base - self._beginning
        if last >= start - _TOLERANCE:
            return f"nothing to read: {self.path} has no frame from {start:g} s to that end; give a later one"
        end = round(float(last + 1 / _rate(self._stream)), 2)
        return f"nothing to read from {start:g} s on: {self.path} ends at {end:g} s; give an earlier start"

    def _pts(self, seconds: float) -> int:
        return math.ceil((self._beginning + Fraction(seconds) - _TOLERANCE) / self.time_base)

    def _duration(self) -> float | None:
        if self._stream.duration:
            end_pts = (self._stream.start_time or 0) + self._stream.duration
        elif self._container.duration:
            seconds = self._beginning + Fraction(self._container.duration, 1_000_000)
            end_pts = round(seconds / self.time_base)
        else:
            return None if self.stretch is None else float(self.stretch)
        if self._end_pts is not None:
            end_pts = min(end_pts, self._end_pts)
        return max(0.0, float((end_pts - self._zero_pts) * self.time_base))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._container.close()
            self._frames = iter(())
            self._next = None

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while (frame := self._read(index)) is not None:
            yield frame
            index += 1
        if self._broken_pieces:
            _log.warning("%s is damaged: %d broken pieces were skipped", self.path, self._broken_pieces)
            self._broken_pieces = 0

    def refuse_cut_off(self, count: int) -> None:
        """Raise SourceError where `count`, all the frames that came, is far from what the file promised."""
        expected = self.info.frame_count
        # A tenth, because damaged pieces hide some frames of a file that is whole.
        if expected is not None and count < 0.9 * expected:
            raise SourceError(
                f"{self.path} is cut off: only {count} of {expected} frames can be read; "
                "`--end SECONDS` paints what is there"
            )

    def _read(self, index: int) -> Frame | None:
        with self._lock:
            shown, self._next = self._next or next(self._frames, None), None
            if shown is None:
                return None
            self.last_frame_duration = shown.picture.duration * self.time_base
            image = self._upright.apply(self._to_rgb(shown.picture))
        size = (self.info.width, self.info.height)
        if image.shape[1::-1] != size:  # to be scaled down, or a stream that changes its size on the way
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return Frame(image, index, float((shown.pts - self._zero_pts) * self.time_base))

    def _decode_stretch(self) -> Iterator[_Shown]:
        """The frames from the start to the end. A seek that lands wrong costs time, never a frame."""
        frames = self._decode()
        first = None
        if self._start_pts is not None and self._seek(self._start_pts):
            first = next(frames, None)
            self._broken_pieces = 0  # decoders complain until their first key frame
            if first is None or first.pts > self._start_pts:
                first = None
                self._container.close()
                self._container, self._stream = open_video(self.path)
                self._last_pts = None
                frames = self._decode()
        if first is None:
            first = next(frames, None)
        while first is not None:
            if self._end_pts is not None and first.pts >= self._end_pts:
                return
            if self._start_pts is None or first.pts >= self._start_pts:
                yield first
            first = next(frames, None)

    def _seek(self, pts: int) -> bool:
        """Go to a key frame before a time; False where the file has to be read from its beginning."""
        import av

        target = pts - math.ceil(SEEK_MARGIN / self.time_base)
        if target * self.time_base <= self._beginning:
            return False
        try:
            self._container.seek(target, stream=self._stream)
        except av.FFmpegError:
            return False
        return True

    def _decode(self) -> Iterator[_Shown]:
        """All frames from here on, each shown after the one before."""
        step = max(1, round(1 / (_rate(self._stream) * self.time_base)))
        for picture in self._pictures():
            if self._last_pts is None:
                pts = picture.pts or 0
            elif picture.pts is None:  # raw streams carry no time
                pts = self._last_pts + step
            else:
                pts = max(picture.pts, self._last_pts + 1)
            self._last_pts = pts
            yield _Shown(pts, picture)

    def _pictures(self) -> Iterator[av.VideoFrame]:
        self._stream.thread_type = "AUTO"
        for packet in self._packets():
            for picture in self._decoded(packet):
                if 0 < picture.width <= LONGEST_SIDE and 0 < picture.height <= LONGEST_SIDE:
                    yield picture
                else:
                    self._broken_pieces += 1

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The video's packets, and at last None, for which the decoder gives what it held back."""
        import av

        try:
            for packet in self._container.demux(self._stream):
                if packet.size or packet.dts is not None:
                    yield packet
        except (
            av.FFmpegError,
            IndexError,
        ):  # IndexError: PyAV, in a broadcast that gained a track on the way
            self._broken_pieces += 1
        yield None

    def _decoded(self, packet: Packet[VideoStream] | None) -> list[av.VideoFrame]:
        import av

        try:
            return self._stream.decode(packet)
        except av.FFmpegError:
            self._broken_pieces += 1
            return []


def looped(path: Path, height: int | None = None) -> Generator[Frame]:
    """A file's frames again and again, as fast as they are taken; indexes and timestamps grow from 0."""
    index, offset = 0, 0.0
    while True:
        with VideoFileSource(path, height=height) as source:
            first = last = None
            for frame in source:
                first, last = first or frame, frame
                yield replace(frame, index=index, timestamp=offset + frame.timestamp - first.timestamp)
                index += 1
            if first is None or last is None:
                return
            offset += last.timestamp - first.timestamp
            offset += float(source.last_frame_duration) or 1 / source.info.fps


class _Shown(NamedTuple):
    pts: int
    picture: av.VideoFrame


def _rate(stream: VideoStream) -> Fraction:
    rate = exact(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
    return rate if rate <= _HIGHEST_RATE else _USUAL_RATE
