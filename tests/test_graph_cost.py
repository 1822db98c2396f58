from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livestyle.errors import ModelError
from livestyle.graph_cost import count_cost
from livestyle.library import load_manifest, models_folder
from livestyle.roofline import wide_model

H, W = 48, 64


def _model(nodes: list[Any], constants: dict[str, Any]) -> bytes:
    """From `planes`, (1, 3, H, W) floats, to `painting`, the same."""
    from onnx import TensorProto, helper, numpy_helper

    frame: list[str | int | None] = [1, "height", "width", 3]
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["frame"], ["turned"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["turned"], ["planes"], to=TensorProto.FLOAT),
            *nodes,
            helper.make_node("Transpose", ["painting"], ["back"], perm=[0, 2, 3, 1]),
            helper.make_node("Cast", ["back"], ["stylized"], to=TensorProto.UINT8),
        ],
        "made",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, frame),
            helper.make_tensor_value_info("style_mix", TensorProto.FLOAT, [2]),
        ],
        [helper.make_tensor_value_info("stylized", TensorProto.UINT8, frame)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    content: bytes = helper.make_model(graph).SerializeToString()
    return content


def test_strides_pads_groups_and_scales_are_counted_as_by_hand() -> None:
    from onnx import helper

    node = helper.make_node
    content = _model(
        [
            node("Conv", ["planes", "a"], ["a1"], strides=[2, 2], pads=[1, 1, 1, 1]),  # 12 channels, halved
            node("Conv", ["a1", "b"], ["b1"], group=4, pads=[2, 2, 2, 2], dilations=[2, 2]),  # the same size
            node("Pad", ["b1", "pads"], ["b2"]),
            node("Conv", ["b2", "c", "bias"], ["c1"]),  # 3 channels
            node("Resize", ["c1", "", "scales"], ["large"], mode="nearest"),
            node("Add", ["large", "planes"], ["painting"]),
        ],
        {
            "a": np.zeros((12, 3, 3, 3), np.float32),
            "b": np.zeros((12, 3, 3, 3), np.float32),
            "c": np.zeros((3, 12, 3, 3), np.float32),
            "bias": np.zeros(3, np.float32),
            "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
    )
    small = H // 2 * W // 2
    cost = count_cost(content, H, W, 2)
    assert cost.macs == small * (12 * 27 + 12 * 27 + 3 * 108)
    written = small * (12 + 12 + 3)  # the sum is written as the painting, in bytes
    read = small * (12 + 12 + 3)
    assert cost.values == written + read + 3 * 12 * 27 + 3
    assert cost.pixel_bytes == 3 * (3 * H * W)  # the frame is read by the first conv and by the sum
    assert cost.traffic(2) == 2 * cost.values + cost.pixel_bytes


def test_the_style_costs_a_matrix_product_and_moves_no_picture() -> None:
    from onnx import helper

    node = helper.make_node
    content = _model(
        [
            node("Unsqueeze", ["style_mix", "first"], ["row"]),  # (1, 2)
            node("MatMul", ["row", "gamma"], ["mixed"]),  # (1, 3)
            node("Slice", ["mixed", "zero", "far", "one"], ["cut"]),
            node("Unsqueeze", ["cut", "last"], ["scale"]),  # (1, 3, 1, 1)
            node("Mul", ["planes", "scale"], ["painting"]),
        ],
        {
            "first": np.array([0], np.int64),
            "last": np.array([2, 3], np.int64),
            "zero": np.array([0], np.int64),
            "far": np.array([2**63 - 1], np.int64),
            "one": np.array([1], np.int64),
            "gamma": np.zeros((2, 3), np.float32),
        },
    )
    cost = count_cost(content, H, W, 2)
    assert (cost.macs, cost.values, cost.pixel_bytes) == (6, 0, 2 * 3 * H * W)


def test_a_mean_of_neighbours_is_taken_on_the_way() -> None:
    from onnx import helper

    mean = partial(helper.make_node, "AveragePool", ["planes"], ["painting"], kernel_shape=[3, 3])
    cost = count_cost(_model([mean(pads=[1, 1, 1, 1])], {}), H, W, 2)
    assert (cost.macs, cost.values) == (0, 0)
    with pytest.raises(ModelError, match="not counted as large"):
        count_cost(_model([mean(pads=[1, 1, 1, 1], strides=[2, 2])], {}), H, W, 2)


def test_what_one_layer_wrote_is_joined_with_itself_on_the_way() -> None:
    from onnx import helper

    node = helper.make_node
    content = _model(
        [
            node("Conv", ["planes", "weight"], ["written"], pads=[1, 1, 1, 1]),
            node("Reciprocal", ["written"], ["inverse"]),
            node("Add", ["written", "inverse"], ["painting"]),
        ],
        {"weight": np.zeros((3, 3, 3, 3), np.float32)},
    )
    cost = count_cost(content, H, W, 2)
    # The conv reads bytes and writes bytes: the sum is done before they are written.
    assert (cost.values, cost.pixel_bytes) == (3 * 27, 2 * 3 * H * W)


def test_painters_costs_what_its_recipe_says() -> None:
    # Widths 16 and 32 at half and quarter size; five residual blocks; a head of 8 channels.
    path = models_folder() / "painters.onnx"
    manifest = load_manifest(path)
    assert 'stem = "space_to_depth"' in manifest.recipe
    assert "head_width = 8" in manifest.recipe
    pixels, rows = 480 * 640, len(manifest.styles)
    half, quarter = pixels // 4, pixels // 16
    weights = [(16, 3 * 36, half), (32, 16 * 9, quarter), *[(32, 32 * 9, quarter)] * 10]
    weights += [(16, 32 * 9, half), (8, 16 * 9, half), (3, 8 * 9, pixels)]
    style = rows * 2 * (16 + 32 + 10 * 32 + 16 + 8)  # gammas and betas
    cost = count_cost(path.read_bytes(), 480, 640, rows)
    assert cost.macs == sum(made * each * places for made, each, places in weights) + style


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"upsampling": "smooth"},
        {"stem": "plain", "upsampling": "nearest"},
        {"upsampling": "pixel_shuffle"},
    ],
    ids=str,
)
def test_every_kind_of_network_is_counted_as_torch_counts_it(options: dict[str, Any]) -> None:
    import torch
    from fakes import tiny_manifest

    from livestyle.training.export import _to_onnx
    from livestyle.training.network import TransformNet

    network = TransformNet(3, **options).eval()
    macs = 0

    def count(module: torch.nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.rand(1, 3, H, W), torch.eye(3)[:1])
    # Convs after an upsampling are computed before it, by hand: 3x3, at a half and full size.
    by_hand = 9 * (32 * 16 / 4 + 8 * 3) * H * W
    expected = macs + (by_hand if network.is_folded else 0)
    content = _to_onnx(network, tiny_manifest(size_multiple=network.size_multiple))
    assert 0 <= count_cost(content, H, W, 3).macs - expected < 10_000  # the style's matrix products


def test_an_operator_of_another_network_is_not_guessed(tiny_model_path: Path) -> None:
    with pytest.raises(ModelError, match="not counted: SpaceToDepth"):
        count_cost(tiny_model_path.read_bytes(), H, W, 3)


def test_the_wide_model_costs_its_layers() -> None:
    few, many = (count_cost(wide_model(layers, wide=64), H, W, 2) for layers in (1, 4))
    assert many.macs - few.macs == 3 * 64 * 64 * H * W
    assert few.macs == (2 * 3 * 64 + 64 * 64) * H * W
