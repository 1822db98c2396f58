"""Writes video files: exact timestamps, the tracks of the original, and never half a file under the name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import cv2
import numpy as np

from livestyle.errors import SinkError
from livestyle.frame import Frame, Image, VideoInfo, check_image
from livestyle.tracks import Tracks
from livestyle.video_container import LONGEST_SIDE
from livestyle.video_source import VideoFileSource
from livestyle.whole_file import WholeFile

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)

_CODECS = {".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264", ".webm": "libvpx-vp9"}
DEFAULT_QUALITY = 75
# Constant rate factors at quality 0 and 100. 75 gives 20 for H.264, where losses are hard to see.
_CRF_RANGE = {"libx264": (41, 13), "libvpx-vp9": (56, 20)}
_ENCODER_OPTIONS = {
    "libx264": {"preset": "fast"},
    # With its other settings libvpx is slower than the stylization.
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
}
_MUXER_OPTIONS = {
    # The index comes first, so that a browser can begin before it has the whole file.
    ".mp4": {"movflags": "+faststart"},
    ".mov": {"movflags": "+faststart"},
    # An encoder's first packet of sound begins before 0; by default everything else would be moved after it.
    ".mkv": {"avoid_negative_ts": "disabled"},
    ".webm": {"avoid_negative_ts": "disabled"},
}
_BT709 = 1  # as colour matrix, primaries and transfer curve alike (ITU-T H.273)
_TV_RANGE = 1  # AVCOL_RANGE_MPEG: black is 16, white is 235
# Without a template. Holds 24, 25, 30, 50 and 60 frames a second in whole numbers.
_LIVE_TIME_BASE = Fraction(1, 90_000)


class VideoFileSink:
    """Writes frames into a video file whose kind its name tells: H.264 in .mp4, .mkv and .mov, VP9 in .webm.

    template: the source that the frames come from. Its clock is kept, so that every timestamp is written as
    it was read (to the millisecond in .mkv and .webm, which count in those), and its other tracks come along.
    Without one, the first frame is at time 0. quality: 0 to 100.

    Every size is kept. H.264 as all players know it has only even ones: an odd picture gets its last column
    or row twice, and the container says the true size. Players built on FFmpeg show just that; others may
    show the repeated column too.

    The file grows under a hidden name beside its own and is renamed when it is whole. After an exception, or
    when no frame came, nothing is left. An existing file is replaced only with overwrite. Raises SinkError.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        template: VideoFileSource | None = None,
        quality: int = DEFAULT_QUALITY,
        overwrite: bool = False,
    ) -> None:
        if not 0 <= quality <= 100:
            raise ValueError(f"quality must be 0 to 100, not {quality}")
        if not (1 <= info.width <= LONGEST_SIDE and 1 <= info.height <= LONGEST_SIDE):
            raise ValueError(f"no video can be {info.width} x {info.height} pixels")
        if path.suffix.lower() not in _CODECS:
            raise SinkError(f"cannot write {path}: its name must end in {', '.join(_CODECS)}")
        if template is not None and _is_same(path, template.path):
            raise SinkError(f"{path} is the video that is read; give the output another name")
        self._info = info
        self._template = template
        self._quality = quality
        self._file = WholeFile(path, overwrite)
        self._writer: _Writer | None = None
        self._waiting: av.VideoFrame | None = None  # until the next one tells its duration
        self._zero = None if template is None else Fraction(0)

    @property
    def closed(self) -> bool:
        return False  # nobody watches a file

    def __enter__(self) -> Self:
        try:
            with self._errors():
                self._writer = _Writer(self._file.begin(), self._info, self._template, self._quality)
        except BaseException:
            self._file.abandon()
            raise
        return self

    def write(self, frame: Frame) -> None:
        if self._writer is None:
            raise ValueError("the sink is not open")
        if check_image(frame.image).shape[:2] != (self._info.height, self._info.width):
            raise ValueError(f"a frame of shape {frame.image.shape} came for {self._info}")
        timestamp = Fraction(frame.timestamp)
        if self._zero is None:
            self._zero = timestamp
        with self._errors():
            picture = self._writer.picture(frame.image)
            picture.pts = round((timestamp - self._zero) / self._writer.time_base)
            if self._waiting is not None:
                previous = self._waiting.pts or 0
                picture.pts = max(picture.pts, previous + 1)
                self._waiting.duration = picture.pts - previous
                self._writer.write(self._waiting)
        self._waiting = picture

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            # Unlinked first, so that libav does not rearrange a large file that nobody wants; again
            # afterwards, because Windows keeps open files.
            self._file.abandon()
            if self._writer is not None:
                self._writer.close()
            self._file.abandon()
            self._writer = self._waiting = None

    def _finish(self) -> None:
        if self._writer is None:
            return
        if self._waiting is None:
            raise SinkError(f"{self._file.path} was not written: no frame came")
        duration = self._template.last_frame_duration if self._template else Fraction(0)
        with self._errors():
            self._waiting.duration = round((duration or 1 / _rate(self._info)) / self._writer.time_base)
            self._writer.write(self._waiting)
            self._writer.finish()
        self._file.complete()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import av

        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise SinkError(f"cannot write {self._file.path}: {error.strerror}") from error


class _Writer:
    """An open container with a video track and the other tracks of the template."""

    def __init__(self, path: Path, info: VideoInfo, template: VideoFileSource | None, quality: int) -> None:
        # cv2 is loaded by now: livestyle imports it first. The other order makes its windows hang on Linux.
        import av
        from av.video.reformatter import Colorspace, VideoReformatter

        suffix = path.suffix.lower()
        codec = _CODECS[suffix]
        self.time_base = template.time_base if template else _LIVE_TIME_BASE
        aspect = template.pixel_aspect if template else Fraction(1)
        self._encoder = _open_encoder(codec, info, self.time_base, aspect, quality)
        self._reformatter = VideoReformatter()
        self._matrix = Colorspace.ITU709
        self._tracks: Tracks | None = None
        self._carried = self._refused = 0  # packets of the tracks; packets that the muxer did not take
        # "file:" keeps a colon in a name from being read as a protocol.
        self._container = av.open(f"file:{path}", "w", container_options=_MUXER_OPTIONS[suffix])
        try:
            self._stream = _add_video_stream(self._container, codec, info, self._encoder)
            if template is not None:
                self._tracks = Tracks(template, self._container, suffix)
            self._container.start_encoding()
        except BaseException:
            self.close()
            raise

    def picture(self, image: Image) -> av.VideoFrame:
        """The image as the encoder wants it: 4:2:0, the last column and row repeated up to its even size."""
        import av

        height, width = image.shape[:2]
        below, right = self._encoder.height - height, self._encoder.width - width
        if below or right:
            image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, "rgb24"),
            format="yuv420p",
            dst_colorspace=self._matrix,
            dst_color_range="MPEG",
        )
        picture.time_base = self.time_base
        return picture

    def write(self, picture: av.VideoFrame) -> None:
        """Encode a picture, and bring the other tracks up to its time."""
        self._encode(picture)
        if self._tracks is not None:
            self._carry(self._tracks.take_until((picture.pts or 0) * self.time_base))

    def finish(self) -> None:
        self._encode(None)
        if self._tracks is not None:
            self._carry(self._tracks.take_rest())
        self._container.close()
        if self._refused:
            _log.warning("%d broken packets of sound or subtitles were left out", self._refused)

    def close(self) -> None:
        import av

        if self._tracks is not None:
            self._tracks.close()
        with suppress(av.FFmpegError):
            self._container.close()

    def _encode(self, picture: av.VideoFrame | None) -> None:
        for packet in self._encoder.encode(picture):
            packet.stream = self._stream
            packet.time_base = self.time_base
            self._mux(packet)

    def _carry(self, packets: Iterator[Packet[Any]]) -> None:
        for packet in packets:
            self._carried += 1
            self._mux(packet)

    def _mux(self, packet: Packet[Any]) -> None:
        """Write a packet. The muxer waits for the other tracks, so an error may be about an earlier one."""
        import av

        try:
            self._container.mux(packet)
        except av.FFmpegError as error:
            # A broken packet of the original's sound must not cost the video; a full disk must.
            self._refused += 1
            if isinstance(error, OSError) or self._refused > self._carried:
                raise


def _open_encoder(
    codec: str, info: VideoInfo, time_base: Fraction, aspect: Fraction, quality: int
) -> VideoCodecContext:
    from av.codec.context import CodecContext, Flags

    encoder: Any = CodecContext.create(codec, "w")  # PyAV's types know no codec by a variable name
    worst, best = _CRF_RANGE[codec]
    encoder.options = _ENCODER_OPTIONS[codec] | {"crf": str(round(worst + (best - worst) * quality / 100))}
    encoder.bit_rate = 0  # for libvpx: the quality alone decides
    even = 2 if codec == "libx264" else 1
    encoder.width = info.width + info.width % even
    encoder.height = info.height + info.height % even
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = time_base
    encoder.framerate = _rate(info)
    encoder.sample_aspect_ratio = aspect.limit_denominator(1000)  # each part has 16 bits in H.264
    encoder.color_range = _TV_RANGE
    encoder.colorspace = encoder.color_primaries = encoder.color_trc = _BT709
    # Without them, frames are stored in the order they are shown: players that ignore an mp4's edit list stay
    # in time, and its duration is right at a variable rate too.
    encoder.max_b_frames = 0
    # All four containers keep the codec's header themselves.
    encoder.flags |= Flags.global_header | Flags.frame_duration
    encoder.open()
    return cast("VideoCodecContext", encoder)


def _add_video_stream(
    container: OutputContainer, codec: str, info: VideoInfo, encoder: VideoCodecContext
) -> VideoStream:
    """A stream of the true size for packets of an encoder whose size is even.

    A stream with an encoder of its own has the encoder's size; one made from a template does not open any.
    FFmpeg's decoder crops to the container's size when that fits (h264_slice.c, "handle container cropping").
    """
    import av

    with av.open(BytesIO(), "w", format="matroska") as scratch:
        template = cast("VideoStream", scratch.add_stream(codec, width=info.width, height=info.height))
        stream = container.add_stream_from_template(template, opaque=True)
    context = stream.codec_context
    context.extradata = encoder.extradata
    context.framerate = _rate(info)
    context.sample_aspect_ratio = encoder.sample_aspect_ratio or Fraction(1)
    context.color_range = encoder.color_range
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    stream.time_base = encoder.time_base
    return stream


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False


def _rate(info: VideoInfo) -> Fraction:
    # 29.97002997 back into 30000/1001
    return Fraction(info.fps).limit_denominator(10_000) if info.fps > 0 else Fraction(25)
