"""Files of strangers that would take the machine with them: each is one sentence, and soon."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_runs import noise_picture, recipe_text, tiny_network, tiny_recipe
from tiny_world import tiny_world

from livestyle.errors import ModelError, RecipeError, SourceError
from livestyle.sheet import paint_styles
from livestyle.stylizer import open_stylizer
from livestyle.training.dataset import resize_short_side
from livestyle.training.features import slim_vgg19
from livestyle.training.recipe import parse_recipe
from livestyle.training.start import read_weights
from livestyle.training.state import TrainState
from livestyle.training.torch_file import MAX_BYTES, read_torch_file

CPU = torch.device("cpu")


def test_a_packed_checkpoint_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "sound.pt")
    assert read_torch_file(tmp_path / "sound.pt", "checkpoint")["a"].shape == (1000,)
    with (
        zipfile.ZipFile(tmp_path / "sound.pt") as sound,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in sound.infolist():
            bomb.writestr(entry.filename, sound.read(entry))
    with pytest.raises(RecipeError, match=r"bomb\.pt is not a checkpoint, or is broken") as told:
        read_torch_file(tmp_path / "bomb.pt", "checkpoint")
    assert "compressed" in str(told.value.__cause__)


def test_a_tensor_that_is_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    side = int((MAX_BYTES / 4) ** 0.5) + 1
    torch.save({"input.weight": torch.zeros(1).expand(side, side)}, tmp_path / "wide.pt")
    assert (tmp_path / "wide.pt").stat().st_size < 10_000
    with pytest.raises(RecipeError, match=r"wide\.pt is not a weights file"):
        slim_vgg19(tmp_path / "wide.pt")


def test_a_checkpoint_of_a_strange_version_is_one_line(tmp_path: Path) -> None:
    for version in (torch.tensor([1, 2]), True, 2, None):
        torch.save({"format": version}, tmp_path / "x.pt")
        with pytest.raises(RecipeError, match="not a checkpoint of livestyle, or of another version"):
            TrainState.load(tmp_path / "x.pt", CPU)


def test_a_key_of_ten_thousand_parts_is_refused_at_once() -> None:
    with pytest.raises(RecipeError, match="has a line with more than 200 dots"):
        parse_recipe(recipe_text() + ".".join("a" * 100_000) + " = 1\n")


def test_a_name_in_a_recipe_moves_no_cursor() -> None:
    with pytest.raises(RecipeError) as told:
        parse_recipe(recipe_text(name="\x1b]0;x\x07", crop=1000))
    assert str(told.value).isprintable()


@pytest.mark.parametrize("shape", [(2, 4000), (4000, 2)])
def test_a_ribbon_of_a_picture_does_not_fill_the_memory(shape: tuple[int, int]) -> None:
    ribbon = np.zeros((*shape, 3), np.uint8)
    ribbon[shape[0] // 2 :, shape[1] // 2 :] = 255
    scaled = resize_short_side(ribbon, 64)
    assert sorted(scaled.shape[:2]) == [64, 64 * 16]
    assert (scaled[0, 0].max(), scaled[-1, -1].min()) == (0, 255)  # the middle of it


def test_a_ribbon_is_too_wide_for_a_sheet(tiny_model_path: Path) -> None:
    with pytest.raises(SourceError, match="a picture of 2100x100 is too wide for a sheet; crop it"):
        next(paint_styles(np.zeros((100, 2100, 3), np.uint8), open_stylizer(tiny_model_path, "onnx-cpu")))


def strange_type(graph: Any) -> None:
    graph.initializer[0].data_type = 99


def shuffle_of_nothing(graph: Any) -> None:
    graph.node.add(op_type="DepthToSpace")


def conv_of_one(graph: Any) -> None:
    for node in graph.node:
        if node.op_type == "Conv":
            del node.input[1:]


def weights_of_no_size(graph: Any) -> None:
    from onnx import numpy_helper

    convs = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    for tensor in graph.initializer:
        if tensor.name in convs:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros((4, 0, 3, 3), np.float32), tensor.name))


@pytest.mark.parametrize("spoil", [strange_type, shuffle_of_nothing, conv_of_one, weights_of_no_size])
def test_a_crafted_base_model_is_one_line(spoil: Callable[[Any], None], tmp_path: Path) -> None:
    import onnx

    base = tiny_world(tmp_path) / "base.onnx"
    model = onnx.load(base)
    spoil(model.graph)
    (tmp_path / "crafted.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"crafted\.onnx cannot be read") as told:
        read_weights(tmp_path / "crafted.onnx")
    assert str(told.value).isprintable()


def test_export_looks_into_no_folder_that_a_checkpoint_names(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    recipe = replace(tiny_recipe(tmp_path), content_folder=str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    cv2.imwrite(str(tmp_path / "mine" / "bad.jpg"), noise_picture(64, 64, 1))
    state = TrainState(recipe, CPU)
    state.average = tiny_network(len(recipe.styles) + 1)
    state.save(tmp_path / "run.pt")
    (tmp_path / "mine" / "bad.jpg").unlink()  # were it looked for, there would be no photo
    status, stdout, stderr = run("export", tmp_path / "run.pt", tmp_path / "out.onnx")
    assert (status, stderr) == (0, "")
    assert "over 7 photos" in stdout
