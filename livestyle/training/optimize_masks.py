"""Masks: which part of a photo is painted like which part of a painting.

A mask is a grey picture of its picture's size, and each of its greys names a region. The greys of the photo's
mask are looked up in those of the paintings: what is black there is painted like what is black here. One Gram
matrix a region, as Gatys et al. 2017 (arXiv:1611.07865) guide theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.errors import RecipeError, SourceError
from livestyle.frame import Image
from livestyle.pictures import read_picture

Mask = npt.NDArray[np.uint8]  # (H, W)

# Greys nearer than this are one region: JPEG and soft brushes spread them.
SAME_GREY = 24
# A grey on less of the mask than this is a border's, and goes to the region whose grey is nearest.
LEAST_AREA = 0.01


@dataclass(frozen=True)
class Part:
    """A region of a painting: which painting, how much of it, and where; None is everywhere."""

    painting: int
    share: float
    where: Mask | None


@dataclass(frozen=True)
class Region:
    """A region of the photo, 255 where it is (None: everywhere), and what it is painted like.

    area: its part of all that is painted. The shares of its parts add up to 1.
    """

    where: Mask | None
    parts: tuple[Part, ...]
    area: float = 1.0


def read_mask(path: Path, picture: Path, image: Image) -> Mask:
    """The mask of a picture. Colours count by their brightness. Raises SourceError."""
    mask = read_picture(path)[0]
    if mask.shape != image.shape:
        (height, width), (rows, columns) = mask.shape[:2], image.shape[:2]
        raise SourceError(
            f"the mask {path} is {width}x{height}, but {picture} is {columns}x{rows}; make them the same size"
        )
    return np.asarray(cv2.cvtColor(mask, cv2.COLOR_RGB2GRAY), np.uint8)


def greys_of(mask: Mask) -> list[int]:
    """The greys that name regions, dark to bright: frequent ones, SAME_GREY or more apart."""
    counts = np.bincount(mask.ravel(), minlength=256)
    greys: list[int] = []
    for grey in np.argsort(-counts, kind="stable").tolist():
        if counts[grey] < LEAST_AREA * mask.size:
            break
        if all(abs(grey - other) >= SAME_GREY for other in greys):
            greys.append(grey)
    return sorted(greys)


def split(mask: Mask) -> dict[int, Mask]:
    """Grey -> 255 where the region is, else 0. Each pixel belongs to the region whose grey is nearest."""
    greys = np.array(greys_of(mask), np.int16)
    if not len(greys):
        raise RecipeError("a mask has no regions: paint each in one grey, and leave out gradients")
    nearest = np.abs(np.arange(256, dtype=np.int16)[:, None] - greys).argmin(1)[mask]  # (H, W)
    return {int(grey): (nearest == n).astype(np.uint8) * np.uint8(255) for n, grey in enumerate(greys)}


def match_regions(
    content: Mask | None, paintings: Sequence[Mask | None], shares: Sequence[float]
) -> tuple[list[Region], list[int]]:
    """What is painted like what, and the greys of the photo that no painting has: they stay as they are.

    No masks: everything like the paintings' shares together. A mask of the photo alone: its greys, dark to
    bright, are the paintings in their order. Raises RecipeError.
    """
    masked = [mask is not None for mask in paintings]
    if content is None:
        if any(masked):
            raise RecipeError("a painting has a mask, but the photo has none: add --mask FILE")
        total = sum(shares)
        return [Region(None, tuple(Part(n, s / total, None) for n, s in enumerate(shares)))], []
    regions = split(content)
    if not any(masked):
        if len(paintings) != len(regions):
            raise RecipeError(
                f"the photo's mask has {_counted(len(regions), 'grey')} for "
                f"{_counted(len(paintings), 'painting')}; give as many paintings as greys (dark to bright), "
                "or a --style-mask for each"
            )
        found = [(where, (Part(n, 1.0, None),)) for n, (_, where) in enumerate(sorted(regions.items()))]
        return _with_areas(found), []
    if not all(masked):
        raise RecipeError("some paintings have a mask and some have none: give one --style-mask for each")
    painted: list[tuple[Mask, tuple[Part, ...]]] = []
    unpainted = []
    theirs = [split(mask) for mask in paintings if mask is not None]
    for grey, where in regions.items():
        parts = []
        for n, (share, of_painting) in enumerate(zip(shares, theirs, strict=True)):
            nearest = min(of_painting, key=lambda other: abs(other - grey))
            if abs(nearest - grey) < SAME_GREY:
                parts.append(Part(n, share, of_painting[nearest]))
        total = sum(part.share for part in parts)
        if parts:
            painted.append((where, tuple(Part(p.painting, p.share / total, p.where) for p in parts)))
        else:
            unpainted.append(grey)
    if not painted:
        greys = sorted({grey for of_painting in theirs for grey in of_painting})
        raise RecipeError(
            f"the masks have no region in common: the photo's greys are {_listed(regions)}, "
            f"the paintings' {_listed(greys)}; use the same greys in both"
        )
    return _with_areas(painted), unpainted


def guided(features: Tensor, where: Tensor | None) -> Tensor:
    """Feature maps whose Gram matrix is that of a region: mean over it of F[i] F[j].

    where: how much each pixel belongs to it, 0 to 1, at any size. Shapes: (B, C, H, W), (1, 1, H', W').
    """
    if where is None:
        return features
    weight = F.adaptive_avg_pool2d(where, (features.shape[2], features.shape[3]))
    return features * (weight / weight.mean()).sqrt()


def to_weights(where: Mask | None, size_hw: tuple[int, int], device: torch.device) -> Tensor | None:
    """A region at another size, 0 to 1. Shape: (H, W) -> (1, 1, *size_hw)."""
    if where is None:
        return None
    scaled = cv2.resize(where, size_hw[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.asarray(scaled, np.float32) / 255)[None, None].to(device)


def _with_areas(found: Sequence[tuple[Mask, tuple[Part, ...]]]) -> list[Region]:
    pixels = [float(np.count_nonzero(where)) for where, _ in found]
    return [
        Region(where, parts, area / sum(pixels)) for (where, parts), area in zip(found, pixels, strict=True)
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _listed(greys: Sequence[int] | dict[int, Mask]) -> str:
    return ", ".join(str(grey) for grey in greys)
