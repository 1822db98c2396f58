from __future__ import annotations

import logging
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clips import ReadBack, Sound, Subtitles, Track, read_back, read_tracks, write_clip

from livestyle.video_sink import VideoFileSink
from livestyle.video_source import VideoFileSource

LINES = ((0.0, 0.2, "one"), (0.24, 0.36, "two & three"))


def copy(given: Path, out: Path, **stretch: float | None) -> ReadBack:
    with (
        VideoFileSource(given, **stretch) as source,  # type: ignore[arg-type]
        VideoFileSink(out, source.info, template=source) as sink,
    ):
        for frame in source:
            sink.write(frame)
    return read_back(out)


def texts(path: Path) -> list[tuple[float, str]]:
    """Time and plain words of each subtitle."""
    import av

    container: Any
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        words = []
        for packet in container.demux(stream):
            if packet.pts is not None:
                for line in stream.codec_context.decode2(packet) or ():
                    text = line.dialogue.decode() if line.dialogue else line.text.decode()
                    words.append((float(packet.pts * packet.time_base), text))
        return words


# What players of a kind of file play is copied as it is, to the byte.
@pytest.mark.parametrize(
    ("given", "out", "tracks"),
    [
        ("in.mp4", "out.mp4", [Sound()]),
        ("in.mp4", "out.mp4", [Sound(), Sound("ac3", language="fra"), Subtitles("mov_text")]),
        ("in.mp4", "out.mkv", [Sound(), Sound("libmp3lame", language="fra")]),
        ("in.mp4", "out.mov", [Sound(language="deu")]),
        ("in.mov", "out.mov", [Sound("pcm_s16le"), Subtitles("mov_text", language="eng")]),
        ("in.mkv", "out.mkv", [Sound("flac"), Sound("libopus"), Subtitles("subrip"), Subtitles("ass")]),
        ("in.mkv", "out.mp4", [Sound("libopus")]),
        ("in.mkv", "out.webm", [Sound("libopus")]),
        ("in.webm", "out.webm", [Sound("libopus"), Subtitles("webvtt")]),
        ("in.avi", "out.mp4", [Sound("libmp3lame")]),
        ("in.avi", "out.mkv", [Sound("pcm_s16le")]),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(track.codec for track in value),
)
def test_packets_are_copied_to_the_byte(
    tmp_path: Path, given: str, out: str, tracks: list[Sound | Subtitles], caplog: pytest.LogCaptureFixture
) -> None:
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(Path(given).suffix, "libx264")
    # longer than the video: what comes after its end is sound too
    tracks = [
        Sound(track.codec, 0.8, track.language) if isinstance(track, Sound) else track for track in tracks
    ]
    path = write_clip(tmp_path / given, codec=codec, tracks=tracks)
    got = copy(path, tmp_path / out)
    expected = read_tracks(path)
    assert len(expected) == len(tracks)
    assert [track.codec for track in got.tracks] == [track.codec for track in expected]
    for one, other in zip(got.tracks, expected, strict=True):
        assert one.hashes == other.hashes
        assert [at for at, _ in one.packets] == pytest.approx([at for at, _ in other.packets], abs=0.001)
    if not given.endswith("avi"):  # which has no languages
        older = {"deu": "ger", "fra": "fre"} if out.endswith("mov") else {}
        assert [track.language for track in got.tracks] == [
            older.get(track.language, track.language) for track in tracks
        ]
    assert got.times == pytest.approx(read_back(path).times, abs=0.0005)
    assert caplog.records == []


def test_without_other_tracks_there_are_none(tmp_path: Path) -> None:
    assert copy(write_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4").tracks == []


@pytest.mark.parametrize(
    ("given", "out", "track", "codec"),
    [
        ("in.avi", "out.mp4", Sound("pcm_s16le"), "aac"),
        ("in.mkv", "out.mov", Sound("libopus"), "aac"),
        ("in.mp4", "out.webm", Sound("aac"), "opus"),
        ("in.mkv", "out.webm", Sound("flac"), "opus"),
    ],
)
def test_sound_that_the_file_cannot_hold_is_converted(
    tmp_path: Path, given: str, out: str, track: Sound, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    import av

    path = write_clip(tmp_path / given, codec="mpeg4" if given.endswith("avi") else "libx264", tracks=[track])
    got = copy(path, tmp_path / out)
    assert [one.codec for one in got.tracks] == [codec]
    container: Any
    with av.open(str(tmp_path / out)) as container:
        frames = list(container.decode(audio=0))
    assert sum(frame.samples for frame in frames) / 48000 == pytest.approx(0.4, abs=0.03)
    # a tone of 440 Hz crosses zero 880 times a second
    samples = frames[len(frames) // 2].to_ndarray()[0]
    crossings = int((samples[:-1] * samples[1:] < 0).sum())
    assert crossings / len(samples) * 48000 == pytest.approx(880, rel=0.15)
    assert got.times == pytest.approx([index / 25 for index in range(10)], abs=0.0005)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("given", "codec", "out", "becomes"),
    [
        ("in.mkv", "subrip", "out.mp4", "mov_text"),
        ("in.mkv", "subrip", "out.mov", "mov_text"),
        ("in.mkv", "subrip", "out.webm", "webvtt"),
        ("in.mp4", "mov_text", "out.mkv", "subrip"),
        ("in.mp4", "mov_text", "out.webm", "webvtt"),
    ],
)
def test_subtitles_that_the_file_cannot_hold_are_converted(
    tmp_path: Path, given: str, codec: str, out: str, becomes: str
) -> None:
    path = write_clip(tmp_path / given, tracks=[Subtitles(codec, LINES)])
    got = copy(path, tmp_path / out)
    assert [track.codec for track in got.tracks] == [becomes]
    found = [(at, text) for at, text in texts(tmp_path / out) if text.strip()]
    assert [at for at, _ in found] == pytest.approx([0.0, 0.24], abs=0.001)
    assert [words in text for words, (_, text) in zip(("one", "two & three"), found, strict=True)] == [
        True
    ] * 2


def test_a_track_that_cannot_be_carried_is_named_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_clip(tmp_path / "in.mkv", tracks=[Sound(), Subtitles("dvb_subtitle", ())])
    with caplog.at_level(logging.WARNING, "livestyle"):
        got = copy(path, tmp_path / "out.mp4")
    assert [track.codec for track in got.tracks] == ["aac"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: subtitle track 2 (dvb_subtitle, deu) is left out of the .mp4"
    ]


def test_dispositions_titles_and_chapters_come_along(tmp_path: Path) -> None:
    import av

    path = write_clip(tmp_path / "in.mkv", tracks=[Sound(), Sound(language="fra")], chapters=True)
    for out in ("out.mkv", "out.mp4"):
        got = copy(path, tmp_path / out)
        assert got.metadata["title"] == "A clip"
        assert got.chapters == [(0.0, 0.2, "first"), (0.2, 0.4, "second")]
        with av.open(str(path)) as one, av.open(str(tmp_path / out)) as other:
            expected = [stream.disposition.value for stream in one.streams.audio]
            if out.endswith("mkv"):  # mp4 has no such flags
                assert [stream.disposition.value for stream in other.streams.audio] == expected


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames, and 4 s of sound and subtitles."""
    lines = ((0.5, 1.0, "before"), (3.1, 3.3, "inside"), (3.6, 3.8, "after"))
    tracks: list[Sound | Subtitles] = [Sound("aac", 4.0), Subtitles("subrip", lines)]
    path = tmp_path_factory.mktemp("clips") / "in.mkv"
    return write_clip(path, pts=range(100), period=20, tracks=tracks, chapters=True)


@pytest.mark.parametrize("out", ["out.mp4", "out.mkv"])
def test_a_stretch_has_the_packets_that_begin_in_it_moved_to_zero(
    tmp_path: Path, long_clip: Path, out: str
) -> None:
    got = copy(long_clip, tmp_path / out, start=3.0, end=3.4)
    assert got.times == pytest.approx([index / 25 for index in range(10)], abs=0.0005)
    inside = [(at - 3.0, digest) for at, digest in read_tracks(long_clip)[0].packets if 3.0 <= at < 3.4]
    sound = got.tracks[0]
    assert sound.hashes == [digest for _, digest in inside]
    assert [at for at, _ in sound.packets] == pytest.approx([at for at, _ in inside], abs=0.001)
    # an AAC packet lasts 1024/48000 s: the sound begins less than one after the picture
    assert 0 <= sound.packets[0][0] < 1024 / 48000


def test_a_stretch_has_its_subtitles(tmp_path: Path, long_clip: Path) -> None:
    ((at, digest),) = copy(long_clip, tmp_path / "out.mkv", start=3.0, end=3.4).tracks[1].packets
    assert at == pytest.approx(0.1, abs=0.001)
    assert digest == read_tracks(long_clip)[1].hashes[1]


def test_a_stretch_has_its_part_of_the_chapters(tmp_path: Path, long_clip: Path) -> None:
    chapters = copy(long_clip, tmp_path / "out.mkv", start=0.12, end=0.32).chapters
    assert [title for _, _, title in chapters] == ["first", "second"]
    assert [at for start, end, _ in chapters for at in (start, end)] == pytest.approx([0, 0.08, 0.08, 0.2])
    assert copy(long_clip, tmp_path / "late.mkv", start=3.0).chapters == []


def test_with_only_an_end_the_sound_is_kept_from_its_first_packet(tmp_path: Path, long_clip: Path) -> None:
    sound = copy(long_clip, tmp_path / "out.mkv", end=0.4).tracks[0]
    assert sound.packets == [(at, digest) for at, digest in read_tracks(long_clip)[0].packets if at < 0.4]


def test_sound_is_taken_when_its_time_has_come(tmp_path: Path) -> None:
    """Nothing of a long file is held in memory, and players find sound and picture side by side."""
    path = write_clip(tmp_path / "in.mp4", pts=range(100), period=20, tracks=[Sound(seconds=4.0)])
    with (
        VideoFileSource(path) as source,
        VideoFileSink(tmp_path / "out.mkv", source.info, template=source) as sink,
    ):
        for frame in source:
            sink.write(frame)
    import av

    # in the order of the file, no packet is more than half a second from its neighbour in time
    with av.open(str(tmp_path / "out.mkv")) as container:
        times = [float(p.pts * p.time_base) for p in container.demux() if p.pts is not None]
    assert max(abs(one - other) for one, other in pairwise(times)) < 0.5


def test_late_sound_stays_late(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "in.mkv", tracks=[Sound("flac", start=0.2)])
    got: Track = copy(path, tmp_path / "out.mkv").tracks[0]
    assert got.packets[0][0] == pytest.approx(0.2, abs=0.001)
    assert got.packets == read_tracks(path)[0].packets


def test_a_broadcast_begins_at_zero_with_its_sound_in_time(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "in.ts", tracks=[Sound()], options={"output_ts_offset": "5000"})
    given = read_back(path)
    assert given.times[0] > 4999
    got = copy(path, tmp_path / "out.mp4")
    assert 0 <= got.times[0] < 0.1
    gap = float(given.times[0]) - given.tracks[0].packets[0][0]
    assert float(got.times[0]) - got.tracks[0].packets[0][0] == pytest.approx(gap, abs=0.001)
    assert [one - got.times[0] for one in got.times] == [Fraction(index, 25) for index in range(10)]
