from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_runs import noise_picture
from torch import Tensor

from livestyle.training.losses import (
    chroma_distance,
    content_distance,
    contrast_distance,
    gram_matrix,
    grid_excess,
    out_of_range,
    skin,
    structure_distance,
    style_distance,
    total_variation,
    unevenness,
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
        assert excess > 6, period
        assert grid_excess(tiled(size, period).transpose(2, 3)).item() == pytest.approx(excess, rel=1e-3)
    assert clean < 1.1  # of brightness and of colours: the sum of two


def test_a_grid_in_colours_whose_plain_mean_is_grey_is_seen() -> None:
    image = soft(128)
    stripes = 0.05 * (torch.arange(128) % 2 - 0.5).expand(128, 128)
    hidden = image + torch.stack([stripes, torch.zeros(128, 128), -stripes])
    torch.testing.assert_close(hidden.mean(1), image.mean(1))
    assert grid_excess(hidden).item() > grid_excess(image).item() + 1


def test_a_grid_in_a_dark_blue_alone_is_seen() -> None:
    image = soft(128) * torch.tensor([1.0, 1.0, 0.1])[:, None, None]
    waves = 0.1 * torch.sin(math.pi / 2 * (torch.arange(128) + 0.5)).expand(128, 128)
    blue = (image[:, 2] + waves).clamp(0, 1)  # waves of 4 pixels, cut off where they go below 0
    cut = torch.stack([image[:, 0], image[:, 1], blue], dim=1)
    assert grid_excess(cut).item() > grid_excess(image).item() + 4


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


def test_chroma_distance_sees_colours_and_no_brightness() -> None:
    photo = torch.full((1, 3, 4, 4), 0.5)
    assert chroma_distance(photo + 0.3, photo).item() == pytest.approx(0, abs=1e-10)
    # Red by 0.1 is grey by 0.0299: 0.0701² + 2 · 0.0299² over three channels, of 0.009.
    redder = photo + torch.tensor([0.1, 0.0, 0.0])[:, None, None]
    expected = (0.0701**2 + 2 * 0.0299**2) / 3 / 0.009
    assert chroma_distance(redder, photo).item() == pytest.approx(expected, rel=1e-4)


def test_unevenness_by_hand() -> None:
    # Two halves, 0.3 apart in each colour, on an even photo of 8 x 4 cells. Along rows the edge lies between
    # 1 of 7, 2 of 6 and 4 of 4 pairs of cells, along columns (two reaches fit) between none.
    photo = torch.full((1, 3, 64, 128), 0.5)
    painted = photo.clone()
    painted[..., 64:] += 0.3
    apart = 0.3 * math.sqrt(3)
    expected = apart * (1 / 7 + 2 / 6 + 4 / 4) / 5
    assert unevenness(painted, photo).item() == pytest.approx(expected, rel=0.01)
    # The photo may have a third of that step: twice its own is allowed, a third is left to blame.
    stepped = photo.clone()
    stepped[..., 64:] += 0.1
    assert unevenness(painted, stepped).item() == pytest.approx(expected / 3, rel=0.01)
    assert unevenness(stepped, stepped).item() == pytest.approx(0, abs=1e-6)


def plain(red: float, green: float, blue: float, *, size: int = 32) -> Tensor:
    return torch.tensor([red, green, blue])[None, :, None, None].expand(1, 3, size, size)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((235, 210, 195), 1),
        ((200, 150, 130), 1),
        ((220, 170, 120), 1),  # by the light of a lamp
        ((60, 35, 25), 1),
        ((255, 255, 255), 0),
        ((128, 128, 128), 0),
        ((60, 90, 160), 0),
        ((200, 185, 150), 0),  # sand
        ((230, 90, 40), 0),  # an orange suit
    ],
)
def test_skin_of_any_tone_is_told_by_its_colour(colour: tuple[int, int, int], expected: float) -> None:
    red, green, blue = (value / 255 for value in colour)
    torch.testing.assert_close(skin(plain(red, green, blue)), torch.full((1, 1, 32, 32), float(expected)))


def test_skin_by_hand() -> None:
    # Y = 0.51751, Cr - Cb = 255 (0.713 · 0.05249 + 0.564 · 0.04751) = 16.376, over 0.4 + 0.6 Y = 23.049:
    # 0.42076 of the way from 18 to 30, and twice that.
    assert skin(plain(0.57, 0.5, 0.47)).mean().item() == pytest.approx(0.8415, abs=1e-3)


def test_an_eye_lies_in_skin_and_a_freckle_of_it_on_a_wall_does_not() -> None:
    face, wall = plain(0.8, 0.6, 0.5).clone(), plain(1.0, 1.0, 1.0).clone()
    face[..., 14:18, 12:20] = plain(0.1, 0.1, 0.3, size=1)
    wall[..., 15:18, 15:18] = plain(0.8, 0.6, 0.5, size=1)
    assert skin(face)[0, 0, 16, 16] == 1
    assert 0 < skin(wall)[0, 0, 16, 16] < 0.1


def test_care_counts_where_it_is_asked_for() -> None:
    care = torch.ones(1, 1, 32, 32)
    care[..., :16] = 3
    ones = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(content_distance(ones, 0 * ones, care), torch.tensor([2.0]))
    photo, painted = stripes(0.2, 0.8, size=32), stripes(0.2, 0.8, size=32).transpose(2, 3)
    for distance in (structure_distance, unevenness):
        a, b = (painted, photo) if distance is structure_distance else (_steps(32), 0 * photo)
        everywhere = distance(a, b, 3 * torch.ones(1, 1, 32, 32))
        torch.testing.assert_close(everywhere, 3 * distance(a, b))
    # Two cells are compared with the care that both are worth.
    torch.testing.assert_close(unevenness(_steps(32), 0 * photo, care), unevenness(_steps(32), 0 * photo))


def _steps(size: int) -> Tensor:
    """Black on the left, white on the right."""
    return (torch.arange(size) >= size // 2).float().expand(1, 3, size, size)


def stripes(low: float, high: float, *, size: int = 28) -> Tensor:
    """Columns of one pixel, the darker ones first: in every window four of them and three lighter ones."""
    return torch.tensor([low, high]).repeat(size // 2).expand(1, 3, size, size)


def test_structure_distance_by_hand() -> None:
    # Four columns of seven at 0.4, three at 0.6: variance 0.2² · 12/49. At half the size there is nothing.
    photo, variance = stripes(0.4, 0.6), 0.04 * 12 / 49
    alike = 0.5 * variance / math.sqrt(0.25 * variance**2 + 0.02**4)  # half the contrast
    expected = (1 - alike) / 2
    assert structure_distance(stripes(0.7, 0.8), photo).item() == pytest.approx(expected, abs=1e-4)
    assert structure_distance(stripes(0.8, 0.7), photo).item() == pytest.approx((1 + alike) / 2, abs=1e-4)
    across = photo.transpose(2, 3)
    assert structure_distance(across, photo).item() == pytest.approx(0.5, abs=1e-4)


def test_structure_is_seen_at_half_the_size_too_and_colours_are_free() -> None:
    photo = stripes(0.2, 0.8).repeat_interleave(2, 2).repeat_interleave(2, 3)
    colours = torch.tensor([0.2, 0.1, 0.6])[None, :, None, None]
    assert structure_distance(colours * photo, photo).item() < 0.05
    assert structure_distance(torch.full_like(photo, 0.5), photo).item() == pytest.approx(1, abs=1e-4)
    assert structure_distance(1 - photo, photo).item() == pytest.approx(2, abs=0.01)


def test_fog_has_no_structure_and_a_flat_picture_a_finite_gradient() -> None:
    fog = torch.full((1, 3, 32, 32), 0.6)
    painted = stripes(0.2, 0.8, size=32).clone().requires_grad_()
    assert structure_distance(painted, fog).item() == pytest.approx(0, abs=1e-3)
    flat = fog.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(structure_distance(flat, stripes(0.2, 0.8, size=32)).sum(), flat)
    assert gradient.isfinite().all()


def test_the_contrast_of_faces_by_hand() -> None:
    # Columns of 0.4 and 0.6, four and three in a window: 0.2 · sqrt(12) / 7. At half the size they are gone.
    painted, deviation = stripes(0.4, 0.6), 0.2 * math.sqrt(12) / 7
    flat, faint = torch.full_like(painted, 0.5), stripes(0.46, 0.54)
    everywhere = torch.ones_like(painted[:, :1])
    expected = (deviation - 2 * 0.001 - 0.015) / 2
    assert contrast_distance(painted, flat, everywhere).item() == pytest.approx(expected, abs=1e-4)
    assert contrast_distance(painted, flat, everywhere / 4).item() == pytest.approx(expected / 4, abs=1e-4)
    assert contrast_distance(painted, flat, 0 * everywhere).item() == 0
    # The photo's own wrinkles may be drawn, twice as deep: 0.4 of that deviation is there.
    expected = (deviation - 2 * 0.4 * deviation - 0.015) / 2
    assert contrast_distance(painted, faint, everywhere).item() == pytest.approx(expected, abs=1e-4)
    # And no fainter than they are.
    expected = (deviation - 0.4 * deviation) / 2
    assert contrast_distance(faint, painted, everywhere).item() == pytest.approx(expected, abs=1e-4)
    assert contrast_distance(painted, painted, everywhere).item() == 0


def test_pits_of_any_colour_count_and_a_flat_face_has_a_finite_gradient() -> None:
    flat = torch.full((1, 3, 32, 32), 0.5)
    everywhere = torch.ones_like(flat[:, :1])
    pits = flat.clone()
    pits[:, 2, ::8, ::8] = 1.0
    assert contrast_distance(pits, flat, everywhere).item() > 0.005
    face = flat.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(contrast_distance(face, flat, everywhere).sum(), face)
    assert gradient.isfinite().all()


def test_strokes_are_no_unevenness_and_a_flat_picture_has_a_finite_gradient() -> None:
    photo = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    strokes = photo.detach().clone()
    strokes[..., ::8] = 1.0  # two in every cell
    assert unevenness(strokes, photo.detach()).item() == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(unevenness(photo, photo.detach()).sum(), photo)
    assert torch.isfinite(gradient).all()
