"""Pictures and motions for the tests of tools/flicker.py."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.frame import Image


def texture(height: int = 48, width: int = 64, seed: int = 0) -> Image:
    """Soft blobs: detail of a few pixels in every direction."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5))
    return np.clip(128 + 4 * (soft - 128), 0, 255).astype(np.uint8)


def flow(x: float, y: float, height: int = 48, width: int = 64) -> npt.NDArray[np.float32]:
    return np.broadcast_to(np.array([x, y], np.float32), (height, width, 2)).copy()
