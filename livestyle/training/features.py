"""The loss network: a VGG whose feature maps say what a picture shows and how it is painted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import RecipeError
from livestyle.training.torch_file import read_torch_file

Pooling = Literal["max", "average"]

# Convolutions a block; the papers name them convB_I, and the ReLU after each reluB_I.
CONVS_PER_BLOCK = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
LARGE_BLOCKS = ("1", "2")  # whose maps are of the picture's size, and of half of it
HALF = "/2"  # after a layer's name: of the picture at half its size
_NEXT_STEP = (
    "give vgg16, vgg19 or the path of a weights file (`--loss-network`, or `loss_network` in a recipe)"
)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class LossNetwork(nn.Module):
    """Feature maps of a VGG (Simonyan and Zisserman 2014, arXiv:1409.1556), by the papers' names.

    Weights are frozen. `prepare` takes RGB in [0, 1] to the range that the weights were trained on.
    `heads` maps a feature map to the one that is returned (used by the slimmed network, see `slim_vgg19`).

    Shapes: image (B, 3, H, W) -> {"relu3_1": (B, C, H / 4, W / 4), ...}, only the layers asked for. A name
    with /2 behind it, such as relu4_1/2, is that layer of the picture at half its size: it sees motifs twice
    as large, for a quarter of the work.

    lattice: of the first two blocks, whose maps are large, every second pixel of every second row, beginning
    at this row and column (0 or 1). Statistics change little, and cost a quarter.
    """

    def __init__(
        self,
        convs: dict[str, nn.Conv2d],
        prepare: nn.Module,
        *,
        pooling: Pooling = "max",
        heads: dict[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.prepare = prepare
        self.convs = nn.ModuleDict(convs)
        self.heads = nn.ModuleDict(heads or {})
        self.pool = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
        self.requires_grad_(False)
        self.eval()

    @property
    def layers(self) -> list[str]:
        """Every name that can be asked for, shallow to deep."""
        return [name.replace("conv", "relu") for name in self.convs]

    def forward(
        self, image: Tensor, layers: Iterable[str], lattice: tuple[int, int] | None = None
    ) -> dict[str, Tensor]:
        names = set(layers)
        wanted = {name for name in names if not name.endswith(HALF)}
        smaller = {name.removesuffix(HALF) for name in names - wanted}
        if unknown := (wanted | smaller) - set(self.layers):
            raise RecipeError(
                f"the loss network has no layer {sorted(unknown)[0]}; it has {', '.join(self.layers)}"
            )
        features = self._features(image, wanted, lattice) if wanted else {}
        if smaller:
            of_half = self._features(F.avg_pool2d(image, 2), smaller, lattice)
            features |= {layer + HALF: maps for layer, maps in of_half.items()}
        return features

    def _features(
        self, image: Tensor, wanted: set[str], lattice: tuple[int, int] | None
    ) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        x = self.prepare(image)
        block = "1"
        for name, conv in self.convs.items():
            if name[4] != block:
                block = name[4]
                x = self.pool(x)
            x = torch.relu(conv(x))
            layer = name.replace("conv", "relu")
            if layer in wanted:
                found = x
                if lattice is not None and block in LARGE_BLOCKS:
                    found = x[:, :, lattice[0] :: 2, lattice[1] :: 2]
                features[layer] = self.heads[layer](found) if layer in self.heads else found
                if len(features) == len(wanted):
                    break
        return features


def open_loss_network(name: str, *, pooling: Pooling = "max") -> LossNetwork:
    """The loss network called `name`: "vgg16", "vgg19", or the path of a slimmed VGG-19's weights.

    The two names load torchvision's ImageNet weights, which torchvision downloads on first use.
    Raises RecipeError.
    """
    if name in CONVS_PER_BLOCK:
        return torchvision_vgg(name, pooling=pooling)
    path = Path(name).expanduser()
    if not path.is_file():
        raise RecipeError(f"no loss network at {name}: {_NEXT_STEP}")
    return slim_vgg19(path, pooling=pooling)


def torchvision_vgg(name: str, *, pooling: Pooling = "max", pretrained: bool = True) -> LossNetwork:
    """torchvision's VGG-16 or VGG-19 with ImageNet weights. `pretrained=False`: random ones, for tests."""
    # Imported here: torchvision is needed by nothing else, and its wheel must match torch's build.
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # RuntimeError: a build that does not fit torch's
        raise RecipeError(
            f'{name} needs a torchvision that fits your torch ({error}): pip install "livestyle[train]"'
        ) from error

    build, weights = {
        "vgg16": (models.vgg16, models.VGG16_Weights.IMAGENET1K_V1),
        "vgg19": (models.vgg19, models.VGG19_Weights.IMAGENET1K_V1),
    }[name]
    try:
        vgg = build(weights=weights) if pretrained else build(weights=None, init_weights=False)
    except (OSError, RuntimeError) as error:  # RuntimeError: a download whose hash is wrong
        raise RecipeError(
            f"the weights of {name} could not be downloaded ({error}); connect to the internet once, "
            "or name a weights file (`--loss-network`, or `loss_network` in a recipe)"
        ) from error
    names = [f"conv{b}_{i}" for b, n in enumerate(CONVS_PER_BLOCK[name], 1) for i in range(1, n + 1)]
    convs = [module for module in vgg.features if isinstance(module, nn.Conv2d)]
    prepare = nn.Conv2d(3, 3, 1)
    with torch.no_grad():  # (x - mean) / std, channel by channel
        std = torch.tensor(IMAGENET_STD)
        prepare.weight.copy_(torch.diag(1 / std)[:, :, None, None])
        prepare.bias.copy_(-torch.tensor(IMAGENET_MEAN) / std)  # type: ignore[union-attr]
    return LossNetwork(dict(zip(names, convs, strict=True)), prepare, pooling=pooling)


def slim_vgg19(path: Path, *, pooling: Pooling = "max") -> LossNetwork:
    """VGG-19 up to relu5_1 with a quarter of the channels, and 1x1 heads that give back the full ones.

    Wang et al. 2020, arXiv:2003.08436. Keys: `input` (RGB in [0, 1] to the network's own range),
    `convB_I`, and `auxB_1`, which predicts the full network's reluB_1 (64, 128, 256, 512, 512 channels).
    The heads' Gram matrices give clearly better pictures than those of the slim maps themselves.
    """
    try:
        state = read_torch_file(path, "weights file (a plain state dict saved by torch.save)")
    except RecipeError as error:
        raise RecipeError(f"{error}; {_NEXT_STEP}") from error
    names = [f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 1), 1) for i in range(1, n + 1)]
    heads = {f"relu{b}_1": f"aux{b}_1" for b in range(1, 6)}
    try:
        prepare = _conv(state, "input")
        convs = {name: _conv(state, name) for name in names}
        aux = {layer: nn.Sequential(_conv(state, key), nn.ReLU()) for layer, key in heads.items()}
        network = LossNetwork(convs, prepare, pooling=pooling, heads=dict(aux))
        with torch.no_grad():
            network(torch.zeros(1, 3, 32, 32), heads)
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(
            f"{path} holds weights, but not those of a slimmed VGG-19 ({error}); {_NEXT_STEP}"
        ) from error
    return network


def _conv(state: dict[str, Tensor], key: str) -> nn.Conv2d:
    weight, bias = state[f"{key}.weight"].float(), state[f"{key}.bias"].float()
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise ValueError(f"{key} is not finite")
    out_channels, in_channels, size, _ = weight.shape
    conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2, padding_mode="reflect")
    conv.weight = nn.Parameter(weight)
    conv.bias = nn.Parameter(bias)
    return conv
