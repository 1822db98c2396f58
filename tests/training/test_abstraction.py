from __future__ import annotations

import pytest
import torch
from torch import Tensor

from livestyle.training.abstraction import KUWAHARA_CALM, abstracted, kuwahara


def edge(height: int = 32, width: int = 32) -> Tensor:
    """Black on the left, white on the right."""
    picture = torch.zeros(1, 3, height, width)
    picture[..., width // 2 :] = 1
    return picture


def threads(height: int = 32, width: int = 32, amplitude: float = 0.2) -> Tensor:
    """Grey with lines one pixel wide."""
    picture = torch.full((1, 3, height, width), 0.5)
    picture[..., ::2] += amplitude
    picture[..., 1::2] -= amplitude
    return picture


def test_the_mean_of_the_calmest_corner_by_hand() -> None:
    picture = torch.tensor([[0.2, 0.2, 0.8], [0.2, 0.2, 0.2], [0.8, 0.2, 0.2]]).expand(1, 3, 3, 3)
    # Windows of the middle pixel: two of 0.2 alone; two with one 0.8, of mean 0.35 and variance 3 x 0.0675.
    weight = (3 * 0.0675 / KUWAHARA_CALM + 1) ** -4
    expected = (2 * 0.2 + 2 * weight * 0.35) / (2 + 2 * weight)
    assert kuwahara(picture, 1)[0, 0, 1, 1].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("radius", [1, 3, 5])
def test_edges_stay_and_threads_go(radius: int) -> None:
    torch.testing.assert_close(kuwahara(edge(), radius), edge(), rtol=0, atol=1e-3)
    torch.testing.assert_close(kuwahara(edge().mT, radius), edge().mT, rtol=0, atol=1e-3)
    flat = kuwahara(threads(), radius)
    assert flat.std() < 0.35 * threads().std()
    assert flat.mean().item() == pytest.approx(0.5, abs=0.02)


def test_the_wildest_texture_keeps_its_brightness() -> None:
    flat = kuwahara(threads(amplitude=0.5), 5)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.5), rtol=0, atol=0.01)


def test_radius_nought_is_the_picture_itself() -> None:
    torch.testing.assert_close(abstracted(threads(), 0, torch.zeros(1, 1, 32, 32)), threads())


def test_what_is_kept_keeps_its_detail() -> None:
    keep = torch.zeros(1, 1, 32, 32)
    keep[..., :16] = 1
    found = abstracted(threads(), 5, keep)
    torch.testing.assert_close(found[..., :16], threads()[..., :16])
    assert found[..., 16:].std() < 0.1 * threads().std()
