"""Stylizer: paints one image of any size with a model on an engine."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from livestyle.engines import Device, Engine, MixVector, open_engine
from livestyle.errors import ModelError
from livestyle.frame import Image, check_image
from livestyle.library import find_model
from livestyle.manifest import Manifest

# A network halves the frame a few times; below this, its reflect padding has too little left to mirror.
SMALLEST = 32


class Stylizer:
    """A loaded model: `(image, style_mix) -> image` of exactly the same size, from 1x1 pixel up.

    The network wants multiples of the manifest's size_multiple, and at least 32 pixels a side: what lacks is
    mirrored on the right and below, and cut off again.
    """

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        self.engine = engine
        self.manifest = manifest

    def __call__(self, image: Image, style_mix: MixVector) -> Image:
        """Shapes: image (H, W, 3) uint8, style_mix (n_styles,) float32 -> (H, W, 3) uint8, contiguous.

        Raises TypeError or ValueError for another dtype or shape, DeviceError where the engine fails.
        """
        check_image(image)
        self._check_mix(style_mix)
        height, width = image.shape[:2]
        below = _lacking(height, self.manifest.size_multiple)
        right = _lacking(width, self.manifest.size_multiple)
        padded = np.ascontiguousarray(image)
        if below or right:
            # It reflects again and again where the picture is smaller than what lacks, down to one pixel.
            padded = np.asarray(
                cv2.copyMakeBorder(padded, 0, below, 0, right, cv2.BORDER_REFLECT_101), np.uint8
            )
        batch = padded[np.newaxis]  # (1, H', W', 3)
        stylized = self.engine.run(batch, np.ascontiguousarray(style_mix))
        if stylized.shape != batch.shape or stylized.dtype != np.uint8:
            raise ModelError(
                f"the model {self.manifest.name} gave {stylized.dtype} of shape {stylized.shape} "
                f"for a frame of {batch.shape}: it is not a livestyle model"
            )
        return np.ascontiguousarray(stylized[0, :height, :width])

    def _check_mix(self, style_mix: MixVector) -> None:
        if style_mix.dtype != np.float32:
            raise TypeError(f"a style_mix is float32, not {style_mix.dtype}")
        if style_mix.shape != (len(self.manifest.styles),):
            raise ValueError(
                f"{self.manifest.name} takes a style_mix of shape ({len(self.manifest.styles)},), "
                f"not {style_mix.shape}"
            )
        if not np.isfinite(style_mix).all():
            raise ValueError("a style_mix holds finite numbers only")


def open_stylizer(
    model: str | Path = "painters", device: Device | str = Device.AUTO, *, threads: int | None = None
) -> Stylizer:
    """A model, by name or path, on a device. Raises ModelError and DeviceError."""
    path = find_model(model)
    engine = open_engine(path, device, threads=threads)
    return Stylizer(engine, Manifest.from_json(engine.manifest_json, where=f"the manifest of {path}"))


def _lacking(size: int, multiple: int) -> int:
    """Pixels to add so that `size` is a multiple, and not too small for the network."""
    wanted = max(size, SMALLEST)
    return -(-wanted // multiple) * multiple - size
