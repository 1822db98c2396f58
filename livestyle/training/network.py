"""The transform network: one feed-forward pass paints a photo in any mix of its styles."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Stem = Literal["plain", "space_to_depth"]
Upsampling = Literal["smooth", "bilinear", "nearest", "pixel_shuffle"]

# Of a norm's output, in standard deviations, outside the residual blocks and inside. More of it, summed block
# after block, lets them raise one spot in all channels: an oval of a foreign colour on a forehead or a wall.
LARGEST_Z, LARGEST_RESIDUAL_Z = 3.0, 2.0
# Photos vary some five times as much in brightness as in colour: without this, filters begin with brightness
# alone, instance normalization fills all channels with it, and the colours of the photo are never learned.
COLOUR_GAIN = 5.0


class ConditionalInstanceNorm(nn.Module):
    """Instance normalization whose scale and shift are chosen by the style.

        y = gamma_s * clip((x - mu) / sigma, -m, m) + beta_s        Dumoulin et al. 2017 (arXiv:1610.07629)

    mu, sigma: per image and channel, over H and W. gamma, beta: one row per style. m: largest_z.
    Clipping is not in the paper. Without it a network learns to raise one small spot by 10 to 20 sigma in
    every channel, which scales the rest of the picture down to its liking, and paints the spot as an oval of
    a foreign colour (seen by Karras et al. 2020, arXiv:1912.04958, as the droplets of StyleGAN).
    A one-hot style_mix picks a row; a fractional one blends rows, as the paper does to combine styles.

    Shapes: x (B, C, H, W), style_mix (B, n_styles) -> (B, C, H, W).
    """

    def __init__(self, channels: int, n_styles: int, largest_z: float = LARGEST_Z) -> None:
        super().__init__()
        self.largest_z = largest_z
        self.gamma = nn.Parameter(torch.ones(n_styles, channels))
        self.beta = nn.Parameter(torch.zeros(n_styles, channels))

    def forward(self, x: Tensor, style_mix: Tensor) -> Tensor:
        gamma, beta = style_mix @ self.gamma, style_mix @ self.beta  # (B, C)
        # Float32 whatever the rest runs in: half precision loses small variances.
        z = F.instance_norm(x.float()).clamp(-self.largest_z, self.largest_z)
        return torch.addcmul(beta[:, :, None, None], z, gamma[:, :, None, None]).to(x.dtype)


class ConvBlock(nn.Module):
    """Reflection-padded convolution, conditional instance normalization, ReLU.

    Shapes: x (B, in, H, W), style_mix (B, n_styles) -> (B, out, H / stride, W / stride).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        n_styles: int,
        *,
        size: int = 3,
        stride: int = 1,
        largest_z: float = LARGEST_Z,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in,
            channels_out,
            size,
            stride,
            padding=(size - stride + 1) // 2,
            padding_mode="reflect",
            bias=False,  # the norm that follows subtracts it
        )
        self.norm = ConditionalInstanceNorm(channels_out, n_styles, largest_z)

    def forward(self, x: Tensor, style_mix: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x), style_mix))


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), no ReLU after the sum (Johnson et al. 2016, arXiv:1603.08155).

    Unlike the paper, convolutions pad, so that the sum needs no crop.
    Shapes: x (B, C, H, W), style_mix (B, n_styles) -> (B, C, H, W).
    """

    def __init__(self, channels: int, n_styles: int) -> None:
        super().__init__()
        self.block = ConvBlock(channels, channels, n_styles, largest_z=LARGEST_RESIDUAL_Z)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
        self.norm = ConditionalInstanceNorm(channels, n_styles, LARGEST_RESIDUAL_Z)

    def forward(self, x: Tensor, style_mix: Tensor) -> Tensor:
        change: Tensor = self.norm(self.conv(self.block(x, style_mix)), style_mix)
        return x + change


class Upsample(nn.Module):
    """Twice the size, before a conv. Shapes: (B, C, H, W) -> (B, C, 2H, 2W).

    nearest and pixel_shuffle (ICNR initialisation, Aitken et al. 2017, arXiv:1707.02937) learn fast and print
    a strong grid; the others are computed together with the conv (upsampled_conv).
    """

    def __init__(self, channels: int, upsampling: Upsampling) -> None:
        super().__init__()
        self.mode = upsampling
        if upsampling == "pixel_shuffle":
            self.expand = nn.Conv2d(channels, 4 * channels, 1)
            with torch.no_grad():  # ICNR: the four sub-pixels start equal, as nearest upsampling
                self.expand.weight.copy_(self.expand.weight[::4].repeat_interleave(4, dim=0))
                self.expand.bias.copy_(self.expand.bias[::4].repeat_interleave(4))  # type: ignore[union-attr,index]

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "pixel_shuffle":
            x = self.expand(x)
            return F.pixel_shuffle(x, 2)
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


def folded_with_upsampling(weight: Tensor) -> Tensor:
    """The weights of `upsampled_conv`'s own conv. Shapes: (K, C, 3, 3) -> (4K, C, 3, 3)."""
    # [phase, tap of the conv, neighbour in x]: bilinear upsampling takes 3/4 of the nearest, 1/4 of the next.
    taps = (
        weight.new_tensor(
            [[[3, 1, 0], [1, 3, 0], [0, 3, 1]], [[1, 3, 0], [0, 3, 1], [0, 1, 3]]],
        )
        / 4
    )
    return torch.einsum("kcij,pim,qjn->kpqcmn", weight, taps, taps).flatten(0, 2)


def upsampled_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, smooth: bool = False) -> Tensor:
    """A 3x3 conv of what bilinear upsampling makes of x, computed at x's own size.

    Both are linear: each of the four pixels that a pixel of x becomes is a 3x3 conv of x, and pixel_shuffle
    puts them in place. No engine has to write and read the enlarged maps, nor to round them: smooth as they
    are, and all the conv looks for is their differences, bfloat16's rounding was most of what it found.
    Beyond the border, x repeats its last row. smooth: then the mean of 3x3.

    Any upsampling leaves copies of the picture's spectrum around multiples of 1/2, and a network paints with
    them: a texture that repeats with the pixels, a grid, and stands still where the scene moves (Karras et
    al. 2021, arXiv:2106.12423). Of a wave of 9 pixels bilinear leaves a copy of 5 %, smooth one of 1 %.
    Shapes: x (B, C, H, W), weight (K, C, 3, 3), bias (K,) -> (B, K, 2H, 2W).
    """
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    phases = F.conv2d(
        padded, folded_with_upsampling(weight), None if bias is None else bias.repeat_interleave(4)
    )
    y = F.pixel_shuffle(phases, 2)
    return F.avg_pool2d(y, 3, stride=1, padding=1, count_include_pad=False) if smooth else y


def _colour_gain() -> Tensor:
    """(3, 3): leaves grey as it is and multiplies what colours differ from it by COLOUR_GAIN."""
    grey = torch.full((3, 3), 1 / 3)
    return grey + COLOUR_GAIN * (torch.eye(3) - grey)


FADE = 8.0  # shares of "original" above 1 - 1/8 hand the picture over to the photo
KNEE = 0.05  # how far from black and white a strength above 1 begins to be held back


def _beside(image: Tensor, painted: Tensor, style_mix: Tensor) -> Tensor:
    """What is painted, with the photo's share added: of "original" alone, the photo itself.

    Shapes: image, painted (B, 3, H, W), style_mix (B, n_styles).
    """
    # Strength above 1 takes "original" below 0: its share is then none, or it would print a negative.
    original = style_mix[:, :1, None, None]
    share, beyond = original.clamp(min=0), (-FADE * original).clamp(0, 1)
    painted = painted + beyond * (_held_back(painted) - painted)
    fade = (FADE * (1 - share)).clamp(0, 1)
    return fade * (painted - 0.5) + 0.5 + share * (image - 0.5)


def _held_back(painted: Tensor) -> Tensor:
    """All numbers to 0 … 1, those between the knees as they are: nothing is cut off to black or white.

    below the knee k: k² / (2k - y), whose slope at k is 1, and the same from white down
    """
    dark = KNEE**2 / (2 * KNEE - painted.clamp(max=KNEE))
    light = 1 - KNEE**2 / (KNEE + (painted - 1 + KNEE).clamp(min=0))
    return dark + painted.clamp(KNEE, 1 - KNEE) + light - 1


class TransformNet(nn.Module):
    """contract / residual / expand, conditional instance normalization after every conv but the last.

        plain stem, widths (32, 64, 128):
            c9s1-32, d64, d128, R128 x 5, u64, u32, c9s1-3                    Johnson et al. 2016
        space_to_depth stem, widths (16, 32), head_width 8:
            c6s2-16, d32, R32 x 5, u16, c3s1-8, u, c3s1-3

    A space-to-depth stem folds 2x2 pixels into channels before a 3x3 conv; that is one 6x6 conv of stride 2,
    and is written so, since engines run it faster. The 9x9 convs at full resolution are where the plain
    stem spends its time. With the widths above the residual blocks work at a quarter of the picture's size,
    as Johnson's do, where a brush stroke is some pixels wide: at an eighth a network cannot draw one, and
    repeats a tile of its upsampling instead, or tints the photo (models/README.md shows what was tried).

    Row 0 is "original": alone, it gives the picture back. Its share of the mix joins the photo to the output,
    since instance normalization forgets the brightness and contrast of what it is shown; no style gets the
    photo's colours that way.

    Shapes: image (B, 3, H, W) float RGB [0, 1], H and W multiples of `size_multiple`;
    style_mix (B, n_styles) -> (B, 3, H, W), about [0, 1] but not clipped.
    """

    def __init__(
        self,
        n_styles: int,
        *,
        widths: tuple[int, ...] = (16, 32),
        head_width: int = 8,
        n_residual: int = 5,
        stem: Stem = "space_to_depth",
        upsampling: Upsampling = "smooth",
    ) -> None:
        super().__init__()
        self.n_styles = n_styles
        folded = stem == "space_to_depth"
        halvings = len(widths) - 1
        self.size_multiple = 2 ** (halvings + folded)
        first, deepest = widths[0], widths[-1]
        stem_block = ConvBlock(3, first, n_styles, **({"size": 6, "stride": 2} if folded else {"size": 9}))
        steps = list(pairwise(widths))
        self.contract = nn.ModuleList([stem_block, *(ConvBlock(a, b, n_styles, stride=2) for a, b in steps)])
        self.residual = nn.ModuleList(ResidualBlock(deepest, n_styles) for _ in range(n_residual))
        self.expand = nn.ModuleList(ConvBlock(b, a, n_styles) for a, b in reversed(steps))
        self.upsampling = upsampling
        self.is_folded = upsampling in ("bilinear", "smooth")
        kinds = [] if self.is_folded else [Upsample(b, upsampling) for _, b in reversed(steps)]
        self.upsamples = nn.ModuleList(kinds)
        self.head: nn.Module | None = None
        if folded:
            self.head = ConvBlock(first, head_width, n_styles)
            if not self.is_folded:
                self.upsamples.append(Upsample(head_width, upsampling))
        self.last = nn.Conv2d(
            head_width if folded else first,
            3,
            3 if folded else 9,
            padding=1 if folded else 4,
            padding_mode="reflect",
        )
        with torch.no_grad():
            filters = stem_block.conv.weight
            filters.copy_(torch.einsum("ocyx,cd->odyx", filters, _colour_gain()))
            # A calm grey to begin with: nothing out of range, nothing to unlearn.
            self.last.weight.mul_(0.1)
            self.last.bias.fill_(0.5)  # type: ignore[union-attr]

    def forward(self, image: Tensor, style_mix: Tensor) -> Tensor:
        x = image
        for block in (*self.contract, *self.residual):
            x = block(x, style_mix)
        for number in range(len(self.expand)):
            x = self._expanded(number, x, style_mix)
        if self.head is not None:
            x = self.head(x, style_mix)
            if self.is_folded:
                assert self.last.bias is not None
                return _beside(image, upsampled_conv(x, self.last.weight, self.last.bias), style_mix)
            x = self.upsamples[-1](x)
        return _beside(image, self.last(x), style_mix)

    def _expanded(self, number: int, x: Tensor, style_mix: Tensor) -> Tensor:
        """Twice the size, and the block after it."""
        block = self.expand[number]
        assert isinstance(block, ConvBlock)
        if not self.is_folded:
            expanded: Tensor = block(self.upsamples[number](x), style_mix)
            return expanded
        x = upsampled_conv(x, block.conv.weight, smooth=self.upsampling == "smooth")
        return torch.relu(block.norm(x, style_mix))
