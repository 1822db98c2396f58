"""What a painter leaves out: a photo in flat shapes with clear edges, and a loss against tracing the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.training.losses import STRUCTURE_WINDOW
from livestyle.training.motion import grey

# How sharply the calmest window wins (Papari et al. 2007, IEEE Transactions on Image Processing 16), what
# variance counts as none, and how often: once leaves the rims of what is thinner than a window.
KUWAHARA_POWER, KUWAHARA_CALM, KUWAHARA_TIMES = 4, 1e-3, 2
# Standard deviations of brightness, [0, 1]: fainter detail than the first is no drawing.
DETAIL_CONTRAST, DETAIL_FAINT = 0.03, 0.02


def kuwahara(image: Tensor, radius: int) -> Tensor:
    """Each pixel becomes the mean of the calmest of four windows whose corner it is.

    Kuwahara et al. 1976, with the soft choice of Papari et al. 2007: what is smaller than a window goes, and
    edges stay, as where a brush lays flat paint. radius: of the pixel, so that windows have radius + 1
    pixels a side; below the smaller side, and 0 is the picture itself.
    Shapes: (B, 3, H, W) -> (B, 3, H, W).
    """
    if radius == 0:
        return image
    height, width = image.shape[2:]
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    means = F.avg_pool2d(padded, radius + 1, stride=1)
    squares = F.avg_pool2d(padded * padded, radius + 1, stride=1)
    variances = (squares - means * means).clamp(min=0).sum(1, keepdim=True)
    chosen = (variances / KUWAHARA_CALM + 1) ** -KUWAHARA_POWER  # 0 … 1
    total, weights = torch.zeros_like(image), torch.zeros_like(image[:, :1]) + 1e-12
    for top in (0, radius):
        for left in (0, radius):
            window = (..., slice(top, top + height), slice(left, left + width))
            total = total + chosen[window] * means[window]
            weights = weights + chosen[window]
    return total / weights


def abstracted(photo: Tensor, radius: int, keep: Tensor) -> Tensor:
    """The photo in flat shapes, but for what is kept: faces.

    radius: kuwahara's. Shapes: photo (B, 3, H, W), keep (B, 1, H, W), 0 to 1 -> (B, 3, H, W).
    """
    flat = photo
    for _ in range(KUWAHARA_TIMES):
        flat = kuwahara(flat, radius)
    return flat + keep * (photo - flat)


def traced_detail(image: Tensor, photo: Tensor, flat: Tensor) -> Tensor:
    """How much of the drawing that a painter leaves out is in the picture: 0 is none, 1 nothing but it.

        sum_i w_i |s_i| / sum_i w_i,   w = var(d) / (var(d) + 0.03²),   d = photo - flat
        s = cov(y, d) / sqrt(var(y) var(d) + 0.02⁴)

    By brightness, in windows of 7 pixels. The style's matrices are as content with the threads of a cloth in
    new colours as with strokes of paint, and the threads are the shorter way: this closes it. The negative
    of a detail is traced too. Over the picture's own variance: over the photo's alone, networks answer with
    less contrast, which is fog, not paint. One number per image. Shapes: (B, 3, H, W) three times -> (B,).
    """
    y, d = grey(image), grey(photo) - grey(flat)
    maps = torch.cat((y, d, y * y, d * d, y * d), dim=1)
    windows = F.avg_pool2d(maps, STRUCTURE_WINDOW, stride=2)
    mean_y, mean_d, yy, dd, yd = windows.unbind(1)
    var_y, var_d = (yy - mean_y**2).clamp(min=0), (dd - mean_d**2).clamp(min=0)
    alike = (yd - mean_y * mean_d) / (var_y * var_d + DETAIL_FAINT**4).sqrt()
    weight = var_d / (var_d + DETAIL_CONTRAST**2)
    # A photo without any detail has none to leave out.
    return (weight * alike.abs()).mean((1, 2)) / weight.mean((1, 2)).clamp(min=0.01)
