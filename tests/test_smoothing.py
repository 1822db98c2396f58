from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from fakes import halved_colours, same_picture

from livestyle.frame import Image
from livestyle.smoothing import (
    SMOOTHING,
    TIME_CONSTANT,
    EmaSmoother,
    FlowSmoother,
    parse_smoothing,
    smoothing_name,
)


def grey(level: int, width: int = 8) -> Image:
    return np.full((4, width, 3), level, np.uint8)


def level(image: Image) -> int:
    return int(image[0, 0, 0])


def scene(seed: int, height: int = 96, width: int = 160) -> Image:
    """A picture with large and small things to follow everywhere."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cell, contrast in ((40, 0.6), (8, 0.4)):
        values = random.uniform(0, 255, (height // cell + 1, width // cell + 1, 3)).astype(np.float32)
        picture += contrast * cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return picture.astype(np.uint8)


def play(smoother: FlowSmoother, paintings: list[Image], content: Image, fps: float) -> Image:
    for n, painted in enumerate(paintings):
        shown = smoother(painted, content, n / fps)
    return shown


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_along_the_motion_as_much_is_left_of_the_past_at_any_rate(fps: int) -> None:
    bright, dark = np.full_like(scene(1), 200), np.full_like(scene(1), 0)
    shown = play(FlowSmoother(0.8), [bright] + [dark] * (fps // 5), scene(1), fps)
    # 0.2 s are six times 1/30 s; the blend moves a level too far now and then, never too little
    expected = 200 * 0.8**6
    assert expected - 8 < level(shown) <= expected + 1


def test_of_a_still_painting_only_the_finest_colours_change_and_an_old_one_is_gone_in_the_end() -> None:
    still, other = scene(2), scene(3)
    smoother = FlowSmoother(0.88)
    for n in range(5):
        assert same_picture(smoother(still, scene(1), n / 30), halved_colours(still))
    for n in range(5, 90):
        shown = smoother(other, scene(1), n / 30)
    assert same_picture(shown, halved_colours(other))  # no level of a ghost stays


def test_grey_paintings_and_even_colours_keep_their_levels() -> None:
    grey_scene = np.ascontiguousarray(scene(2)[..., :1].repeat(3, 2))
    even = np.full_like(grey_scene, (200, 30, 90))
    for painted in (grey_scene, even):
        smoother = FlowSmoother(0.88)
        for n in range(5):
            assert same_picture(smoother(painted, scene(1), n / 30), painted, levels=1)


@pytest.mark.parametrize("strength", [0.0, 0.6, 0.88])
def test_flicker_is_less_the_stronger_the_smoothing(strength: float) -> None:
    noise = np.random.default_rng(0)
    smoother, shown = FlowSmoother(strength), []
    for n in range(60):
        # Grey: of noise in colours, what is finer than two pixels goes, whatever the strength.
        painted = np.clip(noise.normal(128, 20, (96, 160, 1)).repeat(3, 2), 0, 255).astype(np.uint8)
        shown.append(smoother(painted, scene(1), n / 30))
        assert strength > 0 or shown[-1] is painted  # not even a copy
    deviation = np.std(shown[30:], axis=0).mean()
    # of an autoregression: sqrt((1 - a) / (1 + a)); whole levels let a little less of it through
    known = 20 * math.sqrt((1 - strength) / (1 + strength))
    assert 0.7 * known < deviation < 1.05 * known


def test_even_the_strongest_smoothing_lets_the_painting_through() -> None:
    bright, dark = np.full_like(scene(1), 200), np.full_like(scene(1), 0)
    assert level(play(FlowSmoother(1.0), [bright] + [dark] * 60, scene(1), 30)) < 10


def test_the_past_moves_along_with_the_picture() -> None:
    wide = scene(4, 96, 320)
    smoother = FlowSmoother(0.88)
    errors, ghosts = [], []
    ema = EmaSmoother()
    for n in range(20):
        content = np.ascontiguousarray(wide[:, 4 * n : 4 * n + 160])
        painted = 255 - content  # a painting that does not flicker: nothing may change it
        errors.append(np.abs(smoother(painted, content, n / 30).astype(int) - painted).mean())
        ghosts.append(np.abs(ema(painted, content, n / 30).astype(int) - painted).mean())
    assert max(errors) < 4
    assert ghosts[-1] > 10  # what an average along the pixels does


def test_no_frame_is_blended_across_a_cut() -> None:
    smoother = FlowSmoother(0.88)
    for shot in range(10):
        for n in range(4):
            painted = np.full_like(scene(0), 20 * shot)
            shown = smoother(painted, scene(10 + shot), (4 * shot + n) / 30)
            assert np.array_equal(shown, painted), (shot, n)


def test_a_flash_is_shown_as_it_is_and_so_is_what_follows() -> None:
    smoother = FlowSmoother(0.88)
    for n, (content, painted) in enumerate(
        [(scene(1), 100), (scene(1), 100), (np.full_like(scene(1), 255), 250), (scene(1), 50)]
    ):
        assert level(smoother(np.full_like(scene(1), painted), content, n / 30)) == painted


def test_another_size_begins_anew() -> None:
    smoother = FlowSmoother(0.88)
    smoother(np.full_like(scene(1), 200), scene(1), 0.0)
    small = scene(1, 48, 80)
    assert not smoother(np.zeros_like(small), small, 1 / 30).any()


@pytest.mark.parametrize("then", [1.0, 0.9, 1.6, 1e9, -5.0, math.nan, math.inf])
def test_a_time_that_stands_still_goes_back_or_jumps_begins_anew(then: float) -> None:
    smoother = FlowSmoother(0.88)
    smoother(np.full_like(scene(1), 200), scene(1), 1.0)
    assert not smoother(np.zeros_like(scene(1)), scene(1), then).any()


def test_after_a_strange_time_smoothing_goes_on() -> None:
    smoother = FlowSmoother(0.88)
    for timestamp in (1.0, math.nan, 0.5, 2.0):
        smoother(np.full_like(scene(1), 200), scene(1), timestamp)
    assert level(smoother(np.zeros_like(scene(1)), scene(1), 2.0 + 1 / 30)) > 150


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_a_mix_that_moves_is_not_shown_late(fps: int) -> None:
    smoother = FlowSmoother(0.88)
    worst = 0
    for n in range(fps + 1):  # from 0 to 200 in a second
        painted = np.full_like(scene(1), round(200 * n / fps))
        shown = smoother(painted, scene(1), n / fps, mix_change=1 / fps)
        worst = max(worst, round(200 * n / fps) - level(shown))
    assert 0 < worst <= 0.05 * 200 + 1


def test_a_mix_that_jumps_is_there_at_once() -> None:
    smoother = FlowSmoother(1.0)
    smoother(np.full_like(scene(1), 200), scene(1), 0.0)
    assert not smoother(np.zeros_like(scene(1)), scene(1), 1 / 30, mix_change=1.0).any()


def test_what_was_shown_or_painted_is_never_written_to() -> None:
    smoother = FlowSmoother(0.88)
    first, second = np.full_like(scene(1), 200), np.zeros_like(scene(1))
    shown = smoother(first, scene(1), 0.0)
    later = smoother(second, scene(1), 1 / 30)
    smoother(second, scene(1), 2 / 30)
    assert (level(first), level(shown), level(second)) == (200, 200, 0)
    assert 150 < level(later) < 200


def test_what_stands_is_not_resampled_while_something_else_moves() -> None:
    background, thing = scene(5, 192, 320), scene(6, 64, 64)
    smoother = FlowSmoother(0.88)
    for n in range(12):
        content = background.copy()
        content[60:124, 20 + 3 * n : 84 + 3 * n] = thing
        painted = 255 - content  # a painting that does not flicker
        shown = smoother(painted, content, n / 30)
    assert same_picture(shown[:, 200:], halved_colours(painted)[:, 200:])
    assert np.abs(shown.astype(int) - painted)[64:120, 60:110].mean() < 6  # the thing itself
    assert (shown != painted).any()


@pytest.mark.parametrize("step", [0.5, 1.5])
def test_a_steady_pan_between_pixels_never_rings_louder(step: float) -> None:
    wide = np.asarray(cv2.GaussianBlur(scene(9, 120, 400), (0, 0), 0.8), np.uint8)
    noise = np.random.default_rng(0).normal(0, 25, wide.shape)
    wide = np.clip(wide + cv2.GaussianBlur(noise, (0, 0), 0.9) * 2, 0, 255).astype(np.uint8)
    smoother, fps = FlowSmoother(), 60
    for n in range(60):
        shift = np.array([[1, 0, -step * n], [0, 1, -0.5 * n]], np.float32)
        content = np.asarray(cv2.warpAffine(wide, shift, (160, 80), flags=cv2.INTER_CUBIC), np.uint8)
        shown = smoother(content, content, n / fps)
    energy = [
        np.square(np.diff(picture[16:-16, 16:-16].astype(float), axis=1)).mean()
        for picture in (shown, content)
    ]
    assert energy[0] < 1.3 * energy[1]


def test_in_two_steps_it_is_the_same() -> None:
    one, two = FlowSmoother(0.7), FlowSmoother(0.7)
    for n in range(6):
        content, painted = np.roll(scene(1), n, axis=1), scene(20 + n)
        two.begin(content, n / 30)
        assert np.array_equal(one(painted, content, n / 30), two.finish(painted))


def test_a_painting_smaller_than_the_picture_moves_along_with_it() -> None:
    wide = scene(4, 96, 320)
    smoother, ema = FlowSmoother(0.88), EmaSmoother()
    for n in range(20):
        content = np.ascontiguousarray(wide[:, 4 * n : 4 * n + 160])
        painted = 255 - np.asarray(cv2.resize(content, (96, 58), interpolation=cv2.INTER_AREA), np.uint8)
        shown, ghost = smoother(painted, content, n / 30), ema(painted, content, n / 30)
        assert shown.shape == painted.shape
        assert np.abs(shown.astype(int) - painted).mean() < 5  # its cells are five pixels large
    assert np.abs(ghost.astype(int) - painted).mean() > 10


@pytest.mark.parametrize("stands", [True, False])
def test_a_painting_of_another_size_keeps_its_past(stands: bool) -> None:
    smoother = FlowSmoother(0.88)
    smoother(np.full((96, 160, 3), 200, np.uint8), scene(1), 0.0)
    later = scene(1) if stands else np.roll(scene(1), 2, axis=1)
    shown = smoother(np.zeros((49, 81, 3), np.uint8), later, 1 / 30)
    assert shown.shape == (49, 81, 3)
    assert level(shown[20:, 30:]) > 150


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (15, 200), (17, 33), (48, 64)])
def test_pictures_of_any_size_are_smoothed(size: tuple[int, int]) -> None:
    smoother = FlowSmoother(0.88)
    content = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for n in range(3):
        moved = np.ascontiguousarray(np.roll(content, n, axis=1))
        assert smoother(moved, moved, n / 30).shape == (*size, 3)


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan])
def test_a_strength_lies_between_0_and_1(strength: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        FlowSmoother(strength)


def test_levels_have_names() -> None:
    assert list(SMOOTHING) == ["off", "light", "strong"]
    assert 0 == SMOOTHING["off"] < SMOOTHING["light"] < SMOOTHING["strong"] < 1
    for name, strength in SMOOTHING.items():
        assert (parse_smoothing(name), smoothing_name(strength)) == (strength, name)
    assert (parse_smoothing("0.25"), smoothing_name(0.25)) == (0.25, "0.25")


@pytest.mark.parametrize("text", ["", "much", "1.5", "-1", "nan", "inf", "Light "])
def test_what_is_no_smoothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="off, light, strong or a number"):
        parse_smoothing(text)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_time_constant_is_above_0(seconds: float) -> None:
    with pytest.raises(ValueError, match="above 0 seconds"):
        EmaSmoother(seconds)


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_as_much_is_left_of_the_past_at_any_rate(fps: int) -> None:
    smoother = EmaSmoother()
    content = grey(0)
    smoother(grey(200), content, 0.0)
    for n in range(1, fps // 5 + 1):
        shown = smoother(grey(0), content, n / fps)
    # 0.2 s later; the average itself is kept in float, so nothing is lost by rounding on the way
    assert level(shown) == pytest.approx(200 * math.exp(-0.2 / TIME_CONSTANT), abs=1)


def test_a_still_picture_is_not_changed() -> None:
    smoother = EmaSmoother()
    for n in range(5):
        assert level(smoother(grey(77), grey(10), n / 30)) == 77


def test_a_cut_in_the_camera_begins_anew() -> None:
    smoother = EmaSmoother()
    smoother(grey(200), grey(10), 0.0)
    assert level(smoother(grey(0), grey(12), 1 / 30)) > 100  # the same scene
    assert level(smoother(grey(0), grey(90), 2 / 30)) == 0


def test_another_size_or_a_time_that_does_not_grow_begins_anew() -> None:
    smoother = EmaSmoother()
    smoother(grey(200), grey(10), 5.0)
    assert level(smoother(grey(0), grey(10), 5.0)) == 0
    smoother(grey(200), grey(10), 6.0)
    assert smoother(grey(0, width=16), grey(10, width=16), 6.1).shape == (4, 16, 3)


def test_after_a_reset_there_is_no_past() -> None:
    smoother = EmaSmoother()
    smoother(grey(200), grey(10), 0.0)
    smoother.reset()
    assert level(smoother(grey(0), grey(10), 0.03)) == 0


def test_what_was_shown_does_not_change_later() -> None:
    smoother = EmaSmoother()
    first = smoother(grey(200), grey(10), 0.0)
    smoother(grey(0), grey(10), 0.1)
    assert level(first) == 200
