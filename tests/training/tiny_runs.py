"""What training and painting need, made from nothing and tiny: photos, paintings, weights, a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from livestyle.frame import Image
from livestyle.training.dataset import to_tensor
from livestyle.training.network import TransformNet
from livestyle.training.recipe import Recipe, load_recipe

STYLES = ("dots", "waves", "night")

# Of a slimmed VGG-19, block by block: the maps' channels, and those of the head on convB_1.
SLIM_CHANNELS = (4, 4, 6, 6, 8)
HEAD_CHANNELS = (5, 6, 7, 8, 9)
CONVS = [f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 1), 1) for i in range(1, n + 1)]


def slim_state(seed: int = 0) -> dict[str, Tensor]:
    """The weights of a slimmed VGG-19, random and far thinner than a real one."""
    random = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def add(name: str, channels_in: int, channels_out: int, size: int) -> None:
        fan_in = channels_in * size * size
        shape = (channels_out, channels_in, size, size)
        state[f"{name}.weight"] = torch.randn(shape, generator=random) * (2 / fan_in) ** 0.5
        state[f"{name}.bias"] = torch.rand(channels_out, generator=random) * 0.1

    add("input", 3, 3, 1)
    channels = 3
    for name in CONVS:
        block = int(name[4]) - 1
        add(name, channels, SLIM_CHANNELS[block], 3)
        channels = SLIM_CHANNELS[block]
    for block in range(5):
        add(f"aux{block + 1}_1", SLIM_CHANNELS[block], HEAD_CHANNELS[block], 1)
    return state


def write_weights(path: Path) -> Path:
    torch.save(slim_state(), path)
    return path


def noise_picture(height: int, width: int, seed: int) -> Image:
    """Soft blobs of colour: as little detail as a photo that is out of focus."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


PHOTO = noise_picture(48, 64, 1)
DOTS = noise_picture(64, 56, 2)
WAVES = noise_picture(64, 64, 3)


def tensor(image: Image) -> Tensor:
    """(H, W, 3), uint8 -> (1, 3, H, W), [0, 1]."""
    return to_tensor(torch.from_numpy(image)[None])


def halves(height: int, width: int, left: int = 0, right: int = 255) -> npt.NDArray[np.uint8]:
    """A mask of two greys."""
    mask = np.full((height, width), right, np.uint8)
    mask[:, : width // 2] = left
    return mask


def write_pictures(folder: Path, names: list[str], *, size_hw: tuple[int, int] = (64, 64)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), noise_picture(*size_hw, seed=seed + len(name)))
    return folder


def styles_with(**keys: Any) -> list[dict[str, Any]]:
    """The tiny recipe's styles, of which the first has these keys."""
    rows = [{"name": name, "image": f"{name}.png", "title": name.title()} for name in STYLES]
    return [rows[0] | keys, *rows[1:]]


def recipe_text(**changes: Any) -> str:
    """A recipe that trains in milliseconds. changes: keys to set; None takes one out."""
    table: dict[str, Any] = {
        "name": "tiny",
        "content_folder": "photos",
        "style_folder": "paintings",
        "loss_network": "slim.pt",
        "widths": [4, 6, 8],
        "head_width": 4,
        "n_residual": 1,
        "steps": 6,
        "batch": 2,
        "crop": 64,
        "style_size": 64,
    }
    rows = changes.pop("styles", styles_with())
    lines = [f"{key} = {json.dumps(value)}" for key, value in (table | changes).items() if value is not None]
    for row in rows:
        lines += ["", "[[styles]]", *(f"{key} = {json.dumps(value)}" for key, value in row.items())]
    return "\n".join(lines) + "\n"


def tiny_recipe(folder: Path, **changes: Any) -> Recipe:
    """Write photos, paintings, weights and a recipe into `folder`, and read it. changes: its keys."""
    write_pictures(folder / "photos", ["a.png", "b.png", "c.png"])
    write_pictures(folder / "paintings", [f"{name}.png" for name in STYLES], size_hw=(72, 64))
    write_weights(folder / "slim.pt")
    path = folder / "tiny.toml"
    path.write_text(recipe_text(**changes), encoding="utf-8")
    return load_recipe(path)


def tiny_network(n_styles: int = 3, **changes: Any) -> TransformNet:
    """A thin network whose rows differ, as trained ones do. changes: TransformNet's own arguments."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"widths": (4, 6, 8), "head_width": 4, "n_residual": 1}
    network = TransformNet(n_styles, **(options | changes)).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.shape[0] == n_styles and name.rsplit(".")[-1] in {"gamma", "beta"}:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return network


class Executed:
    """A pickle of this runs code when it is read by a reader that trusts it: it makes the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)
