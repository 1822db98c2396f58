"""The float16 form of a network, on ONNX Runtime's CPU provider.

It computes in float32 and drops the casts between two operators: what a GPU rounds to float16, it does not.
So `rounded` puts operators between them that hold a float16 on the CPU too.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from fakes import tiny_model_proto
from onnx import TensorProto, helper, numpy_helper

from livestyle.engines.contract import Device
from livestyle.engines.half_precision import halved
from livestyle.engines.providers import create_session, providers_for
from livestyle.frame import Image
from livestyle.library import load_manifest, models_folder
from livestyle.pictures import read_picture
from livestyle.roofline import wide_model

PAINTERS = (models_folder() / "painters.onnx").read_bytes()
STYLES = len(load_manifest(models_folder() / "painters.onnx").styles)
HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT


def photo() -> Image:
    """Every second pixel of the portrait, 256x256."""
    picture, _ = read_picture(Path(__file__).parent / "data" / "astronaut.jpg")
    return np.ascontiguousarray(picture[::2, ::2])


def session_of(content: bytes) -> Any:
    return create_session(content, providers_for(Device.ONNX_CPU))


def rounded(content: bytes) -> Any:
    """A session in which every float16 value is one, as on a GPU."""
    types, model = types_in(content), onnx.load_model_from_string(content)
    nodes = list(model.graph.node)
    del model.graph.node[:], model.graph.value_info[:]
    for node in nodes:
        halves = [name for name in node.output if types.get(name) == HALF]
        for index, name in enumerate(node.output):
            node.output[index] = f"{name} unrounded" if name in halves else name
        model.graph.node.append(node)
        for name in halves:
            # Two, since a single operator between float32 ones is computed in float32.
            model.graph.node.append(helper.make_node("Identity", [f"{name} unrounded"], [f"{name} once"]))
            model.graph.node.append(helper.make_node("Identity", [f"{name} once"], [name]))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def network(nodes: list[Any], weights: dict[str, Any]) -> bytes:
    """A livestyle graph: `nodes` take "planes" (1, 3, H, W) in 0 to 255 and give "painted"."""
    shape: list[str | int | None] = [1, "height", "width", 3]
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Transpose", ["frame"], ["turned"], perm=[0, 3, 1, 2]),
            node("Cast", ["turned"], ["planes"], to=SINGLE),
            *nodes,
            node("Transpose", ["painted"], ["back"], perm=[0, 2, 3, 1]),
            node("Cast", ["back"], ["stylized"], to=TensorProto.UINT8),
        ],
        "test",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, shape),
            helper.make_tensor_value_info("style_mix", SINGLE, [2]),
        ],
        [helper.make_tensor_value_info("stylized", TensorProto.UINT8, shape)],
        [numpy_helper.from_array(np.asarray(each, np.float32), name) for name, each in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def types_in(content: bytes) -> dict[str, int]:
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content))
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    for value in (*model.graph.input, *model.graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types | {weight.name: weight.data_type for weight in model.graph.initializer}


def test_every_style_is_painted_as_in_float32() -> None:
    half, single = rounded(halved(PAINTERS)), session_of(PAINTERS)
    frame = photo()[np.newaxis]
    for number, mix in enumerate(np.eye(STYLES, dtype=np.float32)):
        given = {"frame": frame, "style_mix": mix}
        (ours,), (theirs,) = half.run(None, given), single.run(None, given)
        assert theirs.std() > 10, number  # a picture, not a plain colour
        assert np.abs(ours.astype(int) - theirs).mean() < 1, number


def test_the_ruler_sees_what_float16_cannot_hold() -> None:
    eye = np.eye(3).reshape(3, 3, 1, 1)
    node = helper.make_node
    nodes = [node("Conv", ["planes", "up"], ["large"]), node("Conv", ["large", "down"], ["painted"])]
    given = {"frame": np.full((1, 8, 8, 3), 200, np.uint8), "style_mix": np.zeros(2, np.float32)}
    for factor, holds in ((256, True), (512, False)):  # 65504 is the largest float16
        content = halved(network(nodes, {"up": eye * factor, "down": eye / factor}))
        (painted,) = rounded(content).run(None, given)
        assert (painted == 200).all() == holds


def test_convolutions_are_float16_and_norms_and_the_last_steps_float32() -> None:
    content = halved(PAINTERS)
    types, graph = types_in(content), onnx.load_model_from_string(content).graph
    seen = Counter(node.op_type for node in graph.node)
    assert seen["Conv"] == 15
    assert seen["InstanceNormalization"] == 14
    shuffled = []
    for node in graph.node:
        kinds = {types[name] for name in node.input if name and types[name] in (HALF, SINGLE)}
        match node.op_type:
            case "Conv" | "Pad" | "Relu" | "AveragePool" | "MatMul":
                assert kinds == {HALF}, node.name
            case "InstanceNormalization" | "Round":
                assert kinds == {SINGLE}, node.name
            case "DepthToSpace":
                shuffled.append(kinds)
    assert shuffled == [{HALF}, {SINGLE}]  # nothing but the last comes after the last conv
    about = len(load_manifest(models_folder() / "painters.onnx").to_json().encode())  # the same in both
    assert len(content) - about < 0.52 * (len(PAINTERS) - about)  # no weight is there twice


def test_inputs_outputs_and_metadata_stay() -> None:
    before, after = (onnx.load_model_from_string(each) for each in (PAINTERS, halved(PAINTERS)))
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    assert list(after.metadata_props) == list(before.metadata_props)


def test_no_value_is_cast_twice() -> None:
    casts = [
        node for node in onnx.load_model_from_string(halved(PAINTERS)).graph.node if node.op_type == "Cast"
    ]
    assert len({(node.input[0], node.attribute[0].i) for node in casts}) == len(casts)


def test_a_weight_shared_by_both_precisions_is_there_in_each() -> None:
    weights = {"eye": np.eye(3).reshape(3, 3, 1, 1), "black": 0, "white": 255, "half": 0.5}
    node = helper.make_node
    content = network(
        [
            node("Mul", ["planes", "half"], ["dimmed"]),  # before the convolutions: float32
            node("Conv", ["dimmed", "eye"], ["a"]),
            node("Mul", ["a", "half"], ["b"]),  # between them: float16
            node("Conv", ["b", "eye"], ["c"]),
            node("Mul", ["c", "half"], ["d"]),  # after them: float32
            node("Clip", ["d", "black", "white"], ["painted"]),
        ],
        weights,
    )
    rewritten = halved(content)
    graph = onnx.load_model_from_string(rewritten).graph
    used = [weight.name for weight in graph.initializer]
    assert sorted(used) == ["black", "eye_half", "half", "half_half", "white"]
    frame = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1).repeat(3, axis=3)
    (painted,) = session_of(rewritten).run(None, {"frame": frame, "style_mix": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(painted, (frame / 8).astype(np.uint8))


def test_a_bound_that_no_float16_reaches_becomes_the_largest() -> None:
    node = helper.make_node
    largest = float(np.finfo(np.float32).max)
    weights = {"eye": np.eye(3).reshape(3, 3, 1, 1), "low": -largest, "high": largest}
    content = network(
        [
            node("Conv", ["planes", "eye"], ["a"]),
            node("Clip", ["a", "low", "high"], ["b"]),
            node("Conv", ["b", "eye"], ["painted"]),
        ],
        weights,
    )
    graph = onnx.load_model_from_string(halved(content)).graph
    bounds = {each.name: float(numpy_helper.to_array(each).reshape(-1)[0]) for each in graph.initializer}
    assert (bounds["low_half"], bounds["high_half"]) == (-65504, 65504)


def test_new_names_do_not_meet_old_ones() -> None:
    node = helper.make_node
    weights = {"eye": np.eye(3).reshape(3, 3, 1, 1), "eye_half": np.eye(3).reshape(3, 3, 1, 1)}
    content = network(
        [
            node("Conv", ["planes", "eye"], ["planes_half"]),
            node("Conv", ["planes_half", "eye_half"], ["painted"]),
        ],
        weights,
    )
    frame = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
    given = {"frame": frame, "style_mix": np.zeros(2, np.float32)}
    (painted,) = session_of(halved(content)).run(None, given)
    np.testing.assert_array_equal(painted, frame)


def test_the_roofs_convolutions_are_float16_too() -> None:
    content = halved(wide_model(1, wide=16))
    types = types_in(content)
    convolutions = [
        node for node in onnx.load_model_from_string(content).graph.node if node.op_type == "Conv"
    ]
    assert len(convolutions) == 3
    assert {types[name] for node in convolutions for name in node.input} == {HALF}


def test_what_cannot_be_halved_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no convolution"):
        halved(tiny_model_proto().SerializeToString())


def test_without_the_onnx_package_it_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError):
        halved(PAINTERS)
