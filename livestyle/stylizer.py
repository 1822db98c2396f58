"""Stylizer: paints one image of any size with a model on an engine, at its own size or a smaller one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from livestyle.engines import Device, Engine, MixVector, open_engine
from livestyle.errors import ModelError
from livestyle.frame import Image, check_image
from livestyle.governor import FrameTime, Governor, brush_scale, scales_for
from livestyle.library import find_model
from livestyle.manifest import Manifest
from livestyle.upsampling import Upsampler, shrink

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


class ScaledStylizer:
    """A stylizer that paints a smaller picture and brings the painting back to full size.

    scale: part of width and height, above 0, at most 1, else ValueError; 1 is the stylizer itself, to the
    bit. It may be changed between pictures. mean_scale: over all of them, scale before the first. network,
    resampling: seconds that the picture painted last took in the network, and to a smaller size and back.
    Calling it is paint(), then enlarge(): one thread at a time may call the one, and another the other.
    """

    def __init__(
        self, stylizer: Stylizer, scale: float = 1.0, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        if not 0 < scale <= 1:
            raise ValueError(f"a scale is above 0 and at most 1, not {scale}")
        self.scale = scale
        self.network = self.resampling = 0.0
        self._count, self._sum = 0, 0.0
        self._stylizer = stylizer
        self._clock = clock
        self._upsampler = Upsampler()

    def __call__(self, image: Image, style_mix: MixVector) -> Image:
        """As a Stylizer does it. Shapes: image (H, W, 3), style_mix (n_styles,) -> (H, W, 3)."""
        return self.enlarge(self.paint(image, style_mix), image)

    def paint(self, image: Image, style_mix: MixVector) -> Image:
        """The painting as it is made, small. Shapes: (H, W, 3), style_mix (n_styles,) -> (h, w, 3)."""
        check_image(image)
        height, width = image.shape[:2]
        size_hw = self.size_hw(height, width, self.scale)
        began = self._clock()
        small = image if size_hw == (height, width) else shrink(image, size_hw)
        shrunk = self._clock()
        painted = self._stylizer(small, style_mix)
        self._count += 1
        self._sum += self.scale
        self.resampling = 0.0 if small is image else shrunk - began
        self.network = self._clock() - shrunk
        return painted

    def enlarge(self, painted: Image, image: Image) -> Image:
        """A painting of the image, at the image's size. Shapes: (h, w, 3), (H, W, 3) -> (H, W, 3)."""
        if painted.shape == image.shape:
            return painted
        began = self._clock()
        shown = self._upsampler(painted, shrink(image, painted.shape[:2]), image)
        self.resampling += self._clock() - began
        return shown

    @property
    def mean_scale(self) -> float:
        return self._sum / self._count if self._count else self.scale

    def size_hw(self, height: int, width: int, scale: float) -> tuple[int, int]:
        """What a picture is painted at: even, multiples of what the network wants, no larger than it is."""
        multiple = math.lcm(2, self._stylizer.manifest.size_multiple)
        sides = [max(1, round(side * scale / multiple)) * multiple for side in (height, width)]
        if scale == 1 or sides[0] > height or sides[1] > width:
            return height, width
        return sides[0], sides[1]

    def warm_up(self, height: int, width: int, scale: float) -> None:
        """Paint a black picture of the size it would have: many an engine compiles the network for each."""
        mix = np.zeros(len(self._stylizer.manifest.styles), np.float32)
        mix[0] = 1
        self._stylizer(np.zeros((*self.size_hw(height, width, scale), 3), np.uint8), mix)


class BrushStylizer:
    """A stylizer whose strokes are as wide as one wants them.

    scale_of: (height, width, brush) -> the scale to paint at, such as brush_scale. mean_scale: over all
    pictures, 1 before the first.
    """

    def __init__(
        self, stylizer: Stylizer, scale_of: Callable[[int, int, float], float] = brush_scale
    ) -> None:
        self._scaled = ScaledStylizer(stylizer)
        self._scale_of = scale_of

    @property
    def mean_scale(self) -> float:
        return self._scaled.mean_scale

    def __call__(self, image: Image, style_mix: MixVector, brush: float = 1.0) -> Image:
        """As a Stylizer does it. Shapes: image (H, W, 3), style_mix (n_styles,) -> (H, W, 3)."""
        return self.enlarge(self.paint(image, style_mix, brush), image)

    def paint(self, image: Image, style_mix: MixVector, brush: float = 1.0) -> Image:
        """As ScaledStylizer.paint."""
        self._scaled.scale = self._scale_of(image.shape[0], image.shape[1], brush)
        return self._scaled.paint(image, style_mix)

    def enlarge(self, painted: Image, image: Image) -> Image:
        """As ScaledStylizer.enlarge."""
        return self._scaled.enlarge(painted, image)


class PacedStylizer:
    """A stylizer that follows a governor, so that a stream keeps its rate.

    A thread makes the engine ready for a new size while the old one is still painted; it is there from the
    first change until this is left. brush: what the governor's scales are for; another asks for other scales.
    scale: of the picture painted last. mean_scale: over all pictures.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        governor: Governor,
        brush: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._governor = governor
        self._brush = brush
        self._scaled = ScaledStylizer(stylizer, governor.scale, clock)
        self._beside: ThreadPoolExecutor | None = None
        self._coming: Future[None] | None = None
        self._shape_hw = (0, 0)
        self.scale = governor.scale

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._beside is not None:
            self._beside.shutdown()

    @property
    def mean_scale(self) -> float:
        return self._scaled.mean_scale

    @property
    def changes(self) -> int:
        """How often the size changed."""
        return self._governor.changes

    def paint(self, image: Image, style_mix: MixVector, brush: float = 1.0) -> Image:
        """As ScaledStylizer.paint."""
        if self._coming is not None and self._coming.done():
            self._coming.result()  # raises what the engine raised
            self._coming = None
            self._scaled.scale = self._governor.scale
        if brush != self._brush and self._coming is None:
            self._brush = brush
            height, width = image.shape[:2]
            self._governor.choose_from(scales_for(height, width, brush))
            if self._governor.scale != self._scaled.scale:
                self._prepare(height, width)
        painted = self._scaled.paint(image, style_mix)
        self._shape_hw = image.shape[0], image.shape[1]
        self.scale = self._scaled.scale
        return painted

    def enlarge(self, painted: Image, image: Image) -> Image:
        """As ScaledStylizer.enlarge."""
        return self._scaled.enlarge(painted, image)

    def finished(self, seconds: float) -> None:
        """The picture painted last is done, after so many seconds of work, the network's among them."""
        if self._coming is not None:
            return  # slowed by the preparations: it says nothing about the size
        network, resampling = self._scaled.network, self._scaled.resampling
        rest = max(0.0, seconds - network - resampling)
        scale = self._governor.painted(FrameTime(network, resampling, rest))
        if scale != self._scaled.scale:
            self._prepare(*self._shape_hw)

    def _prepare(self, height: int, width: int) -> None:
        """Make the engine ready for the governor's scale."""
        self._beside = self._beside or ThreadPoolExecutor(1, "livestyle size")
        self._coming = self._beside.submit(self._scaled.warm_up, height, width, self._governor.scale)


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
