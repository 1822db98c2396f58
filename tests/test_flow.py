from __future__ import annotations

import cv2
import numpy as np
import pytest

from livestyle.flow import FILM, LIVE, FlowDetail, MotionTracker, shrunk, small_size_hw, warp
from livestyle.frame import Image

BOTH = pytest.mark.parametrize("detail", [LIVE, FILM], ids=["live", "film"])


def scene(seed: int, height: int = 120, width: int = 200) -> Image:
    """A picture with large and small things to follow everywhere."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cell, contrast in ((40, 0.6), (8, 0.4)):
        values = random.uniform(0, 255, (height // cell + 1, width // cell + 1, 3)).astype(np.float32)
        picture += contrast * cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return picture.astype(np.uint8)


@BOTH
@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-5, 4)])
def test_flow_points_to_where_things_were(dx: int, dy: int, detail: FlowDetail) -> None:
    whole = scene(0)
    before, now = whole[10:110, 10:190], whole[10 - dy : 110 - dy, 10 - dx : 190 - dx]
    tracker = MotionTracker(detail)
    assert tracker(before, 0.0) is None
    motion = tracker(now, 1 / 30)
    assert motion is not None
    inner = motion.flow[15:-15, 15:-15]
    assert np.median(inner, axis=(0, 1)) == pytest.approx((-dx, -dy), abs=0.1)
    assert not motion.stands
    assert motion.elapsed == pytest.approx(1 / 30)


@BOTH
def test_a_picture_that_stands_has_no_flow_at_all_and_full_confidence(detail: FlowDetail) -> None:
    tracker = MotionTracker(detail)
    noise = np.random.default_rng(1)
    for n in range(4):
        seen = np.clip(scene(0) + noise.normal(0, 1, scene(0).shape), 0, 255).astype(np.uint8)
        motion = tracker(seen, n / 30)
    assert motion is not None
    assert np.abs(motion.flow).mean() < 0.01
    assert motion.confidence.min() > 0.95
    repeated = tracker(seen, 5 / 30)
    assert repeated is not None
    assert repeated.stands


@BOTH
def test_what_comes_into_the_picture_is_not_believed(detail: FlowDetail) -> None:
    whole = scene(0, 120, 280)
    tracker = MotionTracker(detail)
    tracker(np.ascontiguousarray(whole[:, :200]), 0.0)
    motion = tracker(np.ascontiguousarray(whole[:, 16:216]), 1 / 30)
    assert motion is not None
    assert motion.confidence[:, -8:].mean() < 0.1
    assert motion.confidence[20:-20, 40:-40].mean() > 0.9


@BOTH
def test_a_thing_that_appears_is_not_believed(detail: FlowDetail) -> None:
    tracker = MotionTracker(detail)
    seen = scene(0)
    tracker(seen, 0.0)
    seen = seen.copy()
    seen[40:80, 80:120] = 255
    motion = tracker(seen, 1 / 30)
    assert motion is not None
    assert motion.confidence[45:75, 85:115].mean() < 0.35
    assert motion.confidence[:30, :60].mean() > 0.95


@BOTH
def test_ten_hard_cuts_have_no_past_and_a_fast_pan_has(detail: FlowDetail) -> None:
    tracker = MotionTracker(detail)
    for shot in range(10):
        assert tracker(scene(shot), 2 * shot / 30) is None
        assert tracker(scene(shot), (2 * shot + 1) / 30) is not None
    wide = scene(99, 120, 640)
    for n in range(20):  # a tenth of the width a frame: three widths a second
        motion = tracker(np.ascontiguousarray(wide[:, 20 * n : 20 * n + 200]), 1 + n / 30)
        assert (motion is None) == (n == 0), n


@BOTH
def test_a_flash_has_no_past_on_either_side(detail: FlowDetail) -> None:
    tracker = MotionTracker(detail)
    white = np.full_like(scene(0), 255)
    assert [
        tracker(seen, n / 30) is None for n, seen in enumerate([scene(0), white, scene(0), scene(0)])
    ] == [
        True,
        True,
        True,
        False,
    ]


@BOTH
def test_after_a_reset_there_is_no_past(detail: FlowDetail) -> None:
    tracker = MotionTracker(detail)
    tracker(scene(0), 0.0)
    tracker.reset()
    assert tracker(scene(0), 1 / 30) is None


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((720, 1280), (180, 320)),
        ((1280, 720), (320, 180)),
        ((120, 200), (120, 200)),
        ((2, 100_000), (1, 53666)),
    ],
)
def test_the_small_copy_keeps_the_proportions(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert small_size_hw(np.zeros((*size, 3), np.uint8), LIVE.area) == small


def test_shrinking_takes_the_mean_and_warping_moves() -> None:
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4) * 4
    assert shrunk(picture, (2, 2)).tolist() == [[10, 18], [42, 50]]
    flow = np.zeros((4, 4, 2), np.float32)
    flow[..., 0] = 1
    assert warp(picture, flow, cv2.BORDER_REPLICATE)[0].tolist() == [4, 8, 12, 12]
    assert warp(picture, flow, cv2.BORDER_CONSTANT)[0].tolist() == [4, 8, 12, 0]


@BOTH
def test_neighbours_that_are_torn_apart_are_not_believed(detail: FlowDetail) -> None:
    # The left half goes one way and the right half another, over a ground so smooth that all of it is alike.
    ground = np.full((120, 200, 3), 128, np.uint8)
    picture = (0.9 * ground + 0.1 * scene(0)).astype(np.uint8)
    torn = np.concatenate(
        [np.roll(picture[:, :100], -3, axis=1), np.roll(picture[:, 100:], 3, axis=1)], axis=1
    )
    tracker = MotionTracker(detail)
    tracker(picture, 0.0)
    motion = tracker(np.ascontiguousarray(torn), 1 / 30)
    assert motion is not None
    middle = motion.confidence[20:-20, 92:108].mean()
    assert middle < 0.8 * motion.confidence[20:-20, 30:70].mean(), middle
    tracker.reset()
    tracker(picture, 0.0)
    whole = tracker(np.roll(picture, 3, axis=1), 1 / 30)
    assert whole is not None
    assert whole.confidence[20:-20, 20:-20].mean() > 0.95


def test_film_follows_fractions_of_a_pixel_more_closely_than_live() -> None:
    # A camera that glides slowly over a still of the size that FILM compares.
    whole = cv2.GaussianBlur(scene(5, 800, 1400), (0, 0), 1.0)
    speed = 0.37  # pixels a frame, to the right and down
    error = {}
    for name, detail in (("live", LIVE), ("film", FILM)):
        tracker = MotionTracker(detail)
        for n in range(2):
            matrix = np.array([[1, 0, -speed * n - 200], [0, 1, -speed * n - 200]], np.float32)
            seen = cv2.warpAffine(whole, matrix, (640, 360), flags=cv2.INTER_CUBIC)
            motion = tracker(np.asarray(seen, np.uint8), n / 30)
        assert motion is not None
        flow = motion.flow * (640 / motion.size_hw[1])
        error[name] = float(np.abs(flow[20:-20, 20:-20] - speed).mean())
    assert error["film"] < 0.6 * error["live"], error
