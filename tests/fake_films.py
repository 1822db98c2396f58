"""Films without files, and painters without a network, for the tests of the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from livestyle import pipeline
from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.take import Look

Painting = Callable[..., Generator[Frame]]
Paint = Callable[[Image, MixVector, float], Image]


class FullSize:
    """A painter that paints nothing smaller than it is shown."""

    def __init__(self, paint: Paint) -> None:
        self.paint = paint

    def enlarge(self, painted: Image, image: Image) -> Image:
        assert painted.shape == image.shape
        return painted


def stylize_frames(frames: Iterable[Frame], paint: Paint, *rest: Any, **more: Any) -> Generator[Frame]:
    return pipeline.stylize_frames(frames, FullSize(paint), *rest, **more)


def stylize_film(frames: Iterable[Frame], paint: Paint, *rest: Any, **more: Any) -> Generator[Frame]:
    return pipeline.stylize_film(frames, FullSize(paint), *rest, **more)


EACH = pytest.mark.parametrize("painting", [stylize_frames, stylize_film])


def grey(level: int) -> Image:
    return np.full((2, 3, 3), level, np.uint8)


class Film:
    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in (0, 1, 4):  # 2 and 3 were dropped
                yield Frame(grey(10 * index), index, 0.5 * index)
        finally:
            self.closed = True


def add_mix(image: Image, mix: MixVector, brush: float) -> Image:
    painted: Image = image + mix[1].astype(np.uint8)
    return painted


def look_at(timestamp: float) -> Look:
    return Look(np.array([0, 100 * timestamp], np.float32))


CONTENT = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)


def still_frames(count: int) -> list[Frame]:
    return [Frame(CONTENT, n, n / 30) for n in range(count)]


def flickering() -> Paint:
    """Paints grey noise around 128, whatever the mix."""
    rng = np.random.default_rng(1)
    return lambda image, mix, brush: np.clip(rng.normal(128, 20, image.shape), 0, 255).astype(np.uint8)


def plain(smooth: float) -> Callable[[float], Look]:
    return lambda timestamp: Look(np.ones(1, np.float32), smooth=smooth)
