"""How the camera's picture moves from one frame to the next, and where that can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.frame import Image

Field = npt.NDArray[np.float32]

_SMALLEST = 16  # pixels a side: below 12 the flow refuses, and there is nothing to follow
# A cut or a flash: less than this share of the pixels is found again, within so many grey levels.
CUT, _ALIKE = 0.35, 10
LONGEST_GAP = 0.5  # seconds; after more, nothing that was seen need be there any more


class FlowDetail(NamedTuple):
    """How closely motion is followed. The search's words are OpenCV's."""

    area: int  # pixels of the pictures that are compared, at most
    patch_stride: int  # pixels
    descent_steps: int
    refinements: int  # variational, which settle the fractions of a pixel
    doubt: float  # grey levels of difference after warping, at which confidence has fallen to 1 / e
    stands: float  # pixels: less is noise, and moving a picture by it only blurs


# A millisecond: of a small picture, as closely as a face needs.
LIVE = FlowDetail(320 * 180, 5, 4, 0, 24.0, 0.1)
# Ten times that. What it follows so closely can be believed with less of a likeness.
FILM = FlowDetail(640 * 360, 5, 8, 3, 36.0, 0.03)
DETAILS = {"live": LIVE, "film": FILM}
# Squared pixels a pixel: neighbours that are torn apart by more were mistaken, and a painting moved by
# that again and again becomes rings around a quick hand.
_TORN = 0.3
_FINEST = 1  # pyramid level: half of the size compared; a quarter is too coarse


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """From one frame to the one before it, on a small copy of the picture.

    flow: (h, w, 2), x and y in small pixels; what is at p now was at p + flow(p). confidence: (h, w), 0 to 1.
    elapsed: seconds between the two. stands: nothing moves at all.
    """

    flow: Field
    confidence: Field
    elapsed: float
    stands: bool

    @property
    def size_hw(self) -> tuple[int, int]:
        height, width = self.confidence.shape
        return height, width


class MotionTracker:
    """Motion from each frame to the one before it.

    Dense inverse search (Kroeger et al. 2016, arXiv:1603.03590) on small grey pictures. The confidence is
    that of the brightness:

        exp(-(blur(|before(p + flow) - now(p)|) / doubt)² - blur(|∇flow|²) / 0.3),   0 where that is outside

    The second part is our own; Ruder et al. 2016 (arXiv:1604.08610) leave out such places altogether.

    None, for a picture without a past: the first one, another size, a time that stands still, goes back or
    jumps by more than half a second, and a cut or a flash, where under 0.35 of the pixels differ by less than
    10 grey levels after warping. detail: LIVE, or FILM.
    """

    def __init__(self, detail: FlowDetail = LIVE) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(_FINEST)
        self._search.setPatchStride(detail.patch_stride)
        self._search.setGradientDescentIterations(detail.descent_steps)
        self._search.setVariationalRefinementIterations(detail.refinements)
        self._area, self._stands = detail.area, detail.stands
        self._confidence = np.exp(-((np.arange(256) / detail.doubt) ** 2)).astype(np.float32)
        self._before: Image | None = None  # (h, w), grey
        self._scratch = _Scratch(0, 0)
        self._whole: tuple[int, ...] = ()
        self._timestamp = 0.0

    def __call__(self, content: Image, timestamp: float) -> Motion | None:
        """Shape: content (H, W, 3). timestamp: seconds."""
        grey = shrunk(cv2.cvtColor(content, cv2.COLOR_RGB2GRAY), small_size_hw(content, self._area))
        now = np.maximum(grey, 1)
        before, elapsed = self._before, timestamp - self._timestamp
        same_size = content.shape == self._whole
        self._before, self._whole, self._timestamp = now, content.shape, timestamp
        if before is None or not same_size or not 0 < elapsed <= LONGEST_GAP:  # NaN too
            return None
        return self._compare(before, now, elapsed)

    def reset(self) -> None:
        """The next picture has no past."""
        self._before = None

    def _compare(self, before: Image, now: Image, elapsed: float) -> Motion | None:
        height, width = now.shape
        if self._scratch.size_hw != (height, width):
            self._scratch = _Scratch(height, width)
        scratch = self._scratch
        if np.array_equal(before, now) or min(height, width) < _SMALLEST:
            flow, stands = np.zeros((height, width, 2), np.float32), True
        else:
            # A fresh array: the search would take an old one as its first guess.
            flow = np.asarray(self._search.calc(now, before, None), np.float32)  # type: ignore[call-overload]
            cv2.split(flow, scratch.parts)
            cv2.magnitude(scratch.parts[0], scratch.parts[1], magnitude=scratch.length)
            still = scratch.length < self._stands
            cv2.copyTo(scratch.nothing[1], still.view(np.uint8), dst=flow)
            stands = bool(still.all())
        # What comes from outside is 0, which nothing inside is.
        warped = before if stands else warp(before, flow, cv2.BORDER_CONSTANT)
        difference = np.asarray(cv2.blur(cv2.absdiff(warped, now), (5, 5)), np.uint8)
        alike = difference < _ALIKE
        confidence = np.asarray(cv2.LUT(difference, self._confidence), np.float32)
        if not stands:
            outside = warped == 0
            alike &= ~outside
            _wholeness(scratch.parts, scratch.length)
            cv2.multiply(confidence, scratch.length, dst=confidence)
            cv2.copyTo(scratch.nothing[0], outside.view(np.uint8), dst=confidence)
        if np.count_nonzero(alike) < CUT * alike.size:
            return None
        return Motion(flow, confidence, elapsed, stands)


class _Scratch:
    """Memory of one size to work in: what is fresh costs as much as what is done with it."""

    def __init__(self, height: int, width: int) -> None:
        self.size_hw = height, width
        self.nothing = np.zeros((height, width), np.float32), np.zeros((height, width, 2), np.float32)
        self.parts = [np.empty((height, width), np.float32) for _ in range(2)]
        self.length = np.empty((height, width), np.float32)


def _wholeness(flow: Sequence[Field], whole: Field) -> None:
    """How much a flow keeps neighbours together: 1 is a shift, near 0 a tear. Shapes: all (h, w).

    flow: x and y. whole: what is written.
    """
    height, width = whole.shape
    half = width // 2, height // 2  # a quarter of the work
    total = np.zeros(half[::-1], np.float32)
    for part in flow:
        smaller = cv2.resize(part, half, interpolation=cv2.INTER_AREA)
        for across, down in ((1, 0), (0, 1)):
            cv2.accumulateSquare(cv2.Sobel(smaller, cv2.CV_32F, across, down, scale=1 / 16), total)
    kept = cv2.exp(np.asarray(cv2.blur(total, (5, 5)), np.float32) * (-1 / _TORN))
    cv2.resize(kept, (width, height), dst=whole, interpolation=cv2.INTER_LINEAR)


def small_size_hw(image: Image, area: int) -> tuple[int, int]:
    """Of a copy of about `area` pixels with the picture's proportions, and never larger."""
    height, width = image.shape[:2]
    scale = min(1.0, math.sqrt(area / (height * width)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrunk(image: npt.ArrayLike, size_hw: tuple[int, int]) -> Image:
    """A smaller copy, averaged."""
    smaller = np.asarray(image)
    height, width = size_hw
    # By two is ten times as fast as by anything else; what is left is less than that.
    while smaller.shape[0] >= 2 * height and smaller.shape[1] >= 2 * width:
        half = (smaller.shape[1] // 2, smaller.shape[0] // 2)
        smaller = np.asarray(cv2.resize(smaller, half, interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def warp(picture: npt.NDArray[Any], flow: Field, border: int) -> npt.NDArray[Any]:
    """The picture as the flow moves it: the new p is the old p + flow(p), bilinear. border: cv2's."""
    interpolation = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
    # cv2's own types do not know that the second map may be missing.
    moved = cv2.remap(picture, flow, None, interpolation, borderMode=border)  # type: ignore[call-overload]
    return np.asarray(moved)
