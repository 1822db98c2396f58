"""Makes small videos for the tests, and reads videos back without the code under test."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from livestyle.frame import Image

RATE = Fraction(25)
# One line of Advanced SubStation: libav's encoders of text subtitles want some header.
_ASS_HEADER = b"[Script Info]\r\nScriptType: v4.00+\r\n"


def picture(index: int, width: int = 64, height: int = 48) -> Image:
    """Red, green and blue quarters clockwise from the top left; the fourth's grey tells the index, to 23."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 220
    image[: height // 2, width // 2 :, 1] = 220
    image[height // 2 :, width // 2 :, 2] = 220
    image[height // 2 :, : width // 2] = 20 + 10 * index
    return image


def index_of(image: Image) -> int:
    """Which picture() an image is, upright."""
    height, width = image.shape[:2]
    grey = image[height * 5 // 8 : height * 7 // 8, width // 8 : width * 3 // 8].mean()
    return round((float(grey) - 20) / 10)


@dataclass(frozen=True)
class Sound:
    codec: str = "aac"
    seconds: float = 0.4
    language: str = "eng"
    start: float = 0.0


@dataclass(frozen=True)
class Subtitles:
    codec: str = "subrip"
    lines: tuple[tuple[float, float, str], ...] = ((0.0, 0.2, "one"), (0.24, 0.36, "two & three"))
    language: str = "deu"


def write_clip(
    path: Path,
    *,
    width: int = 64,
    height: int = 48,
    pts: Sequence[int] = range(10),
    time_base: Fraction = 1 / RATE,
    codec: str = "libx264",
    tracks: Sequence[Sound | Subtitles] = (),
    options: dict[str, str] | None = None,
    format: str | None = None,
    period: int = 24,
    aspect: Fraction | None = None,
    chapters: bool = False,
    matrix: int | None = None,
) -> Path:
    """A video of picture(0), picture(1), … at the given times, with a key frame every 5 frames.

    matrix: what the file says its colours are, whatever they are (ITU-T H.273, MatrixCoefficients).
    """
    import av

    container: Any  # PyAV's types know no codec by a variable name
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        rate = Fraction(len(pts) - 1, (pts[-1] - pts[0])) / time_base if len(pts) > 1 else RATE
        video = container.add_stream(codec, rate=rate, width=width, height=height)
        video.codec_context.time_base = time_base
        video.codec_context.gop_size = 5
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            video.codec_context.colorspace = matrix
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec == "libx264":
            video.codec_context.options = {"crf": "12"}
        outputs = [_add_track(container, track) for track in tracks]
        container.metadata["title"] = "A clip"
        if chapters:
            unit = Fraction(1, 1000)
            halves = [(0, 200, "first"), (200, 400, "second")]
            container.set_chapters(
                [
                    {
                        "id": number,
                        "start": start,
                        "end": end,
                        "time_base": unit,
                        "metadata": {"title": title},
                    }
                    for number, (start, end, title) in enumerate(halves)
                ]
            )
        for index, at in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(index % period, width, height), "rgb24")
            frame.pts, frame.time_base = at, time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, output in zip(tracks, outputs, strict=True):
            container.mux(_packets(track, output))
    return path


def _add_track(container: Any, track: Sound | Subtitles) -> Any:
    if isinstance(track, Sound):
        output = container.add_stream(track.codec, rate=48000)
        output.layout = "mono"
    else:
        output = container.add_stream(track.codec)
        output.codec_context.subtitle_header = _ASS_HEADER
        output.time_base = Fraction(1, 1000)
    output.metadata["language"] = track.language
    return output


def _packets(track: Sound | Subtitles, output: Any) -> list[Any]:
    import av

    if isinstance(track, Sound):
        count = round(track.seconds * 48000)
        wave = np.sin(2 * np.pi * 440 * np.arange(count) / 48000)
        samples = (wave * 8000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, round(track.start * 48000), Fraction(1, 48000)
        return [*output.encode(frame), *output.encode(None)]
    packets = []
    for start, end, text in track.lines:
        data = text.encode()
        packet = av.Packet(struct.pack(">H", len(data)) + data if track.codec == "mov_text" else data)
        packet.stream, packet.time_base = output, Fraction(1, 1000)
        packet.pts = packet.dts = round(start * 1000)
        packet.duration = round((end - start) * 1000)
        packets.append(packet)
    return packets


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into an mp4's first track: a stored (p, q) is shown at (ap + cq, bp + dq)."""
    content = bytearray(path.read_bytes())
    # tkhd, version 0: 4 bytes of version, 32 of times and ids, 8 more before the matrix (ISO 14496-12)
    at = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    content[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def trim(path: Path, start: float, seconds: float) -> Path:
    """Show a stretch of an mp4 as lossless trimmers do: in the edit list of its first track alone."""
    content = bytearray(path.read_bytes())
    # version 0 of each box: 4 bytes of version, then 8 of dates, or of a count (ISO 14496-12)
    movie, media, edit = (content.index(kind) + 4 for kind in (b"mvhd", b"mdhd", b"elst"))
    (movie_rate,), (media_rate,) = (struct.unpack_from(">I", content, at + 12) for at in (movie, media))
    (begin,) = struct.unpack_from(">i", content, edit + 12)
    struct.pack_into(">Ii", content, edit + 8, round(seconds * movie_rate), begin + round(start * media_rate))
    path.write_bytes(content)
    return path


@dataclass(frozen=True)
class Track:
    kind: str
    codec: str
    language: str | None
    packets: list[tuple[float, str]]  # time in seconds, MD5 of the bytes

    @property
    def hashes(self) -> list[str]:
        return [digest for _, digest in self.packets]


@dataclass(frozen=True)
class ReadBack:
    pts: list[int]
    time_base: Fraction
    images: list[Image]
    video_codec: str
    tracks: list[Track]
    metadata: dict[str, str]
    chapters: list[tuple[float, float, str]]

    @property
    def times(self) -> list[Fraction]:
        return [pts * self.time_base for pts in self.pts]


def read_back(path: Path) -> ReadBack:
    import av

    container: Any
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = list(container.decode(video))
        pts = [frame.pts for frame in frames]
        images = [frame.to_ndarray(format="rgb24") for frame in frames]
        tags = dict(container.metadata)
        chapters = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]
        time_base, codec = video.time_base, video.codec_context.codec.canonical_name
    return ReadBack(pts, time_base, images, codec, read_tracks(path), tags, chapters)


def read_tracks(path: Path) -> list[Track]:
    import av

    container: Any
    with av.open(str(path)) as container:
        others = [stream for stream in container.streams if stream.type in ("audio", "subtitle")]
        packets: dict[int, list[tuple[float, str]]] = {stream.index: [] for stream in others}
        for packet in container.demux(others) if others else ():
            if packet.pts is not None:
                digest = hashlib.md5(bytes(packet)).hexdigest()
                packets[packet.stream_index].append((float(packet.pts * packet.time_base), digest))
        return [
            Track(
                stream.type,
                stream.codec_context.codec.canonical_name,
                stream.language,
                packets[stream.index],
            )
            for stream in others
        ]


def write_animation(path: Path, count: int) -> Path:
    """picture(0), picture(1), … as a GIF or an animated PNG."""
    import av

    codec, pixels = {".gif": ("gif", "rgb8"), ".png": ("apng", "rgb24")}[path.suffix]
    container: Any
    with av.open(str(path), "w", format=codec) as container:
        video = container.add_stream(codec, rate=10, width=64, height=48)
        video.pix_fmt = pixels
        for index in range(count):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(index), "rgb24")))
        container.mux(video.encode(None))
    return path
