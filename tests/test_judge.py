"""tools/judge.py: what it measures, and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import tool
from torch import Tensor


class Bowl:
    """A loss whose bottom is grey 0.8 everywhere."""

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        total = (picture - 0.8).square().sum()
        return total, total, total


def flat(value: float) -> Tensor:
    return torch.full((1, 3, 8, 8), value)


def test_the_bottom_of_a_bowl_is_found_soon_and_the_start_at_once() -> None:
    judge = tool("judge")
    assert judge.gatys_equivalent(Bowl(), flat(0.2), flat(0.203)) == 1
    assert 2 <= judge.gatys_equivalent(Bowl(), flat(0.2), flat(0.799)) <= 4
    assert judge.gatys_equivalent(Bowl(), flat(0.2), flat(0.8), most=2) == 2


def test_pixels_stay_in_range() -> None:
    class Away(Bowl):
        def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            total = (picture - 9).square().sum()
            return total, total, total

    steps = tool("judge").descent(Away(), flat(0.2))
    assert max(float(next(steps).max()) for _ in range(5)) == 1


def test_a_spot_that_the_photo_does_not_have_is_a_blob() -> None:
    judge = tool("judge")
    photo = torch.full((1, 3, 64, 64), 0.5)
    spotted = photo * 0.7
    assert judge.blobs(spotted, photo) < 0.01
    spotted[..., :16, :16] += torch.tensor([0.2, 0.0, 0.0])[:, None, None]
    # 51 grey levels in one channel, of one of 16 patches: of 16² pairs 2 * 15 see it.
    assert judge.blobs(spotted, photo) == pytest.approx(51 * (30 / 256) ** 0.5, rel=1e-3)


def test_what_follows_the_photo_or_is_finer_than_a_place_is_no_blob() -> None:
    judge = tool("judge")
    colours = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    photo = colours.repeat_interleave(64, 2).repeat_interleave(64, 3)  # four parts, each of one colour
    followed = 0.2 + 0.5 * photo.flip(1) + 0.3 * photo.square()
    assert judge.blobs(followed, photo) < 0.1
    strokes = photo + 0.2 * (torch.arange(128) % 8 < 4)
    assert judge.blobs(strokes, photo) < 0.1


def test_the_report_shows_four_pictures_a_style(tmp_path: Path) -> None:
    judge = tool("judge")
    picture = np.zeros((8, 8, 3), np.uint8)
    rows = [judge.Judged("a<b", 12.0, 0.5, 3.0)]
    judge.write_report(tmp_path / "r", rows, [judge.Pictures("a<b", *[picture] * 4)])
    page = (tmp_path / "r" / "index.html").read_text()
    assert "a&lt;b" in page
    assert "12.0 iterations" in page
    assert len(list((tmp_path / "r").glob("*.png"))) == page.count("<img") == 4
    assert judge.table(rows).splitlines()[-1].split() == ["mean", "12.0", "0.50", "3.0"]
