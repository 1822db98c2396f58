from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import ReadBack, index_of, picture, read_back, set_matrix, write_clip

from livestyle.errors import SinkError
from livestyle.frame import Frame, Image, VideoInfo
from livestyle.video_sink import VideoFileSink
from livestyle.video_source import VideoFileSource

NAMES = ("out.mp4", "out.mkv", "out.mov", "out.webm")
NTSC = Fraction(1001, 30000)
VARIABLE = [0, 40, 120, 121, 400, 433, 1500]  # milliseconds


def copy(given: Path, out: Path, **stretch: float | None) -> ReadBack:
    """Through source and sink, unpainted."""
    with (
        VideoFileSource(given, **stretch) as source,  # type: ignore[arg-type]
        VideoFileSink(out, source.info, template=source) as sink,
    ):
        for frame in source:
            sink.write(frame)
    return read_back(out)


def write(out: Path, images: Iterable[Image], *, fps: float = 25.0, begin: float = 0.0) -> None:
    first, *_ = images = list(images)
    with VideoFileSink(out, VideoInfo(first.shape[1], first.shape[0], fps)) as sink:
        for index, image in enumerate(images):
            sink.write(Frame(image, index, begin + index / fps))


@pytest.mark.parametrize("name", NAMES)
def test_count_order_size_and_codec_are_kept(tmp_path: Path, name: str) -> None:
    got = copy(write_clip(tmp_path / "in.mp4"), tmp_path / name)
    assert [index_of(image) for image in got.images] == list(range(10))
    assert {image.shape for image in got.images} == {(48, 64, 3)}
    assert got.video_codec == ("vp9" if name.endswith("webm") else "h264")
    assert got.metadata["title"] == "A clip"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("pts", "time_base"),
    [
        (range(60), NTSC),
        (VARIABLE, Fraction(1, 1000)),
        ([9 * at for at in VARIABLE], Fraction(1, 90_000)),
        ([1000, 1001, 1002], Fraction(1, 25)),  # begins 40 s late, as cut recordings do
        ([5], Fraction(1, 25)),
    ],
    ids=["29.97", "variable", "fine", "late", "single"],
)
def test_timestamps_are_kept(tmp_path: Path, name: str, pts: list[int], time_base: Fraction) -> None:
    given = write_clip(tmp_path / "in.mp4", pts=pts, time_base=time_base)
    times = copy(given, tmp_path / name).times
    expected = [at * time_base for at in pts]
    if name.endswith(("mp4", "mov")):
        assert times == expected
    else:  # Matroska counts in milliseconds
        half = Fraction(1, 2)
        assert [at * 1000 for at in times] == [math.floor(at * 1000 + half) for at in expected]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_the_last_frame_keeps_its_duration(tmp_path: Path, name: str) -> None:
    import av

    with VideoFileSink(tmp_path / "in.mp4", VideoInfo(64, 48, 4.0)) as sink:  # 4 fps, so 0.25 s for the last
        for index, at in enumerate(VARIABLE):
            sink.write(Frame(picture(index), index, at / 1000))
    copy(tmp_path / "in.mp4", tmp_path / name)
    with av.open(str(tmp_path / name)) as container:
        assert container.duration == pytest.approx(1_750_000, abs=1000)  # microseconds


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_colours_survive_within_a_few_grey_levels(tmp_path: Path, name: str) -> None:
    # a cube of colours in 16-pixel squares, so that 4:2:0 costs nothing
    levels = np.array([0, 85, 170, 255], np.uint8)
    red, green, blue = np.meshgrid(levels, levels, levels, indexing="ij")
    squares = np.stack([red, green, blue], -1).reshape(8, 8, 3)
    image = squares.repeat(16, 0).repeat(16, 1)
    write(tmp_path / name, [image] * 5)
    difference = np.abs(read_back(tmp_path / name).images[2].astype(int) - image)
    inside = difference.reshape(8, 16, 8, 16, 3)[:, 4:12, :, 4:12]
    assert inside.mean() <= 1.5
    assert inside.max() <= 6


def test_the_colours_are_named_for_players(tmp_path: Path) -> None:
    import av

    write(tmp_path / "out.mp4", [picture(0)] * 3)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        # BT.709 is 1 in all three (ITU-T H.273), the range 1 is "limited"
        tags = (stream.colorspace, stream.color_primaries, stream.color_trc, stream.color_range)
        assert tags == (1, 1, 1, 1)
        assert stream.pix_fmt == "yuv420p"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(641, 359), (640, 359), (641, 360), (33, 17), (1, 1), (2, 1)])
def test_odd_sizes_are_kept_for_every_reader(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    width, height = size
    images = [np.full((height, width, 3), 90, np.uint8)] * 3
    images[1] = images[1].copy()
    images[1][:, -1] = images[1][-1] = 200  # the last column and row
    write(tmp_path / name, images)
    got = read_back(tmp_path / name).images[1]
    assert got.shape == (height, width, 3)
    if width > 2:
        assert abs(int(got[height // 2, -1].mean()) - 200) <= 12
        assert abs(int(got[height // 2, -4].mean()) - 90) <= 12
    capture = cv2.VideoCapture(str(tmp_path / name), cv2.CAP_FFMPEG)  # another build of FFmpeg
    there, frame = capture.read()
    capture.release()
    assert there
    assert frame.shape == (height, width, 3)


def test_a_rotated_video_is_written_upright_without_a_rotation(tmp_path: Path) -> None:
    import av

    given = set_matrix(write_clip(tmp_path / "in.mp4"), 0, 1, -1, 0)
    got = copy(given, tmp_path / "out.mp4")
    assert got.images[0].shape == (64, 48, 3)
    assert np.abs(got.images[0][16, 36].astype(int) - (220, 0, 0)).max() <= 8
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.parametrize(("matrix", "aspect"), [((1, 0, 0, 1), (16, 15)), ((0, 1, -1, 0), (15, 16))])
def test_pixels_that_are_not_square_stay_so(
    tmp_path: Path, matrix: tuple[int, int, int, int], aspect: tuple[int, int]
) -> None:
    import av

    given = set_matrix(write_clip(tmp_path / "in.mp4", aspect=Fraction(16, 15)), *matrix)
    copy(given, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(*aspect)


def test_a_better_quality_is_a_larger_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    for suffix in ("mp4", "webm"):
        sizes = []
        for quality in (0, 75, 100):
            out = tmp_path / f"{quality}.{suffix}"
            with VideoFileSink(out, VideoInfo(64, 48, 25.0), quality=quality) as sink:
                for index, image in enumerate(noise):
                    sink.write(Frame(image, index, index / 25))
            sizes.append(out.stat().st_size)
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[1] < sizes[2]


def test_without_a_template_the_first_frame_is_at_zero(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [picture(index) for index in range(5)], fps=30.0, begin=1234.5)
    assert [float(at) for at in read_back(tmp_path / "out.mp4").times] == pytest.approx(
        [index / 30 for index in range(5)], abs=1e-5
    )


def test_frames_at_one_time_are_both_written(tmp_path: Path) -> None:
    with VideoFileSink(tmp_path / "out.mp4", VideoInfo(64, 48, 25.0)) as sink:
        for index, at in enumerate([0.0, 0.04, 0.04, 0.08]):
            sink.write(Frame(picture(index), index, at))
    assert [index_of(image) for image in read_back(tmp_path / "out.mp4").images] == [0, 1, 2, 3]


def test_the_index_comes_first_in_an_mp4(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [picture(0)] * 3)
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("written", [0, 1, 60])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException], written: int) -> None:
    def fail() -> None:
        with VideoFileSink(tmp_path / "out.mp4", VideoInfo(64, 48, 25.0)) as sink:
            for index in range(written):
                sink.write(Frame(picture(index % 20), index, index / 25))
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_an_existing_file_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("precious")

    def fail() -> None:
        with VideoFileSink(out, VideoInfo(64, 48, 25.0), overwrite=True) as sink:
            sink.write(Frame(picture(0), 0, 0.0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert out.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [out]


def test_no_frames_make_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(SinkError, match="no frame came"),
        VideoFileSink(tmp_path / "out.mp4", VideoInfo(64, 48, 25.0)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.avi", "out", "out.mp4.txt"])
def test_kinds_of_files_that_it_cannot_write_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SinkError, match=r"must end in \.mp4, \.mkv, \.mov, \.webm"):
        VideoFileSink(tmp_path / name, VideoInfo(64, 48, 25.0))


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    given = write_clip(tmp_path / "in.mp4")
    (tmp_path / "link.mp4").symlink_to(given)
    for out in (given, tmp_path / "." / "in.mp4", tmp_path / "link.mp4"):
        with VideoFileSource(given) as source, pytest.raises(SinkError, match="is the video that is read"):
            VideoFileSink(out, source.info, template=source, overwrite=True)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (Frame(np.zeros((48, 65, 3), np.uint8), 0, 0.0), ValueError),
        (Frame(np.zeros((48, 64, 3), np.float32), 0, 0.0), TypeError),
    ],
)
def test_a_frame_of_another_shape_is_refused(tmp_path: Path, frame: Frame, error: type[Exception]) -> None:
    with (
        pytest.raises(error),
        VideoFileSink(tmp_path / "out.mp4", VideoInfo(64, 48, 25.0)) as sink,
    ):
        sink.write(frame)


RUN = """
import signal, sys, time
# The children of a background job ignore Ctrl-C unless they are told not to.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
import numpy as np
from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo
from livestyle.video_sink import VideoFileSink

out, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:  # stands for a full disk
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
try:
    with VideoFileSink(out, VideoInfo(64, 48, 25.0)) as sink:
        for index in range(200 if limit else 1_000_000):
            sink.write(Frame(noise[index % 20], index, index / 25))
            if index == 50:
                print("going", flush=True)
except SinkError as error:
    print(error)
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits, another Ctrl-C")
@pytest.mark.parametrize("limit", [1, 3000, 100_000])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, name: str, limit: int) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / name), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1]
    assert last == f"cannot write {tmp_path / name}: File too large"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="another Ctrl-C")
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / "out.mp4"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "going\n"
        partial = list(tmp_path.iterdir())
        os.kill(running.pid, signal.SIGINT)
        out, errors = running.communicate(timeout=20)
    assert len(partial) == 1
    assert partial[0].name.startswith(".out.partial-")
    assert (out, errors, running.returncode) == ("stopped\n", "", 0)
    assert list(tmp_path.iterdir()) == []
