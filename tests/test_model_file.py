from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import tiny_manifest, tiny_model, tiny_model_proto
from hypothesis import given
from hypothesis import strategies as st

from livestyle.errors import ModelError
from livestyle.manifest import METADATA_KEY
from livestyle.model_file import MAX_FIELDS, read_model_file

Spoil = Callable[[Any], object]


def written(path: Path, spoil: Spoil | None = None, *, with_manifest: bool = True) -> Path:
    """tiny_model with something changed."""
    model = tiny_model_proto()
    if with_manifest:
        model.metadata_props.add(key=METADATA_KEY, value=tiny_manifest().to_json())
    if spoil:
        spoil(model)
    path.write_bytes(model.SerializeToString())
    return path


def external(tensor: Any, location: str = "secret.bin") -> None:
    from onnx import TensorProto

    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def test_a_model_gives_its_manifest(tiny_model_path: Path) -> None:
    model = read_model_file(tiny_model_path)
    assert model.manifest_json == tiny_manifest().to_json()
    assert model.content == tiny_model_path.read_bytes()


def attribute(model: Any) -> Any:
    return model.graph.node[0].attribute.add(name="value")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m: external(m.graph.initializer[0]), "names other files"),
        (lambda m: external(m.graph.initializer[0], "/etc/hostname"), "names other files"),
        (lambda m: setattr(m.graph.initializer[0], "data_location", 1), "in another file"),
        (lambda m: m.graph.sparse_initializer.add(), "sparse weights"),
        (lambda m: external(attribute(m).t), "names other files"),
        (lambda m: external(attribute(m).tensors.add()), "names other files"),
        (lambda m: attribute(m).sparse_tensor.dims.append(2**32), "sparse weights"),
        (lambda m: attribute(m).sparse_tensors.add(), "sparse weights"),
        (lambda m: external(m.functions.add().node.add().attribute.add().t), "names other files"),
        (lambda m: external(m.functions.add().attribute_proto.add().t), "names other files"),
        (lambda m: external(m.training_info.add().algorithm.initializer.add()), "names other files"),
        (lambda m: external(m.training_info.add().initialization.initializer.add()), "names other files"),
        (lambda m: setattr(attribute(m).g, "name", "body"), "a loop or a branch"),
        (lambda m: setattr(attribute(m).graphs.add(), "name", "body"), "a loop or a branch"),
        (lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"), "not standard ONNX"),
        (lambda m: setattr(m.functions.add().node.add(), "domain", "mine"), "not standard ONNX"),
    ],
)
def test_a_model_that_reaches_beyond_itself_is_refused(spoil: Spoil, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"is refused: it .*{says}"):
        read_model_file(written(tmp_path / "x.onnx", spoil))


def test_weights_said_to_be_inside_are_accepted(tmp_path: Path) -> None:
    read_model_file(
        written(tmp_path / "x.onnx", lambda m: setattr(m.graph.initializer[0], "data_location", 0))
    )


def test_external_data_hidden_in_a_second_graph_field_is_found(tmp_path: Path) -> None:
    # Protobuf readers merge a field that appears twice.
    path = tiny_model(tmp_path / "x.onnx")
    other = tiny_model_proto()
    del other.graph.node[:]
    external(other.graph.initializer[0])
    path.write_bytes(path.read_bytes() + other.SerializeToString())
    with pytest.raises(ModelError, match="names other files"):
        read_model_file(path)


def test_a_model_of_somebody_else_is_told_from_a_broken_file(tmp_path: Path) -> None:
    path = written(tmp_path / "foreign.onnx", with_manifest=False)
    with pytest.raises(ModelError, match=r"foreign\.onnx is not a livestyle model: .* no 'livestyle' entry"):
        read_model_file(path)


def test_two_manifests_are_refused(tmp_path: Path) -> None:
    def add_another(model: Any) -> None:
        model.metadata_props.add(key=METADATA_KEY, value="{}")

    with pytest.raises(ModelError, match="two entries are called 'livestyle'"):
        read_model_file(written(tmp_path / "x.onnx", add_another))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an ONNX model"),
        (b"<!DOCTYPE html><html></html>", "not an ONNX model"),
        (b"PK\x03\x04" + bytes(100), "not an ONNX model"),
        (bytes(100), "no valid number"),
        (b"\x08\x0a", "no graph"),
        (b"\x12\x06xxORTM", "an ORT model"),
        (b"\x3a\x7f", "middle of a field"),
        (b"\x3a" + b"\xff" * 12, "too long"),
        (b"\x80\x80\x80\x80\x70\x00", "no valid number"),  # a tag of 33 bits
        (b"\x0b\x0c", "unknown type"),
        (b"\x08\x01" * (MAX_FIELDS + 1), "too many fields"),
        (b"\x3a\x00\x72\x0d\x0a\x09livestyle\xff", "not an ONNX model"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_is_no_model_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=says) as caught:
        read_model_file(path)
    assert str(caught.value).startswith(("the model", str(path)))
    assert len(str(caught.value)) < 300


def test_a_model_cut_off_anywhere_is_refused(tiny_model_path: Path, tmp_path: Path) -> None:
    content = tiny_model_path.read_bytes()
    path = tmp_path / "x.onnx"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            read_model_file(path)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_model_error(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_model_file(path)


def test_a_file_too_large_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(257 * 2**20)  # sparse: it takes no disk
    with pytest.raises(ModelError, match="larger than 256 MiB"):
        read_model_file(path)


def test_a_folder_or_a_pipe_or_nothing_is_no_model(tmp_path: Path) -> None:
    paths = [tmp_path, tmp_path / "absent.onnx"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.onnx")
        paths.append(tmp_path / "pipe.onnx")
    for path in paths:
        with pytest.raises(ModelError, match="no model file at"):
            read_model_file(path)


def test_an_entry_of_endless_fields_is_refused(tmp_path: Path) -> None:
    # metadata_props is field 14; 3 is no field of an entry, and 0 takes two bytes each.
    body = b"\x18\x00" * (MAX_FIELDS + 1)
    length = b""
    rest = len(body)
    while rest:
        length += bytes([rest & 0x7F | (0x80 if rest > 0x7F else 0)])
        rest >>= 7
    (tmp_path / "x.onnx").write_bytes(b"\x72" + length + body)
    with pytest.raises(ModelError, match="too many fields"):
        read_model_file(tmp_path / "x.onnx")
