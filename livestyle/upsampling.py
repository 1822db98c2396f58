"""Brings a painting that was made small back to full size, with the edges of the camera's picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.frame import Image

_Field = npt.NDArray[np.float32]  # (H, W) or (H, W, 3)
_Steps = npt.NDArray[np.int16]  # (H, W, 3)

# Chosen by eye on faces, 640x360 to 1280x720. A wider window lets more of the photo through, a narrower one
# leaves eyes and mouths soft.
RADIUS = 1  # cells: windows are 3x3 of them, and a cell is 2x2 pixels of the small picture
FLATTEST = 25.0  # grey levels squared: where the camera's picture varies less than this, it is no edge
_FAINTEST = 25.0  # the same of the painting, summed over its channels
_ONE = 64  # of a slope as int16: 127 of these, times 255 grey levels, is the most that fits
# From this part of the size on, the painting is enlarged and no more: little is lost, and the rest would take
# as long as the network saves.
_NEARLY = 0.8
# Rows worked on at once. Arrays of this size are found again in the process's own memory; larger ones come
# from the system, page by page, which can take longer than the work.
_BAND = 60


def shrink(image: Image, size_hw: tuple[int, int]) -> Image:
    """The picture at a smaller size. Shapes: (H, W, 3) -> (*size_hw, 3)."""
    height, width = image.shape[:2]
    # Above a half, INTER_AREA costs five times as much and looks the same; at a half they are the same.
    halves = 2 * size_hw[0] <= height or 2 * size_hw[1] <= width
    how = cv2.INTER_AREA if halves else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=how), np.uint8)


class Upsampler:
    """Small paintings at the size of the pictures they show.

        q = a * I + b,    a = cov(I, p) / (var(I) + eps),    b = mean(p) - a * mean(I)
        shown = up(p + r² * (q - p)) + up(r² * a) * (I_full - up(I))
        r² = sum_c cov(I, p_c)² / (var(I) * sum_c var(p_c))

    I is the luminance, p the painting, c its channels; means are over windows of 6x6 small pixels. q, with a
    and b averaged over windows and known for every second pixel, is the fast guided filter (He & Sun 2015,
    arXiv:1505.00996). Unlike there, it holds only as far as r² says, the share of the painting's variance
    that the camera's luminance explains: strokes are no edges of the camera, and the filter alone would wipe
    them out.

    Above 0.8 of the full size it is shown = up(p). It keeps memory for one size, so that one thread at a time
    may call it.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        # At full size: two luminances, what lies between them, the same and slopes for each channel, colours.
        self._full: tuple[npt.NDArray[Any], ...] = ()

    def __call__(self, painted: Image, small: Image, content: Image) -> Image:
        """small: the picture that was painted. content: the same at full size.

        Shapes: (h, w, 3) twice and (H, W, 3) -> (H, W, 3). Raises ValueError where h or w is odd.
        """
        if painted.shape[0] % 2 or painted.shape[1] % 2:
            raise ValueError(f"a small painting has even sides, not {painted.shape[1]}x{painted.shape[0]}")
        size = content.shape[1::-1]
        if painted.shape[0] >= _NEARLY * content.shape[0]:
            return np.asarray(cv2.resize(painted, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        guide = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        base, steps = _explain(painted, guide)
        luminance, soft, missing, detail, slope, enlarged = self._memory_for(content)
        cv2.cvtColor(content, cv2.COLOR_RGB2GRAY, dst=luminance)
        cv2.resize(guide, size, dst=soft, interpolation=cv2.INTER_CUBIC)
        cv2.subtract(luminance, soft, dst=missing, dtype=cv2.CV_16S)  # what the small picture has lost
        # cvtColor knows no signed numbers, and only copies these.
        cv2.cvtColor(missing.view(np.uint16), cv2.COLOR_GRAY2RGB, dst=detail.view(np.uint16))
        cv2.resize(steps, size, dst=slope, interpolation=cv2.INTER_LINEAR)
        detail *= slope
        detail += _ONE // 2
        detail >>= _ONE.bit_length() - 1  # divides, and rounds
        cv2.resize(base, size, dst=enlarged, interpolation=cv2.INTER_CUBIC)
        return np.asarray(cv2.add(enlarged, detail, dtype=cv2.CV_8U), np.uint8)

    def _memory_for(self, content: Image) -> tuple[npt.NDArray[Any], ...]:
        if content.shape != self._shape:
            plane, pixels = content.shape[:2], content.shape
            self._full = (
                *(np.empty(plane, kind) for kind in (np.uint8, np.uint8, np.int16)),
                *(np.empty(pixels, kind) for kind in (np.int16, np.int16, np.uint8)),
            )
            self._shape = content.shape
        return self._full


def _explain(painted: Image, guide: Image) -> tuple[Image, _Steps]:
    """What to enlarge, and how much of the lost luminance each channel takes, in parts of _ONE.

    Shapes: (h, w, 3), (h, w) -> (h, w, 3), (h / 2, w / 2, 3).
    """
    height, width = guide.shape
    base, steps = np.empty_like(painted), np.empty((height // 2, width // 2, 3), np.int16)
    halo = 2 * (2 * RADIUS + 1)  # windows of windows, and the cell that enlarging looks at, in pixels
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        first = max(top - halo, 0)
        band = slice(first, bottom + halo)
        colours, slopes = _explain_band(painted[band], guide[band])
        base[top:bottom] = colours[top - first : bottom - first]
        steps[top // 2 : bottom // 2] = slopes[(top - first) // 2 : (bottom - first) // 2]
    return base, steps


def _explain_band(painted: Image, guide: Image) -> tuple[Image, _Steps]:
    # numpy is slow where one channel meets three, so that single channels are laid out three times.
    plane = guide.astype(np.float32)
    grey, colours = _three_times(plane), painted.astype(np.float32)
    mean = _mean(_halve(plane))
    variance = np.maximum(_mean(_halve(plane * plane)) - mean * mean, 0) + np.float32(FLATTEST)
    minus_mean = _three_times(-mean)
    colour = _mean(_halve(colours))
    covariance = _mean(_halve(grey * colours))
    cv2.accumulateProduct(minus_mean, colour, covariance)
    spread = np.maximum(_mean(_sum(_halve(colours * colours))) - _sum(colour * colour), 0)
    share = _sum(covariance * covariance) / (variance * (spread + np.float32(_FAINTEST)))
    covariance *= _three_times(share / variance)  # the slope, as far as it explains
    colour *= _three_times(share)
    cv2.accumulateProduct(minus_mean, covariance, colour)
    slope = _mean(covariance)
    colours *= _three_times(_double(1 - _mean(share)))
    cv2.accumulateProduct(grey, _double(slope), colours)
    base = cv2.add(colours, _double(_mean(colour)), dtype=cv2.CV_8U)  # rounds, and stays within 0 to 255
    slope *= _ONE
    np.clip(slope, -127, 127, out=slope)
    return np.asarray(base, np.uint8), np.rint(slope, out=slope).astype(np.int16)


def _halve(field: _Field) -> _Field:
    height, width = field.shape[:2]
    return np.asarray(cv2.resize(field, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)


def _double(field: _Field) -> _Field:
    height, width = field.shape[:2]
    size = (2 * width, 2 * height)
    return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _mean(field: _Field) -> _Field:
    side = 2 * RADIUS + 1
    return np.asarray(cv2.blur(field, (side, side), borderType=cv2.BORDER_REFLECT_101), np.float32)


def _sum(field: _Field) -> _Field:
    """Over the channels. Shapes: (H, W, 3) -> (H, W)."""
    return np.asarray(cv2.transform(field, np.ones((1, 3), np.float32)), np.float32)


def _three_times(field: _Field) -> _Field:
    """Shapes: (H, W) -> (H, W, 3)."""
    return np.asarray(cv2.cvtColor(field, cv2.COLOR_GRAY2RGB), np.float32)
