"""How fast a device could paint at best: the network's work over the rates that the device reaches.

    limit = max(multiply-accumulates / compute rate, bytes / memory rate)        Williams et al. 2009

The compute rate is the device's own on what suits it best: wide 1x1 convolutions, which are matrix products,
run by the same engine in the same precision as the network. The memory rate is that of copying, by as many
threads as there are cores, and known for CPUs only. Both are measured, not read from a data sheet, so that
the limit is one that software has reached here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from livestyle.engines import Device, Engine, open_engine
from livestyle.graph_cost import GraphCost
from livestyle.machine import usable_cores
from livestyle.manifest import METADATA_KEY, Manifest, Style

_WIDE = 512  # channels: wide enough that a matrix product, not its data, takes the time
_SIDE = 128  # pixels
_FEW, _MANY = 1, 5  # layers: the difference is without the picture's way in and out
_RUNS = 6  # the fastest counts: other programs only ever slow it down
_COPIED = 128 * 2**20  # bytes: more than the caches hold
_FLOAT, _UINT8, _INT64 = 1, 2, 7  # TensorProto.DataType


@dataclass(frozen=True, slots=True)
class Rates:
    """What a device reaches: multiply-accumulates, and bytes read and written (None if unknown)."""

    macs_per_second: float
    bytes_per_second: float | None


@dataclass(frozen=True, slots=True)
class Limit:
    """The least seconds a frame can take on a device, and what sets it: "compute" or "memory"."""

    seconds: float
    bound: str


def limit_of(cost: GraphCost, rates: Rates, bytes_per_value: int) -> Limit:
    """bytes_per_value: 2 for an engine that computes in bfloat16, 4 in float32."""
    compute = cost.macs / rates.macs_per_second
    memory = 0.0
    if rates.bytes_per_second is not None:
        memory = cost.traffic(bytes_per_value) / rates.bytes_per_second
    return Limit(compute, "compute") if compute >= memory else Limit(memory, "memory")


def bytes_per_value(engine: Engine) -> int:
    """How wide the numbers are that move between an engine's layers."""
    return 2 if "bf16" in engine.name or "fp16" in engine.name else 4


def measure_rates(device: Device | str) -> Rates:
    """The rates of a device; takes some seconds. Raises DeviceError where it cannot run."""
    with TemporaryDirectory(prefix="livestyle-") as folder:
        engines = []
        for layers in (_FEW, _MANY):
            path = Path(folder) / f"{layers}.onnx"
            path.write_bytes(wide_model(layers))
            engines.append(open_engine(path, device))
    few, many = (_fastest(_painting(engine)) for engine in engines)
    macs = (_MANY - _FEW) * _WIDE * _WIDE * _SIDE * _SIDE
    on_cpu = "CPU" in engines[0].name
    return Rates(macs / max(many - few, 1e-9), copy_rate() if on_cpu else None)


def copy_rate(size: int = _COPIED, threads: int | None = None) -> float:
    """Bytes a second that copying reads and writes. size: bytes of the original."""
    threads = usable_cores() if threads is None else threads
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads, "livestyle copy") as pool:
        return 2 * size / _fastest(lambda: list(pool.map(lambda part: np.copyto(*part), parts)))


def _painting(engine: Engine) -> Callable[[], object]:
    frame = np.random.default_rng(0).integers(0, 256, (1, _SIDE, _SIDE, 3), np.uint8)
    style_mix = np.array([1, 0], np.float32)
    return lambda: engine.run(frame, style_mix)


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs, after one that warms up."""
    work()
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def wide_model(layers: int, wide: int = _WIDE) -> bytes:
    """A livestyle model whose work is `layers` 1x1 convolutions of `wide` by `wide` channels.

    It paints nothing of use. Written by hand, since the base install has no onnx package.
    """
    rng = np.random.default_rng(0)
    # Numbers that keep their size from layer to layer: tiny ones would be slow on some processors.
    weights = {
        "enter": rng.normal(0, (2 / 3) ** 0.5, (wide, 3, 1, 1)),
        "leave": rng.normal(0, (1 / wide) ** 0.5, (3, wide, 1, 1)),
        **{f"w{n}": rng.normal(0, (2 / wide) ** 0.5, (wide, wide, 1, 1)) for n in range(layers)},
    }
    nodes = [
        _node("Transpose", ["frame"], "planes", perm=[0, 3, 1, 2]),
        _node("Cast", ["planes"], "floats", to=_FLOAT),
        # Engines drop an input that nothing needs.
        _node("Gather", ["style_mix", "first"], "share", axis=0),
        _node("Mul", ["floats", "share"], "shared"),
        _node("Conv", ["shared", "enter"], "x0"),
    ]
    for n in range(layers):
        nodes += [_node("Conv", [f"x{n}", f"w{n}"], f"y{n}"), _node("Relu", [f"y{n}"], f"x{n + 1}")]
    nodes += [
        _node("Conv", [f"x{layers}", "leave"], "left"),
        _node("Clip", ["left", "black", "white"], "clipped"),
        _node("Transpose", ["clipped"], "turned", perm=[0, 2, 3, 1]),
        _node("Cast", ["turned"], "stylized", to=_UINT8),
    ]
    constants = [_tensor(name, values.astype(np.float32)) for name, values in weights.items()]
    constants += [_tensor("black", np.float32(0)), _tensor("white", np.float32(255))]
    constants.append(_tensor("first", np.int64(0)))
    frame = (1, "height", "width", 3)
    values = [(11, "frame", _UINT8, frame), (11, "style_mix", _FLOAT, (2,)), (12, "stylized", _UINT8, frame)]
    graph = b"".join(
        [
            *(_field(1, node) for node in nodes),
            _field(2, "wide"),
            *(_field(5, constant) for constant in constants),
            *(_field(number, _value(name, kind, shape)) for number, name, kind, shape in values),
        ]
    )
    manifest = _field(1, METADATA_KEY) + _field(2, _manifest().to_json())
    opset = _field(1, "") + _field(2, 18)
    return _field(1, 8) + _field(7, graph) + _field(8, opset) + _field(14, manifest)


def _manifest() -> Manifest:
    styles = tuple(Style(name, name, "", "", "") for name in ("original", "wide"))
    return Manifest("wide", "1", styles, 8, "MIT", "")


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protobuf message: a whole number, or a text or message with its length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


def _node(op: str, inputs: Sequence[str], output: str, **attributes: int | list[int]) -> bytes:
    content = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, op)
    for name, value in attributes.items():
        if isinstance(value, int):
            attribute = _field(3, value) + _field(20, 2)  # INT
        else:
            attribute = b"".join(_field(8, each) for each in value) + _field(20, 7)  # INTS
        content += _field(5, _field(1, name) + attribute)
    return content


def _tensor(name: str, values: npt.NDArray[np.generic] | np.generic) -> bytes:
    kind = _INT64 if values.dtype == np.int64 else _FLOAT
    dims = b"".join(_field(1, size) for size in values.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape
    )
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, sizes)))
