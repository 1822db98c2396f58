"""Smooths a painted stream over time."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.flow import Field, Motion, MotionTracker
from livestyle.frame import Image

# What people choose from; the numbers are FlowSmoother's strength.
SMOOTHING = {"off": 0.0, "light": 0.6, "strong": 0.88}
_LONGEST = 0.95  # of the strength: more and what is seen no longer comes from what is painted
_REFERENCE = 1 / 30  # seconds, in which the strength is what is left
# A mix that moves is shown at most this far behind: 5 % of the way from one style to another.
LAG = 0.05
# Pixels that are moved with the bicubic kernel, at 11 ns each; a larger part of a picture is moved with the
# bilinear one, which takes less than half of that, and blurs.
_MOST_CUBIC = 600_000
_BAND = 32  # rows that are blended at once, so that they stay in the cache

# The average of the past alone, which ghosts: kept to compare with.
TIME_CONSTANT = 0.08  # seconds
# A mean change of the camera's picture above this is a cut: nothing of the old scene may stay.
CUT = 28.0  # grey levels
_GLANCE = (64, 36)  # pixels: enough to see a cut


def parse_smoothing(text: str) -> float:
    """The strength that `off`, `light`, `strong` or a number from 0 to 1 asks for. Raises ValueError."""
    if text in SMOOTHING:
        return SMOOTHING[text]
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= 1:
        raise ValueError(f"{text[:60]!r} is no smoothing; write off, light, strong or a number from 0 to 1")
    return strength


def smoothing_name(strength: float) -> str:
    """The other way round: `light`, or `0.3` where the strength has no name."""
    names = [name for name, named in SMOOTHING.items() if named == strength]
    return names[0] if names else f"{strength:.3g}"


class FlowSmoother:
    """The painting before, moved along with the camera's picture, holds the new one calm.

        shown(p) = a(p) * before(p + flow(p)) + (1 - a(p)) * painted(p)
        a = confidence * strength ** (elapsed / (1/30 s)) * exp(-mix_change / 0.05)

    Flow and confidence are MotionTracker's, so that what was hidden, and everything after a cut, is new. The
    strength is per time: 15 and 60 frames a second look alike. The last factor bounds how far a mix that
    moves is shown behind, whatever the rate. What stands is never resampled; what moves is, with a bicubic
    kernel where that can be paid for, which loses less than a bilinear one, time after time.

    strength: 0 (the painting itself) to 1; it may be changed between frames. Unlike Ruder et al. 2016
    (arXiv:1604.08610), the network does not see what was shown, so that it needs no training for this.

    In two steps, the longer of which needs no painting and can be done beside the network: begin() with the
    camera's picture, then finish() with the painting. Calling it does both.
    """

    def __init__(self, strength: float = SMOOTHING["strong"]) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"smoothing goes from 0 to 1, not {strength}")
        self.strength = strength
        self.motion: Motion | None = None  # of the picture begun last; None where there is no past
        self._tracker = MotionTracker()
        self._shown: Image | None = None
        self._warped: Image | None = None  # _shown where the picture begun last has it
        self._grid: Field = np.zeros((0, 0, 2), np.float32)
        self._frames = 0

    def __call__(self, painted: Image, content: Image, timestamp: float, mix_change: float = 0.0) -> Image:
        """Shapes: painted and content (H, W, 3) -> (H, W, 3). timestamp: seconds. mix_change: finish()'s."""
        self.begin(content, timestamp)
        return self.finish(painted, mix_change)

    def begin(self, content: Image, timestamp: float) -> None:
        """Find the motion, and move the picture shown last along. Shape: (H, W, 3). timestamp: seconds."""
        self.motion = self._tracker(content, timestamp)
        self._warped = None
        before = self._shown if self.strength > 0 else None
        if self.motion is not None and before is not None and before.shape == content.shape:
            self._warped = self._move(before, self.motion)

    def finish(self, painted: Image, mix_change: float = 0.0) -> Image:
        """The painting of what was begun, calmed. Shape: (H, W, 3) -> (H, W, 3).

        mix_change: how far the mix moved since the frame before, 0 to 1, which is from one style to another.
        """
        shown = painted
        warped, self._warped = self._warped, None
        if warped is not None and self.motion is not None and warped.shape == painted.shape:
            keep = min(self.strength, _LONGEST) ** (self.motion.elapsed / _REFERENCE)
            keep *= math.exp(-abs(mix_change) / LAG)
            if keep > 1 / 256:
                small = np.rint(255 * keep * self.motion.confidence).astype(np.uint8)
                weights = cv2.resize(small, painted.shape[1::-1], interpolation=cv2.INTER_LINEAR)
                shown = self._blend(painted, warped, np.asarray(weights, np.uint8))
        self._shown = shown
        return shown

    def reset(self) -> None:
        """The next picture has no past."""
        self._tracker.reset()
        self.motion = self._shown = self._warped = None

    def _move(self, picture: Image, motion: Motion) -> Image:
        if motion.stands:
            return picture
        height, width = picture.shape[:2]
        small_height, small_width = motion.size_hw
        if self._grid.shape[:2] != (height, width):
            x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
            self._grid = np.dstack([x, y])
        scale = (width / small_width, height / small_height, 0.0, 0.0)
        flow = cv2.multiply(motion.flow, scale)  # type: ignore[call-overload]
        places = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
        box = _moving(motion, height, width)
        # In fixed point, which is a tenth faster.
        exact = cv2.add(places[box], self._grid[box])
        whole, part = cv2.convertMaps(exact, None, cv2.CV_16SC2)  # type: ignore[call-overload]
        cubic = part.size <= _MOST_CUBIC
        interpolation = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
        moved = picture.copy()
        moved[box] = cv2.remap(picture, whole, part, interpolation, borderMode=cv2.BORDER_REPLICATE)
        return moved

    def _blend(self, painted: Image, warped: Image, weights: Image) -> Image:
        """weights: (H, W), of the warped picture, in 1/256."""
        # Rounding to the nearest would stop a few levels before the painting, for ever; rounding towards it
        # would let a flicker of a level or two through. So it is the latter now and then.
        self._frames += 1
        half = np.uint16(0 if self._frames % 4 == 0 else 128)
        shown = np.empty_like(painted)
        for top in range(0, len(painted), _BAND):
            band = slice(top, top + _BAND)
            new, old = painted[band], warped[band]
            weight = cv2.merge([weights[band]] * 3)
            step = np.multiply(cv2.absdiff(old, new), weight, dtype=np.uint16)
            step += half
            step >>= 8
            towards = step.astype(np.uint8)
            # Saturation leaves the one where the old picture is brighter, the other where it is darker.
            up = cv2.min(towards, cv2.subtract(old, new))
            shown[band] = cv2.subtract(cv2.add(new, up), cv2.subtract(towards, up))
        return shown


def _moving(motion: Motion, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the whole picture outside which nothing moves."""
    moves = (motion.flow[..., 0] != 0) | (motion.flow[..., 1] != 0)  # ten times as fast as any(axis=2)
    left, top, wide, tall = cv2.boundingRect(moves.astype(np.uint8))
    y, x = height / motion.size_hw[0], width / motion.size_hw[1]
    # One small pixel more each way: enlarging the flow spreads it so far.
    rows = slice(max(0, int((top - 1) * y)), math.ceil((top + tall + 1) * y))
    return rows, slice(max(0, int((left - 1) * x)), math.ceil((left + wide + 1) * x))


class EmaSmoother:
    """An exponential moving average of the painted pictures.

        shown(t) = shown(t - dt) + (1 - exp(-dt / time_constant)) * (painted(t) - shown(t - dt))

    Written with the time between frames, so that 15 and 60 frames a second calm alike. A cut in the camera's
    picture, another size, or a time that does not grow begins anew. Whoever moves leaves a ghost behind:
    FlowSmoother is what livestyle uses, this is what it is compared with. time_constant: seconds after which
    1 / e of an old picture is left; above 0, else ValueError.
    """

    def __init__(self, time_constant: float = TIME_CONSTANT) -> None:
        if not 0 < time_constant < math.inf:
            raise ValueError(f"a time constant is above 0 seconds, not {time_constant}")
        self._time_constant = time_constant
        self._shown: npt.NDArray[np.float32] | None = None
        self._glance: Image | None = None
        self._timestamp = 0.0

    def __call__(self, painted: Image, content: Image, timestamp: float) -> Image:
        """Shapes: painted and content (H, W, 3) -> (H, W, 3). timestamp: seconds."""
        glance = np.asarray(cv2.resize(content, _GLANCE, interpolation=cv2.INTER_AREA), np.uint8)
        elapsed = timestamp - self._timestamp
        before = self._shown
        self._timestamp = timestamp
        if (
            before is None
            or self._glance is None
            or before.shape != painted.shape
            or elapsed <= 0
            or float(cv2.absdiff(glance, self._glance).mean()) > CUT
        ):
            shown = painted.astype(np.float32)
        else:
            shown = before  # in place: the average is the only thing that is kept
            cv2.accumulateWeighted(painted, shown, 1 - math.exp(-elapsed / self._time_constant))
        self._shown, self._glance = shown, glance
        return np.asarray(cv2.convertScaleAbs(shown), np.uint8)

    def reset(self) -> None:
        """The next picture has no past."""
        self._shown = None
