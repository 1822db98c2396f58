"""Carries the sound and the subtitles of one video file into another, packet by packet."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, cast

from livestyle.video_container import exact, open_video
from livestyle.video_source import SEEK_MARGIN, VideoFileSource

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.subtitles.codeccontext import SubtitleCodecContext
    from av.subtitles.stream import SubtitleStream

_log = logging.getLogger(__name__)

# What is copied as it is: what the players of these files play, which is less than their muxers take.
# Matroska takes nearly everything, and its players too.
_COPIED = {
    ".mp4": {"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus", "mov_text"},
    ".mov": {
        "aac",
        "mp3",
        "ac3",
        "eac3",
        "alac",
        "mov_text",
        "pcm_s16le",
        "pcm_s16be",
        "pcm_s24le",
        "pcm_s24be",
    },
    ".webm": {"opus", "vorbis", "webvtt"},
}
# What the rest becomes: audio, text subtitles.
_CONVERTED = {
    ".mp4": ("aac", "mov_text"),
    ".mov": ("aac", "mov_text"),
    ".mkv": ("aac", "subrip"),
    ".webm": ("libopus", "webvtt"),
}
_TEXT_SUBTITLES = {"subrip", "ass", "webvtt", "mov_text", "text"}
_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}  # by channels; others become stereo
_BITS_PER_CHANNEL = 96_000  # per second
_PAUSE = b"\0\0"  # a mov_text packet of no characters
_KEPT_TAGS = ("language", "title", "handler_name")
# QuickTime knows these languages only by the older of their two ISO 639-2 codes.
_OLDER_CODES = {
    **{"bod": "tib", "ces": "cze", "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per"},
    **{"fra": "fre", "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac", "mri": "mao", "msa": "may"},
    **{"mya": "bur", "nld": "dut", "ron": "rum", "slk": "slo", "sqi": "alb", "zho": "chi"},
}
# Facts about the old file, which the new one says itself.
_DROPPED_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}


class Tracks:
    """The audio and subtitle tracks of a source's file, on their way into a container.

    A track that the container cannot hold is converted; one that cannot be converted is named in a warning
    and left out. Tags, chapters and, in Matroska, attached fonts come along.
    Of a source with a start or an end, packets that begin outside are left out and the rest is moved with it.
    """

    def __init__(self, source: VideoFileSource, container: OutputContainer, suffix: str) -> None:
        self._source = source
        # A demuxer of its own: the source's may be read by another thread, and far ahead.
        self._input, picture = open_video(source.path)
        try:
            self._carriers = self._plan(picture, container, suffix)
            self._copy_tags(container)
            self._packets = self._read()
            self._next = next(self._packets, None)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._input.close()

    def take_until(self, timestamp: Fraction) -> Iterator[Packet[Any]]:
        """The packets that begin by a time, ready for the container."""
        while self._next is not None and _time(self._next) <= timestamp:
            packet, self._next = self._next, next(self._packets, None)
            yield from self._carriers[packet.stream_index].carry(packet)

    def take_rest(self) -> Iterator[Packet[Any]]:
        while self._next is not None:
            yield from self.take_until(_time(self._next))
        for carrier in self._carriers.values():
            yield from carrier.finish()

    def _plan(self, picture: Stream, container: OutputContainer, suffix: str) -> dict[int, _Carrier]:
        carriers: dict[int, _Carrier] = {}
        for stream in self._input.streams:
            if stream is picture:
                continue
            carrier = _carrier(stream, container, suffix)
            if carrier is not None:
                carriers[stream.index] = carrier
            elif stream.type == "attachment" and suffix == ".mkv":
                container.add_stream_from_template(stream)
            else:
                # Phones add several tracks of sensor data; nobody misses those, or a cover.
                missed = stream.type in ("audio", "subtitle") or (
                    stream.type == "video" and stream.frames > 1
                )
                level = logging.WARNING if missed else logging.INFO
                _log.log(level, "%s: %s is left out of the %s", self._source.path, _describe(stream), suffix)
        return carriers

    def _copy_tags(self, container: OutputContainer) -> None:
        tags = self._input.metadata.items()
        container.metadata.update({key: value for key, value in tags if key.lower() not in _DROPPED_TAGS})
        chapters = self._input.chapters()
        for chapter in chapters:
            unit = exact(chapter["time_base"] or Fraction(1))
            shift = round(self._source.origin / unit)
            chapter["start"] = max(0, chapter["start"] - shift)
            chapter["end"] -= shift
            if self._source.stretch is not None:
                chapter["end"] = min(chapter["end"], round(self._source.stretch / unit))
        container.set_chapters([chapter for chapter in chapters if chapter["start"] < chapter["end"]])

    def _read(self) -> Iterator[Packet[Any]]:
        """Packets of the carried streams in the order of the file, moved and cut as the source is."""
        import av

        origin, stretch = self._source.origin, self._source.stretch
        streams = [stream for stream in self._input.streams if stream.index in self._carriers]
        if not streams:
            return
        for stream in self._input.streams:
            if stream not in streams:
                stream.discard = av.stream.Discard.all
        try:
            if self._source.trimmed and origin > SEEK_MARGIN:
                self._input.seek(int((origin - SEEK_MARGIN) * 1_000_000))
            for packet in self._input.demux(streams):
                if packet.pts is None and packet.dts is None:  # the demuxer's end mark
                    continue
                shift = round(origin / exact(packet.time_base))
                packet.pts = None if packet.pts is None else packet.pts - shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                time = _time(packet)
                if (time >= 0 or not self._source.trimmed) and (stretch is None or time < stretch):
                    yield packet
        except (
            av.FFmpegError,
            IndexError,
        ):  # IndexError: PyAV, in a broadcast that gained a track on the way
            _log.warning("%s is damaged: its sound and subtitles end early", self._source.path)


class _Carrier(Protocol):
    def carry(self, packet: Packet[Any]) -> Iterator[Packet[Any]]: ...
    def finish(self) -> Iterator[Packet[Any]]: ...


def _carrier(stream: Stream, container: OutputContainer, suffix: str) -> _Carrier | None:
    if stream.type not in ("audio", "subtitle") or stream.codec_context is None:
        return None
    if stream.type == "audio" and not cast("AudioStream", stream).rate:
        return None  # damaged: not even its header can be written
    codec = stream.codec_context.codec.canonical_name
    if suffix not in _COPIED or codec in _COPIED[suffix]:
        try:
            return _Copied(stream, container)
        except ValueError:  # the muxer has no way to write it
            pass
    audio_codec, subtitle_codec = _CONVERTED[suffix]
    if stream.type == "audio":
        return _ConvertedAudio(cast("AudioStream", stream), container, audio_codec)
    if codec in _TEXT_SUBTITLES:
        return _converted_subtitles(cast("SubtitleStream", stream), container, subtitle_codec)
    return None


class _Copied:
    def __init__(self, stream: Stream, container: OutputContainer) -> None:
        self._output = container.add_stream_from_template(stream)
        _label(stream, self._output)
        self._last_dts: int | None = None
        # The muxer writes the pauses between mov_text packets itself; copied ones would be twice there.
        self._writes_pauses = stream.codec_context.codec.canonical_name == "mov_text"

    def carry(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        if self._writes_pauses and bytes(packet) == _PAUSE:
            return
        if packet.dts is not None and self._last_dts is not None and packet.dts <= self._last_dts:
            # Muxers refuse a time that does not grow; damaged and badly cut files have some.
            packet.dts = self._last_dts + 1
            packet.pts = max(packet.dts, packet.dts if packet.pts is None else packet.pts)
        self._last_dts = packet.dts
        packet.stream = self._output
        yield packet

    def finish(self) -> Iterator[Packet[Any]]:
        yield from ()


class _ConvertedAudio:
    def __init__(self, stream: AudioStream, container: OutputContainer, codec: str) -> None:
        import av

        rates = av.Codec(codec, "w").audio_rates or []
        rate = stream.rate if stream.rate in rates else 48000
        self._output = cast("AudioStream", container.add_stream(codec, rate=rate))
        self._output.layout = _LAYOUTS.get(stream.layout.nb_channels, "stereo")
        self._output.bit_rate = _BITS_PER_CHANNEL * self._output.layout.nb_channels
        self._input = stream
        _label(stream, self._output)

    def carry(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        import av

        try:
            frames = self._input.decode(packet)
        except av.FFmpegError:
            return  # a moment of silence
        for frame in frames:
            yield from self._encoded(frame)

    def finish(self) -> Iterator[Packet[Any]]:
        yield from self._encoded(None)

    def _encoded(self, frame: AudioFrame | None) -> list[Packet[Any]]:
        import av

        try:
            return self._output.encode(frame)
        except (av.FFmpegError, ValueError):  # the sound changed its rate or its channels on the way
            return []


def _converted_subtitles(
    stream: SubtitleStream, container: OutputContainer, codec: str
) -> _ConvertedSubtitles | None:
    import av

    decoder = stream.codec_context
    trial = cast("SubtitleCodecContext", av.CodecContext.create(codec, "w"))
    try:
        decoder.open(strict=False)  # makes the header, which describes the text's look
        trial.subtitle_header = decoder.subtitle_header
        trial.time_base = Fraction(1, 1000)
        trial.open()
    except av.FFmpegError:  # once it is in the container, a stream cannot be taken back
        return None
    return _ConvertedSubtitles(stream, container, codec)


class _ConvertedSubtitles:
    def __init__(self, stream: SubtitleStream, container: OutputContainer, codec: str) -> None:
        self._decoder = stream.codec_context
        self._output = cast("SubtitleStream", container.add_stream(codec))
        self._output.codec_context.subtitle_header = self._decoder.subtitle_header
        self._output.time_base = stream.time_base
        _label(stream, self._output)

    def carry(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        import av

        try:
            subtitle = self._decoder.decode2(packet)
            if subtitle is None:  # a pause
                return
            converted = self._output.codec_context.encode_subtitle(subtitle)
        except av.FFmpegError:
            return
        converted.pts = converted.dts = packet.pts
        converted.duration = packet.duration
        converted.time_base = packet.time_base
        converted.stream = self._output
        yield converted

    def finish(self) -> Iterator[Packet[Any]]:
        yield from ()


def _time(packet: Packet[Any]) -> Fraction:
    ticks = packet.dts if packet.pts is None else packet.pts
    return (ticks or 0) * exact(packet.time_base)


def _label(stream: Stream, output: Stream) -> None:
    output.metadata.update({key: stream.metadata[key] for key in _KEPT_TAGS if key in stream.metadata})
    if output.container.format.name == "mov" and stream.language in _OLDER_CODES:
        output.metadata["language"] = _OLDER_CODES[stream.language]
    output.disposition = stream.disposition.value  # type: ignore[assignment]


def _describe(stream: Stream) -> str:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown codec"
    language = f", {stream.language[:20]}" if stream.language else ""
    return f"{stream.type} track {stream.index} ({codec}{language})"
