from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_runs import noise_picture
from torch import Tensor

from livestyle.training.losses import (
    channel_correlation,
    chroma_distance,
    content_distance,
    fine_hatching,
    gram_matrix,
    grid_excess,
    out_of_range,
    parted_colours,
    style_distance,
    total_variation,
)

# Two channels of two pixels: F Fᵀ / 2 by hand.
MAPS = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
GRAM = torch.tensor([[[2.5, 5.5], [5.5, 12.5]]])


def random_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_gram_matrix_is_the_mean_over_pixels() -> None:
    torch.testing.assert_close(gram_matrix(MAPS), GRAM)
    torch.testing.assert_close(gram_matrix(MAPS.repeat(1, 1, 5, 1)), GRAM)  # whatever the size
    assert gram_matrix(MAPS.bfloat16()).dtype == torch.float32


def test_the_gram_matrix_does_not_overflow_in_half_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(torch.full((1, 1, 64, 64), 300.0).half())
    assert gram.item() == pytest.approx(90_000, rel=1e-5)  # float16 ends at 65,504, bfloat16 rounds to 90,112


def test_the_gram_matrix_has_the_gradient_of_the_plain_product() -> None:
    target = gram_matrix(random_maps(2, 4, 5, 3, seed=1))
    gradients = []
    for product in (gram_matrix, lambda x: x.flatten(2) @ x.flatten(2).mT / x[0, 0].numel()):
        maps = random_maps(2, 4, 5, 3).requires_grad_()
        (product(maps) - target).square().sum().backward()
        assert maps.grad is not None
        gradients.append(maps.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_style_distance_is_relative_and_averaged_over_layers() -> None:
    # ‖G* ‖² = 2.5² + 2 · 5.5² + 10² = 166.75, and only one entry differs, by 2.5.
    target = torch.tensor([[[2.5, 5.5], [5.5, 10.0]]])
    one = style_distance({"relu1_1": MAPS}, {"relu1_1": target})
    torch.testing.assert_close(one, torch.tensor([6.25 / 166.75]))
    both = style_distance({"relu1_1": MAPS, "relu2_1": MAPS}, {"relu1_1": target, "relu2_1": GRAM})
    torch.testing.assert_close(both, one / 2)


def test_distances_are_one_number_an_image_and_0_for_the_same() -> None:
    maps = torch.cat([MAPS, 2 * MAPS])
    targets = {"relu1_1": GRAM.repeat(2, 1, 1)}
    # Twice the features: four times the Gram matrix, (4 - 1)² = 9 of its energy away.
    torch.testing.assert_close(style_distance({"relu1_1": maps}, targets), torch.tensor([0.0, 9.0]))
    # MAPS again away from MAPS: 1 + 4 + 9 + 16 over four elements.
    torch.testing.assert_close(content_distance(maps, MAPS.repeat(2, 1, 1, 1)), torch.tensor([0.0, 7.5]))


def test_content_distance_is_a_mean_that_no_empty_photo_inflates() -> None:
    # Differences 1, 0, 0, 2, whatever the photo's own energy is.
    change = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])
    for photo in (MAPS, 1e-6 * MAPS):
        torch.testing.assert_close(content_distance(photo + change, photo), torch.tensor([5 / 4]))


def test_total_variation_by_hand() -> None:
    plane = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    image = torch.stack([plane, torch.zeros(2, 2), torch.zeros(2, 2)])
    # In the first plane rows differ by 0.5 and 0.5, columns by 1 and 0; two planes of three are flat.
    found = total_variation(torch.stack([image, 1 - image, torch.full((3, 2, 2), 0.3)]))
    torch.testing.assert_close(found, torch.tensor([1 / 3, 1 / 3, 0.0]))


def test_out_of_range_is_the_mean_squared_excess() -> None:
    image = torch.tensor([-0.5, 0.5, 1.5, 1.0]).reshape(1, 1, 2, 2).repeat(1, 3, 1, 1)
    torch.testing.assert_close(out_of_range(image), torch.tensor([(0.25 + 0 + 0.25 + 0) / 4]))


def soft(size: int, seed: int = 0) -> Tensor:
    """Blobs with a little noise, as photos have. (1, 3, size, size), [0, 1]."""
    noise = np.random.default_rng(seed).normal(0, 3, (size, size, 3))
    pixels = (noise_picture(size, size, seed) + noise).clip(0, 255) / 255
    return torch.from_numpy(pixels).float().permute(2, 0, 1)[None]


def tiled(size: int, period: int, strength: float = 0.05) -> Tensor:
    """The same with one tile repeated over it."""
    tile = random_maps(1, 3, period, period, seed=period)
    return soft(size) + strength * tile.repeat(1, 1, size // period, size // period)


@pytest.mark.parametrize("size", [64, 128, 224])
def test_grid_excess_is_near_0_without_a_grid_and_high_with_one(size: int) -> None:
    clean = max(grid_excess(soft(size, seed)).item() for seed in range(3))
    for period in (2, 4, 8):
        excess = grid_excess(tiled(size, period)).item()
        assert excess > 3, period
        assert grid_excess(tiled(size, period).transpose(2, 3)).item() == pytest.approx(excess, rel=1e-3)
    assert clean < 1


def test_a_grid_in_colours_whose_plain_mean_is_grey_is_seen() -> None:
    image = soft(128)
    stripes = 0.05 * (torch.arange(128) % 2 - 0.5).expand(128, 128)
    hidden = image + torch.stack([stripes, torch.zeros(128, 128), -stripes])
    torch.testing.assert_close(hidden.mean(1), image.mean(1))
    assert grid_excess(hidden).item() > grid_excess(image).item() + 1


def test_grid_excess_counts_a_wave_that_is_no_grid_for_nothing() -> None:
    wave = 0.5 + 0.2 * torch.sin(2 * math.pi * torch.arange(128) / 5.3)
    assert grid_excess(wave.repeat(1, 3, 128, 1)).item() < 0.2


def test_grid_excess_leads_away_from_the_grid() -> None:
    image = tiled(64, 4).requires_grad_()
    before = grid_excess(image)
    (gradient,) = torch.autograd.grad(before.sum(), image)
    assert torch.isfinite(gradient).all()
    step = 1e-4 * gradient / gradient.abs().max()
    assert grid_excess(image - 10 * step).item() < before.item()


def test_a_flat_picture_has_no_grid_and_a_finite_gradient() -> None:
    image = torch.full((2, 3, 64, 64), 0.5, requires_grad=True)
    excess = grid_excess(image)
    excess.sum().backward()  # type: ignore[no-untyped-call]
    assert excess.tolist() == [0.0, 0.0]
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


def test_colours_that_follow_the_photos_are_not_parted() -> None:
    colours = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    photo = colours.repeat_interleave(64, 2).repeat_interleave(64, 3)  # four parts, each of one colour
    followed = 0.2 + 0.5 * photo.flip(1) + 0.3 * photo.square()
    assert parted_colours(followed, photo).item() < 1e-6


def test_what_the_photo_shows_alike_is_to_be_painted_alike() -> None:
    photo = torch.full((1, 3, 64, 64), 0.5)
    patched = photo.clone()
    patched[..., :16, :16] += 0.2  # one place of 16, soft or hard
    # Of 16² pairs, 2 · 15 are apart, by 0.2 in each of three channels.
    assert parted_colours(patched, photo).item() == pytest.approx(30 / 256 * 3 * 0.2**2, rel=1e-4)
    assert parted_colours(patched, patched).item() < 1e-6  # the photo itself shows it apart
    assert parted_colours(photo, patched).item() == 0
    far = photo.clone()
    far[..., 48:, 48:] += 0.2  # it does not matter where
    assert parted_colours(far, photo).item() == pytest.approx(parted_colours(patched, photo).item())


def test_strokes_finer_than_a_place_are_not_parted() -> None:
    photo = torch.full((1, 3, 128, 128), 0.5)
    strokes = photo + 0.2 * (torch.arange(128) % 8 < 4)
    assert parted_colours(strokes, photo).item() < 1e-6


def test_channels_that_say_the_same_are_correlated_whatever_their_scale_and_sign() -> None:
    rows = torch.tensor([1.0, -1.0]).reshape(1, 2, 1).expand(1, 2, 2)
    columns = rows.transpose(1, 2)
    apart = torch.cat([rows, columns, rows * columns])[None]  # three patterns of signs, all orthogonal
    together = torch.cat([rows, -5 * rows + 7, columns])[None]  # one pair of three says the same
    found = channel_correlation([torch.cat([apart, together]), torch.cat([apart, together])])
    torch.testing.assert_close(found, torch.tensor([0.0, 1 / 3]), atol=1e-3, rtol=0)


def test_flat_channels_and_single_ones_are_correlated_with_nothing() -> None:
    assert float(channel_correlation([torch.ones(1, 4, 3, 3)])) == 0
    assert float(channel_correlation([torch.rand(1, 1, 3, 3)])) == pytest.approx(0)


def test_chroma_distance_sees_colours_and_no_brightness() -> None:
    photo = torch.full((1, 3, 4, 4), 0.5)
    assert chroma_distance(photo + 0.3, photo).item() == pytest.approx(0, abs=1e-10)
    # Red by 0.1 is grey by 0.0299: 0.0701² + 2 · 0.0299² over three channels, of 0.009.
    redder = photo + torch.tensor([0.1, 0.0, 0.0])[:, None, None]
    expected = (0.0701**2 + 2 * 0.0299**2) / 3 / 0.009
    assert chroma_distance(redder, photo).item() == pytest.approx(expected, rel=1e-4)


def stripes(period: float, contrast: float = 0.2) -> Tensor:
    """A picture of vertical cosine stripes about mid-grey, (1, 3, 96, 96)."""
    wave = 0.5 + contrast * torch.cos(2 * math.pi * torch.arange(96) / period)
    return wave.expand(1, 3, 96, 96).clone()


def test_stripes_of_a_few_pixels_are_hatching_and_wide_ones_are_strokes() -> None:
    flat = torch.full((1, 3, 96, 96), 0.5)
    # A blur of 1.2 pixels leaves exp(-2 (pi 1.2 / period)²) of a wave: 0.169 of 4 pixels, 0.821 of 12.
    for period, left in ((4, 0.169), (12, 0.821)):
        expected = (0.2 * (1 - left)) ** 2 / 2
        assert float(fine_hatching(stripes(period), flat)) == pytest.approx(expected, rel=0.1)
    assert fine_hatching(flat, flat) == 0


def test_twice_the_contrast_of_the_photo_is_no_hatching() -> None:
    detailed = stripes(4, contrast=0.1)
    assert float(fine_hatching(stripes(4, contrast=0.2), detailed)) < 1e-6
    # Four times as much is: 4² - 4 of 4² parts.
    wide = float(fine_hatching(stripes(4, contrast=0.4), torch.full_like(detailed, 0.5)))
    assert float(fine_hatching(stripes(4, contrast=0.4), detailed)) == pytest.approx(wide * 12 / 16, rel=0.02)


def test_hatching_beside_detail_of_the_photo_still_counts() -> None:
    half = stripes(4, contrast=0.2)
    half[..., 48:] = 0.5
    everywhere = float(fine_hatching(stripes(4), torch.full_like(half, 0.5)))
    assert float(fine_hatching(stripes(4), half)) == pytest.approx(everywhere / 2, rel=0.2)
