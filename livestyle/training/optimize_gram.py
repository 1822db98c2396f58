"""Gram matrices of the slimmed VGG-19's largest map, strip by strip, as its channels stay in the cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from livestyle.training.features import LossNetwork, Pooling

# relu1_1 is as large as the picture, and its head makes four times as many channels: 175 MB at 1024x683,
# written and read several times an iteration. In strips they never leave the cache.
LARGEST_MAP = "relu1_1"
STRIP = 8192  # pixels


def without_largest_head(network: LossNetwork) -> tuple[LossNetwork, nn.Conv2d | None]:
    """The network with relu1_1 as it is before its head, and the head's conv; None where there is no head."""
    head = dict(network.heads.items()).get(LARGEST_MAP)
    if not (isinstance(head, nn.Sequential) and isinstance(head[0], nn.Conv2d) and len(head) == 2):
        return network, None
    others = {name: module for name, module in network.heads.items() if name != LARGEST_MAP}
    convs = {name: conv for name, conv in network.convs.items() if isinstance(conv, nn.Conv2d)}
    pooling: Pooling = "max" if isinstance(network.pool, nn.MaxPool2d) else "average"
    return LossNetwork(convs, network.prepare, pooling=pooling, heads=others), head[0]


def head_features(maps: Tensor, head: nn.Conv2d) -> Tensor:
    """What the head makes of the maps before it. Shapes: (B, C, H, W) -> (B, C', H, W)."""
    return F.relu(head(maps))


def head_gram(maps: Tensor, head: nn.Conv2d) -> Tensor:
    """The Gram matrix of head_features, which are never stored. Shapes: (1, C, H, W) -> (1, C', C').

    Twice as fast where the maps are channels-last.
    """
    bias = head.weight.new_zeros(head.out_channels) if head.bias is None else head.bias
    pixels = maps[0].flatten(1).T.contiguous()
    gram: Tensor = _HeadGram.apply(pixels, head.weight[:, :, 0, 0], bias)
    return gram[None]


class _HeadGram(torch.autograd.Function):
    """G = 1/n sum over pixels of fᵀ f, f = max(0, x Wᵀ + b);  dx = [f > 0] (f (dG + dGᵀ)) W / n.

    Shapes: x (n, C), W (C', C), b (C') -> (C', C').
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        gram, strip = x.new_zeros(len(weight), len(weight)), x.new_empty(STRIP, len(weight))
        for part in torch.split(x, STRIP):
            f = torch.addmm(bias, part, weight.T, out=strip[: len(part)]).relu_()
            gram.addmm_(f.T, f)
        return gram / len(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, weight, bias = ctx.saved_tensors
        slope = (gradients[0] + gradients[0].T) / len(x)
        found = torch.empty_like(x)
        strips = x.new_empty(2, STRIP, len(weight))
        for part, there in zip(torch.split(x, STRIP), torch.split(found, STRIP), strict=True):
            f = torch.addmm(bias, part, weight.T, out=strips[0, : len(part)]).relu_()
            uphill = torch.mm(f, slope, out=strips[1, : len(part)]).mul_(f.sign_())
            torch.mm(uphill, weight, out=there)
        return found, None, None
