from __future__ import annotations

import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import index_of, picture, read_back
from locked import REFUSED, locked_folder

from livestyle.errors import SinkError
from livestyle.frame import Frame, Image, VideoInfo
from livestyle.recording import RecordingSink

NAMES = ("out.mp4", "out.mkv", "out.mov", "out.webm")
INFO = VideoInfo(64, 48, 25.0)
UNEVEN = [7.0, 7.04, 7.12, 7.121, 7.4, 7.433, 8.5]  # seconds, as from a camera that has run for a while


def record(out: Path, times: Sequence[float], *, info: VideoInfo = INFO, overwrite: bool = False) -> None:
    with RecordingSink(out, info, overwrite=overwrite) as sink:
        for index, at in enumerate(times):
            sink.write(Frame(picture(index % 20, info.width, info.height), index, at))


def boxes(path: Path) -> list[str]:
    """The kinds of an mp4's outermost boxes (ISO 14496-12, 4.2)."""
    content, at, kinds = path.read_bytes(), 0, []
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        kinds.append(kind.decode())
        if size == 1:
            (size,) = struct.unpack(">Q", content[at + 8 : at + 16])
        at += size
    return kinds


def playable(path: Path) -> list[float]:
    """The times of all frames that a player would show: it skips a piece that was cut off."""
    import av

    times = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            with suppress(av.error.InvalidDataError):
                times += [float((frame.pts or 0) * packet.time_base) for frame in packet.decode()]
    return times


@pytest.mark.parametrize("name", NAMES)
def test_frames_keep_their_own_times_and_the_first_is_at_zero(tmp_path: Path, name: str) -> None:
    import av

    record(tmp_path / name, UNEVEN)
    got = read_back(tmp_path / name)
    assert [index_of(image) for image in got.images] == list(range(7))
    assert got.video_codec == ("vp9" if name.endswith("webm") else "h264")
    step = Fraction(1, 90_000) if name.endswith(("mp4", "mov")) else Fraction(1, 1000)
    for at, expected in zip(got.times, UNEVEN, strict=True):
        assert abs(at - Fraction(expected - 7)) <= step / 2
    with av.open(str(tmp_path / name)) as container:
        # 1.5 s until the last frame, and 1/25 s for it
        assert container.duration == pytest.approx(1_540_000, abs=1000)  # microseconds


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_a_recording_that_ended_well_is_a_plain_file(tmp_path: Path, name: str) -> None:
    import av

    record(tmp_path / name, [index / 25 for index in range(60)])
    assert "moof" not in boxes(tmp_path / name)  # what tells fragments
    assert boxes(tmp_path / name).count("moov") == 1
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].frames == 60


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fps", [30, 10])
def test_a_key_frame_comes_every_second_whatever_the_rate_was_said_to_be(
    tmp_path: Path, name: str, fps: int
) -> None:
    import av

    record(tmp_path / name, [index / fps for index in range(4 * fps)], info=VideoInfo(64, 48, 30.0))
    with av.open(str(tmp_path / name)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [float((packet.pts or 0) * packet.time_base) for packet in packets if packet.is_keyframe]
    assert [round(at, 2) for at in keys] == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [(641, 359), (33, 17), (1, 1)])
def test_odd_sizes_are_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    record(tmp_path / "out.mp4", [0, 0.04], info=VideoInfo(*size, 25.0))
    assert read_back(tmp_path / "out.mp4").images[0].shape == (size[1], size[0], 3)


RUN = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from livestyle.buffering import WriteBehind
from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo
from livestyle.recording import RecordingSink

out, how = Path(sys.argv[1]), sys.argv[2]
if how.isdigit():  # stands for a full disk
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(how), int(how)))
noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
recording = RecordingSink(out, VideoInfo(64, 48, 30.0))
try:
    with WriteBehind(recording, 16) if how == "paced" else recording as sink:
        began = time.monotonic()
        for index in range(1_000_000):
            at = index / 30
            if how == "paced":
                time.sleep(max(0, began + at - time.monotonic()))
                at = time.monotonic() - began
            # A new picture is a key frame, which would begin a new piece of the file.
            sink.write(Frame(noise[index % 20 if how.isdigit() else 0], index, at))
            print(at, flush=True)
            if how == "killed" and index == 118:
                os.kill(os.getpid(), signal.SIGKILL)
except SinkError as error:
    print(error)
"""

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no such signals and limits")


@POSIX
@pytest.mark.parametrize("name", NAMES)
def test_a_process_that_is_killed_leaves_all_but_the_last_half_second(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / name), "killed"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    written = [float(line) for line in done.stdout.splitlines()]
    assert len(written) == 119
    times = playable(tmp_path / name)
    assert times == pytest.approx(written[: len(times)], abs=1e-3)
    assert times[-1] >= written[-1] - 0.6
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@POSIX
def test_a_live_recording_that_is_killed_plays_to_its_last_second(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / "out.mp4"), "paced"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        written: list[float] = []
        while not written or written[-1] < 2.5:
            written.append(float(running.stdout.readline()))
        running.kill()
        _, errors = running.communicate(timeout=20)
    assert errors == ""
    times = playable(tmp_path / "out.mp4")
    assert len(times) >= sum(at <= written[-1] - 1 for at in written)
    assert times[-1] >= written[-1] - 1 - written[0]


@POSIX
@pytest.mark.parametrize("limit", [1, 1000, 300_000])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_full_disk_is_one_sentence_and_what_was_recorded_plays(
    tmp_path: Path, name: str, limit: int
) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / name), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *written, message = done.stdout.splitlines()
    assert message == f"cannot write {tmp_path / name}: File too large"
    assert done.stderr == ""
    if limit < 100_000:  # not half a second
        return
    assert playable(tmp_path / name)[-1] >= float(written[-1]) - 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_a_whole_file(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with RecordingSink(tmp_path / "out.mp4", INFO) as sink:
            for index in range(20):
                sink.write(Frame(picture(index), index, index / 25))
            raise error

    with pytest.raises(error):
        fail()
    assert [index_of(image) for image in read_back(tmp_path / "out.mp4").images] == list(range(20))
    assert "moof" not in boxes(tmp_path / "out.mp4")


@pytest.mark.parametrize("error", [None, RuntimeError])
def test_no_frame_makes_no_file(tmp_path: Path, error: type[Exception] | None) -> None:
    def record_nothing() -> None:
        with RecordingSink(tmp_path / "out.mp4", INFO):
            if error is not None:
                raise error

    if error is None:
        record_nothing()
    else:
        with pytest.raises(error):
            record_nothing()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("old")
    with pytest.raises(SinkError, match=r"out\.mp4 exists; --overwrite replaces it"):
        RecordingSink(out, INFO)
    assert out.read_text() == "old"
    record(out, [0, 0.04], overwrite=True)
    assert len(read_back(out).images) == 2


@pytest.mark.parametrize("error", [None, RuntimeError])
def test_an_existing_file_stays_where_no_frame_came(tmp_path: Path, error: type[Exception] | None) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("old")
    with suppress(RuntimeError), RecordingSink(out, INFO, overwrite=True):
        if error is not None:
            raise error
    assert out.read_text() == "old"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    sink = RecordingSink(tmp_path / "out.mp4", INFO)
    (tmp_path / "out.mp4").write_text("somebody else's")
    with pytest.raises(SinkError, match="exists"), sink:
        pass
    assert (tmp_path / "out.mp4").read_text() == "somebody else's"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/out.mp4", "there is no folder"),
        ("folder.mp4", "it is a folder"),
        ("out.avi", "must end in"),
        (f"{'long' * 100}.mp4", "too long"),
    ],
)
def test_where_no_file_can_be_is_told_in_one_line(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(SinkError, match=words) as raised, RecordingSink(tmp_path / name, INFO):
        pass
    assert "\n" not in str(raised.value)


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    path = locked_folder(tmp_path) / "out.mp4"
    with pytest.raises(SinkError, match=REFUSED), RecordingSink(path, INFO):
        pass


def test_nothing_can_be_written_before_it_is_open_or_after(tmp_path: Path) -> None:
    sink = RecordingSink(tmp_path / "out.mp4", INFO)
    with pytest.raises(ValueError, match="not open"):
        sink.write(Frame(picture(0), 0, 0.0))
    with sink:
        sink.write(Frame(picture(0), 0, 0.0))
    with pytest.raises(ValueError, match="not open"):
        sink.write(Frame(picture(1), 1, 0.04))
    assert len(read_back(tmp_path / "out.mp4").images) == 1


@pytest.mark.parametrize(
    ("image", "error"),
    [(np.zeros((48, 65, 3), np.uint8), ValueError), (np.zeros((48, 64, 3), np.float32), TypeError)],
)
def test_a_frame_of_another_shape_is_refused_and_the_rest_is_kept(
    tmp_path: Path, image: Image, error: type[Exception]
) -> None:
    with RecordingSink(tmp_path / "out.mp4", INFO) as sink:
        sink.write(Frame(picture(0), 0, 0.0))
        with pytest.raises(error):
            sink.write(Frame(image, 1, 0.04))
    assert len(read_back(tmp_path / "out.mp4").images) == 1
