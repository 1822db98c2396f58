"""What a painter leaves out: a photo in flat shapes with clear edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# How sharply the calmest window wins (Papari et al. 2007, IEEE Transactions on Image Processing 16), what
# variance counts as none, and how often: once leaves the rims of what is thinner than a window.
KUWAHARA_POWER, KUWAHARA_CALM, KUWAHARA_TIMES = 4, 1e-3, 2


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
    total, weights = torch.zeros_like(image), torch.zeros_like(image[:, :1])
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
