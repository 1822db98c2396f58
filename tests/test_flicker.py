from __future__ import annotations

import math

import numpy as np
import pytest

from livestyle.flicker import FlickerMeter
from livestyle.flow import Motion
from livestyle.frame import Image


def motion(height: int = 40, width: int = 60, dx: float = 0.0, confidence: float = 1.0) -> Motion:
    flow = np.zeros((height, width, 2), np.float32)
    flow[..., 0] = dx
    return Motion(flow, np.full((height, width), confidence, np.float32), 1 / 30, not dx)


def noise(rng: np.random.Generator, sigma: float) -> Image:
    return np.clip(rng.normal(128, sigma, (40, 60, 3)), 0, 255).astype(np.uint8)


def test_white_flicker_has_its_known_value() -> None:
    rng, meter = np.random.default_rng(0), FlickerMeter()
    meter(noise(rng, 10), noise(rng, 5), None)
    for _ in range(60):
        meter(noise(rng, 10), noise(rng, 5), motion())
    for flicker in (meter.now, meter.overall):
        assert flicker is not None
        # of two independent pictures: sqrt(2) sigma
        assert flicker.shown == pytest.approx(math.sqrt(2) * 5 / 255, rel=0.03)
        assert flicker.removed == pytest.approx(0.5, abs=0.02)


def test_a_picture_that_moves_as_the_flow_says_does_not_flicker() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (40, 200, 3), np.uint8)
    for dx, low, high in ((2.0, 0.0, 0.0), (0.0, 0.2, 0.5)):  # the second: without the flow it would
        meter = FlickerMeter()
        for n in range(20):
            seen = np.ascontiguousarray(wide[:, 2 * n : 2 * n + 60])
            flow = motion(dx=dx)
            flow.confidence[:, -2:] = 0  # what comes in
            meter(seen, seen, flow)
        flicker = meter.overall
        assert flicker is not None
        assert low <= flicker.shown <= high
        assert (flicker.removed is None) == (dx == 2.0)


def test_nothing_is_measured_across_a_cut_or_where_nothing_is_believed() -> None:
    meter = FlickerMeter()
    black, white = (np.full((40, 60, 3), grey, np.uint8) for grey in (0, 255))
    meter(black, black, None)
    meter(white, white, None)
    assert (meter.now, meter.overall) == (None, None)
    meter(white, white, motion())
    meter(black, black, motion(confidence=0.0))
    assert meter.overall is not None
    assert meter.overall.shown == 0


def test_the_running_mean_forgets_and_the_overall_one_does_not() -> None:
    rng, meter = np.random.default_rng(0), FlickerMeter()
    still = noise(rng, 10)
    for n in range(241):
        seen = noise(rng, 10) if n < 120 else still
        meter(seen, seen, motion())
    assert meter.now is not None
    assert meter.overall is not None
    # after four seconds e^-4 of the mean square is left, and half of the frames flickered
    assert meter.now.shown == pytest.approx(math.sqrt(2 * math.exp(-4)) * 10 / 255, rel=0.05)
    assert meter.overall.shown == pytest.approx(math.sqrt(2) * 10 / 255 / math.sqrt(2), rel=0.05)
