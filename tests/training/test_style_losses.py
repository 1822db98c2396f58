from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from livestyle.training.style_losses import (
    DIRECTIONS,
    QUANTILES,
    StyleLoss,
    kept_of,
    mean_std,
    palette,
    palette_distance,
    patch_distance,
    patches_of,
    quantiles,
    statistic,
    statistic_of_kept,
    style_distances,
)

MAPS = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of two pixels


def random_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_gram_matrix_and_covariance_by_hand() -> None:
    # Means 1.5 and 3.5; both channels then hold -0.5 and 0.5.
    gram, covariance = statistic("gram_covariance", MAPS, seed=0)[0]
    torch.testing.assert_close(gram, torch.tensor([[2.5, 5.5], [5.5, 12.5]]))
    torch.testing.assert_close(covariance, torch.full((2, 2), 0.25))
    assert torch.equal(statistic("gram", MAPS, seed=0)[0, 0], gram)


def test_each_part_of_a_statistic_counts_the_same_whatever_its_size() -> None:
    # Doubled maps are as far from the target in both parts: (4 - 1)² of its own square.
    targets = {"relu1_1": statistic("gram_covariance", MAPS, 0)}
    distance = style_distances("gram_covariance", {"relu1_1": 2 * MAPS}, targets, 0)
    torch.testing.assert_close(distance, torch.full((1, 1, 2), 9.0))
    # A brighter picture of the same strokes is far in the first part alone.
    brighter = statistic("gram_covariance", MAPS + 1, 0)
    torch.testing.assert_close(brighter[:, 1], targets["relu1_1"][:, 1])


def test_mean_and_deviation_by_hand() -> None:
    # 1, 2 and 3, 4: half a unit to both sides of 1.5 and 3.5.
    torch.testing.assert_close(mean_std(MAPS), torch.tensor([[[1.5, 3.5], [0.5, 0.5]]]))
    flat = torch.ones(1, 2, 3, 3, requires_grad=True)
    mean_std(flat).sum().backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def test_the_distance_of_means_and_deviations_is_relative() -> None:
    # Away by 1 in the first mean; the target's own square is 0.5² + 3.5² + 0.5² + 0.5² = 13.
    target = torch.tensor([[[[0.5, 3.5], [0.5, 0.5]]]])
    found = style_distances("mean_std", {"relu1_1": MAPS}, {"relu1_1": target}, 0)
    torch.testing.assert_close(found, torch.tensor([[[1 / 13]]]))


def test_quantiles_along_a_direction_by_hand() -> None:
    # Along (0.6, 0.8): 1.8 + 3.2 = 5, 0.6, 2.4; in order, each for as many quantiles.
    pixels = torch.tensor([[[3.0, 1.0, 4.0, 0.0], [4.0, 0.0, 0.0, 0.0]]])
    found = quantiles(pixels, torch.tensor([[0.6], [0.8]]))
    expected = torch.tensor([0.0, 0.6, 2.4, 5.0]).repeat_interleave(QUANTILES // 4)
    torch.testing.assert_close(found, expected.reshape(1, 1, -1))


def test_a_shift_is_its_own_sliced_wasserstein_distance_whatever_the_order_and_number() -> None:
    pixels = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    moved = torch.tensor([[[4.0, 1.0, 3.0, 2.0]]]).repeat(1, 1, 3)
    one = torch.ones(1, 1)
    torch.testing.assert_close((quantiles(pixels, one) - quantiles(moved, one)).abs(), torch.ones(1, 1, 128))


def test_a_painting_is_at_no_sliced_wasserstein_distance_from_itself_shuffled() -> None:
    maps = random_maps(1, 6, 16, 16)
    shuffled = maps.flatten(2)[:, :, torch.randperm(256)].reshape(1, 6, 32, 8)
    kind: StyleLoss = "sliced_wasserstein"
    kept = kept_of(kind, maps, seed=3)
    assert kept.shape == (1, 1, 6, 2048)  # each of 256 pixels 8 times
    for seed in (0, 1):
        target = statistic_of_kept(kind, kept, seed)
        assert target.shape == (1, 1, DIRECTIONS, QUANTILES)
        near = style_distances(kind, {"relu1_1": shuffled}, {"relu1_1": target}, seed)
        far = style_distances(kind, {"relu1_1": 2 * maps}, {"relu1_1": target}, seed)
        assert near.item() < 1e-9
        assert far.item() == pytest.approx(1, rel=1e-4)  # (2 - 1)² of its own square
    assert not torch.equal(statistic(kind, maps, 0), statistic(kind, maps, 1))


def test_large_maps_are_sampled_at_the_same_pixels_in_every_image() -> None:
    maps = random_maps(1, 2, 64, 64)
    one, two = statistic("sliced_wasserstein", maps.repeat(2, 1, 1, 1), 0)
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("kind", get_args(StyleLoss))
def test_every_kind_of_style_has_a_finite_gradient_towards_the_painting(kind: StyleLoss) -> None:
    painting, maps = random_maps(1, 3, 8, 8, seed=1), random_maps(1, 3, 8, 8).requires_grad_()
    targets = {"relu1_1": statistic_of_kept(kind, kept_of(kind, painting, 0), 0)}
    before = style_distances(kind, {"relu1_1": maps}, targets, 0).mean()
    (gradient,) = torch.autograd.grad(before, maps)
    assert torch.isfinite(gradient).all()
    after = style_distances(kind, {"relu1_1": maps - 0.1 * gradient}, targets, 0).mean()
    assert after.item() < before.item()


def test_patches_are_squares_of_all_channels() -> None:
    maps = torch.arange(2 * 3 * 4.0).reshape(1, 2, 3, 4)  # two places for a patch: left and right
    found = patches_of(maps, 2, seed=0)[0]
    cells = (0, 1, 2, 4, 5, 6, 8, 9, 10)
    left = [float(value) for cell in cells for value in (cell, cell + 12)]
    assert sorted(found.tolist()) == [left, [value + 1 for value in left]]
    assert patches_of(maps, 5, seed=0).shape == (1, 5, 18)  # again from the first


def test_a_patch_is_held_against_the_one_of_the_same_direction_not_the_nearest() -> None:
    painting = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    # (1, 0.1) lies nearer to (0, 1) than to (3, 0), but points where the latter does: 2² + 0.1² of 9.
    found = torch.tensor([[[1.0, 0.1]], [[0.0, 5.0]]])
    distance = patch_distance(found, painting.repeat(2, 1, 1))
    torch.testing.assert_close(distance, torch.tensor([4.01 / 9, 16.0]))


def test_patches_of_a_painting_are_at_no_distance_from_it() -> None:
    maps = random_maps(1, 4, 9, 9)
    assert patch_distance(patches_of(maps, 20, 1), patches_of(maps, 49, 2)).item() == 0
    assert patch_distance(patches_of(2 * maps, 20, 1), patches_of(maps, 49, 2)).item() == pytest.approx(1)


def test_a_palette_holds_every_colour_and_not_where_it_lies() -> None:
    picture = torch.rand(1, 3, 1, 1).expand(1, 3, 64, 64).clone()
    picture[..., :16] = torch.tensor([1.0, 0.8, 0.1])[:, None, None]  # a quarter of it is yellow
    turned = picture.transpose(2, 3)
    assert float(palette_distance(palette(picture), palette(turned))) == pytest.approx(0, abs=1e-9)
    # Of the mean colour alone, all of the variance is missing: the distance is variance over variance.
    mean = picture.mean((2, 3), keepdim=True).expand_as(picture)
    assert float(palette_distance(palette(mean), palette(picture))) == pytest.approx(1, abs=0.05)
    assert palette(picture).shape == (1, 16, 128)
    # And along the first direction, a quarter of the quantiles are the yellow's.
    values = palette(picture)[0, 0]
    yellow = values[-1] if (values == values[-1]).sum() < 64 else values[0]
    assert int(((values - yellow).abs() < 1e-6).sum()) == 32


def test_colours_finer_than_a_stroke_are_mixed_as_eyes_mix_them() -> None:
    checks = torch.zeros(1, 3, 64, 64)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1.0
    assert torch.allclose(palette(checks), palette(torch.full_like(checks, 0.5)), atol=1e-6)
