"""Smooths a painted stream over time."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.frame import Image

# After this time, 1 / e of an old picture is left. Longer leaves ghosts behind whoever moves.
TIME_CONSTANT = 0.08  # seconds
# A mean change of the camera's picture above this is a cut: nothing of the old scene may stay.
CUT = 28.0  # grey levels
_GLANCE = (64, 36)  # pixels: enough to see a cut


class EmaSmoother:
    """An exponential moving average of the painted pictures.

        shown(t) = shown(t - dt) + (1 - exp(-dt / TIME_CONSTANT)) * (painted(t) - shown(t - dt))

    Written with the time between frames, so that 15 and 60 frames a second calm alike. A cut in the camera's
    picture, another size, or a time that does not grow begins anew.
    """

    def __init__(self) -> None:
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
            cv2.accumulateWeighted(painted, shown, 1 - math.exp(-elapsed / TIME_CONSTANT))
        self._shown, self._glance = shown, glance
        return np.asarray(cv2.convertScaleAbs(shown), np.uint8)

    def reset(self) -> None:
        """The next picture has no past."""
        self._shown = None
