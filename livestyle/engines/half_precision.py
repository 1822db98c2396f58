"""Rewrites a float32 network to compute in float16, where a GPU's tensor cores are.

What stays float32: instance normalization, whose sums leave the range of a float16, and what comes before
the first convolution's padding and after the last one, where a grey level has but three bits to spare.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_ARITHMETIC = ("Add", "AveragePool", "Clip", "LeakyRelu", "MatMul", "Max", "Min", "Mul", "Relu", "Sigmoid")
_MOVES = ("Concat", "DepthToSpace", "Identity", "Pad", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split")
# What ONNX Runtime's CUDA provider computes in float16; a norm is not among it on purpose.
_HALF = {*_CONVOLUTIONS, *_ARITHMETIC, "Sub", "Tanh", *_MOVES, "Squeeze", "Transpose", "Unsqueeze"}
# The inputs that carry numbers of the picture; the rest of these operators' are float32 by definition.
_PICTURE_INPUTS = {"Resize": 1}

_FRAME = "frame"
_LARGEST = float(np.finfo(np.float16).max)


def halved(content: bytes) -> bytes:
    """An ONNX model with its convolutions and what lies between them in float16; inputs and outputs stay.

    Raises ImportError without the onnx package, ValueError for a model without convolutions and for one that
    the checker refuses afterwards.
    """
    import onnx  # 0.2 s, and in no base install

    model = onnx.load_model_from_string(content)
    chosen = _chosen(model.graph)
    if not chosen:
        raise ValueError("the network has no convolution to compute in float16")
    _Rewriting(model).rewrite(chosen)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(f"its float16 form is no valid model: {error}") from error
    rewritten: bytes = model.SerializeToString()
    return rewritten


def _chosen(graph: Any) -> set[int]:
    """Numbers of the nodes that compute in float16: up to the last convolution, from the first one's padding.

    What comes before, from the style_mix alone, are the scales and shifts of the styles: float16 as well.
    """
    after = _reached(graph.node, lambda node: node.op_type in _CONVOLUTIONS, forward=True)
    before = _reached(graph.node, lambda node: node.op_type in _CONVOLUTIONS, forward=False)
    of_frame = _reached(graph.node, lambda node: _FRAME in node.input, forward=True)
    return {
        number
        for number, node in enumerate(graph.node)
        if node.op_type in _HALF
        and number in before
        and (number in after or number not in of_frame or node.op_type == "Pad")
    }


def _reached(nodes: Any, starts: Any, *, forward: bool) -> set[int]:
    """The nodes for which `starts` holds, and those that need them, or that they need (not forward)."""
    reached: set[int] = set()
    values: set[str] = set()
    numbered = list(enumerate(nodes))  # sorted, as ONNX has it: what a node needs stands before it
    for number, node in numbered if forward else reversed(numbered):
        needs, gives = (node.input, node.output) if forward else (node.output, node.input)
        if starts(node) or not values.isdisjoint(needs):
            reached.add(number)
            values.update(name for name in gives if name)
    return reached


class _Rewriting:
    """One model on its way to float16."""

    def __init__(self, model: Any) -> None:
        import onnx

        self._onnx = onnx
        self._graph = model.graph
        self._weights = {tensor.name: tensor for tensor in self._graph.initializer}
        self._floats = self._float_values(model)
        self._halves: set[str] = set()  # values that are float16 now
        self._copies: dict[tuple[str, int], str] = {}  # (value, type) -> its name in that type
        self._nodes: list[Any] = []
        self._names = {name for node in self._graph.node for name in (*node.input, *node.output)}
        self._names |= {node.name for node in self._graph.node}

    def rewrite(self, chosen: set[int]) -> None:
        half, single = self._onnx.TensorProto.FLOAT16, self._onnx.TensorProto.FLOAT
        for number, node in enumerate(list(self._graph.node)):
            is_half = number in chosen
            reads = _PICTURE_INPUTS.get(node.op_type, len(node.input)) if is_half else 0
            for index, name in enumerate(node.input):
                # A weight has one reader in each type, however many nodes share it.
                node.input[index] = self._as(name, half if index < reads else single)
            self._nodes.append(node)
            if is_half:
                self._halves.update(name for name in node.output if name in self._floats)
        del self._graph.node[:], self._graph.value_info[:]  # the types noted there are not true any more
        self._graph.node.extend(self._nodes)
        self._drop_unread_weights()

    def _as(self, name: str, kind: int) -> str:
        """The name under which a value is there in a type, after a cast or a copy where it was not."""
        half = self._onnx.TensorProto.FLOAT16
        if name not in self._floats or (name in self._halves) == (kind == half):
            return name
        if (name, kind) not in self._copies:
            copy = self._free_name(f"{name}_{'half' if kind == half else 'single'}")
            if name in self._weights:
                self._add_half_weight(self._weights[name], copy)
            else:
                cast = self._onnx.helper.make_node("Cast", [name], [copy], to=kind, name=copy)
                self._nodes.append(cast)
            self._copies[name, kind] = copy
        return self._copies[name, kind]

    def _add_half_weight(self, weight: Any, name: str) -> None:
        values = self._onnx.numpy_helper.to_array(weight)
        # A bound that no float16 reaches, as of a Clip with an open end, is the largest one.
        half = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(half, name))

    def _drop_unread_weights(self) -> None:
        read = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _float_values(self, model: Any) -> set[str]:
        """Names of all float32 values. What shape inference cannot name, the checker will refuse."""
        single = self._onnx.TensorProto.FLOAT
        inferred = self._onnx.shape_inference.infer_shapes(model).graph
        values: Iterable[Any] = (*inferred.input, *inferred.output, *inferred.value_info)
        found = {value.name for value in values if value.type.tensor_type.elem_type == single}
        return found | {name for name, weight in self._weights.items() if weight.data_type == single}

    def _free_name(self, wish: str) -> str:
        while wish in self._names or wish in self._weights:
            wish += "_"
        self._names.add(wish)
        return wish
