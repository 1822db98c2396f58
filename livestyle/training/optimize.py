"""Paints one picture by optimizing its pixels: slow, no network to train, and what networks are judged by.

Gatys et al. 2016 ("Image Style Transfer Using Convolutional Neural Networks"): L-BFGS on the pixels, until
the loss network's maps say the photo's content (relu4_2) in the painting's style (relu1_1 … relu5_1).
Unlike the paper, both losses are fractions of what was there at the start (GatysLoss), so that one weight
serves every painting; and the picture grows from coarse to fine, so that large strokes are found first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.errors import RecipeError
from livestyle.frame import Image, check_image
from livestyle.pipeline import keep_colours
from livestyle.training.dataset import to_image, to_tensor
from livestyle.training.features import LossNetwork
from livestyle.training.optimize_colours import Colours, in_greys, match_colours
from livestyle.training.optimize_descent import descend
from livestyle.training.optimize_loss import GatysLoss
from livestyle.training.optimize_masks import Mask, Region, match_regions

# relu5_1 is a sixteenth of the picture, and its conv reflects at the border: it needs two pixels there.
SMALLEST = 32
LARGEST = 1024  # pixels of the longer side: some GB of memory with the whole VGG-19
COARSEST = 256
# Standard deviation of a start from noise, around the photo's mean colour. Louder noise is never quite lost.
NOISE = 0.02


@dataclass(frozen=True, eq=False)
class Painting:
    """A style image, its share beside others, and which of its regions is which (optimize_masks)."""

    image: Image
    share: float = 1.0
    mask: Mask | None = None
    name: str = "the painting"  # in errors


@dataclass(frozen=True)
class OptimizeSettings:
    """How a picture is optimized.

    strength: of the style against the content; 1 is balanced, 0 gives the photo back.
    size: longer side of the result in pixels; never more than the photo's own.
    iterations: at the smallest size; half as many at each larger one. from_noise: start there, not from the
    photo; seed is the noise's.
    """

    strength: float = 1.0
    tv_weight: float = 0.3
    size: int = 512
    iterations: int = 200
    from_noise: bool = False
    colours: Colours = "style"
    seed: int = 0

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST:
            raise ValueError(f"the size is {SMALLEST} to {LARGEST} pixels, not {self.size}")
        if self.iterations < 1:
            raise ValueError(f"at least 1 iteration is needed, not {self.iterations}")
        for what in ("strength", "tv_weight"):
            if not 0 <= getattr(self, what) < math.inf:  # NaN too
                raise ValueError(f"{what} is a number from 0 on, not {getattr(self, what)}")

    def stages(self, image: Image) -> list[tuple[int, int]]:
        """Sizes and iterations, coarse to fine: [(256, 200), (512, 100)]. Sizes are longer sides."""
        longer, shorter = max(image.shape[:2]), min(image.shape[:2])
        sizes = [min(self.size, longer)]
        # Not where a panorama's shorter side would leave nothing of the deepest maps.
        while sizes[0] // 2 >= COARSEST and sizes[0] // 2 * shorter >= SMALLEST * longer:
            sizes.insert(0, sizes[0] // 2)
        return [(size, max(1, self.iterations >> n)) for n, size in enumerate(sizes)]


@dataclass(frozen=True, eq=False)
class OptimizeStep:
    """The picture after so many iterations. An iteration evaluates the loss and its gradient once (descend).

    iteration: from 0, the start, on over all sizes. style, content: fractions remaining at this size.
    done: part of the whole work, 0 to 1. last: whether it is the final picture.
    """

    iteration: int
    loss: float
    style: float
    content: float
    done: float
    last: bool
    pixels: Tensor  # (1, 3, H, W), [0, 1]
    photo: Image | None  # whose colours are kept

    @property
    def image(self) -> Image:
        """The picture. Shape (H, W, 3), uint8."""
        picture = to_image(self.pixels[0])
        return picture if self.photo is None else keep_colours(picture, self.photo)


def optimize(
    content: Image,
    paintings: Sequence[Painting],
    loss_network: LossNetwork,
    settings: OptimizeSettings | None = None,
    *,
    mask: Mask | None = None,
) -> Iterator[OptimizeStep]:
    """Paint a photo like paintings, and yield the picture from the start on, after every iteration.

    mask: of the photo. Deterministic by the settings' seed. Nothing larger than the photo comes out, and
    paintings are scaled to the photo's longer side, never up: strokes are as large in the picture as there.
    Raises RecipeError for what cannot be painted, ValueError for arrays of a wrong shape.
    """
    settings = settings or OptimizeSettings()
    regions, _ = check_pictures(content, paintings, settings, mask=mask)
    device = next(loss_network.parameters()).device
    stages = settings.stages(content)
    photos = [scaled(content, size) for size, _ in stages]
    work = [photo.shape[0] * photo.shape[1] * count for photo, (_, count) in zip(photos, stages, strict=True)]
    before, done, picture = 0, 0.0, None
    for number, (photo, (size, count)) in enumerate(zip(photos, stages, strict=True)):
        ours = _tensor(photo, device)
        theirs = [_tensor(scaled(painting.image, size), device) for painting in paintings]
        if settings.colours == "match":
            theirs = [match_colours(image, ours).clamp(0, 1) for image in theirs]
        elif settings.colours == "luminance":
            theirs = [in_greys(image, ours)[0].clamp(0, 1) for image in theirs]
            ours = in_greys(ours, ours)[1]
        loss = GatysLoss(
            loss_network, ours, theirs, regions, strength=settings.strength, tv_weight=settings.tv_weight
        )
        if picture is not None:
            start = F.interpolate(picture, size=ours.shape[2:], mode="bicubic", antialias=True).clamp(0, 1)
        elif settings.from_noise:
            noise = torch.randn(ours.shape, generator=torch.Generator().manual_seed(settings.seed))
            start = (ours.mean((2, 3), keepdim=True) + NOISE * noise.to(device)).clamp(0, 1)
        else:
            start = ours
        for step, found in enumerate(descend(loss, start, count)):
            picture = found.picture
            # The start of a larger size is the end of the smaller one.
            if step or not number:
                yield OptimizeStep(
                    iteration=before + step,
                    loss=found.loss,
                    style=found.style,
                    content=found.content,
                    done=(done + work[number] * step / count) / sum(work),
                    last=number + 1 == len(stages) and step == count,
                    pixels=found.picture,
                    photo=photo if settings.colours == "luminance" else None,
                )
        before, done = before + count, done + work[number]


def check_pictures(
    content: Image, paintings: Sequence[Painting], settings: OptimizeSettings, *, mask: Mask | None = None
) -> tuple[list[Region], list[int]]:
    """Refuse what cannot be painted, before any work: RecipeError. The rest is as match_regions says."""
    if not paintings or not all(0 < painting.share < math.inf for painting in paintings):
        raise ValueError("one painting or more is needed, each with a share above 0")
    size = settings.stages(check_image(content))[0][0]
    for what, image, its_mask in (
        ("the photo", content, mask),
        *((painting.name, check_image(painting.image), painting.mask) for painting in paintings),
    ):
        _refuse_small(image, what, size)
        if its_mask is not None and its_mask.shape != image.shape[:2]:
            raise ValueError(f"the mask of {what} is {its_mask.shape}, the picture {image.shape[:2]}")
    return match_regions(mask, [p.mask for p in paintings], [p.share for p in paintings])


def _refuse_small(image: Image, what: str, size: int) -> None:
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        raise RecipeError(
            f"{what} is {width}x{height}, and the shorter side must have {SMALLEST} pixels or more"
        )
    if min(height, width) * size < SMALLEST * max(height, width):
        raise RecipeError(
            f"{what} is {width}x{height}: at a size of {size} less than {SMALLEST} pixels are left of its "
            "shorter side; crop it"
        )


def scaled(image: Image, size: int) -> Image:
    """Scaled down so that the longer side has `size` pixels; never up."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer <= size:
        return image
    target = (max(1, round(width * size / longer)), max(1, round(height * size / longer)))
    return np.ascontiguousarray(cv2.resize(image, target, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _tensor(image: Image, device: torch.device) -> Tensor:
    return to_tensor(torch.from_numpy(np.ascontiguousarray(image)[None]).to(device))
