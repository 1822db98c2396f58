"""Picks the size at which a stream is painted, so that it keeps its rate."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

# Parts of width and height. Few, because an engine prepares itself for every size that it paints.
SCALES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3, 0.25)
SMALLEST_SIDE = 240  # pixels of the shorter side: below, strokes are coarser than faces
# A network's strokes are some eight pixels wide, whatever it is shown. On a large picture they would be a
# mesh that nobody sees, and pits in faces: it is painted with so many lines (pixels of the shorter side).
# Blind, eyes chose that in 35 of 48 pictures of 480 to 540 lines, and its face in 40 (models/README.md).
# From SHARP_SIDE on it is more of them, by the square root of the size, or a large picture would look out
# of focus.
STROKES_SIDE, SHARP_SIDE = 360, 540
FINEST, WIDEST = 0.1, 8.0  # brushes, and those that the key goes through:
BRUSHES = (0.5, 1.0, 1.5, 2.0, 3.0)
BRUSH_SIDE = 120  # pixels of the shorter side: whoever asks for coarse strokes may have them as far as this
FAST = 1.5

# Parts of the time that one frame may take. Between the two nothing changes, or the size would swing.
_MISSED = 0.95  # more is too slow
_ROOM = 0.75  # a new size is one that is expected to take no more than this
_MEMORY = 0.5  # seconds that count
# Of the frames in it, so many may take longer. Each that is late is lost, and a machine that others use makes
# one in three late long before the median is.
_LATE = 0.2
_FEWEST = 5  # frames, before which nothing is changed
_PATIENCE, _LONGEST_PATIENCE = 2.0, 60.0  # seconds that there must be room before a larger size is tried
_PROOF = 10.0  # seconds that a larger size must have been kept, or the next try comes later


class FrameTime(NamedTuple):
    """Seconds of one frame: the network's, those for another size and back, and all others."""

    network: float
    resampling: float
    rest: float


def brush_scale(height: int, width: int, brush: float) -> float:
    """The scale at which strokes are `brush` times as wide as suits the picture, above 0.

    That is painted with 360 lines, or with 360 sqrt(lines / 540) where that is more. None are finer than the
    network's own. No smaller than BRUSH_SIDE.
    """
    shorter = min(height, width)
    lines = STROKES_SIDE * math.sqrt(max(1.0, shorter / SHARP_SIDE))
    return min(1.0, max(min(1.0, lines / shorter) / brush, BRUSH_SIDE / shorter))


def scales_for(height: int, width: int, brush: float = 1.0) -> tuple[float, ...]:
    """brush_scale, and what is smaller and whose shorter side is not too small."""
    shorter, largest = min(height, width), brush_scale(height, width, brush)
    return (
        largest,
        *(scale for scale in SCALES if scale < largest and scale * shorter >= SMALLEST_SIDE),
    )


def fast_scale(height: int, width: int, brush: float = 1.0) -> float:
    """A scale that is fast, and depends on the size and the brush alone: of a brush half as wide again."""
    return brush_scale(height, width, FAST * brush)


class Governor:
    """The scale of a stream's next frame, from what the frames before took.

    target_fps: frames a second to keep. scales: what there is, from large to small; it begins with the
    largest. It has no clock of its own: the same times give the same scales.

    A size is left for a smaller one as soon as more than a fifth of the last half second's frames miss the
    rate, and for a larger one after that would have fitted for two seconds. One that then had to be left
    within ten seconds doubles this time, up to a minute, so that a size just out of reach is not tried again
    and again. What another size would take is the network's time by pixels, and the rest as it is.

    scale: for the next frame. changes: how often it changed.
    """

    def __init__(self, target_fps: float, scales: Sequence[float]) -> None:
        if not 0 < target_fps < math.inf:
            raise ValueError(f"a rate to keep is above 0, not {target_fps:g}")
        self.changes = 0
        self._period = 1 / target_fps
        self._recent: deque[FrameTime] = deque(maxlen=max(_FEWEST, round(_MEMORY * target_fps)))
        self._patience = _PATIENCE
        self._roomy = 0.0  # seconds for which there has been room
        self._trial: float | None = None  # seconds that a larger size has been kept so far
        self.choose_from(scales)

    def choose_from(self, scales: Sequence[float]) -> None:
        """Other scales from now on, beginning with the largest. Raises ValueError where they do not fall."""
        if not scales or any(scale <= 0 for scale in scales) or list(scales) != sorted(scales, reverse=True):
            raise ValueError(f"scales go from large to small, above 0, not {tuple(scales)}")
        self._scales = tuple(scales)
        self.scale = scales[0]
        self._roomy, self._trial = 0.0, None
        self._recent.clear()

    def painted(self, took: FrameTime) -> float:
        """A frame was painted at `scale`; the scale for the next one."""
        passed = max(sum(took), self._period)
        if self._trial is not None:
            self._trial += passed
            if self._trial > _PROOF:
                self._trial, self._patience = None, _PATIENCE
        self._recent.append(took)
        if len(self._recent) < _FEWEST:
            return self.scale
        usual = FrameTime(*map(median, zip(*self._recent, strict=True)))
        slow = sorted(map(sum, self._recent))[math.ceil((1 - _LATE) * len(self._recent)) - 1]
        room = _ROOM * self._period * min(1.0, sum(usual) / max(slow, 1e-6))
        fitting = [scale for scale in self._scales if self._expected(usual, scale) <= room]
        if slow > _MISSED * self._period:
            smaller = [scale for scale in fitting if scale < self.scale]
            self._move(max(smaller, default=self._scales[-1]))
        else:
            larger = [scale for scale in fitting if scale > self.scale]
            self._roomy = self._roomy + passed if larger else 0.0
            if self._roomy >= self._patience:
                self._move(max(larger))
        return self.scale

    def _expected(self, usual: FrameTime, scale: float) -> float:
        resampling = usual.resampling if scale < 1 else 0.0
        return usual.network * (scale / self.scale) ** 2 + resampling + usual.rest

    def _move(self, scale: float) -> None:
        if scale == self.scale:
            return
        if scale < self.scale and self._trial is not None:
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE)
        self._trial = 0.0 if scale > self.scale else None
        self.scale = scale
        self.changes += 1
        self._roomy = 0.0
        self._recent.clear()
