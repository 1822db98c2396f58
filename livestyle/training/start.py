"""Begins a training with the weights of a model file: what it has learned, it need not learn again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from livestyle.errors import ModelError
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file
from livestyle.training.network import TransformNet

_PREFIX = "network."  # of the graph that export.py writes


def start_from(network: TransformNet, styles: list[str], path: Path) -> None:
    """Give `network` the weights of the model at `path`.

    styles: the names of the network's rows, the original first. One the model has too begins with its row
    there, any other with the mean of the model's styles. Raises ModelError where the file is no model of
    livestyle, or its network has another shape.
    """
    weights, names = read_weights(path)
    wanted = network.state_dict()
    rows = [names.index(name) if name in names else None for name in styles]
    for key, own in wanted.items():
        given = weights.get(key)
        if given is not None and is_style_row(key) and given.shape[:1] == (len(names),):
            mean = given[1:].mean(0)
            given = torch.stack([mean if row is None else given[row] for row in rows])
        if given is None or given.shape != own.shape:
            raise ModelError(
                f"the training cannot begin with {path}: its network has another shape at {key}; "
                "give the recipe its widths, stem and upsampling"
            )
        wanted[key] = given
    network.load_state_dict(wanted)


def read_weights(path: Path) -> tuple[Mapping[str, Tensor], list[str]]:
    """The parameters in a model file by the network's names for them, and the names of its rows."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import numpy_helper

    file = read_model_file(path)
    names = [style.name for style in Manifest.from_json(file.manifest_json, where=str(path)).styles]
    try:
        tensors = onnx.load_from_string(file.content).graph.initializer
        weights = {
            tensor.name.removeprefix(_PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
            for tensor in tensors
            if tensor.name.startswith(_PREFIX)
        }
    except (DecodeError, ValueError, TypeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return weights, names


def is_style_row(name: str) -> bool:
    """Whether a parameter of the network has a row per style; the others are shared."""
    return name.rsplit(".", 1)[-1] in {"gamma", "beta", "skip_gate"}
