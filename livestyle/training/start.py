"""Begins a training with the weights of a model file: what it has learned, it need not learn again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from livestyle.engines.contract import reason_of
from livestyle.errors import ModelError
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file
from livestyle.training.network import TransformNet

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

WEIGHT_PREFIX = "network."  # of the graph that export.py writes


def start_from(network: TransformNet, styles: list[str], path: Path) -> None:
    """Give `network` the weights of the model at `path`.

    styles: the names of the network's rows, the original first. One the model has too begins with its row
    there, any other with the mean of the model's styles. A network with more channels or residual blocks
    than the model's begins by painting what the model paints (`_grown`). Raises ModelError where the file is
    no model of livestyle, or its network has another shape.
    """
    weights, names = read_weights(path)
    wanted = network.state_dict()
    rows = [names.index(name) if name in names else None for name in styles]
    grown: dict[str, Tensor] = {}
    for key, own in wanted.items():
        given = weights.get(key)
        if given is not None and is_style_row(key) and given.shape[:1] == (len(names),):
            mean = given[1:].mean(0)
            given = torch.stack([mean if row is None else given[row] for row in rows])
        value = _grown(key, given, own)
        if value is not None:
            grown[key] = value
    # What only one of the two has: a network without it would paint something else.
    if missed := sorted(weights.keys() - wanted.keys()) + sorted(wanted.keys() - grown.keys()):
        raise ModelError(
            f"the training cannot begin with {path}: its network has another shape at {missed[0]}; give the "
            "recipe its stem and upsampling, as many widths, and none smaller, nor fewer residual blocks"
        )
    network.load_state_dict(grown)


def _grown(key: str, given: Tensor | None, own: Tensor) -> Tensor | None:
    """A parameter of a network that may be larger than the model's; None where it can't be that.

    The network computes the same: old channels ignore the new, which begin at random, and a new residual
    block adds nothing yet. As in Net2Net (Chen et al. 2016, arXiv:1511.05641), but for copied channels:
    instance normalization makes copies of a channel equal whatever is done to tell them apart.
    """
    if given is None:
        if not key.startswith("residual."):
            return None
        is_last_norm = ".block." not in key and is_style_row(key)
        return torch.zeros_like(own) if is_last_norm else own
    if given.dim() != own.dim() or any(a > b for a, b in zip(given.shape, own.shape, strict=True)):
        return None
    if own.dim() == 4 and given.shape[2:] != own.shape[2:]:
        return None
    grown = own.clone()
    if own.dim() == 4:  # (out, in, height, width)
        grown[: given.shape[0], given.shape[1] :] = 0
    grown[tuple(slice(size) for size in given.shape)] = given
    return grown


def read_weights(path: Path) -> tuple[Mapping[str, Tensor], list[str]]:
    """The parameters in a model file by the network's names for them, and the names of its rows."""
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from onnx import numpy_helper
    except ImportError as error:
        raise ModelError('beginning with a model needs onnx: pip install "livestyle[train]"') from error

    file = read_model_file(path)
    names = [style.name for style in Manifest.from_json(file.manifest_json, where=str(path)).styles]
    try:
        graph = onnx.load_from_string(file.content).graph
        tensors = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
            for tensor in graph.initializer
        }
        weights = {
            name.removeprefix(WEIGHT_PREFIX): value
            for name, value in tensors.items()
            if name.startswith(WEIGHT_PREFIX)
        }
        return weights | _unfolded(graph, tensors, weights), names
    except (DecodeError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        raise ModelError(
            f"{path} cannot be read: {reason_of(error)}; name another model, or copy it again"
        ) from error


def _folded(found: Collection[str]) -> list[str]:
    """Of TransformNet, in the order in which it paints: what `upsampled_conv` may have folded."""
    steps = sum(name.startswith("expand.") and name.endswith(".gamma") for name in found)
    return [*(f"expand.{step}.conv" for step in range(steps)), "last"]


def folded_convs(graph: GraphProto, found: Collection[str]) -> list[tuple[str, NodeProto]]:
    """Convs that a graph holds folded, from the last to the first, by the network's names for them."""
    shuffled = [node.input[0] for node in graph.node if node.op_type == "DepthToSpace"]
    convs = [node for node in graph.node if node.op_type == "Conv" and node.output[0] in shuffled]
    missing = [name for name in _folded(found) if f"{name}.weight" not in found]
    return list(zip(reversed(missing), reversed(convs), strict=False))


def _unfolded(
    graph: GraphProto, tensors: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The convs that a graph holds folded with the upsampling before them (network.upsampled_conv).

    Export computes the folded weights once for all. Folding is linear and loses nothing, so least squares
    give the convs back, to float32's rounding. Only those that are not found by name; {} for none.
    """
    unfolded = {}
    for name, conv in folded_convs(graph, found):
        weight, *bias = (tensors.get(value) for value in conv.input[1:])
        if weight is None or weight.shape[0] % 4 or weight.shape[2:] != (3, 3):
            return {}
        unfolded[f"{name}.weight"] = _without_upsampling(weight)
        if bias and bias[0] is not None and name == "last":
            unfolded["last.bias"] = bias[0][::4].clone()
    return unfolded


def _without_upsampling(folded: Tensor) -> Tensor:
    """(4K, C, 3, 3) -> (K, C, 3, 3)."""
    taps = torch.tensor(  # [phase, neighbour, tap], as upsampled_conv has them
        [[[3, 1, 0], [1, 3, 3], [0, 0, 1]], [[1, 0, 0], [3, 3, 1], [0, 1, 3]]], dtype=torch.float64
    )
    back = torch.linalg.pinv(taps.flatten(0, 1) / 4).reshape(3, 2, 3)  # [tap, phase, neighbour]
    phases = folded.double().reshape(-1, 2, 2, folded.shape[1], 3, 3)
    return torch.einsum("kpqcmn,ipm,jqn->kcij", phases, back, back).float()


def is_style_row(name: str) -> bool:
    """Whether a parameter of the network has a row per style; the others are shared."""
    return name.rsplit(".", 1)[-1] in {"gamma", "beta"}
