"""Colours for an optimization: the painting's own, or the photo's (Gatys et al. 2016, arXiv:1606.05897)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from livestyle.training.motion import grey

Colours = Literal["style", "match", "luminance"]

# Keeps the covariance of a painting in one colour invertible: less than a grey level squared, of 255.
FAINT = 1e-6


def match_colours(painting: Tensor, photo: Tensor) -> Tensor:
    """The painting in the photo's colours: with the mean and the covariance of its pixels.

        p' = A (p - mu_S) + mu_C,   A = Sigma_C^(1/2) Sigma_S^(-1/2)

    The symmetric roots of the paper, not its Cholesky factors, which treat the channels unequally.
    Not clipped. Shapes: (1, 3, H, W), (1, 3, H', W') -> (1, 3, H, W), [0, 1] or a little beyond.
    """
    mean_s, covariance_s = _moments(painting)
    mean_c, covariance_c = _moments(photo)
    matrix = _power(covariance_c, 0.5) @ _power(covariance_s, -0.5)
    pixels = painting[0].flatten(1).double() - mean_s  # (3, HW)
    return (matrix @ pixels + mean_c).to(painting.dtype).reshape(painting.shape)


def in_greys(painting: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
    """Both in greys, the painting's with the mean and deviation of the photo's: brightness alone is painted.

        l' = sigma_C / sigma_S (l - mu_S) + mu_C

    Shapes: (1, 3, H, W), (1, 3, H', W') -> the same.
    """
    theirs, ours = grey(painting), grey(photo)
    spread = ours.std() / theirs.std().clamp(min=FAINT**0.5)
    matched = (theirs - theirs.mean()) * spread + ours.mean()
    return matched.expand_as(painting).contiguous(), ours.expand_as(photo).contiguous()


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    pixels = image[0].flatten(1).double()  # (3, HW)
    mean = pixels.mean(1, keepdim=True)
    centred = pixels - mean
    return mean, centred @ centred.T / pixels.shape[1]


def _power(covariance: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    power: Tensor = (vectors * values.clamp(min=FAINT) ** exponent) @ vectors.T
    return power
