"""Encodes pictures into a container: the part that video files and recordings share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from livestyle.errors import SinkError
from livestyle.frame import Image, VideoInfo, check_image
from livestyle.tracks import Tracks
from livestyle.video_container import LONGEST_SIDE, load_av
from livestyle.video_source import VideoFileSource

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
    "libx264": {"preset": "veryfast"},
    # With its other settings libvpx is slower than the stylization.
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
}
# Live, every frame leaves the encoder at once, and the network needs the processor more than the file needs
# to be small: a quarter of the work of "fast", for a quarter more bytes.
_LIVE_ENCODER_OPTIONS = {
    "libx264": {"preset": "superfast", "tune": "zerolatency"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "lag-in-frames": "0"},
}
_MUXER_OPTIONS = {
    # The index comes first, so that a browser can begin before it has the whole file.
    ".mp4": {"movflags": "+faststart"},
    ".mov": {"movflags": "+faststart"},
    # An encoder's first packet of sound begins before 0; by default everything else would be moved after it.
    ".mkv": {"avoid_negative_ts": "disabled"},
    ".webm": {"avoid_negative_ts": "disabled"},
}
# Live, every half a second is on its way to the disk at once, with an index of its own. When an mp4 is closed
# it gets one index for all, and is then like any other ("hybrid"). empty_moov: without it, FFmpeg 8.1 crashes
# when a file is closed that no frame came into.
_HYBRID = {"movflags": "+hybrid_fragmented+empty_moov", "frag_duration": "500000", "flush_packets": "1"}  # µs
_CLUSTERS = {"cluster_time_limit": "500", "flush_packets": "1"}  # ms
_LIVE_MUXER_OPTIONS = {".mp4": _HYBRID, ".mov": _HYBRID, ".mkv": _CLUSTERS, ".webm": _CLUSTERS}
_LIVE_KEY_INTERVAL = 1  # seconds; players can jump to key frames only
_BT709 = 1  # as colour matrix, primaries and transfer curve alike (ITU-T H.273)
_TV_RANGE = 1  # AVCOL_RANGE_MPEG: black is 16, white is 235
# Without a template. Holds 24, 25, 30, 50 and 60 frames a second in whole numbers.
_LIVE_TIME_BASE = Fraction(1, 90_000)


def check_output(path: Path, info: VideoInfo, quality: int) -> None:
    """Refuse what cannot be a video file: ValueError for the size or quality, SinkError for the name."""
    if not 0 <= quality <= 100:
        raise ValueError(f"quality must be 0 to 100, not {quality}")
    if not (1 <= info.width <= LONGEST_SIDE and 1 <= info.height <= LONGEST_SIDE):
        raise ValueError(f"no video can be {info.width} x {info.height} pixels")
    if path.suffix.lower() not in _CODECS:
        raise SinkError(f"cannot write {path}: its name must end in {', '.join(_CODECS)}")


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn what libav and the disk say in this block into a SinkError about the file."""
    load_av()
    import av

    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from error


class VideoWriter:
    """An open container with a video track, and the other tracks of the template.

    live: whatever is written is playable about half a second later, also when the process is killed.
    empty: no picture came yet. Raises what libav raises; see write_errors.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        quality: int,
        *,
        template: VideoFileSource | None = None,
        live: bool = False,
    ) -> None:
        # cv2 is loaded by now: its windows hang on Linux after the other order.
        import av
        from av.video.reformatter import Colorspace, VideoReformatter

        suffix = path.suffix.lower()
        codec = _CODECS[suffix]
        self._info = info
        self._time_base = template.time_base if template else _LIVE_TIME_BASE
        self._longest_gap = _LIVE_KEY_INTERVAL / self._time_base if live else None  # between key frames
        self._zero = None if template is None else Fraction(0)  # when the video begins
        self._key_pts = 0
        self._waiting: av.VideoFrame | None = None  # until the next one tells its duration
        aspect = template.pixel_aspect if template else Fraction(1)
        self._encoder = _open_encoder(codec, info, self._time_base, aspect, quality, live)
        self._reformatter = VideoReformatter()
        self._matrix = Colorspace.ITU709
        self._tracks: Tracks | None = None
        self._carried = self._refused = 0  # packets of the tracks; packets that the muxer did not take
        options = (_LIVE_MUXER_OPTIONS if live else _MUXER_OPTIONS)[suffix]
        # "file:" keeps a colon in a name from being read as a protocol.
        self._container = av.open(f"file:{path}", "w", container_options=options)
        try:
            self._stream = _add_video_stream(self._container, codec, info, self._encoder)
            if template is not None:
                self._tracks = Tracks(template, self._container, suffix)
            self._container.start_encoding()
        except BaseException:
            self.close()
            raise

    @property
    def empty(self) -> bool:
        return self._waiting is None

    def write(self, image: Image, timestamp: float) -> None:
        """Take a picture to be shown at a time, in seconds, after all before it.

        The time is the template's, or else one whose zero is the first picture.

        It is encoded when the next one comes. Raises TypeError or ValueError for another kind or size.
        """
        if check_image(image).shape[:2] != (self._info.height, self._info.width):
            raise ValueError(f"a frame of shape {image.shape} came for {self._info}")
        picture = self._picture(image)
        if self._zero is None:
            self._zero = Fraction(timestamp)
        picture.pts = round((Fraction(timestamp) - self._zero) / self._time_base)
        shown, self._waiting = self._waiting, picture
        if shown is not None:
            previous = shown.pts or 0
            picture.pts = max(picture.pts, previous + 1)
            shown.duration = picture.pts - previous
            self._write(shown)

    def finish(self, last_duration: Fraction = Fraction(0)) -> None:
        """Write what is left and close. last_duration: seconds of the last picture; 0 if unknown."""
        if self._waiting is not None:
            self._waiting.duration = round((last_duration or 1 / _rate(self._info)) / self._time_base)
            self._write(self._waiting)
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

    def _picture(self, image: Image) -> av.VideoFrame:
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
        picture.time_base = self._time_base
        return picture

    def _write(self, picture: av.VideoFrame) -> None:
        """Encode a picture, and bring the other tracks up to its time."""
        from av.video.frame import PictureType

        pts = picture.pts or 0
        # Would the next one be too late for the next key frame?
        if self._longest_gap is not None and pts + picture.duration - self._key_pts > self._longest_gap:
            picture.pict_type = PictureType.I
            self._key_pts = pts
        self._encode(picture)
        if self._tracks is not None:
            self._carry(self._tracks.take_until(pts * self._time_base))

    def _encode(self, picture: av.VideoFrame | None) -> None:
        for packet in self._encoder.encode(picture):
            packet.stream = self._stream
            packet.time_base = self._time_base
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
    codec: str, info: VideoInfo, time_base: Fraction, aspect: Fraction, quality: int, live: bool
) -> VideoCodecContext:
    from av.codec.context import CodecContext, Flags

    encoder: Any = CodecContext.create(codec, "w")  # PyAV's types know no codec by a variable name
    worst, best = _CRF_RANGE[codec]
    options = (_LIVE_ENCODER_OPTIONS if live else _ENCODER_OPTIONS)[codec]
    encoder.options = options | {"crf": str(round(worst + (best - worst) * quality / 100))}
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
    # Two cores have the network and the smoothing to do: an encoder of three threads gets in the way of both.
    encoder.thread_count = 1 if (os.cpu_count() or 1) <= 2 else 0  # 0: as many as it likes
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


def _rate(info: VideoInfo) -> Fraction:
    # 29.97002997 back into 30000/1001
    return Fraction(info.fps).limit_denominator(10_000) if info.fps > 0 else Fraction(25)
