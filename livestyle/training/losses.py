"""What a stylized image is asked for: the content of the photo, the style of the painting, and calm.

Every loss is a fraction of what was there at the start: 0 is perfect, 1 is "nothing done" (style) or
"another photo" (content). So one weight serves every style, whatever the energy of its Gram matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Features = Mapping[str, Tensor]


def gram_matrix(feature_map: Tensor) -> Tensor:
    """G[i, j] = mean over pixels of F[i] F[j]        Gatys et al. 2016

    Unlike the paper, the mean is taken, not the sum, so that the image size does not matter.
    Float32, whatever comes in. Shapes: (B, C, H, W) -> (B, C, C).
    """
    f = feature_map.float().flatten(2)  # (B, C, HW)
    with torch.autocast(f.device.type, enabled=False):
        # The gradient of F Fᵀ for a symmetric loss is twice that of its first factor: one product, not two.
        gram = f @ f.detach().transpose(1, 2) / f.shape[2]
        return 2 * gram - gram.detach()


def style_distance(features: Features, target_grams: Mapping[str, Tensor]) -> Tensor:
    """mean_l ‖G_l − G*_l‖² / ‖G*_l‖², one number per image. Shapes: target_grams (B, C, C) -> (B,)."""
    distances = [
        (gram_matrix(features[layer]) - target).square().sum((1, 2)) / target.square().sum((1, 2))
        for layer, target in target_grams.items()
    ]
    return torch.stack(distances).mean(0)


def content_distance(features: Tensor, target: Tensor) -> Tensor:
    """mean over elements of (F - F*)² of one layer's maps. Shapes: (B, C, H, W) -> (B,), one per image.

    Not relative to the photo's own energy: that of an almost empty photo is so small that it outweighs a
    thousand others.
    """
    return (features - target).square().mean((1, 2, 3))


def total_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, one number per image. Shapes: (B, 3, H, W) -> (B,).

    The anisotropic L1 form; Rudin, Osher and Fatemi 1992 use the root of the sum of squares.
    """
    rows = (image[:, :, 1:] - image[:, :, :-1]).abs().mean((1, 2, 3))
    columns = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().mean((1, 2, 3))
    return rows + columns


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared distance of pixels to [0, 1], one number per image. Shapes: (B, 3, H, W) -> (B,)."""
    return (image - image.clamp(0, 1)).square().mean((1, 2, 3))


def channel_correlation(feature_maps: Iterable[Tensor]) -> Tensor:
    """Mean squared correlation of two channels over the pixels, over all pairs and maps, an image each.

        rho_ij = mean over pixels of z_i z_j,   z = (F - mu) / sigma

    0: every channel says something of its own. Near 1: all say the same. Residual blocks of instance norms
    slide into that: they part the picture into two regions, and the smaller one is painted as a flat blob of
    one colour in every style. Bardes et al. 2022 (arXiv:2105.04906) punish covariances over a batch alike.
    Shapes: each (B, C, H, W), C of 2 or more -> (B,).
    """
    means = []
    for maps in feature_maps:
        f = maps.float().flatten(2)  # (B, C, HW)
        f = f - f.mean(2, keepdim=True)
        z = f / (f.square().mean(2, keepdim=True) + 1e-4).sqrt()
        rho = z @ z.transpose(1, 2) / f.shape[2]  # (B, C, C)
        squares = rho.square().sum((1, 2)) - rho.diagonal(dim1=1, dim2=2).square().sum(1)
        means.append(squares / (f.shape[1] * (f.shape[1] - 1)))
    return torch.stack(means).mean(0)


COLOUR_PATCH = 16  # pixels: wider than a stroke, narrower than a face


def hues(image: Tensor) -> Tensor:
    """Colour without brightness, a row per patch: channels minus their mean.

    Shapes: (B, 3, H, W) -> (B, N, 3).
    """
    patches = F.avg_pool2d(image, COLOUR_PATCH).flatten(2).transpose(1, 2)
    return patches - patches.mean(2, keepdim=True)


def unexplained_hues(image: Tensor, photo: Tensor) -> Tensor:
    """Mean squared part of a picture's hues that the photo's colours do not explain, one number per image.

        Y - X (XᵀX + 0.001)⁻¹ XᵀY,   X: 1, p and p² of the photo's patches, Y: the hues of the picture's

    A painting has its own hues, but gives the same ones to the same: nothing explains olive on half a cheek.
    Both are averaged over 16 x 16 pixels first. Shapes: (B, 3, H, W) twice -> (B,).
    """
    patches = F.avg_pool2d(photo, COLOUR_PATCH).flatten(2).transpose(1, 2)  # (B, N, 3)
    basis = torch.cat([torch.ones_like(patches[..., :1]), patches, patches.square()], dim=2)  # (B, N, 7)
    n = basis.shape[1]
    inner = basis.transpose(1, 2) @ basis / n + 1e-3 * torch.eye(7, device=photo.device)
    found = hues(image)
    explained: Tensor = basis @ torch.linalg.solve(inner, basis.transpose(1, 2) @ found / n)
    return (found - explained).square().mean((1, 2))


# Periods in pixels at which upsampling by 2, 4 and 8 repeats itself.
GRID_PERIODS = (2, 4, 8)


def grid_excess(image: Tensor) -> Tensor:
    """How far the spectrum stands out at the network's own upsampling periods, one number per image.

        sum over periods p of max(0, log P(1/p) - log mean P near 1/p), rows and columns

    P: power of the grey picture's differences, Hann window, averaged over lines. A network that paints by
    repeating one tile has a peak there and no photo or painting does. Grey is brightness as eyes weigh it
    (ITU-R BT.601): from the plain mean, networks hide the grid in colours. Shapes: (B, 3, H, W) -> (B,).
    """
    grey = torch.einsum("bchw,c->bhw", image, image.new_tensor([0.299, 0.587, 0.114]))
    return _line_excess(grey) + _line_excess(grey.transpose(1, 2))


def _line_excess(grey: Tensor) -> Tensor:
    length = (grey.shape[2] - 1) // 8 * 8  # so that every period falls on a bin
    lines = grey.diff(dim=2)[:, :, :length]
    window = torch.hann_window(length, periodic=True, device=grey.device)
    power = torch.fft.rfft(lines * window).abs().square().mean(1)  # (B, length / 2 + 1)
    total = torch.zeros(grey.shape[0], device=grey.device)
    for period in GRID_PERIODS:
        k = length // period
        # Hann leaks into the bins next to a peak, so the neighbourhood starts three bins away.
        near = [i for i in (*range(k - 8, k - 2), *range(k + 3, k + 9)) if 0 <= i < power.shape[1]]
        level = power[:, near].mean(1).detach() + 1e-8
        total = total + ((power[:, k] + 1e-8) / level).log().clamp(min=0)
    return total
