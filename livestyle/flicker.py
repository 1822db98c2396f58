"""How much the painting flickers, measured while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from livestyle.flow import Motion, shrunk, warp
from livestyle.frame import Image

_WINDOW = 1.0  # seconds, after which 1 / e of a running mean is left
# A painting that flickers less than this has nothing to remove: a share of it would be a share of noise.
_NOTHING = 1e-4
_SQUARES = ((np.arange(256) / 255) ** 2).astype(np.float32)  # of a difference in grey levels
_MEAN = np.full((1, 3), 1 / 3, np.float32)  # of the channels


@dataclass(frozen=True, slots=True)
class Flicker:
    """shown: √E_warp of what is shown, 0 to 1. removed: the part of the painting's own that is gone.

    removed is 1 when all of it is gone, below 0 when there is more than before, None where there is none.
    """

    shown: float
    removed: float | None


class FlickerMeter:
    """√E_warp of a painted stream, before and after smoothing.

        √E_warp = sqrt(mean_t [sum_p c(p) ‖O_t(p) − O_{t−1}(p + flow(p))‖² / sum_p c(p)])

    ‖·‖²: mean of the three channels, O in [0, 1]. c: confidence. Unlike Lai et al. 2018 (arXiv:1808.00449),
    on the small pictures on which the motion was found (320x180 live, 640x360 in a film), with their flow. So
    it has a floor, because such a flow is off by a fraction of a pixel, and it does not see what flickers
    within one small pixel: it compares moments of one show. tools/flicker.py compares networks.

    One thread calls it, any thread reads.
    """

    def __init__(self) -> None:
        self._before: tuple[Image, Image] | None = None  # painted, shown; small
        self._running: tuple[float, float] | None = None  # mean squares of painted, shown
        self._sums = (0.0, 0.0)
        self._frames = 0

    def __call__(self, painted: Image, shown: Image, motion: Motion | None) -> None:
        """Shapes: painted and shown (H, W, 3). motion: of the frame's content, None where it has no past."""
        if motion is None:
            self._before = None
            return
        small = shrunk(painted, motion.size_hw)
        now = small, small if shown is painted else shrunk(shown, motion.size_hw)
        before, self._before = self._before, now
        if before is None or before[0].shape != small.shape:
            return
        pictures = zip(now, before, strict=True)
        squares = [_mean_square(new, old, motion) for new, old in pictures]
        self._sums = (self._sums[0] + squares[0], self._sums[1] + squares[1])
        self._frames += 1
        raw, calm = self._running or squares
        part = 1 - math.exp(-motion.elapsed / _WINDOW)
        self._running = raw + part * (squares[0] - raw), calm + part * (squares[1] - calm)

    @property
    def now(self) -> Flicker | None:
        """Of the last second; None until there are two frames."""
        running = self._running
        return None if running is None else _flicker(*running)

    @property
    def overall(self) -> Flicker | None:
        """Of all frames so far; None until there are two."""
        count = self._frames
        return None if not count else _flicker(self._sums[0] / count, self._sums[1] / count)


def _mean_square(new: Image, old: Image, motion: Motion) -> float:
    if not motion.stands:
        old = np.asarray(warp(old, motion.flow, cv2.BORDER_REPLICATE), np.uint8)
    squares = cv2.LUT(cv2.absdiff(new, old), _SQUARES)  # (h, w, 3)
    total = float(motion.confidence.sum())
    return float(np.vdot(motion.confidence, cv2.transform(squares, _MEAN))) / total if total else 0.0


def _flicker(raw: float, shown: float) -> Flicker:
    before, after = math.sqrt(raw), math.sqrt(shown)
    return Flicker(after, 1 - after / before if before > _NOTHING else None)
