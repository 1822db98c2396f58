from __future__ import annotations

import pytest

from livestyle.timing import FpsMeter, StageTimer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def ticked(times: list[float], window: float = 2.0) -> FpsMeter:
    clock = Clock()
    meter = FpsMeter(window, clock)
    for clock.now in times:
        meter.tick()
    return meter


@pytest.mark.parametrize(
    ("times", "fps"),
    [
        ([], 0.0),
        ([5.0], 0.0),
        ([5.0, 5.0], 0.0),
        ([5.0, 5.5], 2.0),  # two frames, one interval
        ([0.0, 0.1, 0.2, 0.3, 0.4], 10.0),
        ([0.0, 3.0, 6.0], 1 / 3),  # slower than the window: the last interval
        # 30 fps for a second, long ago, then 10 fps: only the last two seconds count
        ([i / 30 for i in range(31)] + [10 + i / 10 for i in range(31)], 10.0),
    ],
)
def test_fps_counts_intervals_within_the_window(times: list[float], fps: float) -> None:
    assert ticked(times).fps == pytest.approx(fps)


def test_a_meter_keeps_no_more_than_its_window() -> None:
    meter = ticked([i / 100 for i in range(10_000)], window=1.0)
    assert meter.fps == pytest.approx(100)
    assert len(meter._times) <= 102


def test_a_window_must_have_a_length() -> None:
    with pytest.raises(ValueError, match="window"):
        FpsMeter(0)


def test_stage_times_are_percentiles_in_milliseconds() -> None:
    clock = Clock()
    timer = StageTimer(clock=clock)
    for milliseconds in range(101):  # 0 to 100 ms
        with timer.stage("paint"):
            clock.now += milliseconds / 1000
    with timer.stage("show"):
        clock.now += 0.25
    times = timer.times()
    assert list(times) == ["paint", "show"]
    assert times["paint"].p50_ms == pytest.approx(50)
    assert times["paint"].p95_ms == pytest.approx(95)
    assert times["show"] == pytest.approx((250, 250))


def test_only_the_last_runs_are_kept() -> None:
    clock = Clock()
    timer = StageTimer(kept=2, clock=clock)
    for seconds in (9.0, 1.0, 3.0):
        with timer.stage("paint"):
            clock.now += seconds
    assert timer.times()["paint"].p50_ms == pytest.approx(2000)


def test_a_stage_that_fails_does_not_count() -> None:
    timer = StageTimer()
    with pytest.raises(RuntimeError), timer.stage("paint"):
        raise RuntimeError
    assert timer.times() == {}
