"""Smooths a painted stream over time."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.flow import LIVE, FlowDetail, Motion, MotionTracker
from livestyle.frame import Image
from livestyle.planes import Plane, PlaneMemory, Planes

# What people choose from; the numbers are FlowSmoother's strength.
SMOOTHING = {"off": 0.0, "light": 0.6, "strong": 0.92}
_LONGEST = 0.95  # of the strength: more and what is seen no longer comes from what is painted
_REFERENCE = 1 / 30  # seconds, in which the strength is what is left
# A mix that moves is shown at most this far behind: 5 % of the way from one style to another.
LAG = 0.05
_BAND = 128  # rows that are blended at once, so that they stay in the cache

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
    moves is shown behind, whatever the rate. Brightness is moved with a kernel of 4x4 pixels, which loses
    less than a bilinear one, time after time. Colours (Cr and Cb) have half the size, as in most videos,
    which saves time.

    strength: 0 (the painting itself) to 1; it may be changed between frames. detail: how closely the motion
    is followed: LIVE, or FILM where a few milliseconds more do not count. Unlike Ruder et al. 2016
    (arXiv:1604.08610), the network does not see what was shown, so that it needs no training for this.

    In two steps, the longer of which needs no painting and can be done beside the network: begin() with the
    camera's picture, then finish() with the painting. Calling it does both. The painting may be smaller than
    the camera's picture, and of another size each time.
    """

    def __init__(self, strength: float = SMOOTHING["strong"], detail: FlowDetail = LIVE) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"smoothing goes from 0 to 1, not {strength}")
        self.strength = strength
        self.motion: Motion | None = None  # of the picture begun last; None where there is no past
        self._tracker = MotionTracker(detail)
        self._memory: PlaneMemory | None = None
        self._shown: Planes | None = None
        self._warped: Planes | None = None  # _shown where the picture begun last has it
        self._frames = 0

    def __call__(self, painted: Image, content: Image, timestamp: float, mix_change: float = 0.0) -> Image:
        """Shapes: painted (h, w, 3), content (H, W, 3) -> (h, w, 3). timestamp: seconds."""
        self.begin(content, timestamp)
        return self.finish(painted, mix_change)

    def begin(self, content: Image, timestamp: float) -> None:
        """Find the motion, and move the picture shown last along. Shape: (H, W, 3). timestamp: seconds."""
        self.motion = self._tracker(content, timestamp)
        self._warped = None
        before = self._shown if self.strength > 0 else None
        if self.motion is None or before is None:
            return
        assert self._memory is not None
        self._warped = before if self.motion.stands else self._memory.move(before, self.motion)

    def finish(self, painted: Image, mix_change: float = 0.0) -> Image:
        """The painting of what was begun, calmed. Shape: (h, w, 3) -> (h, w, 3).

        mix_change: how far the mix moved since the frame before, 0 to 1, which is from one style to another.
        """
        warped, self._warped = self._warped, None
        if self.strength == 0:
            self._shown = None
            return painted
        if self._memory is None or self._memory.size_hw != painted.shape[:2]:
            self._memory = PlaneMemory(*painted.shape[:2])
            warped = None if warped is None else self._memory.fitted(warped)
        # What has no past loses its finest colours too: they would flicker as they come and go.
        shown = self._memory.planes(painted)
        if warped is not None and self.motion is not None:
            keep = min(self.strength, _LONGEST) ** (self.motion.elapsed / _REFERENCE)
            keep *= math.exp(-abs(mix_change) / LAG)
            if keep > 1 / 256:
                self._frames += 1
                weights = np.asarray(cv2.convertScaleAbs(self.motion.confidence, alpha=255 * keep), np.uint8)
                for old, new in zip(warped, shown, strict=True):
                    self._blend(old, new, weights)
        self._shown = shown
        return self._memory.picture(shown)

    def reset(self) -> None:
        """The next picture has no past."""
        self._tracker.reset()
        self.motion = self._shown = self._warped = None

    def _blend(self, old: Plane, painted: Plane, weights: Plane) -> None:
        """Take `painted` towards `old`, in place. weights: of the old one, in 1/256, of any size."""
        weights = np.asarray(
            cv2.resize(weights, painted.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8
        )
        # Rounding to the nearest would stop a few levels before the painting, for ever; rounding towards it
        # would let a flicker of a level or two through. So it is a level less now and then.
        less = int(self._frames % 4 == 0)
        for top in range(0, len(painted), _BAND):
            band = slice(top, top + _BAND)
            new, before = painted[band], old[band]
            darker = cv2.subtract(before, new)
            difference = cv2.absdiff(before, new)
            if less:
                difference = cv2.subtract(difference, np.ones_like(difference))
            towards = cv2.multiply(difference, weights[band], scale=1 / 256)
            # Saturation leaves the one where the old picture is brighter, the other where it is darker.
            up = cv2.min(towards, darker)
            cv2.subtract(cv2.add(new, up), cv2.subtract(towards, up), dst=new)


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
