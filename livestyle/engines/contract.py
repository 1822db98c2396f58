"""What every engine promises, and the checks that each makes of a model before it does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livestyle.errors import ModelError

FrameBatch = npt.NDArray[np.uint8]  # (1, H, W, 3) RGB
MixVector = npt.NDArray[np.float32]  # (n_styles,)

UINT8, FLOAT = "tensor(uint8)", "tensor(float)"
_FRAME_TYPE = (UINT8, (1, None, None, 3))  # None: any size

# Small enough to be cheap, a multiple of every size_multiple.
_TRIAL_SIZE = 64


class Engine(Protocol):
    """One model on one device. Raises DeviceError when the device fails.

    name: what really runs, as people call it: "CUDA", "OpenVINO CPU (bf16)", "ONNX Runtime CPU".
    manifest_json: the text in the model's metadata.
    """

    name: str
    manifest_json: str

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        """Stylize one frame whose height and width are multiples of the manifest's size_multiple.

        The result is the caller's: no later run writes into it. Any thread may call.
        """
        ...


class Device(StrEnum):
    """What the network runs on. auto and cpu choose; each other one is a single engine."""

    AUTO = "auto"
    CPU = "cpu"
    OPENVINO = "openvino"
    ONNX_CPU = "onnx-cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    COREML = "coreml"
    DIRECTML = "directml"


@dataclass(frozen=True, slots=True)
class GraphValue:
    """An input or output of a graph.

    kind: its type as ONNX Runtime writes it, "tensor(uint8)". shape: a size that is no int is open.
    """

    name: str
    kind: str
    shape: Sequence[object]


def check_threads(threads: int | None) -> None:
    """Raises ValueError for a number of CPU threads that is none; None leaves it to the engine."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}")


def check_signature(
    inputs: Iterable[GraphValue], outputs: Iterable[GraphValue], path: Path, n_styles: int
) -> None:
    """Raises ModelError for a graph whose inputs and outputs are not the contract's."""
    expected_inputs = {"frame": _FRAME_TYPE, "style_mix": (FLOAT, (n_styles,))}
    for what, expected, values in (
        ("inputs", expected_inputs, inputs),
        ("outputs", {"stylized": _FRAME_TYPE}, outputs),
    ):
        found = {value.name: value for value in values}
        if found.keys() != expected.keys():
            raise ModelError(f"{path} is not a livestyle model: its {what} are not {' and '.join(expected)}")
        for name, (kind, shape) in expected.items():
            if found[name].kind != kind or not _fits(found[name].shape, shape):
                is_now = f"{found[name].kind} of shape {found[name].shape}"
                expects = f"{kind} of shape {list(shape)}".replace("None", "any")
                raise ModelError(f"{path} is not a livestyle model: {name} is {is_now}, not {expects}")


def _fits(found: Sequence[object], wanted: Sequence[int | None]) -> bool:
    """Whether a shape may be the wanted one. A size that is no number is settled when the engine runs."""
    return len(found) == len(wanted) and all(
        not isinstance(size, int) or size == want for size, want in zip(found, wanted, strict=True)
    )


def try_out(run: Callable[[FrameBatch, MixVector], FrameBatch], path: Path, n_styles: int) -> None:
    """Run once: a device without kernels for this network, or a network that is no style, shows only now.

    Raises what `run` raises, and ModelError where the frame does not keep its size.
    """
    frame = np.zeros((1, _TRIAL_SIZE, _TRIAL_SIZE, 3), np.uint8)
    style_mix = np.zeros(n_styles, np.float32)
    style_mix[0] = 1
    if run(frame, style_mix).shape != frame.shape:
        raise ModelError(f"{path} is not a livestyle model: a frame does not keep its size")


def failed_on(name: str, frame: FrameBatch, error: BaseException) -> str:
    """The words for a frame that a device could not paint."""
    height, width = frame.shape[1:3]
    return f"{name} failed on a frame of {width}x{height}: {reason_of(error)}; try a smaller picture"


def reason_of(error: BaseException) -> str:
    """An engine's message as part of one line."""
    text = re.sub(r"^\s*\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error))
    # OpenVINO names lines of its own source first, one for each call it went through.
    text = re.sub(r"Exception from \S+:\d+:|Check '.*' failed at \S+:\d+:", "", text)
    text = re.sub(r"\bhostname=\S+ ?", "", text)  # ONNX Runtime's CUDA errors; people show these lines
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
