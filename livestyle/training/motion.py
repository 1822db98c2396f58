"""What a camera would see a moment after a photo was taken, made from the photo alone.

No video is needed to teach a network to hold still (Wang et al. 2020, arXiv:2005.03136): the photo moves a
little, or only the light and the sensor's noise change, and the painting has to move along and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CELL, BEND = 64, 4.0  # pixels: one bend to a cell, its standard deviation
SHIFT = 16.0  # pixels, either way
ZOOM, TURN = 0.05, 3.0  # share of the size, degrees, either way
STILL_SHARE = 0.3  # of the pairs: a camera on a table, where only noise moves
NOISE = 8 / 255  # the strongest noise's standard deviation
LIGHT_SHARE, LIGHT = 0.3, 0.05  # of the pairs: brighter or darker by up to this share
LAMP_LEAST, LAMP_MOST = 0.35, 1.1  # a coloured lamp's least gain over its largest, and the largest


@dataclass(frozen=True)
class Later:
    """A batch of photos a moment later.

    image: (B, 3, H, W), [0, 1]. grid: (B, H, W, 2), where each of its pixels was, as `warp` takes it.
    inside: (B, 1, H, W), 1 where that lies in the photo, else 0. brighter: (B, 1, H, W), how much brighter
    the light alone made it, in grey levels of [0, 1].
    """

    image: Tensor
    grid: Tensor
    inside: Tensor
    brighter: Tensor


def moment_later(photo: Tensor, generator: torch.Generator) -> Later:
    """Each photo moved, lit and noised by its own dice. Shape: (B, 3, H, W), [0, 1]. generator: a CPU one."""
    B, _, H, W = photo.shape
    grid = _random_grid(B, H, W, generator, photo.device)
    inside = (grid.abs() <= 1).all(3).float()[:, None]
    moved = warp(photo, grid)
    dice = torch.rand(3, B, 1, 1, 1, generator=generator)
    gain = torch.where(dice[0] < LIGHT_SHARE, 1 + LIGHT * (2 * dice[1] - 1), torch.ones(())).to(photo.device)
    # Where the photos lie: a GPU would wait longer for its noise than it takes to paint.
    grain = torch.Generator(photo.device).manual_seed(int(torch.randint(2**31, (), generator=generator)))
    noise = torch.randn(photo.shape, generator=grain, device=photo.device)
    image = (moved * gain + noise * (NOISE * dice[2]).to(photo.device)).clamp(0, 1)
    return Later(image, grid, inside, grey(moved * (gain - 1)))


def coloured_light(photos: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share of the photos as two coloured lamps would light them, one from each side of the picture.

        photo * (a + (b - a) t),   t from 0 to 1 across the picture, in any direction

    a, b: gains of red, green and blue: the largest is 1.1, the others 0.35 of it or more. A stage's light, in
    which skin has no colour of its own. generator: a CPU one. Shape: (B, 3, H, W), [0, 1], as it comes in.
    """
    B, _, H, W = photos.shape
    lamps = LAMP_LEAST + (1 - LAMP_LEAST) * torch.rand(2, B, 3, 1, 1, generator=generator)
    lamps = (LAMP_MOST * lamps / lamps.amax(2, keepdim=True)).to(photos.device)
    turn = (2 * torch.pi * torch.rand(B, 1, 1, 1, generator=generator)).to(photos.device)
    lit = (torch.rand(B, 1, 1, 1, generator=generator) < share).to(photos.device)
    y = torch.linspace(-0.5, 0.5, H, device=photos.device)[:, None]
    x = torch.linspace(-0.5, 0.5, W, device=photos.device)
    across = (0.5 + x * torch.cos(turn) + y * torch.sin(turn)).clamp(0, 1)  # (B, 1, H, W)
    shone = (photos * torch.lerp(lamps[0], lamps[1], across)).clamp(0, 1)
    return torch.where(lit, shone, photos)


def warp(image: Tensor, grid: Tensor) -> Tensor:
    """`image` seen through `grid`: bicubic, since bilinear warps would teach the network to blur.

    Shapes: (B, C, H, W), grid (B, H, W, 2) in [-1, 1] as F.grid_sample counts -> (B, C, H, W).
    """
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def grey(image: Tensor) -> Tensor:
    """Brightness as eyes weigh it (ITU-R BT.601). Shapes: (B, 3, H, W) -> (B, 1, H, W)."""
    weights = image.new_tensor([0.299, 0.587, 0.114])
    return torch.einsum("bchw,c->bhw", image, weights)[:, None]


def _random_grid(
    batch: int, height: int, width: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Bends, a shift, a zoom and a turn for each photo, or nothing at all: (B, H, W, 2)."""

    def uniform(limit: float) -> Tensor:
        return limit * (2 * torch.rand(batch, generator=generator) - 1)

    size = torch.tensor([width, height], dtype=torch.float32, device=device)
    scale, angle = 1 + uniform(ZOOM), torch.deg2rad(uniform(TURN))
    shift = torch.stack([uniform(SHIFT), uniform(SHIFT)], 1)
    cells = (height // CELL + 2, width // CELL + 2)
    bends = BEND * torch.randn(batch, 2, *cells, generator=generator)
    still = torch.rand(batch, generator=generator) < STILL_SHARE

    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    turned = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    bends, turned, shift, still = (value.to(device) for value in (bends, turned, shift, still))
    bends = F.interpolate(bends, (height, width), mode="bicubic", align_corners=True)
    y = torch.arange(height, device=device) - (height - 1) / 2
    x = torch.arange(width, device=device) - (width - 1) / 2
    place = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # (H, W, 2) pixels from the middle
    moved = torch.einsum("hwc,bdc->bhwd", place, turned) + shift[:, None, None] + bends.permute(0, 2, 3, 1)
    moved = torch.where(still[:, None, None, None], place, moved)
    return moved / (size / 2)
