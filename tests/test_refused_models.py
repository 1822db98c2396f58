"""Models that no engine takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import tiny_manifest, tiny_model, tiny_model_proto

from livestyle.engines import open_engine
from livestyle.errors import ModelError
from livestyle.manifest import METADATA_KEY

CPU_ENGINES = ["openvino", "onnx-cpu"]


def written(path: Path, spoil: Callable[[Any], object], *, manifest_json: str | None = None) -> Path:
    """tiny_model with something changed in its graph."""
    model = tiny_model_proto()
    spoil(model)
    model.metadata_props.add(key=METADATA_KEY, value=manifest_json or tiny_manifest().to_json())
    path.write_bytes(model.SerializeToString())
    return path


def no_graph_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 1  # float


def fixed_size(model: Any) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[1].dim_value = 64


def two_colours(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 4


def another_input(model: Any) -> None:
    model.graph.input.add().CopyFrom(model.graph.input[1])
    model.graph.input[2].name = "strength"


def renamed_output(model: Any) -> None:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "picture"


def half_size(model: Any) -> None:
    from onnx import helper

    pool = helper.make_node("MaxPool", ["planes"], ["small"], kernel_shape=[2, 2], strides=[2, 2])
    model.graph.node.insert(2, pool)
    model.graph.node[3].input[0] = "small"


def no_such_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Paint"


def no_such_edge(model: Any) -> None:
    model.graph.node[1].input[0] = "nowhere"


def endless_memory(model: Any) -> None:
    from onnx import helper, numpy_helper

    # 64 TiB of zeros, summed and added to the picture
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**44], np.int64), "much"))
    rounding = next(index for index, node in enumerate(model.graph.node) if node.op_type == "Round")
    model.graph.node[rounding].input[0] = "more"
    for node in (
        helper.make_node("Add", ["shifted", "sum"], ["more"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("ConstantOfShape", ["much"], ["zeros"]),
    ):
        model.graph.node.insert(rounding, node)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (no_graph_input, "frame is tensor.float. of shape"),
        (
            fixed_size,
            r"frame is tensor.uint8. of shape \[1, 64, '(width|any)', 3\], not .* \[1, any, any, 3\]",
        ),
        (two_colours, r"not .* \[1, any, any, 3\]"),
        (another_input, "its inputs are not frame and style_mix"),
        (renamed_output, "its outputs are not stylized"),
        (half_size, "does not keep its size"),
        (no_such_operator, "is broken"),
        (no_such_edge, "is broken"),
        (endless_memory, "is broken"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "onnx-cpu"])
def test_a_graph_that_is_no_style_network_is_a_model_error(
    device: str, spoil: Callable[[Any], object], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        open_engine(written(tmp_path / "x.onnx", spoil), device, threads=1)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400 + len(str(tmp_path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_a_manifest_with_other_styles_than_the_graph_is_refused(device: str, tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "x.onnx", 3, manifest_json=tiny_manifest(4).to_json())
    with pytest.raises(ModelError, match=r"style_mix is tensor\(float\) of shape \[3\], not .* \[4\]"):
        open_engine(path, device)


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_a_foreign_manifest_is_refused_with_its_path(device: str, tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "x.onnx", manifest_json="{}")
    with pytest.raises(ModelError, match=r"the manifest of .*x\.onnx is not valid"):
        open_engine(path, device)


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_a_model_cannot_read_a_file_from_the_working_folder(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ONNX Runtime alone would: from bytes too, it takes the working folder for the model's.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(24))

    def name_a_file(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        tensor.external_data.add(key="location", value="secret.bin")

    with pytest.raises(ModelError, match="names other files"):
        open_engine(written(tmp_path / "x.onnx", name_a_file), device)
