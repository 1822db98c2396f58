from __future__ import annotations

import logging
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import index_of, picture, set_matrix, trim, write_animation, write_clip

from livestyle.errors import SourceError
from livestyle.frame import Image
from livestyle.video_source import VideoFileSource

NTSC = Fraction(1001, 30000)
VARIABLE = [0, 40, 120, 121, 400, 433, 1500]  # milliseconds


def read(path: Path, **options: float | None) -> tuple[VideoFileSource, list[int], list[float], list[Image]]:
    with VideoFileSource(path, **options) as source:  # type: ignore[arg-type]
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    images = [frame.image for frame in frames]
    return source, [index_of(image) for image in images], [frame.timestamp for frame in frames], images


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.webm", "a.avi", "a.ts"])
def test_every_frame_is_read_in_order(tmp_path: Path, name: str) -> None:
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(Path(name).suffix, "libx264")
    source, indexes, timestamps, _ = read(write_clip(tmp_path / name, codec=codec))
    assert indexes == list(range(10))
    assert timestamps == pytest.approx([index / 25 for index in range(10)], abs=0.0005)
    assert (source.info.width, source.info.height, source.info.fps) == (64, 48, 25.0)
    assert source.info.frame_count in (10, None)
    assert source.duration == pytest.approx(0.4, abs=0.05)


def test_a_file_that_says_its_frame_count_is_believed(tmp_path: Path) -> None:
    assert read(write_clip(tmp_path / "a.mp4"))[0].info.frame_count == 10


def test_the_frame_rate_is_never_rounded(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", pts=range(30), time_base=NTSC)
    source, _, timestamps, _ = read(path)
    assert source.info.fps == pytest.approx(30000 / 1001, rel=1e-9)
    assert timestamps == [float(index * NTSC) for index in range(30)]


def test_variable_timestamps_are_the_files_own(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", pts=VARIABLE, time_base=Fraction(1, 1000))
    source, _, timestamps, _ = read(path)
    assert timestamps == [at / 1000 for at in VARIABLE]
    assert source.time_base == Fraction(1, 1000)


def test_colours_are_read_right(tmp_path: Path) -> None:
    _, _, _, images = read(write_clip(tmp_path / "a.mp4"))
    for (row, column), name in {(12, 16): "red", (12, 48): "green", (36, 48): "blue"}.items():
        assert np.abs(images[0][row, column].astype(int) - picture(0)[row, column]).max() <= 4, name


@pytest.mark.parametrize("matrix", [8, 10, 11, 12, 13, 14])  # YCgCo, BT.2020 with constant luminance, …
def test_a_matrix_that_nobody_knows_is_the_usual_one(tmp_path: Path, matrix: int) -> None:
    _, _, _, images = read(write_clip(tmp_path / "a.mp4", pts=range(2), matrix=matrix))
    _, _, _, usual = read(write_clip(tmp_path / "b.mp4", pts=range(2)))
    np.testing.assert_array_equal(images, usual)


# A 64x48 picture has red top left, green top right, blue bottom right, grey bottom left.
# Where red and green are shown, by hand: rotate a sheet of paper, then look in a mirror.
@pytest.mark.parametrize(
    ("matrix", "size", "red", "green"),
    [
        ((1, 0, 0, 1), (64, 48), "top left", "top right"),
        ((0, 1, -1, 0), (48, 64), "top right", "bottom right"),  # 90 degrees clockwise: a phone held upright
        ((-1, 0, 0, -1), (64, 48), "bottom right", "bottom left"),
        ((0, -1, 1, 0), (48, 64), "bottom left", "top left"),  # 90 degrees counterclockwise
        ((-1, 0, 0, 1), (64, 48), "top right", "top left"),  # mirrored: a selfie camera
        ((1, 0, 0, -1), (64, 48), "bottom left", "bottom right"),
        ((0, 1, 1, 0), (48, 64), "top left", "bottom left"),
        ((0, -1, -1, 0), (48, 64), "bottom right", "top right"),
    ],
)
def test_pictures_are_shown_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], size: tuple[int, int], red: str, green: str
) -> None:
    source, _, _, images = read(set_matrix(write_clip(tmp_path / "a.mp4"), *matrix))
    width, height = size
    assert (source.info.width, source.info.height) == size
    assert images[0].shape == (height, width, 3)
    assert images[0].flags.c_contiguous
    places = {
        f"{row} {column}": images[0][y * height // 4, x * width // 4]
        for row, y in (("top", 1), ("bottom", 3))
        for column, x in (("left", 1), ("right", 3))
    }
    assert np.abs(places[red].astype(int) - (220, 0, 0)).max() <= 6
    assert np.abs(places[green].astype(int) - (0, 220, 0)).max() <= 6


def test_pictures_with_a_camera_tag_are_upright_too(tmp_path: Path) -> None:
    encoded = cv2.imencode(".jpg", cv2.cvtColor(picture(0), cv2.COLOR_RGB2BGR))[1].tobytes()
    tag = b"Exif\0\0MM\0*\0\0\0\x08" + bytes.fromhex("0001 0112 0003 00000001 0006 0000 00000000")
    # orientation 6: shown 90 degrees clockwise
    photo = encoded[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + encoded[2:]
    path = tmp_path / "film.mjpeg"
    path.write_bytes(photo * 2)
    source, _, _, images = read(path)
    assert (source.info.width, source.info.height) == (48, 64)
    assert np.abs(images[0][16, 36].astype(int) - (220, 0, 0)).max() <= 6


@pytest.mark.parametrize(
    ("height", "size"),
    [(24, (32, 24)), (47, (63, 47)), (48, (64, 48)), (1000, (64, 48)), (1, (1, 1)), (None, (64, 48))],
)
def test_height_scales_down_and_never_up(tmp_path: Path, height: int | None, size: tuple[int, int]) -> None:
    with VideoFileSource(write_clip(tmp_path / "a.mp4"), height=height) as source:
        assert (source.info.width, source.info.height) == size
        assert next(iter(source)).image.shape[1::-1] == size


def test_height_is_of_the_upright_picture(tmp_path: Path) -> None:
    path = set_matrix(write_clip(tmp_path / "a.mp4"), 0, 1, -1, 0)
    assert read(path, height=32)[0].info.width == 24


@pytest.mark.parametrize(
    ("start", "end", "indexes"),
    [
        (0, None, range(100)),
        (0, 0.2, range(5)),  # the frame at the end is not shown
        (0.2, 0.36, range(5, 9)),
        (0.21, 0.36, range(6, 9)),
        (3.0, None, range(75, 100)),  # far enough for a seek
        (3.0, 3.04, range(75, 76)),
        (2.99, 3.01, range(75, 76)),
        (3.96, 99.0, range(99, 100)),
        (0, float("inf"), range(100)),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_a_stretch_is_exact_to_the_frame(
    long_clips: dict[str, Path], name: str, start: float, end: float | None, indexes: range
) -> None:
    source, got, timestamps, _ = read(long_clips[name], start=start, end=end)
    assert got == [index % 20 for index in indexes]
    expected = [(index - indexes[0]) / 25 for index in indexes]
    assert timestamps == pytest.approx(expected, abs=1e-6)
    assert source.duration == pytest.approx(len(indexes) / 25, abs=0.041)


def test_decimal_seconds_hit_the_frame_that_they_mean(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", pts=range(20), time_base=NTSC)
    # frame 10 is at 10 * 1001/30000 = 0.33366…, typed as a float either side of it
    for start in (float(10 * NTSC), 0.333666666, 0.333666667):
        assert read(path, start=start)[1][0] == 10


def test_a_broken_piece_is_skipped_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_clip(tmp_path / "a.mkv", codec="mjpeg", pts=range(10))
    content = bytearray(path.read_bytes())
    starts = [at for at in range(len(content)) if content[at : at + 3] == b"\xff\xd8\xff"]
    for at in starts[4:6]:
        content[at : at + 600] = bytes(600)  # less, and the decoder makes do
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "livestyle"):
        _, indexes, timestamps, _ = read(path)
    assert indexes == [0, 1, 2, 3, 6, 7, 8, 9]
    assert timestamps[4] == pytest.approx(6 / 25)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged: 2 broken pieces were skipped"
    ]


def test_a_file_that_was_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv")
    path.write_bytes(path.read_bytes()[:-300])
    assert 0 < len(read(path)[1]) < 10


@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_an_animation_is_a_film(tmp_path: Path, name: str) -> None:
    path = write_animation(tmp_path / name, 3)
    assert read(path)[1] == [0, 1, 2]
    assert len(read(path, end=0.05)[1]) == 1


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.mp4").rename(tmp_path / "http:a %03d.mp4")
    assert read(path)[1] == list(range(10))


def test_tags_in_another_encoding_do_no_harm(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"A clip", b"\xc4 clip"))  # Latin-1
    assert read(path)[1] == list(range(10))


def test_av_waits_until_a_file_is_opened(tmp_path: Path) -> None:
    """Loaded before cv2, it would make cv2's windows hang on Linux."""
    code = (
        "import sys\n"
        "import livestyle.pipeline, livestyle.sinks, livestyle.sources, livestyle.video_sink\n"
        "print('cv2' in sys.modules, 'av' in sys.modules)\n"
        "from pathlib import Path\n"
        "with livestyle.sources.open_camera(sys.argv[1]):\n"
        "    print('av' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(write_clip(tmp_path / "a.mp4"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "True"]


def test_closing_in_the_middle_ends_the_frames(tmp_path: Path) -> None:
    source = VideoFileSource(write_clip(tmp_path / "a.mp4"))
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []


@pytest.fixture(scope="module")
def long_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """100 frames, whose pictures repeat after 20."""
    folder = tmp_path_factory.mktemp("clips")
    return {name: write_clip(folder / name, pts=range(100), period=20) for name in ("a.mp4", "a.ts")}


def test_a_file_with_fewer_frames_than_it_says_is_cut_off(tmp_path: Path) -> None:
    with VideoFileSource(write_clip(tmp_path / "a.mp4", pts=range(100))) as source:
        for count in (100, 90):
            source.refuse_cut_off(count)
        with pytest.raises(SourceError, match=r"only 89 of 100 frames can be read; `--end SECONDS` paints"):
            source.refuse_cut_off(89)
    with VideoFileSource(tmp_path / "a.mp4", end=1.0) as source:
        source.refuse_cut_off(25)


def test_a_trimmed_file_is_whole_with_the_frames_that_it_shows(tmp_path: Path) -> None:
    path = trim(write_clip(tmp_path / "a.mp4", pts=range(100), period=20), 0.28, 1.0)
    source, indexes, timestamps, _ = read(path)
    assert indexes == [index % 20 for index in range(7, 32)]
    assert (timestamps[0], source.info.frame_count) == (0, 25)
    source.refuse_cut_off(25)
    with pytest.raises(SourceError, match="only 22 of 25 frames can be read"):
        source.refuse_cut_off(22)
