"""The measures of tools/quality.py, which says what they mean: style, content, grid."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from livestyle.errors import SourceError
from livestyle.frame import Image
from livestyle.stylizer import Stylizer
from livestyle.training.dataset import to_tensor
from livestyle.training.losses import gram_matrix, style_distance
from livestyle.training.recipe import STYLE_LAYERS

# (image (1, 3, H, W), layers) -> feature maps by name, as livestyle.training.features.LossNetwork does.
LossFeatures = Callable[[Tensor, Iterable[str]], Mapping[str, Tensor]]
Grams = Mapping[str, Tensor]

CONTENT_LAYER = "relu3_1"
PHOTO_SIZE = 384  # short side in pixels
GREY = (0.299, 0.587, 0.114)  # BT.601
# A flat picture has no power anywhere: zero over zero is no grid.
NO_POWER = 1e-9


@dataclass(frozen=True)
class Reading:
    """One photo in one style. unpainted: the style distance of the photo itself."""

    grid: float
    difference: float
    style: float = 0.0
    unpainted: float = 0.0
    content: float = 0.0


def measuring_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of whatever measures a model's pictures by a loss network."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a name like painters, or an .onnx file")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--loss-network", type=Path, required=True, help="the slimmed VGG-19's weights")
    return parser


def grid_score(image: Image) -> float:
    """How far power stands out at periods of 2 and 4 pixels; 1 is not at all."""
    grey: npt.NDArray[np.float64] = image.astype(np.float64) @ np.array(GREY)
    return max(_line_score(grey), _line_score(grey.T))


def _line_score(grey: npt.NDArray[np.float64]) -> float:
    length = (grey.shape[1] - 1) // 4 * 4  # so that both periods fall on a bin
    if length < 4 * 20:
        raise ValueError("a grid score needs pictures of 81 pixels or more a side")
    differences = np.diff(grey, axis=1)[:, :length]
    window = np.hanning(length + 1)[:-1]  # periodic: a tone on a bin leaks into the next two only
    power = (np.abs(np.fft.rfft(differences * window, axis=1)) ** 2).mean(0)
    scores = []
    for period in (2, 4):
        bin = length // period
        near = [i for i in (*range(bin - 16, bin - 2), *range(bin + 3, bin + 17)) if i < len(power)]
        scores.append((power[bin] + NO_POWER) / (np.median(power[near]) + NO_POWER))
    return float(max(scores))


def features_of(network: LossFeatures, image: Image, layers: Iterable[str]) -> Mapping[str, Tensor]:
    with torch.no_grad():
        return network(to_tensor(torch.from_numpy(image)[None]), layers)


def grams_of(network: LossFeatures, painting: Tensor) -> Grams:
    with torch.no_grad():
        return {layer: gram_matrix(f) for layer, f in network(painting, STYLE_LAYERS).items()}


def distance_of_photos(network: LossFeatures, photos: Iterable[Image]) -> float:
    """Mean squared difference of CONTENT_LAYER over all pairs of different photos, resized to one size.

    mean over i ≠ j of ‖F_i − F_j‖² = 2 / (n − 1) (sum ‖F_i‖² − ‖sum F_i‖² / n)
    """
    n, squares = 0, 0.0
    total = torch.zeros(1, dtype=torch.float64)
    for photo in photos:
        square = cv2.resize(photo, (PHOTO_SIZE, PHOTO_SIZE), interpolation=cv2.INTER_AREA)
        features = features_of(network, np.asarray(square, np.uint8), [CONTENT_LAYER])[CONTENT_LAYER].double()
        n, squares, total = n + 1, squares + float(features.square().mean()), total + features
    if n < 2:
        raise SourceError("the content fraction needs at least two photos")
    return 2 / (n - 1) * (squares - float(total.square().mean()) / n)


def paint_and_read(
    photo: Image, stylizer: Stylizer, paintings: Sequence[Grams], network: LossFeatures
) -> tuple[list[Reading], list[Image]]:
    """The photo in every style, measured, and the pictures. paintings: of the styles but "original"."""
    pictures = [stylizer(photo, mix) for mix in np.eye(len(paintings) + 1, dtype=np.float32)]
    original = features_of(network, photo, STYLE_LAYERS)
    readings = []
    for picture, grams in zip(pictures, [None, *paintings], strict=True):
        grid = grid_score(picture)
        difference = float(np.abs(picture.astype(np.float64) - photo).mean())
        if grams is None:
            readings.append(Reading(grid, difference))
            continue
        painted = features_of(network, picture, STYLE_LAYERS)
        content = float((painted[CONTENT_LAYER] - original[CONTENT_LAYER]).square().mean())
        style, unpainted = (float(style_distance(f, grams)) for f in (painted, original))
        readings.append(Reading(grid, difference, style, unpainted, content))
    return readings, pictures
