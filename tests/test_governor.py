from __future__ import annotations

from itertools import pairwise

import pytest
from scripts import tool

from livestyle.governor import SMALLEST_SIDE, FrameTime, Governor, brush_scale, fast_scale, scales_for

SCALES = (1.0, 0.85, 0.7, 0.6, 0.5)


class Machine:
    """Paints at the governor's size, on a CPU of which `free` is there: 1 is all of it."""

    def __init__(self, full: float, *, target_fps: float = 30, resampling: float = 0.0, rest: float = 0.0):
        self.governor = Governor(target_fps, SCALES)
        self.full, self.resampling, self.rest = full, resampling, rest
        self.period = 1 / target_fps

    def run(self, seconds: float, free: float = 1.0) -> tuple[list[float], float]:
        """The scale of each frame, and the frames a second."""
        scales: list[float] = []
        passed = 0.0
        while passed < seconds:
            scale = self.governor.scale
            took = FrameTime(
                self.full * scale**2 / free, self.resampling * (scale < 1) / free, self.rest / free
            )
            scales.append(scale)
            passed += max(sum(took), self.period)
            self.governor.painted(took)
        return scales, len(scales) / passed


def changes(scales: list[float]) -> int:
    return sum(before != after for before, after in pairwise(scales))


def test_a_machine_that_is_fast_enough_paints_at_full_size() -> None:
    scales, fps = Machine(0.025).run(60)
    assert set(scales) == {1.0}
    assert fps == pytest.approx(30)


@pytest.mark.parametrize(
    ("full", "scale"),
    # three quarters of a thirtieth of a second are 25 ms; the network takes full * scale²
    [(0.0333, 0.85), (0.05, 0.7), (0.065, 0.6), (0.1, 0.5), (1.0, 0.5)],
)
def test_it_goes_at_once_to_the_largest_size_that_fits_and_stays(full: float, scale: float) -> None:
    scales, _ = Machine(full).run(60)
    assert scales[5] == scale
    assert changes(scales) == 1


def test_another_process_costs_size_and_not_rate_and_the_size_comes_back() -> None:
    machine = Machine(0.022, rest=0.003)
    machine.run(10)
    during, fps = machine.run(20, free=0.5)
    assert fps > 0.95 * 30
    assert changes(during) == 1
    after, fps = machine.run(3)
    assert after[-1] == 1.0
    assert fps == pytest.approx(30)


def test_one_slow_frame_changes_nothing() -> None:
    governor = Governor(30, SCALES)
    for n in range(300):
        governor.painted(FrameTime(0.5 if n % 20 == 0 else 0.025, 0, 0))
    assert governor.changes == 0


def test_one_frame_in_three_that_is_late_is_too_many() -> None:
    governor = Governor(30, SCALES)
    for n in range(30):
        governor.painted(FrameTime((0.045 if n % 3 == 0 else 0.022) * governor.scale**2, 0, 0))
    assert governor.scale == 0.7
    assert governor.changes == 1  # and not a step at a time


def test_frames_that_take_no_time_at_all_are_no_error() -> None:
    governor = Governor(30, SCALES)
    for _ in range(30):
        assert governor.painted(FrameTime(0.0, 0.0, 0.0)) == 1.0


def test_a_larger_size_is_tried_after_two_seconds_of_room_and_not_before() -> None:
    governor = Governor(30, SCALES)
    for _ in range(5):
        governor.painted(FrameTime(0.09, 0, 0))
    assert governor.scale == 0.5
    times = 0
    while governor.scale == 0.5:
        governor.painted(FrameTime(0.005, 0, 0))  # 20 ms at full size
        times += 1
    assert governor.scale == 1.0
    # two seconds of frames, the first four of which are too few to be judged by
    assert 60 <= times <= 65


def test_room_that_comes_and_goes_does_not_count() -> None:
    governor = Governor(30, (1.0, 0.5))
    for _ in range(5):
        governor.painted(FrameTime(0.05, 0, 0))
    for n in range(3000):  # a second with room, a second without
        governor.painted(FrameTime(0.006 if n % 60 < 30 else 0.008, 0, 0))
    assert (governor.scale, governor.changes) == (0.5, 1)


def test_a_size_just_out_of_reach_is_tried_ever_more_rarely() -> None:
    governor = Governor(30, (1.0, 0.5))
    tried: list[float] = []
    passed = 0.0
    while passed < 600:
        # at full size six times as slow as at half, as no network by pixels would be
        before, took = governor.scale, FrameTime(0.036 if governor.scale == 1 else 0.006, 0, 0)
        if governor.painted(took) > before:
            tried.append(passed)
        passed += max(sum(took), 1 / 30)
    waits = [after - before for before, after in pairwise(tried)]
    assert waits[:4] == pytest.approx([4.2, 8.2, 16.2, 32.2], abs=0.3)
    assert all(wait == pytest.approx(60, abs=0.5) for wait in waits[5:])
    assert len(waits) > 8


def test_the_way_back_costs_nothing_at_full_size() -> None:
    # 18 ms at full size fit, though 13 + 8 at 0.85 would not
    machine = Machine(0.018, resampling=0.008, rest=0.005)
    machine.run(5, free=0.5)
    assert machine.governor.scale < 1
    scales, _ = machine.run(4)
    assert scales[-1] == 1.0


def test_what_does_not_shrink_is_not_expected_to() -> None:
    # 20 ms of the 33 are no network's: at 0.5 there are 20 + 5
    assert Machine(0.02, rest=0.02).run(5)[0][-1] == 0.5
    assert Machine(0.02, rest=0.01).run(5)[0][-1] == 1.0


def test_it_paints_at_the_smallest_size_where_nothing_fits() -> None:
    scales, _ = Machine(0.001, rest=0.1).run(20)
    assert (scales[-1], changes(scales)) == (0.5, 1)


def test_the_same_times_give_the_same_sizes() -> None:
    def run() -> list[float]:
        machine = Machine(0.03, rest=0.004)
        return machine.run(10)[0] + machine.run(10, free=0.4)[0] + machine.run(10)[0]

    assert run() == run()


@pytest.mark.parametrize(
    ("size_hw", "scales"),
    [
        ((360, 640), (1.0, 0.85, 0.7)),
        ((720, 1280), (pytest.approx(0.57735, abs=1e-5), 0.5, 0.42, 0.35)),
        ((480, 640), (0.75, 0.7, 0.6, 0.5)),
        ((640, 480), (0.75, 0.7, 0.6, 0.5)),
        ((240, 320), (1.0,)),
        ((48, 64), (1.0,)),
        ((1440, 2560), (pytest.approx(0.40825, abs=1e-5), 0.35, 0.3, 0.25)),
    ],
)
def test_no_picture_becomes_too_small(size_hw: tuple[int, int], scales: tuple[float, ...]) -> None:
    assert scales_for(*size_hw) == scales


@pytest.mark.parametrize(
    ("size_hw", "brush", "scale"),
    [
        ((360, 640), 1.0, 1.0),
        ((480, 640), 1.0, 0.75),  # as wide as on 360 lines
        ((540, 960), 1.0, 2 / 3),
        ((2160, 3840), 1.0, 1 / 3),  # 720 lines: twice as many as of 540, as the root of four says
        ((2160, 3840), 2.0, 1 / 6),
        ((360, 640), 3.0, 1 / 3),
        ((360, 640), 8.0, 1 / 3),  # 120 lines are the fewest
        ((48, 64), 8.0, 1.0),
        ((2160, 3840), 0.5, 2 / 3),
        ((2160, 3840), 0.1, 1.0),  # no finer than the network's own
    ],
)
def test_strokes_are_so_many_times_as_wide(size_hw: tuple[int, int], brush: float, scale: float) -> None:
    assert brush_scale(*size_hw, brush) == pytest.approx(scale)
    scales = scales_for(*size_hw, brush)
    assert scales[0] == brush_scale(*size_hw, brush)
    assert all(a > b for a, b in pairwise(scales))
    assert fast_scale(*size_hw, brush) <= scale + 1e-9


def test_other_scales_begin_with_the_largest_and_are_no_change_for_the_rate() -> None:
    machine = Machine(0.05)
    machine.run(5)
    assert machine.governor.scale < 1
    changes = machine.governor.changes
    machine.governor.choose_from((0.5, 0.42))
    assert (machine.governor.scale, machine.governor.changes) == (0.5, changes)
    assert set(machine.run(20, free=10)[0]) == {0.5}  # there is room, and nothing larger


@pytest.mark.parametrize(("size_hw", "scale"), [((540, 960), 4 / 9), ((360, 640), 2 / 3), ((48, 64), 1.0)])
def test_fast_is_240_lines(size_hw: tuple[int, int], scale: float) -> None:
    assert fast_scale(*size_hw) == pytest.approx(scale)
    assert scale == 1 or scale * min(size_hw) == SMALLEST_SIDE


@pytest.mark.parametrize(
    ("target_fps", "scales"),
    [(0, (1.0,)), (float("nan"), (1.0,)), (30, ()), (30, (0.5, 1.0)), (30, (1.0, 0.0))],
)
def test_what_is_no_rate_or_no_scales_is_refused(target_fps: float, scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"above 0|from large to small"):
        Governor(target_fps, scales)


# --- tools/governor_bench.py ---


def test_a_dip_ends_with_the_last_slow_second() -> None:
    bench = tool("governor_bench")
    # ten a second, from 20 s to 22 s only five
    times = [n / 10 for n in range(200)] + [20 + n / 5 for n in range(10)] + [22 + n / 10 for n in range(80)]
    assert bench.rate(times, 0.0, 10.0) == 10
    assert bench.rate(times, 20.0, 22.0) == 5
    assert bench.longest_dip(times, 10.0, 15.0, 9.0) == 0
    # A second of which more than a fifth is slow has fewer than 9: the last one ends at 22.8, to a picture.
    assert bench.longest_dip(times, 20.0, 30.0, 9.0) == pytest.approx(2.7, abs=0.15)
    # Two short ones are not a long one.
    again = [time for time in times if not 25 <= time < 25.5]
    assert bench.longest_dip(again, 20.0, 30.0, 9.0) == pytest.approx(2.7, abs=0.15)
    assert bench.heights([(0.5, 720), (1.5, 360), (2.5, 360), (3.5, 720)], 1, 4) == {720: 0.33, 360: 0.67}
