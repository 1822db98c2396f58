from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import HEAD_CHANNELS, SLIM_CHANNELS, Executed, slim_state, write_weights
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.functional import normalize

from livestyle.errors import RecipeError
from livestyle.training.features import LossNetwork, Pooling, open_loss_network, slim_vgg19, torchvision_vgg
from livestyle.training.recipe import STYLE_LAYERS

# What comes out of torchvision's `features` after so many modules: the papers' Figure 1, counted by hand.
TORCHVISION_DEPTH = {
    "vgg16": {
        "relu1_1": 2,
        "relu1_2": 4,
        "relu2_2": 9,
        "relu3_1": 12,
        "relu3_3": 16,
        "relu4_3": 23,
        "relu5_3": 30,
    },
    "vgg19": {"relu1_1": 2, "relu2_1": 7, "relu3_1": 12, "relu4_2": 23, "relu5_1": 30, "relu5_4": 36},
}


def picture(height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def torchvision_features(name: str, network: LossNetwork, pooling: Pooling) -> nn.Sequential:
    """torchvision's own layers, with the weights of `network`; not its classifier, the slow part."""
    with torch.device("meta"):
        features: nn.Sequential = getattr(models, name)(weights=None, init_weights=False).features
    features.to_empty(device="cpu")
    convs = [module for module in features if isinstance(module, nn.Conv2d)]
    for conv, own in zip(convs, network.convs.values(), strict=True):
        conv.load_state_dict(own.state_dict())
    if pooling == "average":
        return nn.Sequential(*(nn.AvgPool2d(2, 2) if isinstance(m, nn.MaxPool2d) else m for m in features))
    return features


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_a_vgg_by_name_gives_what_torchvision_computes(name: str) -> None:
    torch.manual_seed(0)
    network = torchvision_vgg(name, pretrained=False)
    assert len(network.layers) == int(name[3:]) - 3  # but for the three fully connected ones
    image = picture()
    normalized = normalize(image, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    for pooling in ("max", "average"):
        other = LossNetwork(
            {n: c for n, c in network.convs.items() if isinstance(c, nn.Conv2d)},
            network.prepare,
            pooling=pooling,
        )
        reference = torchvision_features(name, network, pooling)
        found = other(image, TORCHVISION_DEPTH[name])
        for layer, depth in TORCHVISION_DEPTH[name].items():
            torch.testing.assert_close(found[layer], reference[:depth](normalized), rtol=1e-4, atol=1e-5)


def test_a_slim_network_has_the_papers_layers_up_to_relu5_1(tmp_path: Path) -> None:
    network = open_loss_network(str(write_weights(tmp_path / "slim.pt")))
    assert network.layers == [
        *("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4"),
        *("relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1"),
    ]


def test_each_block_halves_the_maps_and_heads_give_back_the_full_networks_channels(tmp_path: Path) -> None:
    network = slim_vgg19(write_weights(tmp_path / "slim.pt"))
    found = network(picture(32, 48), [*STYLE_LAYERS, "relu3_2"])
    for block, channels in enumerate(HEAD_CHANNELS):
        assert found[f"relu{block + 1}_1"].shape == (2, channels, 32 >> block, 48 >> block)
    assert found["relu3_2"].shape == (2, SLIM_CHANNELS[2], 8, 12)  # has no head
    assert set(found) == {*STYLE_LAYERS, "relu3_2"}
    assert all((maps >= 0).all() for maps in found.values())


def test_a_slim_network_computes_what_its_file_says(tmp_path: Path) -> None:
    state, image = slim_state(), picture()

    def conv(x: Tensor, name: str) -> Tensor:
        pad = state[f"{name}.weight"].shape[2] // 2
        padded = nn.functional.pad(x, (pad, pad, pad, pad), mode="reflect")
        return nn.functional.conv2d(padded, state[f"{name}.weight"], state[f"{name}.bias"])

    x = conv(image, "input")
    x = conv(conv(x, "conv1_1").relu(), "conv1_2").relu()
    x = conv(nn.functional.max_pool2d(x, 2), "conv2_1").relu()
    expected = conv(x, "aux2_1").relu()
    found = slim_vgg19(write_weights(tmp_path / "slim.pt"))(image, ["relu2_1"])
    torch.testing.assert_close(found["relu2_1"], expected)


def test_pooling_takes_the_largest_or_the_mean() -> None:
    one = nn.Conv2d(1, 1, 1)
    nn.init.ones_(one.weight)
    nn.init.zeros_(one.bias)  # type: ignore[arg-type]
    convs = {"conv1_1": one, "conv2_1": one}
    image = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    pooled = {
        pooling: LossNetwork(convs, nn.Identity(), pooling=pooling)(image, ["relu2_1"])["relu2_1"].item()
        for pooling in ("max", "average")
    }
    assert pooled == {"max": 6.0, "average": 3.0}


def test_a_layer_of_half_the_size_is_that_of_the_picture_averaged_by_two(tmp_path: Path) -> None:
    network, image = slim_vgg19(write_weights(tmp_path / "slim.pt")), picture(64, 96)
    found = network(image, ["relu2_1", "relu2_1/2", "relu4_1/2"], (1, 0))
    half = image.reshape(*image.shape[:2], 32, 2, 48, 2).mean((3, 5))
    expected = network(half, ["relu2_1", "relu4_1"], (1, 0))
    assert set(found) == {"relu2_1", "relu2_1/2", "relu4_1/2"}
    torch.testing.assert_close(found["relu2_1"], network(image, ["relu2_1"], (1, 0))["relu2_1"])
    torch.testing.assert_close(found["relu2_1/2"], expected["relu2_1"])
    torch.testing.assert_close(found["relu4_1/2"], expected["relu4_1"])
    assert found["relu4_1/2"].shape[2:] == (4, 6)


def test_the_weights_are_frozen_and_the_picture_is_not(tmp_path: Path) -> None:
    network = slim_vgg19(write_weights(tmp_path / "slim.pt"))
    image = picture().requires_grad_()
    network(image, ["relu2_1"])["relu2_1"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    network = slim_vgg19(write_weights(tmp_path / "slim.pt"))
    with pytest.raises(RecipeError, match="no layer relu5_2; it has relu1_1,"):
        network(picture(), ["relu1_1", "relu5_2"])
    with pytest.raises(RecipeError, match="no layer relu5_2; it has relu1_1,"):
        network(picture(), ["relu5_2/2"])


def without(*names: str) -> dict[str, Tensor]:
    return {key: value for key, value in slim_state().items() if key.split(".")[0] not in names}


FOREIGN: dict[str, Callable[[], Any]] = {
    "another network": lambda: nn.Linear(3, 3).state_dict(),
    "a layer is missing": lambda: without("conv3_4"),
    "a head is missing": lambda: without("aux4_1"),
    "no bias": lambda: {k: v for k, v in slim_state().items() if k != "conv1_1.bias"},
    "not a conv": lambda: slim_state() | {"conv2_1.weight": torch.zeros(4)},
    "another width": lambda: slim_state() | {"conv2_1.weight": torch.zeros(4, 9, 3, 3)},
    "bias of another width": lambda: slim_state() | {"conv2_1.bias": torch.zeros(7)},
    "not numbers": lambda: slim_state() | {"conv2_1.weight": "text"},
    "not finite": lambda: slim_state() | {"conv2_1.bias": torch.full((4,), torch.nan)},
    "a tensor": lambda: torch.zeros(3),
    "a list": lambda: [1, 2],
    "a number": lambda: 3,
    "nothing": lambda: None,
    "empty": dict,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_weights_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save(FOREIGN[kind](), path)
    with pytest.raises(
        RecipeError, match=r"foreign.pt holds .*not those of a slimmed VGG-19.*give vgg16, vgg19 or"
    ) as caught:
        open_loss_network(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"words", b"PK\x03\x04 cut", bytes(1000), b"\x80\x02.", b"\x80\x04]q"]
)
def test_what_is_no_weights_file_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"broken.pt is not a weights file.*give vgg16, vgg19 or") as caught:
        open_loss_network(str(path))
    assert "\n" not in str(caught.value)


def test_a_truncated_weights_file_is_refused(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "cut.pt")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(RecipeError, match=r"cut.pt is not a weights file"):
        open_loss_network(str(path))


def test_a_missing_weights_file_says_what_to_give(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(RecipeError, match="give vgg16, vgg19 or the path of a weights file"):
            open_loss_network(str(path))


def test_a_hostile_weights_file_is_not_executed(tmp_path: Path) -> None:
    path, proof = tmp_path / "hostile.pt", tmp_path / "executed"
    torch.save(Executed(proof), path)
    with pytest.raises(RecipeError, match="not a weights file"):
        open_loss_network(str(path))
    assert not proof.exists()
    torch.load(path, weights_only=False)
    assert proof.exists()  # the file is as hostile as it looks


def test_a_lattice_is_every_second_pixel_of_the_large_maps_alone(tmp_path: Path) -> None:
    network = slim_vgg19(write_weights(tmp_path / "slim.pt"))
    image = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    layers = ["relu1_1", "relu2_1", "relu3_1"]
    whole, thin = network(image, layers), network(image, layers, (1, 0))
    for layer in layers[:2]:
        torch.testing.assert_close(thin[layer], whole[layer][:, :, 1::2, ::2])
    assert torch.equal(thin["relu3_1"], whole["relu3_1"])
