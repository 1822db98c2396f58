from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_runs import PHOTO, halves

from livestyle.errors import RecipeError, SourceError
from livestyle.training.losses import gram_matrix
from livestyle.training.optimize_masks import (
    Mask,
    Part,
    greys_of,
    guided,
    match_regions,
    read_mask,
    split,
    to_weights,
)


def test_greys_that_are_near_or_rare_are_one_region() -> None:
    mask = halves(100, 100, 10, 200)
    mask[:, :5] = 14  # what JPEG does to a dark region
    mask[0, :9] = 120  # a soft border
    mask[50:60, 60:90] = 90
    assert greys_of(mask) == [10, 90, 200]
    regions = split(mask)
    assert [int((where == 255).sum()) for where in regions.values()] == [4991, 309, 4700]
    assert np.array_equal(sum(regions.values()), np.full((100, 100), 255))


def test_masks_are_matched_by_their_greys() -> None:
    mine = halves(10, 10, 0, 128)
    mine[:, 9] = 250  # 10 % that no painting has
    dots, waves = halves(20, 20, 5, 130), np.full((8, 8), 125, np.uint8)
    regions, unpainted = match_regions(mine, [dots, waves], [1.0, 3.0])
    assert unpainted == [250]
    assert [region.area for region in regions] == [pytest.approx(5 / 9), pytest.approx(4 / 9)]
    black, grey = (region.parts for region in regions)
    assert [(part.painting, part.share) for part in black] == [(0, 1.0)]
    assert [(part.painting, part.share) for part in grey] == [(0, 0.25), (1, 0.75)]
    where = black[0].where
    assert where is not None
    assert np.array_equal(where == 255, dots == 5)


def test_a_mask_of_the_photo_alone_gives_each_grey_a_painting() -> None:
    regions, unpainted = match_regions(halves(10, 10, 250, 0), [None, None], [1.0, 5.0])
    assert [region.parts for region in regions] == [(Part(0, 1.0, None),), (Part(1, 1.0, None),)]
    where = regions[0].where  # the darkest is the first painting's
    assert where is not None
    assert where[0].tolist() == 5 * [0] + 5 * [255]
    assert unpainted == []


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        (None, [halves(8, 8)], "the photo has none: add --mask"),
        (halves(8, 8), [None], "2 greys for 1 painting;"),
        (halves(8, 8), [halves(8, 8), None], "some paintings have a mask and some have none"),
        (halves(8, 8), [halves(8, 8, 100, 150)], "in common: the photo's greys are 0, 255, the painting"),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), [halves(8, 8)], "has no regions"),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    mine: Mask | None, theirs: list[Mask | None], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        match_regions(mine, theirs, [1.0] * len(theirs))
    assert "\n" not in str(caught.value)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), halves(10, 20))
    with pytest.raises(SourceError, match=r"mask.png is 20x10, but .*me.jpg is 64x48; make them the same"):
        read_mask(path, Path("me.jpg"), PHOTO)
    assert np.array_equal(read_mask(path, Path("me.jpg"), PHOTO[:10, :20]), halves(10, 20))


def test_a_guided_gram_is_that_of_its_region_alone() -> None:
    maps = torch.randn(1, 5, 8, 12, generator=torch.Generator().manual_seed(0))
    where = to_weights((halves(64, 96) == 0).astype(np.uint8) * np.uint8(255), (64, 96), torch.device("cpu"))
    torch.testing.assert_close(gram_matrix(guided(maps, where)), gram_matrix(maps[:, :, :, :6]))
    assert guided(maps, None) is maps
