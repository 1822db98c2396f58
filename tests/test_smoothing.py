from __future__ import annotations

import math

import numpy as np
import pytest

from livestyle.frame import Image
from livestyle.smoothing import TIME_CONSTANT, EmaSmoother


def grey(level: int, width: int = 8) -> Image:
    return np.full((4, width, 3), level, np.uint8)


def level(image: Image) -> int:
    return int(image[0, 0, 0])


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
