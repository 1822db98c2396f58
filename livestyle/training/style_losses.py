"""What of a painting's feature maps is its style: Gram matrices, and what may take their place or join them.

A kind of style is a statistic: numbers of a shape that no longer depends on the size of the picture. Two
statistics are mixed by mixing their numbers, so every kind serves half the strength and mixes of two styles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.training.losses import gram_matrix, statistic_distances

StyleLoss = Literal["gram_covariance", "gram", "mean_std", "sliced_wasserstein"]

SLICED_PIXELS, DIRECTIONS, QUANTILES = 2048, 64, 128
PATCH_LAYERS = ("relu3_1", "relu4_1")
PALETTE_CELL, PALETTE_DIRECTIONS = 8, 16
# Every patch of a picture with every one of a painting is too much: 256 of the first, 512 of the second.
PATCHES, PAINTING_PATCHES = 256, 512


def kept_of(kind: StyleLoss, maps: Tensor, seed: int) -> Tensor:
    """What a training keeps of a painting's maps. Shapes: (B, C, H, W) -> (B, parts, M, N).

    The statistic; for sliced_wasserstein, whose directions are drawn anew in each step, pixels at random.
    """
    if kind == "sliced_wasserstein":
        flat = maps.float().flatten(2)
        return flat[:, None, :, _places(flat.shape[2], SLICED_PIXELS, _dice(seed)).to(flat.device)]
    return statistic(kind, maps, seed)


def statistic_of_kept(kind: StyleLoss, kept: Tensor, seed: int) -> Tensor:
    """The statistic of what `kept_of` kept, for a step with this seed. (B, P, M, N) -> (B, P, K, L)."""
    return statistic(kind, kept[:, 0, :, :, None], seed) if kind == "sliced_wasserstein" else kept


def statistic(kind: StyleLoss, maps: Tensor, seed: int) -> Tensor:
    """A picture's style at one layer. Shapes: (B, C, H, W) -> (B, parts, K, L), float32.

    seed: of what sliced_wasserstein draws, its directions and pixels.
    """
    if kind == "mean_std":
        return mean_std(maps)[:, None]
    if kind == "sliced_wasserstein":
        dice = _dice(seed)
        directions = torch.randn(maps.shape[1], DIRECTIONS, generator=dice).to(maps.device)
        flat = maps.float().flatten(2)  # (B, C, HW)
        if flat.shape[2] > SLICED_PIXELS:
            flat = flat[:, :, _places(flat.shape[2], SLICED_PIXELS, dice).to(flat.device)]
        return quantiles(flat, F.normalize(directions, dim=0))[:, None]
    gram = gram_matrix(maps)
    return gram[:, None] if kind == "gram" else torch.stack([gram, covariance(gram, maps)], dim=1)


def covariance(gram: Tensor, maps: Tensor) -> Tensor:
    """The Gram matrix of maps less their means: strokes, without the mean colour that fills a Gram matrix.

    Shapes: gram (B, C, C) of the maps, (B, C, H, W) -> (B, C, C), float32.
    """
    mean = maps.float().mean((2, 3))
    return gram - mean[:, :, None] * mean[:, None]


def mean_std(maps: Tensor) -> Tensor:
    """Mean and standard deviation of each channel        Huang and Belongie 2017 (arXiv:1703.06868)

    Unlike the paper, which adds two norms, their distance is squared and relative as that of Gram matrices.
    Shapes: (B, C, H, W) -> (B, 2, C), float32.
    """
    variance, mean = torch.var_mean(maps.float(), dim=(2, 3), correction=0)
    return torch.stack([mean, (variance + 1e-8).sqrt()], dim=1)  # the root of 0 has no gradient


def quantiles(pixels: Tensor, directions: Tensor) -> Tensor:
    """The pixels' spread along directions, as 128 quantiles each        Heitz et al. 2021 (arXiv:2006.07229)

    The squared distance of two such tables is the sliced Wasserstein distance. Unlike the paper, at most
    2,048 pixels and always 64 directions a layer, and means within quantiles, so that sizes may differ.
    Shapes: (B, C, P), (C, R) of length 1 -> (B, R, 128), float32.
    """
    with torch.autocast(pixels.device.type, enabled=False):
        along = directions.T.float() @ pixels.float()  # (B, R, P)
    return F.adaptive_avg_pool1d(along.sort(dim=2).values, QUANTILES)


def palette(image: Tensor) -> Tensor:
    """A picture's colours, seen coarsely: quantiles along 16 directions spread over half a sphere.

    The colours are means of 8 x 8 pixels: of strokes as eyes mix them. Gram matrices ask for a painting's
    mean colour and little more; this asks for the few stars too. Shapes: (B, 3, H, W) -> (B, 16, 128).
    """
    i = torch.arange(PALETTE_DIRECTIONS, device=image.device) + 0.5
    z, turn = i / PALETTE_DIRECTIONS, i * math.pi * (3 - math.sqrt(5))  # the golden angle spreads them evenly
    ring = (1 - z.square()).sqrt()
    return quantiles(
        F.avg_pool2d(image, PALETTE_CELL).flatten(2),
        torch.stack([ring * torch.cos(turn), ring * torch.sin(turn), z]),
    )


def palette_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference over the wanted palette's own variance, an image each. Shapes: (B, 16, 128)."""
    spread = wanted.var(2, correction=0).mean(1) + 1e-3  # of a painting of one colour
    return (found - wanted).square().mean((1, 2)) / spread


def style_distances(
    kind: StyleLoss, features: Mapping[str, Tensor], targets: Mapping[str, Tensor], seed: int
) -> Tensor:
    """‖S_l − S*_l‖² / ‖S*_l‖² of each layer and part of any kind of statistic S.

    Shapes: targets (B, parts, K, L) -> (B, layers, parts).
    """
    return statistic_distances({layer: statistic(kind, features[layer], seed) for layer in targets}, targets)


def patches_of(maps: Tensor, count: int, seed: int) -> Tensor:
    """`count` 3x3 patches at random places, the same ones in every image. (B, C, H, W) -> (B, count, 9 C)."""
    height, width = maps.shape[2] - 2, maps.shape[3] - 2
    places = _places(height * width, count, _dice(seed)).to(maps.device)
    across = maps.shape[3]
    corners = places // width * across + places % width
    near = torch.arange(3, device=maps.device)
    cells = corners[:, None] + (near[:, None] * across + near).flatten()  # (count, 9)
    # Pixels first: whole rows of memory are picked, and added up again by the gradient.
    pixels = maps.float().flatten(2).transpose(1, 2).contiguous()  # (B, HW, C)
    return pixels.index_select(1, cells.flatten()).reshape(maps.shape[0], count, -1)


def patch_distance(found: Tensor, painting: Tensor) -> Tensor:
    """How far a picture's patches are from those of the painting that resemble them most, an image each.

        sum_i ‖P_i − S_NN(i)‖² / sum_i ‖S_NN(i)‖²,   NN(i): the largest P_i · S_j / (|P_i| |S_j|)

    Li and Wand 2016 (arXiv:1601.04589). Unlike the paper, relative, and over a sample of the patches.
    Shapes: (B, N, D), (B, M, D) -> (B,).
    """
    with torch.autocast(found.device.type, enabled=False), torch.no_grad():
        # Length 1 for the painting's alone: that of P_i changes no maximum.
        nearest = (found @ F.normalize(painting, dim=2).transpose(1, 2)).argmax(2)  # (B, N)
        match = painting.gather(1, nearest[:, :, None].expand(-1, -1, painting.shape[2]))
        energy = match.square().sum((1, 2)).clamp(min=1e-12)
    return (found - match).square().sum((1, 2)) / energy


def _places(count: int, wanted: int, dice: torch.Generator) -> Tensor:
    """`wanted` of `count` places, no one twice before all came once. Shape (wanted,)."""
    order = torch.randperm(count, generator=dice)
    return order.repeat(-(-wanted // count))[:wanted]


def _dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
