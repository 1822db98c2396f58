from __future__ import annotations

import cv2
import numpy as np
import pytest

from livestyle.frame import Image
from livestyle.upsampling import Upsampler, shrink


def scene() -> Image:
    """Dark and light halves with a slanted edge between them, 320x240, edges as sharp as pixels can be."""
    x = np.arange(320) - 120.5 - 0.3 * np.arange(240)[:, None]
    return np.repeat(np.where(x > 0, 200, 60).astype(np.uint8)[..., None], 3, axis=2)


def error(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def enlarge(image: Image, like: Image) -> Image:
    return np.asarray(cv2.resize(image, like.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("scale", [0.35, 0.5, 0.6, 0.7])
@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (-0.8, 0.5, 0.1)])
def test_edges_of_the_camera_are_sharp_in_every_channel(
    scale: float, colour: tuple[float, float, float]
) -> None:
    content = scene()
    expected = np.rint(128 + (content - 130.0) * colour).astype(np.uint8)  # a painting of it, at full size
    size_hw = (round(240 * scale), round(320 * scale))
    small, painted = shrink(content, size_hw), shrink(expected, size_hw)
    sharp = Upsampler()(painted, small, content)
    assert sharp.shape == content.shape
    assert sharp.dtype == np.uint8
    assert error(sharp, expected) < 0.35 * error(enlarge(painted, content), expected)


def test_strokes_that_the_camera_does_not_show_are_kept() -> None:
    content = np.random.default_rng(0).normal(120, 2, (240, 320, 3)).clip(0, 255).astype(np.uint8)
    small = shrink(content, (120, 160))
    strokes = 120 + 60 * np.sin(np.arange(160) / 1.5)[None, :, None] * np.ones((120, 1, 3))
    painted = np.rint(strokes).astype(np.uint8)
    shown = Upsampler()(painted, small, content)
    assert error(shown, enlarge(painted, content)) < 1.5
    assert shown.std() > 0.95 * painted.std()


def test_the_photo_does_not_shine_through_a_painting_that_has_nothing_of_it() -> None:
    content = scene()
    flat = np.full((120, 160, 3), 90, np.uint8)
    assert np.array_equal(Upsampler()(flat, shrink(content, (120, 160)), content), np.full_like(content, 90))


def test_the_camera_s_noise_stays_out() -> None:
    rng = np.random.default_rng(0)
    content = np.clip(scene() + rng.normal(0, 4, (240, 320, 1)), 0, 255).astype(np.uint8)
    smooth = np.full((120, 160, 3), 90, np.uint8) + rng.integers(0, 3, (120, 160, 3), np.uint8)
    shown = Upsampler()(smooth, shrink(content, (120, 160)), content)
    assert error(shown, enlarge(smooth, content)) < 0.3


def test_a_picture_itself_comes_back() -> None:
    content = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 2)
    picture = np.asarray(content, np.uint8)
    small = shrink(picture, (120, 160))
    assert error(Upsampler()(small, small, picture), picture) < 2


def test_near_full_size_it_only_enlarges() -> None:
    content = scene()
    small = shrink(content, (204, 272))
    assert np.array_equal(Upsampler()(small, small, content), enlarge(small, content))


def test_pictures_do_not_depend_on_those_before_or_on_their_size() -> None:
    upsampler, content = Upsampler(), scene()
    small = shrink(content, (120, 160))
    first = upsampler(small, small, content)
    kept = first.copy()
    other = np.ascontiguousarray(255 - content[:200, :300])
    upsampler(shrink(other, (100, 150)), shrink(other, (100, 150)), other)
    again = upsampler(small, small, content)
    assert np.array_equal(again, kept)
    assert np.array_equal(first, kept)  # not written into again
    assert np.array_equal(Upsampler()(small, small, content), kept)


def test_bands_leave_no_seams() -> None:
    # Rows are worked on in bands: a picture shifted by some rows must give the same, shifted.
    rng = np.random.default_rng(2)
    content = np.asarray(cv2.resize(rng.integers(0, 256, (60, 40, 3), np.uint8), (320, 480)), np.uint8)
    painted = np.asarray(cv2.blur(rng.integers(0, 256, (240, 160, 3), np.uint8), (3, 3)), np.uint8)
    whole = Upsampler()(painted, shrink(content, (240, 160)), content)
    lower = np.ascontiguousarray(content[40:])
    part = Upsampler()(np.ascontiguousarray(painted[20:]), shrink(lower, (220, 160)), lower)
    assert np.abs(whole[60:].astype(int) - part[20:]).max() <= 1


def test_half_a_size_is_the_mean_of_four_pixels() -> None:
    content = np.random.default_rng(3).integers(0, 256, (8, 12, 3), np.uint8)
    expected = content.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrink(content, (4, 6)) - expected).max() <= 0.51
