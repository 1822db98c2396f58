from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from livestyle.flow import Motion
from livestyle.planes import PlaneMemory, Planes

HEIGHT, WIDTH = 96, 160


def motion_of(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> Motion:
    return Motion(np.dstack([x, y]).astype(np.float32), np.ones(x.shape, np.float32), 1 / 30, stands=False)


def even_motion(x: float, y: float, height: int = HEIGHT // 2, width: int = WIDTH // 2) -> Motion:
    """Of a picture half as large: x and y in pixels of the whole one."""
    return motion_of(np.full((height, width), x / 2), np.full((height, width), y / 2))


def textured(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Planes:
    """Strokes some pixels wide, at a contrast where nothing is cut off."""
    random = np.random.default_rng(seed)
    picture = random.normal(128, 90, (height, width, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), 1.2)
    planes = PlaneMemory(height, width).planes(np.clip(128 + 2 * (blurred - 128), 20, 235).astype(np.uint8))
    return Planes(*(plane.copy() for plane in planes))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (2, 4), (-6, 2)])
def test_what_moves_by_whole_pixels_stays_as_sharp_as_it_is(x: int, y: int) -> None:
    planes = textured(1)
    moved = PlaneMemory(HEIGHT, WIDTH).move(planes, even_motion(x, y))
    for old, new, part in zip(planes, moved, (1, 2, 2), strict=True):
        inner = np.s_[8:-8, 8:-8]
        assert np.array_equal(new[inner], np.roll(old, (-y // part, -x // part), (0, 1))[inner])


def test_half_way_between_pixels_four_of_them_count() -> None:
    planes = Planes(*(np.full_like(plane, 80) for plane in textured(1)))
    planes.brightness[:, 80:] = 160
    moved = PlaneMemory(HEIGHT, WIDTH).move(planes, even_motion(0.5, 0)).brightness
    # -3 19 19 -3 of 32, of 80 and 160: 7.5 under, the middle, and 7.5 over.
    assert moved[40, 76:83].tolist() == [80, 80, 72, 120, 168, 160, 160]
    quarter = PlaneMemory(HEIGHT, WIDTH).move(planes, even_motion(0.25, 0)).brightness
    assert quarter[40, 76:83].tolist() == [
        80,
        80,
        76,
        100,
        164,
        160,
        160,
    ]  # half way from there to the pixels


def test_moving_again_and_again_costs_few_of_the_strokes_and_adds_none() -> None:
    planes, memory = textured(2), PlaneMemory(HEIGHT, WIDTH)
    random = np.random.default_rng(3)
    ours = cubic = linear = planes.brightness.astype(np.uint8)
    for _ in range(8):
        there = [random.uniform(-1.5, 1.5, (HEIGHT // 2, WIDTH // 2)) for _ in range(2)]
        x, y = (np.asarray(6 * cv2.GaussianBlur(part, (0, 0), 8), np.float32) for part in there)
        ours = memory.move(planes._replace(brightness=ours), motion_of(x, y)).brightness.copy()
        flow = cv2.resize(2 * np.dstack([x, y]).astype(np.float32), (WIDTH, HEIGHT))
        cubic, linear = (
            cv2.remap(plane, flow, None, kernel | cv2.WARP_RELATIVE_MAP, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
            for plane, kernel in ((cubic, cv2.INTER_CUBIC), (linear, cv2.INTER_LINEAR))
        )
    parts = {"ours": ours, "cubic": cubic, "linear": linear}
    inner = np.s_[8:-8, 8:-8]
    energy = {
        name: np.square(np.diff(plane[inner].astype(float))).mean()
        / np.square(np.diff(planes.brightness[inner].astype(float))).mean()
        for name, plane in parts.items()
    }
    assert energy["linear"] < 0.5
    assert 0.7 < energy["ours"] < 1 < energy["cubic"]  # cv2's kernel rings


def test_outside_there_is_what_lies_at_the_edge() -> None:
    planes = Planes(*(np.full_like(plane, 100) for plane in textured(1)))
    planes.brightness[:, -1] = planes.brightness[-1] = 200
    moved = PlaneMemory(HEIGHT, WIDTH).move(planes, even_motion(3, 3)).brightness
    assert (moved[-3:] == 200).all()
    assert (moved[:, -3:] == 200).all()
    assert (moved[:-4, :-4] == 100).all()


def test_a_motion_of_another_size_is_enlarged_along_each_side() -> None:
    planes = textured(4)
    memory = PlaneMemory(HEIGHT, WIDTH)
    for height, width in ((48, 80), (24, 80), (48, 40), (96, 160)):
        motion = motion_of(
            np.full((height, width), 4 * width / WIDTH), np.full((height, width), 6 * height / HEIGHT)
        )
        moved = memory.move(planes, motion).brightness
        assert np.array_equal(moved[8:-8, 8:-8], planes.brightness[14:-2, 12:-4])


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (5, 7), (96, 160)])
def test_pictures_of_any_size_come_back(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), (200, 90, 40), np.uint8)
    memory = PlaneMemory(*size)
    planes = memory.planes(picture)
    assert [plane.shape for plane in planes] == [size, *[(-(-size[0] // 2), -(-size[1] // 2))] * 2]
    moved = memory.move(planes, motion_of(*np.zeros((2, *size))))
    assert np.abs(memory.picture(moved).astype(int) - picture).max() <= 1
