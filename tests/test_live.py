from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from fake_show import FakeCamera, FakeOutput, FakeWindow, SlowStylizer, Stage
from fakes import FakeEngine, tiny_manifest

from livestyle.controls import Desk
from livestyle.errors import SinkError, SourceError
from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.pipeline import stylize_frames
from livestyle.saver import Saver
from livestyle.smoothing import SMOOTHING
from livestyle.sources import LoopedFileSource
from livestyle.stylizer import BrushStylizer, Stylizer
from livestyle.take_file import read_take, write_take
from livestyle.video_source import VideoFileSource


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize("key", ["q", "Esc"])
def test_quit_keys_end_at_once_and_leave_no_thread(stage: Stage, key: str) -> None:
    before = threading.active_count()
    began = time.monotonic()
    stage.play(FakeCamera(), FakeWindow({3: key}))
    assert time.monotonic() - began < 10  # 3 pictures take a hundredth of it
    assert threading.active_count() == before


def test_a_closed_window_ends(stage: Stage) -> None:
    window = FakeWindow(closes_after=2)
    stage.play(FakeCamera(), window)
    assert len(window.pictures) == 2


def test_ctrl_c_and_the_time_limit_end(stage: Stage) -> None:
    output = FakeOutput()
    stage.play(FakeCamera(), None, output, stopped=lambda: len(output.frames) >= 3)
    assert len(output.frames) == 3
    report = stage.play(FakeCamera(), None, FakeOutput(), seconds=0.2)
    assert 0.2 <= report.seconds < 10


def test_keys_change_what_comes_out(stage: Stage) -> None:
    output = FakeOutput()
    stage.play(FakeCamera(), FakeWindow({3: "1", 8: "2", 12: "q"}), output)
    greys = [int(frame.image[0, 0, 0]) for frame in output.frames]
    seen = [grey for n, grey in enumerate(greys) if n == 0 or grey != greys[n - 1]]
    assert seen == [100, 155, 40]  # itself, its negative, plain grey


def test_outputs_get_the_painting_without_the_overlay_or_the_mirror(stage: Stage) -> None:
    output, window = FakeOutput(), FakeWindow({1: "m", 2: "o", 6: "q"})
    stage.play(FakeCamera(), window, output)
    assert all((frame.image == 100).all() for frame in output.frames)
    assert not (window.pictures[-1] == 100).all()


def test_a_frozen_picture_can_still_be_painted_otherwise(stage: Stage) -> None:
    class Brightening(FakeCamera):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                frame.image[:] += np.uint8(frame.index % 50)
                yield frame

    output = FakeOutput()
    stage.play(Brightening(), FakeWindow({2: "Space", 10: "1", 20: "q"}), output)
    contents = [int(frame.content[0, 0, 0]) for frame in output.frames if frame.content is not None]
    held = contents[6]
    assert set(contents[6:]) == {held}
    assert int(output.frames[-1].image[0, 0, 0]) == 255 - held


def test_the_newest_picture_is_painted_and_the_others_are_counted_not_queued(stage: Stage) -> None:
    camera, output = FakeCamera(fps=100), FakeOutput()
    report = stage.play(camera, None, output, stylizer=SlowStylizer(0.1), seconds=1.5)
    assert report.frames == len(output.frames)
    indexes = [frame.index for frame in output.frames]
    assert report.dropped == indexes[-1] - indexes[0] + 1 - len(indexes) > 0
    assert camera.given > 3 * report.frames
    # A queue would be a second late by now: the picture is one network time old, and waited for one at most.
    assert report.delay_p50_ms is not None
    assert 100 <= report.delay_p50_ms < 400


def test_two_pictures_that_come_while_one_is_painted_are_both_painted(stage: Stage) -> None:
    painting, came = threading.Event(), threading.Event()
    output = FakeOutput()

    class Burst(FakeCamera):
        def __iter__(self) -> Iterator[Frame]:
            for n, frame in enumerate(super().__iter__()):
                if n == 1:
                    assert painting.wait(10)
                yield frame
            came.set()

    class Painter(SlowStylizer):
        painted = 0

        def __call__(self, image: Image, style_mix: MixVector) -> Image:
            painting.set()
            assert came.wait(10)
            while len(output.frames) < self.painted:  # whoever shows them is not what is tested
                time.sleep(0.001)
            self.painted += 1
            return super().__call__(image, style_mix)

    stage.play(Burst(count=3), None, output, stylizer=Painter(0.0))
    assert [frame.index for frame in output.frames] == [0, 1, 2]


def test_the_report_counts_what_was_seen(stage: Stage) -> None:
    window = FakeWindow({20: "q"})
    report = stage.play(FakeCamera(fps=50), window)
    assert report.frames <= len(window.pictures) <= report.frames + 2
    assert 0 < report.screen_fps < 60
    assert 0 < report.camera_fps < 60
    assert (report.saved, report.failed) == ((), ())


def test_r_records_and_s_takes_a_snapshot(stage: Stage) -> None:
    report = stage.play(FakeCamera(), FakeWindow({2: "r", 10: "s", 20: "r", 25: "q"}))
    assert sorted(Path(path).suffix for path in report.saved) == [".mp4", ".png", ".png"]
    assert all(Path(path).stat().st_size > 0 for path in report.saved)


def test_an_output_that_breaks_is_told_and_the_show_goes_on(stage: Stage) -> None:
    window = FakeWindow({12: "q"})
    report = stage.play(FakeCamera(), window, FakeOutput(fails_after=2))
    assert report.failed == ("the output broke",)
    assert len(window.pictures) >= 12


def test_without_a_window_the_last_output_that_breaks_ends_it(stage: Stage) -> None:
    with pytest.raises(SinkError, match="the output broke"):
        stage.play(FakeCamera(), None, FakeOutput(fails_after=2))


class TornSaver(Saver):
    """Its recording breaks with the first frame."""

    def write(self, frame: Frame) -> None:
        if self.recorded is not None:
            self.stop()
            raise SinkError("the recording broke")


def test_without_a_window_a_recording_that_breaks_ends_it_when_it_was_the_last(stage: Stage) -> None:
    stage.saver, stage.desk.recording = TornSaver, True
    with pytest.raises(SinkError, match="the recording broke"):
        stage.play(FakeCamera(), None, seconds=5)
    with pytest.raises(SinkError, match="the output broke"):
        stage.play(FakeCamera(), None, FakeOutput(fails_after=9), seconds=5)


def test_without_a_window_a_recording_that_cannot_begin_ends_it(stage: Stage) -> None:
    stage.folder, stage.desk.recording = stage.folder / "missing", True
    with pytest.raises(SinkError, match="missing"):
        stage.play(FakeCamera(), None, seconds=5)


@pytest.mark.parametrize("kept", ["an output", "the take"])
def test_without_a_window_it_goes_on_for_what_is_left(stage: Stage, kept: str) -> None:
    stage.saver, stage.desk.recording = TornSaver, True
    outputs = [FakeOutput(None if kept == "an output" else 9)]
    report = stage.play(FakeCamera(), None, *outputs, take_is_kept=kept == "the take", seconds=0.5)
    broken = ["the recording broke"] + ["the output broke"] * (kept == "the take")
    assert report.failed == tuple(broken)
    assert report.seconds >= 0.5


def test_a_snapshot_that_cannot_be_written_is_told(stage: Stage) -> None:
    stage.folder = stage.folder / "missing"
    report = stage.play(FakeCamera(), FakeWindow({2: "s", 8: "q"}))
    assert len(report.failed) == 1
    assert "missing" in report.failed[0]


def test_a_camera_that_fails_is_reported_after_its_last_picture(stage: Stage) -> None:
    with pytest.raises(SourceError, match="unplugged"):
        stage.play(FakeCamera(3, error=SourceError("unplugged")), FakeWindow())


def test_a_film_that_ends_ends_the_show(stage: Stage) -> None:
    assert stage.play(FakeCamera(5, fps=20), None, FakeOutput()).frames == 5


def test_while_no_picture_comes_the_window_says_why_and_hears_keys(stage: Stage) -> None:
    class Unplugged(FakeCamera):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            self.problem = "camera 0 gives no pictures; plug it in again"
            while not stage.desk.ended:
                time.sleep(0.01)

    window = FakeWindow({4: "Esc"})
    stage.play(Unplugged(2), window)
    assert stage.desk.ended
    assert not np.array_equal(window.pictures[0], window.pictures[-1])


def test_a_camera_that_hangs_cannot_keep_the_show_from_ending(stage: Stage) -> None:
    release = threading.Event()

    class Hanging(FakeCamera):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            release.wait(30)

    began = time.monotonic()
    stage.play(Hanging(2), FakeWindow({2: "q"}))
    assert time.monotonic() - began < 10
    release.set()


def test_a_take_played_back_on_the_same_film_gives_the_same_pictures(stage: Stage, tmp_path: Path) -> None:
    film = write_clip(tmp_path / "film.mp4", pts=range(100))
    stage.desk = Desk(stage.take, fade=0.3)
    output = FakeOutput()
    pressed = ["1", "Up", "Tab", "2", "2", "c", "Space", "Right", "Down", "Space", "0"]
    window = FakeWindow({3 + 4 * n: key for n, key in enumerate(pressed)})
    with LoopedFileSource(film) as source:
        stage.play(source, window, output, stopped=lambda: len(output.frames) >= 60)
    assert len(stage.take.cues) == 11  # the first, and all keys but Tab
    write_take(tmp_path / "take.json", stage.take, tiny_manifest())
    again = read_take(str(tmp_path / "take.json"), tiny_manifest())
    painter = BrushStylizer(Stylizer(FakeEngine(), tiny_manifest()))
    with VideoFileSource(film) as plain:
        frames = stylize_frames(plain, painter, again.following())
        painted = {frame.timestamp: frame.image for frame in frames}
    live = [frame for frame in output.frames if frame.timestamp in painted]
    assert len(live) >= 55  # a few are repeated stills of a film that waits
    assert all(np.array_equal(frame.image, painted[frame.timestamp]) for frame in live)


def test_t_goes_to_the_take_and_the_flicker_to_the_report(stage: Stage) -> None:
    class Noisy(SlowStylizer):
        random = np.random.default_rng(0)

        def __call__(self, image: Image, style_mix: MixVector) -> Image:
            return self.random.integers(90, 110, image.shape, np.uint8)

    report = stage.play(FakeCamera(), FakeWindow({2: "t", 3: "t", 60: "q"}), stylizer=Noisy(0))
    assert [cue.smooth for cue in stage.take.cues] == [0.0, *list(SMOOTHING.values())[1:]]
    assert report.flicker is not None
    assert report.flicker_removed is not None
    assert report.flicker_removed > 0.2


def test_b_paints_smaller_while_the_show_goes_on(stage: Stage) -> None:
    lines: list[int] = []

    class Measured(SlowStylizer):
        def __call__(self, image: Image, style_mix: MixVector) -> Image:
            lines.append(image.shape[0])
            return super().__call__(image, style_mix)

    output = FakeOutput()
    report = stage.play(
        FakeCamera(height=480),
        FakeWindow({5: "b", 6: "b"}),
        output,
        stylizer=Measured(0),
        target_fps=1,  # a busy machine keeps that
        stopped=lambda: sum(line < 200 for line in lines) >= 20,
    )
    assert all(350 <= line <= 370 for line in lines[:3])
    assert report.size_changes == 0
    assert all(frame.image.shape == (480, 640, 3) for frame in output.frames)


@pytest.mark.parametrize(("target_fps", "is_smaller"), [(None, True), (5.0, False)])
def test_a_network_too_slow_for_the_rate_paints_smaller_and_the_picture_stays_large(
    stage: Stage, target_fps: float | None, is_smaller: bool
) -> None:
    output = FakeOutput()
    report = stage.play(
        FakeCamera(fps=20, height=360),
        FakeWindow(),
        output,
        stylizer=SlowStylizer(0.08, pixels=480 * 360),
        target_fps=target_fps,  # else the camera's: 50 ms a frame
        stopped=lambda: len(output.frames) >= 20,
    )
    assert (report.scale < 1, report.size_changes > 0) == (is_smaller, is_smaller)
    assert all(frame.image.shape == (360, 480, 3) for frame in output.frames)
    assert all(np.abs(frame.image.astype(int) - 100).max() <= 1 for frame in output.frames)
