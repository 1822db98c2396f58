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
STRIP = 2048  # pixels


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
    """The Gram matrix of head_features, which are never stored. Shapes: (1, C, H, W) -> (1, C', C')."""
    bias = head.weight.new_zeros(head.out_channels) if head.bias is None else head.bias
    gram: Tensor = _HeadGram.apply(maps[0].flatten(1), head.weight[:, :, 0, 0], bias[:, None])
    return gram[None]


class _HeadGram(torch.autograd.Function):
    """G = 1/n sum over pixels of f fᵀ, f = max(0, W x + b);  dx = Wᵀ [f > 0] (dG + dGᵀ) f / n."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        gram = x.new_zeros(len(weight), len(weight))
        for i in range(0, x.shape[1], STRIP):
            f = torch.addmm(bias, weight, x[:, i : i + STRIP]).relu_()  # (C', STRIP)
            gram.addmm_(f, f.T)
        return gram / x.shape[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, weight, bias = ctx.saved_tensors
        slope = (gradients[0] + gradients[0].T) / x.shape[1]
        found = torch.empty_like(x)
        for i in range(0, x.shape[1], STRIP):
            f = torch.addmm(bias, weight, x[:, i : i + STRIP]).relu_()
            found[:, i : i + STRIP] = weight.T @ (slope @ f).mul_(f > 0)
        return found, None, None
