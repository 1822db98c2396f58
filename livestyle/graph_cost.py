"""Counts the work in a model's network: multiply-accumulates, and the bytes that must move."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from livestyle.errors import ModelError
from livestyle.model_file import message_fields, read_varint

Shape = tuple[int, ...]

_VARINT, _LENGTH = 0, 2
_MOST_VALUES = 64  # of a constant that shapes depend on: pads, axes, scales
_FLOAT, _INT64 = 1, 7  # TensorProto.DataType


@dataclass(frozen=True, slots=True)
class GraphCost:
    """What one frame costs at least.

    macs: multiply-accumulates of the convolutions and matrix products.
    values: numbers that layers write and read, and weights, each time once; as wide as the engine computes.
    pixel_bytes: of the uint8 frame and painting.
    """

    macs: int
    values: int
    pixel_bytes: int

    def traffic(self, bytes_per_value: int) -> int:
        """Bytes between processor and memory."""
        return self.values * bytes_per_value + self.pixel_bytes


@dataclass(frozen=True, slots=True)
class _Node:
    op: str
    inputs: list[str]
    outputs: list[str]
    numbers: dict[str, list[int]]  # attributes that are whole numbers


@dataclass(frozen=True, slots=True)
class _Constant:
    shape: Shape
    values: list[float]  # empty where there are many


@dataclass(slots=True)
class _Graph:
    nodes: list[_Node] = field(default_factory=list)
    constants: dict[str, _Constant] = field(default_factory=dict)


def count_cost(content: bytes, height: int, width: int, n_styles: int) -> GraphCost:
    """The cost of a frame of H x W pixels, both multiples of the model's size_multiple.

    content: an ONNX file that read_model_file has accepted. A layer is a convolution, or whatever joins what
    two layers wrote. It reads each picture that it works on, and writes its own, once: padding, enlarging,
    norm and ReLU in between are taken to be done on the way, as an engine can. A norm's mean needs the whole
    picture first, so that two convolutions cannot be one layer. Parts that stay in a cache move fewer bytes.

    Raises ModelError for an operator that livestyle's networks do not have.
    """
    graph = _read_graph(content)
    shapes: dict[str, Shape] = {name: constant.shape for name, constant in graph.constants.items()}
    shapes |= {"frame": (1, height, width, 3), "style_mix": (n_styles,)}
    # Of each picture: those that layers wrote, from which it is made on the way. Nothing for what is none.
    sources: dict[str, frozenset[str]] = {"frame": frozenset(["frame"])}
    macs = values = pixel_bytes = 0
    for node in graph.nodes:
        shape = _output_shape(node, shapes, graph.constants)
        macs += _macs(node, shape, shapes)
        pictures = [name for name in node.inputs if sources.get(name)]
        origin = frozenset[str]().union(*(sources[name] for name in pictures))
        if node.op == "Conv" or len(origin) > 1:
            read = sum(math.prod(shapes[name]) for name in origin if name != "frame")
            weights = [shapes[name] for name in node.inputs if name in graph.constants]
            values += read + math.prod(shape) + sum(map(math.prod, weights))
            pixel_bytes += math.prod(shapes["frame"]) if "frame" in origin else 0
            origin = frozenset(node.outputs)
        for name in node.outputs:
            shapes[name] = shape
            sources[name] = origin
    if shapes.get("stylized") != shapes["frame"]:
        raise ModelError("the network's painting is not counted as large as its frame")
    # The last layer writes the painting itself, in bytes.
    last = sources["stylized"] - {"frame"}
    values -= sum(math.prod(shapes[name]) for name in last)
    pixel_bytes += math.prod(shapes["stylized"]) + (0 if last else math.prod(shapes["frame"]))
    return GraphCost(macs, values, pixel_bytes)


def _macs(node: _Node, shape: Shape, shapes: Mapping[str, Shape]) -> int:
    if node.op == "Conv":
        return math.prod(shape) * math.prod(shapes[node.inputs[1]][1:])
    if node.op == "MatMul":
        return math.prod(shape) * shapes[node.inputs[0]][-1]
    return 0


_SAME = (
    *("Cast", "Clip", "Identity", "InstanceNormalization", "Neg", "Reciprocal", "Relu", "Round"),
    *("Sigmoid", "Tanh"),
)
_JOINED = ("Add", "Div", "Max", "Min", "Mul", "Sub")


def _output_shape(node: _Node, shapes: Mapping[str, Shape], constants: Mapping[str, _Constant]) -> Shape:
    try:
        inputs = [shapes[name] for name in node.inputs if name]
        if node.op in _SAME:
            return inputs[0]
        if node.op in _JOINED:
            return np.broadcast_shapes(*inputs)
        known = {place: constants[name].values for place, name in enumerate(node.inputs) if name in constants}
        return _RULES[node.op](node, inputs, known)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(f"the network has an operator that is not counted: {node.op[:40]}") from error


def _conv(node: _Node, inputs: Sequence[Shape], _: object) -> Shape:
    (count, _channels, *size), (made, _share, *kernel) = inputs[:2]
    pads = node.numbers.get("pads", [0] * 4)
    strides, dilations = (node.numbers.get(name, [1, 1]) for name in ("strides", "dilations"))
    out = [
        (size[axis] + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis]
        + 1
        for axis in (0, 1)
    ]
    return (count, made, *out)


def _pool(node: _Node, inputs: Sequence[Shape], _: object) -> Shape:
    channels = inputs[0][1]
    return _conv(node, [inputs[0], (channels, channels, *node.numbers["kernel_shape"])], None)


def _pad(_: _Node, inputs: Sequence[Shape], known: Mapping[int, list[float]]) -> Shape:
    rank = len(inputs[0])
    pads = [int(pad) for pad in known[1]]
    if len(pads) != 2 * rank:
        raise ValueError
    return tuple(size + pads[axis] + pads[axis + rank] for axis, size in enumerate(inputs[0]))


def _resize(node: _Node, inputs: Sequence[Shape], known: Mapping[int, list[float]]) -> Shape:
    scales = known[2]
    return tuple(int(size * scale) for size, scale in zip(inputs[0], scales, strict=True))


def _depth_to_space(node: _Node, inputs: Sequence[Shape], _: object) -> Shape:
    (count, channels, height, width), (block,) = inputs[0], node.numbers["blocksize"]
    return (count, channels // block**2, height * block, width * block)


def _transpose(node: _Node, inputs: Sequence[Shape], _: object) -> Shape:
    return tuple(inputs[0][axis] for axis in node.numbers["perm"])


def _matmul(_: _Node, inputs: Sequence[Shape], __: object) -> Shape:
    return (*inputs[0][:-1], *inputs[1][1:])


def _gather(node: _Node, inputs: Sequence[Shape], _: object) -> Shape:
    (axis,) = node.numbers.get("axis", [0])
    return (*inputs[0][:axis], *inputs[1], *inputs[0][axis + 1 :])


def _unsqueeze(_: _Node, inputs: Sequence[Shape], known: Mapping[int, list[float]]) -> Shape:
    rank = len(inputs[0]) + len(known[1])
    added = {int(axis) % rank for axis in known[1]}
    sizes = iter(inputs[0])
    return tuple(1 if axis in added else next(sizes) for axis in range(rank))


def _slice(_: _Node, inputs: Sequence[Shape], known: Mapping[int, list[float]]) -> Shape:
    shape = list(inputs[0])
    starts, ends, axes = ([int(value) for value in known[place]] for place in (1, 2, 3))
    steps = [int(value) for value in known.get(4, [1] * len(axes))]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return tuple(shape)


_RULES: dict[str, Callable[[_Node, Sequence[Shape], Mapping[int, list[float]]], Shape]] = {
    "AveragePool": _pool,
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Gather": _gather,
    "MatMul": _matmul,
    "Pad": _pad,
    "Resize": _resize,
    "Slice": _slice,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def _read_graph(content: bytes) -> _Graph:
    """Nodes and constants, by the field numbers of onnx.proto3."""
    graph = _Graph()
    for number, _, start, end in message_fields(content, 0, len(content)):
        if number != 7:  # ModelProto.graph
            continue
        for inner, _, low, high in message_fields(content, start, end):
            if inner == 1:
                graph.nodes.append(_read_node(content, low, high))
            elif inner == 5:
                name, constant = _read_constant(content, low, high)
                graph.constants[name] = constant
    return graph


def _read_node(content: bytes, start: int, end: int) -> _Node:
    node = _Node("", [], [], {})
    op = ""
    for number, _, low, high in message_fields(content, start, end):
        if number in (1, 2):
            (node.inputs if number == 1 else node.outputs).append(content[low:high].decode())
        elif number == 4:
            op = content[low:high].decode()
        elif number == 5:
            name = ""
            numbers: list[int] = []
            for inner, wire, first, last in message_fields(content, low, high):
                if inner == 1:
                    name = content[first:last].decode()
                elif inner in (3, 8):  # i, ints
                    numbers += _whole_numbers(content, wire, first, last)
            node.numbers[name] = numbers
    return _Node(op, node.inputs, node.outputs, node.numbers)


def _read_constant(content: bytes, start: int, end: int) -> tuple[str, _Constant]:
    name, kind, raw = "", 0, b""
    dims: list[int] = []
    listed: list[float] = []
    for number, wire, low, high in message_fields(content, start, end):
        if number == 1:
            dims += _whole_numbers(content, wire, low, high)
        elif number == 2:
            kind = read_varint(content, low, high)[0]
        elif number == 4:  # float_data
            listed += np.frombuffer(content[low:high], "<f4").tolist()
        elif number == 7:  # int64_data
            listed += _whole_numbers(content, wire, low, high)
        elif number == 8:
            name = content[low:high].decode()
        elif number == 9:
            raw = content[low:high]
    few = math.prod(dims) <= _MOST_VALUES
    if few and raw and kind in (_FLOAT, _INT64):
        listed = np.frombuffer(raw, "<f4" if kind == _FLOAT else "<i8").tolist()
    return name, _Constant(tuple(dims), listed if few else [])


def _whole_numbers(content: bytes, wire: int, low: int, high: int) -> list[int]:
    """One int64, or several that are packed."""
    numbers: list[int] = []
    while low < high:
        value, low = read_varint(content, low, high)
        numbers.append(value - 2**64 if value >= 2**63 else value)
    return numbers if wire in (_VARINT, _LENGTH) else []
