"""What a stylized image is asked for: the content of the photo, the style of the painting, and calm.

Every loss is a fraction of what was there at the start: 0 is perfect, 1 is "nothing done" (style) or
"another photo" (content). So one weight serves every style, whatever the energy of its Gram matrices.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.training.motion import Later, grey

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
    found = {layer: gram_matrix(features[layer])[:, None] for layer in target_grams}
    targets = {layer: target[:, None] for layer, target in target_grams.items()}
    return statistic_distances(found, targets).mean((1, 2))


def statistic_distances(found: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Squared distances over the target's square. Shapes: each (B, parts, K, L) -> (B, layers, parts)."""
    distances = [
        (found[layer] - target).square().sum((2, 3)) / target.square().sum((2, 3))
        for layer, target in targets.items()
    ]
    return torch.stack(distances, dim=1)


def content_distance(features: Tensor, target: Tensor, care: Tensor | None = None) -> Tensor:
    """mean over elements of care (F - F*)² of one layer's maps, one number per image.

    Not relative to the photo's own energy: that of an almost empty photo is so small that it outweighs a
    thousand others. care: how much each place of the photo counts; None is 1 everywhere.
    Shapes: (B, C, H, W) twice, care (B, 1, any, any) -> (B,).
    """
    squares = (features - target).square()
    if care is not None:
        squares = squares * F.adaptive_avg_pool2d(care, (squares.shape[2], squares.shape[3]))
    return squares.mean((1, 2, 3))


# By how much more red (Cr) than blue (Cb) skin is known, of 256, in full light: where it begins and ends.
SKIN_FROM, SKIN_FULL, SKIN_LESS, SKIN_END = 18.0, 30.0, 62.0, 80.0
# R - G over G - B: sand and yellow walls have less, skin in warm light as much as the second.
YELLOW, REDDISH = 0.5, 0.9
SKIN_NEAR = 17  # pixels: eyes and lips are no skin, and lie in it


def skin(photo: Tensor) -> Tensor:
    """How far a place has the colour of skin, or lies in it: 0 to 1. Shapes: (B, 3, H, W) -> (B, 1, H, W).

    Chroma tells skin of any tone from most else (Chai and Ngan 1999: Cr 133 to 173, Cb 77 to 127); here by
    Cr - Cb, with soft ends, of which the lower ones grow with the brightness, as chroma does, and by red over
    yellow. Wood and some walls count too: they are painted with the same care.
    """
    red, green, blue = photo.unbind(1)
    y = grey(photo)[:, 0]
    apart = 255 * (0.713 * (red - y) - 0.564 * (blue - y))
    begins = (apart / (0.4 + 0.6 * y) - SKIN_FROM) / (SKIN_FULL - SKIN_FROM)
    ends = (SKIN_END - apart) / (SKIN_END - SKIN_LESS)
    warm = (red - green - YELLOW * (green - blue).clamp(min=0)) / (
        (REDDISH - YELLOW) * (green - blue).clamp(min=0) + 0.01
    )
    alike = torch.stack((begins, ends, warm)).amin(0).clamp(0, 1)[:, None]
    half = SKIN_NEAR // 2
    near = F.avg_pool2d(alike, SKIN_NEAR, stride=1, padding=half, count_include_pad=False)
    return (2 * near).clamp(max=1)


# Mean over photos of the squared distance of colours to their grey: 0.0087 over 34 of those of `painters`.
PHOTO_CHROMA = 0.009


def chroma_distance(image: Tensor, photo: Tensor) -> Tensor:
    """Squared distance of two pictures' colours, brightness aside: 1 is about "grey", one number per image.

        mean over pixels and channels of ((y - grey(y)) - (p - grey(p)))² / 0.009

    Shapes: (B, 3, H, W) twice -> (B,).
    """
    difference = (image - grey(image)) - (photo - grey(photo))
    return difference.square().mean((1, 2, 3)) / PHOTO_CHROMA


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


def instability(later: Tensor, moved: Tensor, seen: Later) -> Tensor:
    """Mean absolute difference of the painting of a moment later to the painting moved along, an image each.

        mean over what is inside of |T(x') - warp(T(x)) - brighter|

    Wang et al. 2020 (arXiv:2005.03136), with the tolerance for light of Gao et al. 2018 (ReCoNet,
    arXiv:1807.01197): where the scene grew brighter, the painting may. Noise it has to ignore.
    Shapes: later = T(x') and moved = warp(T(x)), (B, 3, H, W) -> (B,).
    """
    difference = (later - moved - seen.brighter).abs().mean(1, keepdim=True) * seen.inside
    return difference.sum((1, 2, 3)) / seen.inside.sum((1, 2, 3)).clamp(min=1)


# Brushwork is finer than these cells, in pixels; what is told apart by them is the place.
EVEN_CELL, EVEN_REACH, EVEN_FACTOR = 16, (1, 2, 4), 2.0


def unevenness(image: Tensor, photo: Tensor, care: Tensor | None = None) -> Tensor:
    """How much more the painting changes from place to place than the photo does, one number per image.

        mean over cells i, j in a row or column, 1, 2 and 4 apart, of
        min(care_i, care_j) max(0, |y_i - y_j| - 2 |p_i - p_j|)

    y, p: mean colours of cells of 16 x 16 pixels; |.|: length in RGB. A painting's many colours are to be
    strokes beside each other: without this, an even wall gets a soft patch of each. care: as in
    content_distance. Shapes: (B, 3, H, W) twice, H and W from 32 pixels, care (B, 1, H, W) -> (B,).
    """
    painted, given = F.avg_pool2d(image, EVEN_CELL), F.avg_pool2d(photo, EVEN_CELL)
    cells = torch.ones_like(given[:, :1]) if care is None else F.avg_pool2d(care, EVEN_CELL)
    found = []
    for reach in EVEN_REACH:
        for turned in (False, True):
            a, b, c = (x.transpose(2, 3) if turned else x for x in (painted, given, cells))
            if reach >= a.shape[3]:
                continue
            change, allowed = _cell_steps(a, reach), EVEN_FACTOR * _cell_steps(b, reach)
            counts = torch.minimum(c[..., reach:], c[..., :-reach])[:, 0]
            found.append((counts * (change - allowed).clamp(min=0)).mean((1, 2)))
    return torch.stack(found).mean(0)


def _cell_steps(cells: Tensor, reach: int) -> Tensor:
    steps = cells[..., reach:] - cells[..., :-reach]
    return (steps.square().sum(1) + 1e-6).sqrt()  # the root of 0 has no gradient


# What is drawn in strokes of two or three pixels is brushwork; half the size sees past it.
STRUCTURE_WINDOW, STRUCTURE_SCALES = 7, (1, 2)
STRUCTURE_CONTRAST, STRUCTURE_FAINT = 0.04, 0.02  # standard deviations of brightness, [0, 1]


def structure_distance(image: Tensor, photo: Tensor, care: Tensor | None = None) -> Tensor:
    """How much of the photo's own drawing is lost: 0 is nothing, 1 all, 2 its negative; one number per image.

        sum_i care_i w_i (1 - s_i) / sum_i w_i,   w = var(p) / (var(p) + 0.04²),
        s = cov(y, p) / sqrt(var(y) var(p) + 0.02⁴)

    The structure term of SSIM (Wang et al. 2004) where the photo has any, by brightness, in windows of 7
    pixels at full and at half size. Contrast and colours are free: an eye may be blue paint on pink, but it
    has to be darker than the lids. Maps of relu3_1 have one pixel for it. care: as in content_distance.
    Shapes: (B, 3, H, W) twice, H and W from 14 pixels, care (B, 1, H, W) -> (B,).
    """
    found, y, p = [], grey(image), grey(photo)
    for scale in STRUCTURE_SCALES:
        a, b = F.avg_pool2d(y, scale), F.avg_pool2d(p, scale)
        mean_a, mean_b, aa, bb, ab = _windows(torch.stack((a, b, a * a, b * b, a * b)))
        var_a, var_b = (aa - mean_a**2).clamp(min=0), (bb - mean_b**2).clamp(min=0)
        alike = (ab - mean_a * mean_b) / (var_a * var_b + STRUCTURE_FAINT**4).sqrt()
        weight = var_b / (var_b + STRUCTURE_CONTRAST**2)
        lost = weight * (1 - alike)
        if care is not None:
            lost = lost * F.adaptive_avg_pool2d(care, (lost.shape[2], lost.shape[3]))
        # A photo of fog has no drawing to keep.
        found.append(lost.mean((1, 2, 3)) / weight.mean((1, 2, 3)).clamp(min=0.01))
    return torch.stack(found).mean(0)


# What the deviation of colours may be in a face: so many times the photo's, and so much more.
ROUGH_FACTOR, ROUGH_FREE = 2.0, 0.015


def contrast_distance(image: Tensor, photo: Tensor, where: Tensor) -> Tensor:
    """How far the contrast of the picture is from the photo's in some places, one number per image.

        mean over windows i of where_i (max(0, sd_i(y) - 2 sd_i(p) - 0.015) + max(0, sd_i(p) - sd_i(y)))

    sd: of red, green and blue, the root of their mean variance, in windows of 7 pixels at full and at half
    size. structure_distance looks away from it, and has nothing to hold on to in a smooth cheek, which gets
    pits and wrinkles; and the eyes of a small face may be drawn so faintly that nobody finds them.
    Shapes: (B, 3, H, W) twice, H and W from 14 pixels, where (B, 1, H, W), 0 to 1 -> (B,).
    """
    found = []
    for scale in STRUCTURE_SCALES:
        a, b = F.avg_pool2d(image, scale), F.avg_pool2d(photo, scale)
        mean_a, mean_b, aa, bb = _windows(torch.stack((a, b, a * a, b * b)))
        painted, given = (
            (square - mean**2).mean(1, keepdim=True).clamp(min=1e-6).sqrt()  # the root of 0 has no gradient
            for mean, square in ((mean_a, aa), (mean_b, bb))
        )
        rougher = (painted - ROUGH_FACTOR * given - ROUGH_FREE).clamp(min=0)
        fainter = (given - painted).clamp(min=0)
        counts = F.adaptive_avg_pool2d(where, (painted.shape[2], painted.shape[3]))
        found.append((counts * (rougher + fainter)).mean((1, 2, 3)))
    return torch.stack(found).mean(0)


def _windows(maps: Tensor) -> Tensor:
    """Means of windows, two pixels apart. Shapes: (N, B, C, H, W) -> (N, B, C, h, w)."""
    means = F.avg_pool2d(maps.flatten(0, 1), STRUCTURE_WINDOW, stride=2)
    return means.reshape(*maps.shape[:3], *means.shape[2:])


# Periods in pixels at which upsampling by 2, 4 and 8 repeats itself.
GRID_PERIODS = (2, 4, 8)


def grid_excess(image: Tensor) -> Tensor:
    """How far the spectrum stands out at the network's own upsampling periods, one number per image.

        sum over periods p of max(0, log P(1/p) - log mean P near 1/p), rows and columns
        of the grey picture, plus the mean of that of red, green and blue

    P: power of the picture's differences, Hann window, averaged over lines. A network that paints by
    repeating one tile has a peak there and no photo or painting does. Grey is brightness as eyes weigh it
    (ITU-R BT.601): from the plain mean, networks hide the grid in colours. Each colour by itself too: where
    a dark blue is cut off at 0, its waves of 4 pixels are a grid of 2 that brightness hardly sees.
    Shapes: (B, 3, H, W) -> (B,).
    """
    planes = torch.cat((grey(image), image), dim=1)  # (B, 4, H, W)
    lines = planes.flatten(0, 1)
    excess = _line_excess(lines) + _line_excess(lines.transpose(1, 2))
    of_plane = excess.reshape(planes.shape[:2])
    return of_plane[:, 0] + of_plane[:, 1:].mean(1)


def _line_excess(plane: Tensor) -> Tensor:
    """Along rows. Shapes: (B, H, W) -> (B,)."""
    length = (plane.shape[2] - 1) // 8 * 8  # so that every period falls on a bin
    lines = plane.diff(dim=2)[:, :, :length]
    window = torch.hann_window(length, periodic=True, device=plane.device)
    power = torch.fft.rfft(lines * window).abs().square().mean(1)  # (B, length / 2 + 1)
    total = torch.zeros(plane.shape[0], device=plane.device)
    for period in GRID_PERIODS:
        k = length // period
        # Hann leaks into the bins next to a peak, so the neighbourhood starts three bins away.
        near = [i for i in (*range(k - 8, k - 2), *range(k + 3, k + 9)) if 0 <= i < power.shape[1]]
        level = power[:, near].mean(1).detach() + 1e-8
        total = total + ((power[:, k] + 1e-8) / level).log().clamp(min=0)
    return total
