"""Dark frosted glass, on which text can be read on any picture."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import cv2
import numpy as np

from livestyle.frame import Image
from livestyle.lettering import Colour

FROST = 16  # pixels of a square that glass makes one
GLASS, ALARM = (16, 16, 18), (104, 14, 10)  # what is added to the darkened picture
RED = (255, 74, 64)  # of the recording dot


class Box(NamedTuple):
    """A rectangle of a picture, in pixels; right and bottom lie outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def lay_glass(canvas: Image, box: Box, *, radius: int, tint: Colour = GLASS) -> Image:
    """Blur and darken what is behind, in place; the view of it. radius: of the round corners."""
    glass = canvas[box.top : box.bottom, box.left : box.right]
    before = glass.copy()
    coarse = (max(1, box.width // FROST), max(1, box.height // FROST))
    even = glass[: coarse[1] * FROST, : coarse[0] * FROST]  # whole squares: four times faster to average
    blurred = cv2.blur(cv2.resize(even, coarse, interpolation=cv2.INTER_AREA), (3, 3))
    dark = np.rint(0.2 * blurred.astype(np.float32) + np.asarray(tint)).astype(np.uint8)
    glass[...] = cv2.resize(dark, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
    steps = np.arange(radius, dtype=np.float32)[::-1] + 0.5
    # How much of each pixel of the top left corner lies inside.
    inside = np.clip(radius + 0.5 - np.hypot(steps[:, None], steps), 0, 1)[..., None]
    for y, x in product((1, -1), repeat=2):
        corner, was = (picture[::y, ::x][:radius, :radius] for picture in (glass, before))
        corner[...] = np.rint(was + inside * (corner.astype(np.float32) - was))
    return glass


def draw_dot(canvas: Image, x: float, y: float, radius: float) -> None:
    """The red dot of a recording, in place, between pixels too."""
    fine = 16  # parts of a pixel
    centre = (round((x - 0.5) * fine), round((y - 0.5) * fine))
    cv2.circle(canvas, centre, round(radius * fine), RED, cv2.FILLED, cv2.LINE_AA, shift=4)
