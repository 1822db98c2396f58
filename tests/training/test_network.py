from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_runs import tiny_network
from torch import Tensor, nn

from livestyle.training.dataset import to_image, to_tensor
from livestyle.training.network import (
    LARGEST_RESIDUAL_Z,
    LARGEST_Z,
    ConditionalInstanceNorm,
    ConvBlock,
    ResidualBlock,
    Stem,
    TransformNet,
    Upsample,
    Upsampling,
    upsampled_conv,
)

STEMS: list[Stem] = ["plain", "space_to_depth"]
UPSAMPLINGS: list[Upsampling] = ["smooth", "bilinear", "nearest", "pixel_shuffle"]


def one_hot(*rows: int, n_styles: int = 3) -> Tensor:
    return torch.eye(n_styles)[list(rows)]


def norm_with_rows(channels: int = 2, n_styles: int = 3) -> ConditionalInstanceNorm:
    """gamma[s, c] = 1 + s + 10 c, beta[s, c] = s - c."""
    norm = ConditionalInstanceNorm(channels, n_styles).requires_grad_(False)
    s, c = torch.arange(n_styles)[:, None], torch.arange(channels)[None]
    norm.gamma.copy_(1 + s + 10 * c)
    norm.beta.copy_(s - c)
    return norm


def test_cin_is_the_formula_of_the_paper() -> None:
    norm = norm_with_rows()
    # Channel 0: mean 2, variance 5. Channel 1: mean 0, variance 4.
    x = torch.tensor([[[[-1.0, 5.0], [1.0, 3.0]], [[2.0, -2.0], [-2.0, 2.0]]]])
    z = norm(x, one_hot(2))
    root = (5 + 1e-5) ** 0.5
    expected = [
        [3 * v / root + 2 for v in (-3, 3, -1, 1)],
        [13 * v / (4 + 1e-5) ** 0.5 + 1 for v in (2, -2, -2, 2)],
    ]
    torch.testing.assert_close(z.flatten(2)[0], torch.tensor(expected))


def test_a_batch_gives_every_image_its_own_style_and_statistics() -> None:
    norm, random = norm_with_rows(), torch.Generator().manual_seed(0)
    x = torch.randn(3, 2, 5, 7, generator=random) * torch.tensor([1.0, 10.0, 100.0])[:, None, None, None]
    mix = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5]])
    together = norm(x, mix)
    x64, mix64 = x.double(), mix.double()
    centred = x64 - x64.mean((2, 3), keepdim=True)
    sigma = (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    gamma = torch.stack(
        [sum(m * (1 + s) for s, m in enumerate(row)) + torch.tensor([0, 10]) for row in mix64]
    )
    beta = torch.stack([sum(m * s for s, m in enumerate(row)) - torch.tensor([0, 1]) for row in mix64])
    z = (centred / sigma).clamp(-LARGEST_Z, LARGEST_Z)
    expected = gamma[:, :, None, None] * z + beta[:, :, None, None]
    torch.testing.assert_close(together.double(), expected, rtol=1e-4, atol=1e-4)
    for i in range(3):  # nor does it matter who else is in the batch
        torch.testing.assert_close(norm(x[i : i + 1], mix[i : i + 1]), together[i : i + 1])


def test_a_spot_that_outshines_the_picture_is_cut_down() -> None:
    norm, x = norm_with_rows(), torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(5))
    x[0, :, 7, 7] = 100.0  # 16 sigma: what the droplets of instance norm are
    y = norm(x, one_hot(1))
    assert y[0, :, 7, 7].tolist() == [LARGEST_Z * gamma + beta for gamma, beta in ((2, 1), (12, 0))]


def test_a_fractional_mix_blends_rows() -> None:
    norm, x = norm_with_rows(), torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    rows = [norm(x, one_hot(s)) for s in range(3)]
    blend = norm(x, torch.tensor([[0.5, 0.25, 0.25]]))
    torch.testing.assert_close(blend, 0.5 * rows[0] + 0.25 * rows[1] + 0.25 * rows[2])


def test_cin_of_one_style_is_instance_norm_with_affine_parameters() -> None:
    cin, plain = ConditionalInstanceNorm(4, 1), nn.InstanceNorm2d(4, affine=True)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        cin.gamma.copy_(torch.randn(1, 4, generator=random))
        cin.beta.copy_(torch.randn(1, 4, generator=random))
        plain.weight.copy_(cin.gamma[0])
        plain.bias.copy_(cin.beta[0])
    x = torch.rand(3, 4, 9, 5, generator=random)  # nothing beyond 3 sigma
    torch.testing.assert_close(cin(x, torch.ones(3, 1)), plain(x))


def test_cin_computes_in_float32_and_returns_what_it_was_given() -> None:
    norm = norm_with_rows()
    # Half precision cannot tell 1000.25 from 1000.5: a mean of 1000 swallows this variance.
    x = (1000 + 4 * torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))).bfloat16()
    z = norm(x, one_hot(1, 2))
    assert z.dtype == torch.bfloat16
    torch.testing.assert_close(z, norm(x.float(), one_hot(1, 2)).bfloat16())


def test_a_residual_block_adds_to_what_it_is_given() -> None:
    block = ResidualBlock(4, 2)
    with torch.no_grad():
        block.norm.gamma.zero_()
        block.norm.beta[1] = 3.0
    x = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x, torch.tensor([[1.0, 0.0]])), x)
    torch.testing.assert_close(block(x, torch.tensor([[0.0, 1.0]])), x + 3)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("stem", STEMS)
def test_any_multiple_of_the_size_comes_back_in_that_size(stem: Stem, upsampling: Upsampling) -> None:
    network = tiny_network(stem=stem, upsampling=upsampling)
    assert network.size_multiple == {"plain": 4, "space_to_depth": 8}[stem]
    for batch, rows, columns in ((1, 8, 8), (2, 9, 11), (3, 13, 8)):
        image = torch.rand(batch, 3, rows * network.size_multiple, columns * network.size_multiple)
        stylized = network(image, torch.full((batch, 3), 1 / 3))
        assert stylized.shape == image.shape
        assert torch.isfinite(stylized).all()


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("stem", STEMS)
def test_every_norm_is_conditional(stem: Stem, upsampling: Upsampling) -> None:
    network = tiny_network(stem=stem, upsampling=upsampling, n_residual=2)
    norms = [module for module in network.modules() if isinstance(module, ConditionalInstanceNorm)]
    foreign = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    assert not [module for module in network.modules() if isinstance(module, foreign)]
    # Every conv is followed by one, except the last and those that only upsample.
    convs = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    assert len(norms) == len([name for name in convs if name != "last" and "upsamples" not in name])
    image = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = [network(image, one_hot(row)) for row in range(3)]
        for norm in norms:
            kept = norm.gamma[1].clone(), norm.beta[1].clone()
            norm.gamma[1] += torch.randn(norm.gamma.shape[1])
            norm.beta[1] += torch.randn(norm.beta.shape[1])
            after = [network(image, one_hot(row)) for row in range(3)]
            assert torch.equal(after[0], before[0])
            assert not torch.allclose(after[1], before[1])
            assert torch.equal(after[2], before[2])
            norm.gamma[1], norm.beta[1] = kept


@pytest.mark.parametrize("stem", STEMS)
def test_every_width_but_the_first_halves_the_picture_once_more(stem: Stem) -> None:
    folded = stem == "space_to_depth"
    for widths, halvings in (((4, 6), 1), ((4, 6, 8), 2), ((4, 6, 8, 8), 3)):
        network = tiny_network(stem=stem, widths=widths)
        assert network.size_multiple == 2 ** (halvings + folded)
        image = torch.rand(1, 3, 8 * network.size_multiple, 9 * network.size_multiple)
        assert network(image, one_hot(1)).shape == image.shape


def test_pixel_shuffle_starts_as_nearest_upsampling() -> None:
    shuffle, nearest = Upsample(5, "pixel_shuffle"), Upsample(5, "nearest")
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    y = shuffle(x)
    assert y.shape == (2, 5, 6, 8)
    assert torch.equal(y, nearest(y[:, :, ::2, ::2]))  # the four sub-pixels of each pixel are equal
    assert y[0, :, 0, 0].unique().numel() == 5  # and the channels are not


def test_nearest_upsampling_repeats_each_pixel() -> None:
    row = Upsample(1, "nearest")(torch.tensor([[[[0.0, 4.0]]]]))
    assert row.tolist() == [[[[0.0, 0.0, 4.0, 4.0]] * 2]]


@pytest.mark.parametrize("stem", STEMS)
def test_original_alone_is_the_photo_and_a_style_does_not_get_it(stem: Stem) -> None:
    network = tiny_network(stem=stem)
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3).repeat(2, 1).repeat(2, 2)
    photo = to_tensor(torch.from_numpy(levels))
    with torch.no_grad():
        np.testing.assert_array_equal(to_image(network(photo, one_hot(0))[0]), levels[0])
        network.last.weight.zero_()
        assert torch.equal(network(photo, one_hot(1)), torch.full_like(photo, 0.5))  # it starts from grey


def test_the_painting_fades_out_in_the_last_eighth_before_the_photo() -> None:
    network, photo = tiny_network(), torch.full((1, 3, 32, 32), 0.5)
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.bias.fill_(0.9)  # type: ignore[union-attr]
        shown = [
            float(network(photo, torch.tensor([[s, 1 - s, 0.0]])).mean()) for s in (0.5, 0.875, 0.9375, 1)
        ]
    assert shown == pytest.approx([0.9, 0.9, 0.7, 0.5])


def test_strength_above_1_takes_no_negative_of_the_photo() -> None:
    network, photo = tiny_network(), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.last.weight.zero_()
    shown = network(photo, torch.tensor([[-0.5, 1.5, 0.0]]))
    torch.testing.assert_close(shown, torch.full_like(photo, 0.5), rtol=0, atol=1e-6)


def test_strength_above_1_cuts_nothing_off_to_black_or_white() -> None:
    network, photo = tiny_network(), torch.zeros(1, 3, 32, 32)
    paints = torch.tensor([-0.5, -0.1, 0.0, 0.05, 0.5, 0.95, 1.0, 1.1, 1.5])
    with torch.no_grad():
        network.last.weight.zero_()
        shown = {}
        for strength in (1.0, 1.0625, 1.125, 1.5):
            mix = torch.tensor([[1 - strength, strength, 0.0]])
            pixels = []
            for value in paints:
                network.last.bias.fill_(float(value))  # type: ignore[union-attr]
                pixels.append(network(photo, mix).mean())
            shown[strength] = torch.stack(pixels)
    torch.testing.assert_close(shown[1.0], paints)  # as it is painted
    k = 0.05  # below it k² / (2k - y), by hand: 0.0025 / 0.6, 0.0025 / 0.2, 0.0025 / 0.1
    expected = torch.tensor([1 / 240, 0.0125, 0.025, k, 0.5, 1 - k, 0.975, 0.9875, 239 / 240])
    torch.testing.assert_close(shown[1.5], expected)
    torch.testing.assert_close(shown[1.125], expected)  # all of it from here on
    torch.testing.assert_close(shown[1.0625], (paints + expected) / 2)


def test_norms_are_clipped_closer_in_the_residual_blocks() -> None:
    network = tiny_network()
    limits = {
        name: m.largest_z for name, m in network.named_modules() if isinstance(m, ConditionalInstanceNorm)
    }
    deep = {name for name in limits if name.startswith("residual")}
    assert {limits[name] for name in deep} == {LARGEST_RESIDUAL_Z}
    assert {limits[name] for name in limits.keys() - deep} == {LARGEST_Z}


def test_images_of_one_batch_do_not_see_each_other() -> None:
    network, random = tiny_network(), torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 32, 32, generator=random)
    mix = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    alone = [network(images[i : i + 1], mix[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(network(images, mix), torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_the_space_to_depth_stem_is_one_conv_of_stride_two_on_pixel_unshuffled_input() -> None:
    """c6s2 on the picture is a 3x3 conv on its 2x2 pixels folded into channels, as the docstring says."""
    block = TransformNet(2, widths=(4, 6, 8)).contract[0]
    assert isinstance(block, ConvBlock)
    stem = block.conv
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    kernel = torch.nn.functional.pixel_unshuffle(stem.weight, 2)  # (4, 12, 3, 3)
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2), mode="reflect")
    folded = torch.nn.functional.pixel_unshuffle(padded, 2)
    torch.testing.assert_close(stem(image), torch.nn.functional.conv2d(folded, kernel), rtol=1e-4, atol=1e-5)


def test_style_rows_start_equal() -> None:
    network = TransformNet(3, widths=(4, 6, 8), head_width=4)
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            assert torch.equal(parameter, torch.ones_like(parameter))
        if name.endswith("beta"):
            assert torch.equal(parameter, torch.zeros_like(parameter))


@pytest.mark.parametrize("stem", STEMS)
def test_a_new_network_sees_colours_as_well_as_brightness(stem: Stem) -> None:
    torch.manual_seed(3)
    block = tiny_network(stem=stem).contract[0]
    assert isinstance(block, ConvBlock)
    random = torch.Generator().manual_seed(1)
    grey = torch.randn(1, 1, 40, 40, generator=random).expand(1, 3, 40, 40)
    colour = torch.randn(1, 3, 40, 40, generator=random)
    colour = 0.2 * (colour - colour.mean(1, keepdim=True)) * (3 / 2) ** 0.5
    with torch.no_grad():
        ratio = float(block.conv(colour).square().mean() / block.conv(grey).square().mean())
    assert 0.2 < ratio < 5  # 0.04 times that without the gain


def test_a_new_network_paints_a_calm_grey() -> None:
    torch.manual_seed(4)
    with torch.no_grad():
        painted = tiny_network()(torch.rand(2, 3, 32, 32), one_hot(1, 2))
    assert float((painted - 0.5).abs().mean()) < 0.15


@pytest.mark.parametrize("smooth", [False, True])
def test_a_conv_of_what_is_upsampled_is_the_same_computed_before(smooth: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 6, 7, generator=random)
    weight, bias = torch.randn(3, 5, 3, 3, generator=random), torch.randn(3, generator=random)
    # Without aligned corners: samples at 1/4 and 3/4 between the centres of pixels.
    enlarged = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    if smooth:
        enlarged = F.avg_pool2d(enlarged, 3, stride=1)
    expected = F.conv2d(enlarged, weight, bias)  # without the border, where they may differ
    border = 2 if smooth else 1
    found = upsampled_conv(x, weight, bias, smooth=smooth)
    assert found.shape == (2, 3, 12, 14)
    assert torch.allclose(found[..., border:-border, border:-border], expected, atol=1e-5)
    flat = torch.full((1, 5, 6, 7), 2.0)  # nothing happens at the border of a flat picture
    of_flat = (2 * weight.sum((1, 2, 3)) + bias)[None, :, None, None]
    assert torch.allclose(upsampled_conv(flat, weight, bias, smooth=smooth), of_flat, atol=1e-5)
