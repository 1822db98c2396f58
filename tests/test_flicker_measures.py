"""The measures of tools/flicker.py against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from flicker_material import flow, texture
from scripts import tool

from livestyle.frame import Image
from livestyle.smoothing import EmaSmoother

measures = tool("flicker_measures")
readings = tool("flicker_readings")
flicker_clips = tool("flicker_clips")


def standing(pairs: int, height: int = 48, width: int = 64) -> dict[int, Any]:
    return dict.fromkeys(range(pairs), measures.Motion.of(flow(0, 0, height, width)))


def pan(count: int) -> list[Image]:
    """A camera that moves 3 to the right and 2 down a frame over one wide picture."""
    wide = texture(120, 200)
    return [np.ascontiguousarray(wide[2 * i : 2 * i + 48, 3 * i : 3 * i + 64]) for i in range(count)]


def test_a_picture_that_only_moves_does_not_flicker() -> None:
    frames, moved = pan(4), measures.Motion.of(flow(-3, -2))
    assert measures.warping_error(frames, dict.fromkeys(range(3), moved)) == 0
    backwards = measures.Motion.of(flow(3, 2))
    assert measures.warping_error(frames, dict.fromkeys(range(3), backwards)) > 0.1


def test_independent_noise_scores_root_two_of_its_deviation() -> None:
    random = np.random.default_rng(0)
    frames = [np.rint(random.normal(128, 10, (120, 160, 3))).astype(np.uint8) for _ in range(6)]
    error = measures.warping_error(frames, standing(5, 120, 160))
    assert error == pytest.approx(math.sqrt(2) * 10 / 255, rel=0.02)
    thinned = measures.warping_error(frames, standing(5, 120, 160), step=3)
    assert thinned == pytest.approx(error, rel=0.05)
    assert thinned != error


def test_channels_are_averaged_and_pairs_weigh_alike() -> None:
    dark = np.full((48, 64, 3), 100, np.uint8)
    red = dark + np.array([30, 0, 0], np.uint8)
    assert measures.warping_error([dark, red], standing(1)) == pytest.approx(30 / 255 / math.sqrt(3))
    assert measures.warping_error([dark, dark, red], standing(2)) == pytest.approx(30 / 255 / math.sqrt(6))
    only_first = {0: standing(1)[0]}
    assert measures.warping_error([dark, dark, red], only_first) == 0  # a pair without motion is not judged


def test_what_is_hidden_or_leaves_the_picture_is_not_judged() -> None:
    before = texture()
    after = before.copy()
    after[10:20, 30:40] = 255 - after[10:20, 30:40]
    hidden = np.zeros((48, 64), np.bool_)
    hidden[10:20, 30:40] = True
    assert measures.warping_error([before, after], {0: measures.Motion.of(flow(0, 0), hidden)}) == 0
    difference = (before.astype(float) - after) / 255
    by_hand = math.sqrt(np.square(difference).mean())
    assert measures.warping_error([before, after], standing(1)) == pytest.approx(by_hand)

    leaving = measures.Motion.of(flow(1.5, 0))
    assert leaving.seen[:, :62].all()
    assert not leaving.seen[:, 62:].any()
    assert not measures.Motion.of(flow(math.nan, 0)).seen.any()


def test_nothing_to_judge_is_an_error() -> None:
    frames = [texture(), texture()]
    with pytest.raises(ValueError, match="seen in the next one"):
        measures.warping_error(frames, {0: measures.Motion.of(flow(100, 0))})
    with pytest.raises(ValueError, match="at least one pair"):
        measures.warping_error(frames, {})
    with pytest.raises(ValueError, match="the mask has shape"):
        measures.Motion.of(flow(0, 0), np.zeros((2, 2), np.bool_))


def test_a_deviation_over_time_is_that_of_each_pixel() -> None:
    picture = np.random.default_rng(0).integers(20, 230, (48, 64, 3)).astype(np.uint8)
    frames = [picture + np.uint8(4), picture - np.uint8(4)] * 3
    assert measures.temporal_deviation(frames) == pytest.approx(4 / 255)
    assert measures.temporal_deviation([picture] * 4) == 0


def test_ssim_is_one_for_the_same_picture_and_known_for_plain_ones() -> None:
    picture = texture()
    assert measures.ssim(picture, picture) == pytest.approx(1, abs=1e-5)
    assert measures.ssim(picture, 255 - picture) < 0
    dark, light = np.full((20, 20, 3), 50, np.uint8), np.full((20, 20, 3), 100, np.uint8)
    constant = (0.01 * 255) ** 2
    by_hand = (2 * 50 * 100 + constant) / (50**2 + 100**2 + constant)  # without variance only light counts
    assert measures.ssim(dark, light) == pytest.approx(by_hand, abs=1e-4)
    with pytest.raises(ValueError, match="11 pixels"):
        measures.ssim(picture[:10], picture[:10])


def test_ssim_is_that_of_its_definition_at_one_place() -> None:
    one, other = texture(11, 11, seed=1), texture(11, 11, seed=2)  # the window fits once
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    x, y = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (one, other))
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
    covariance = (window * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = 2.55**2, 7.65**2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    by_hand = light * (2 * covariance + c2) / (var_x + var_y + c2)
    assert measures.ssim(one, other) == pytest.approx(by_hand, abs=1e-4)


def test_gradient_energy_is_that_of_stripes() -> None:
    stripes = np.zeros((20, 20, 3), np.uint8)
    stripes[:, ::2] = 10
    assert measures.gradient_energy(stripes) == pytest.approx(100)  # across them; along them nothing changes
    assert measures.gradient_energy(stripes // 2) == pytest.approx(25)


def test_identity_keeps_everything_and_ghosts_and_blur_are_caught() -> None:
    frames = pan(12)
    assert measures.fidelity(frames, frames) == pytest.approx((1, 1), abs=1e-5)
    smoother = EmaSmoother(1.0)
    grey = np.full_like(frames[0], 128)  # a content that never looks like a cut
    ghosts = [smoother(frame, grey, index / 25) for index, frame in enumerate(frames)]
    caught = measures.fidelity(ghosts, frames)
    assert caught.ssim < 0.8
    assert caught.energy < 0.85
    blurred = measures.fidelity([np.asarray(cv2.blur(f, (3, 3)), np.uint8) for f in frames], frames)
    assert blurred.energy < 0.85
    # A frozen picture does not change, and only the guard tells that it is the wrong one.
    frozen = [frames[0]] * 12
    assert measures.warping_error(frozen, standing(11)) == 0
    assert measures.fidelity(frozen, frames).ssim < 0.5


def test_the_first_frame_does_not_soften_the_guard() -> None:
    frames = pan(2)
    flat = np.full_like(frames[0], 128)
    assert measures.fidelity([frames[0], flat], frames) == (measures.ssim(flat, frames[1]), 0)
    assert measures.fidelity([flat, flat], [flat, flat]).energy == 1  # nothing to lose


def test_the_time_constant_that_takes_away_as_much() -> None:
    search = readings.matching_time_constant
    assert search(lambda t: 1 / (1 + t / 0.1), 0.5).time_constant == pytest.approx(0.1, rel=0.025)
    assert search(lambda t: 1 / (1 + t / 0.1), 0.5).reached
    # Past 0.1 s this one rises again: the shorter of two answers, 0.05 and 0.2, is taken.
    valley = search(lambda t: abs(math.log2(t / 0.1)), 1.0)
    assert valley.time_constant == pytest.approx(0.05, rel=0.025)
    assert search(lambda t: abs(math.log2(t / 0.16)) + 0.3, 0.2) == (0.16, False)
    assert search(lambda t: 1 / (1 + t / 0.1), 1 / 1.15).time_constant == pytest.approx(0.015, rel=0.025)


def test_smoothing_is_measured_beside_its_equal_average() -> None:
    random = np.random.default_rng(0)
    content = [texture()] * 12
    painted = [flicker_clips.noisy(content[0], 12.0, random) for _ in content]
    times = flicker_clips.times(12)

    def half(image: Image, _content: Image, _timestamp: float) -> Image:
        """Takes half of the noise."""
        return np.rint((image.astype(np.float32) + content[0]) / 2).astype(np.uint8)

    clip = measures.Clip("still", measures.STANDING, painted, times, standing(11))
    reading, ours, plain = readings.read_smoothed(painted, clip, half, None)
    assert reading["reduction"] == pytest.approx(0.5, abs=0.01)
    assert reading["smoothed"] == measures.warping_error(ours, clip.motions)
    assert reading["ema"] == pytest.approx(reading["smoothed"], rel=0.05)
    assert reading["ema"] == measures.warping_error(plain, clip.motions)
    assert reading["ema_reached"] == 1
    assert reading["gain"] == 1
    assert reading["smoothed_gain"] == pytest.approx(0.5, abs=0.01)
    # An average that adds nothing to a smoother that takes nothing.
    nothing, _, plain = readings.read_smoothed(painted, clip, lambda image, *_: image, None)
    assert nothing["reduction"] == nothing["ema_time_constant"] == 0
    assert all(np.array_equal(a, b) for a, b in zip(plain, painted, strict=True))
