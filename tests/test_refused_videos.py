"""What is no video is refused in one sentence: photos, broken and cut files, stretches without frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from clips import Sound, picture, write_animation, write_clip

from livestyle.errors import SourceError
from livestyle.video_picture import RgbReader
from livestyle.video_source import VideoFileSource


def without_size(path: Path) -> None:
    """An mp4 that says 0 x 0, without the header in which its codec says more."""
    content = write_clip(path, codec="mpeg4").read_bytes()
    at = content.index(b"mp4v") + 4 + 24  # the width in the sample entry (ISO 14496-12)
    path.write_bytes((content[:at] + bytes(4) + content[at + 4 :]).replace(b"esds", b"free"))


def without_index(path: Path) -> None:
    write_clip(path)
    path.write_bytes(path.read_bytes()[:1000])


def without_video(path: Path) -> None:
    write_clip(path.with_name("whole.mp4"), tracks=[Sound()])
    import av

    with av.open(str(path.with_name("whole.mp4"))) as given, av.open(str(path), "w") as container:
        output = container.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(given.streams.audio[0]):
            if packet.pts is not None:
                packet.stream = output
                container.mux(packet)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".gif", ".heic", ".mp4"])
def test_a_photo_is_no_film_of_one_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    if suffix == ".gif":
        write_animation(path, 1)
    elif suffix == ".heic":  # the same boxes as in an .mp4, and another brand
        film = write_clip(tmp_path / "film.mp4", pts=[0]).read_bytes()
        path.write_bytes(film.replace(b"ftypisom", b"ftypheic"))
    else:  # the content counts, not the name
        kind = suffix if suffix != ".mp4" else ".jpg"
        path.write_bytes(cv2.imencode(kind, picture(0))[1].tobytes())
    for options in ({}, {"start": 1.0}, {"end": 0.01}):
        with pytest.raises(SourceError, match=r"is a picture, not a video; `livestyle image IN OUT` paints"):
            VideoFileSource(path, **options)  # type: ignore[arg-type]


def test_a_photo_of_many_pixels_is_no_broken_film() -> None:
    photo = Path(__file__).parent / "data" / "astronaut.jpg"
    with pytest.raises(SourceError, match=r"astronaut\.jpg is a picture, not a video; `livestyle image IN"):
        VideoFileSource(photo)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.mp4": (lambda path: None, "there is no video"),
    "folder.mp4": (lambda path: path.mkdir(), "is a folder"),
    "empty.mp4": (lambda path: path.touch(), "is empty"),
    "text.mp4": (lambda path: path.write_text("Dear diary,\n" * 100), "not a video"),
    "text.txt": (lambda path: path.write_text("Dear diary,\n" * 100), "no video in it"),
    "lines.mp4": (
        lambda path: path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 9),
        "not a video",
    ),
    "cut.mp4": (without_index, "cut short"),
    "sound.mp4": (without_video, "no video in it"),
    "zero.mp4": (without_size, "0 x 0"),
    "huge.mkv": (lambda path: write_clip(path, width=16_386, codec="ffv1", pts=[0]), "16386 x 48"),
    f"{'long' * 100}.mp4": (lambda path: None, "too long"),
    "null\0.mp4": (lambda path: None, "null"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    make, words = BAD[name]
    path = tmp_path / name
    make(path)
    with pytest.raises(SourceError, match=words) as raised:
        VideoFileSource(path)
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": 5.0}, r"nothing to read from 5 s on: .*a\.mp4 ends at 0\.4 s; give an earlier start"),
        ({"start": 0.4}, "ends at 0.4 s"),
        ({"start": 0.361}, "ends at 0.4 s"),
        ({"start": 0.33, "end": 0.35}, "no frame from 0.33 s to that end; give a later one"),
        ({"start": 0.3, "end": 0.3}, "not after the start"),
        ({"start": 0.3, "end": 0.1}, "not after the start"),
        ({"end": 0.0}, "not after the start"),
        ({"start": -1.0}, "start at 0 or later"),
        ({"start": float("nan")}, "start at 0 or later"),
        ({"end": float("nan")}, "not after the start"),
    ],
)
def test_a_stretch_without_frames_is_refused(tmp_path: Path, options: dict[str, float], words: str) -> None:
    path = write_clip(tmp_path / "a.mp4")
    with pytest.raises(SourceError, match=words):
        VideoFileSource(path, **options)  # type: ignore[arg-type]


def test_pixels_that_nothing_turns_into_rgb_are_refused() -> None:
    import av

    to_rgb = RgbReader(Path("a.nut"))
    with pytest.raises(SourceError, match=r"cannot read a\.nut: nothing turns its gray32le pixels into RGB;"):
        to_rgb(av.VideoFrame(64, 48, "gray32le"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("holiday.mp4", "ffconcat version 1.0\nfile private.mp4\n"),
        ("holiday.mp4", "ffconcat version 1.0\nfile holiday.mp4\n"),
        ("holiday.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nprivate.mp4\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_list_of_other_files_is_no_video(name: str, text: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "private.mp4")
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=f"{name}: it is not a video"):
        VideoFileSource(tmp_path / name)
