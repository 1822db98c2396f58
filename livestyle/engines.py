"""Runs a model's ONNX graph on one device, and says which one really runs."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from livestyle.errors import DeviceError, ModelError
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file
from livestyle.silence import native_stderr_silenced

FrameBatch = npt.NDArray[np.uint8]  # (1, H, W, 3) RGB
MixVector = npt.NDArray[np.float32]  # (n_styles,)

_log = logging.getLogger(__name__)


class Engine(Protocol):
    """One model on one device. Raises DeviceError when the device fails.

    name: what really runs, as people call it: "CUDA", "CPU". manifest_json: the text in the model's metadata.
    """

    name: str
    manifest_json: str

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        """Stylize one frame whose height and width are multiples of the manifest's size_multiple."""
        ...


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    COREML = "coreml"
    DIRECTML = "directml"


@dataclass(frozen=True, slots=True)
class _Provider:
    """An ONNX Runtime execution provider. platform: the only sys.platform that has it."""

    name: str
    key: str
    options: dict[str, str] = field(default_factory=dict)
    platform: str | None = None


_PROVIDERS = {
    Device.CPU: _Provider("CPU", "CPUExecutionProvider"),
    Device.CUDA: _Provider(
        "CUDA",
        "CUDAExecutionProvider",
        # A stream keeps its frame size, so the slow first search for the fastest kernels pays.
        {"cudnn_conv_algo_search": "EXHAUSTIVE", "cudnn_conv_use_max_workspace": "1"},
    ),
    Device.TENSORRT: _Provider("TensorRT", "TensorrtExecutionProvider"),
    Device.COREML: _Provider("CoreML", "CoreMLExecutionProvider", platform="darwin"),
    Device.DIRECTML: _Provider("DirectML", "DmlExecutionProvider", platform="win32"),
}
# What follows in the list takes the operators that the first one lacks.
_ORDER = {Device.TENSORRT: (Device.TENSORRT, Device.CUDA, Device.CPU), Device.CPU: (Device.CPU,)}

# Tried in this order by "auto", then the CPU. The others were not measured: they are for who asks for them.
_AUTOMATIC = (Device.CUDA,)

_FRAME_TYPE = ("tensor(uint8)", (1, None, None, 3))  # None: any size

_REPAIR = (
    "`pip uninstall -y onnxruntime onnxruntime-gpu && pip install --force-reinstall livestyle` repairs it"
)

# Small enough to be cheap, a multiple of every size_multiple.
_TRIAL_SIZE = 64


class OnnxRuntimeEngine:
    """A model on ONNX Runtime.

    device: anything but "auto". threads: CPU threads for one frame; None leaves it to ONNX Runtime.
    Raises ModelError for a file that is no livestyle model, DeviceError where the device cannot run.
    """

    name: str
    manifest_json: str

    def __init__(self, path: Path, device: Device | str = Device.CPU, *, threads: int | None = None) -> None:
        device = Device(device)
        if device is Device.AUTO:
            raise ValueError("an engine runs on one device; open_engine chooses")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
        provider = _PROVIDERS[device]
        runtime = _import_runtime()
        reason = why_not(device, runtime.get_available_providers(), Path(runtime.__file__).parent)
        if reason:
            raise DeviceError(f"{provider.name} cannot run here: {reason}")
        model = read_model_file(path)
        manifest = Manifest.from_json(model.manifest_json, where=f"the manifest of {path}")
        self.name = provider.name
        self.manifest_json = model.manifest_json
        self._session = _create_session(runtime, model.content, path, device, threads)
        _check_signature(self._session, path, len(manifest.styles))
        self._try_out(path, len(manifest.styles))

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        height, width = frame.shape[1:3]
        try:
            return self._run(frame, style_mix)
        except Exception as error:
            raise DeviceError(
                f"{self.name} failed on a frame of {width}x{height}: {_reason(error)}; try a smaller picture"
            ) from error

    def _run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        (stylized,) = self._session.run(["stylized"], {"frame": frame, "style_mix": style_mix})
        result: FrameBatch = stylized
        return result

    def _try_out(self, path: Path, n_styles: int) -> None:
        """Run once: a GPU without kernels for this network, or a network that is no style, shows only now."""
        frame = np.zeros((1, _TRIAL_SIZE, _TRIAL_SIZE, 3), np.uint8)
        style_mix = np.zeros(n_styles, np.float32)
        style_mix[0] = 1
        try:
            with native_stderr_silenced():
                stylized = self._run(frame, style_mix)
        except Exception as error:
            if self.name == _PROVIDERS[Device.CPU].name:
                raise ModelError(f"{path} is broken: its network does not run: {_reason(error)}") from error
            raise DeviceError(
                f"{self.name} cannot run {path.name}: {_reason(error)}; try `--device cpu`"
            ) from error
        if stylized.shape != frame.shape:
            raise ModelError(f"{path} is not a livestyle model: a frame does not keep its size")


def open_engine(path: Path, device: Device | str = Device.AUTO, *, threads: int | None = None) -> Engine:
    """The model at `path` on a device. "auto": the fastest known to work, the CPU at the latest."""
    device = Device(device)
    if device is not Device.AUTO:
        return OnnxRuntimeEngine(path, device, threads=threads)
    for candidate in _AUTOMATIC:
        try:
            return OnnxRuntimeEngine(path, candidate, threads=threads)
        except DeviceError as error:
            _log.info("%s", error)
    return OnnxRuntimeEngine(path, Device.CPU, threads=threads)


def _import_runtime() -> Any:
    # On virtual machines and small boards the import itself warns of graphics cards that it cannot read.
    try:
        with native_stderr_silenced():
            import onnxruntime  # 0.1 s that `livestyle --help` need not wait for
    except ImportError as error:
        raise DeviceError(f"ONNX Runtime does not load: {_reason(error)}; {_REPAIR}") from error
    # Uninstalling one of the two distributions that share its folder leaves an empty package behind.
    if not hasattr(onnxruntime, "InferenceSession"):
        raise DeviceError(f"the installed ONNX Runtime is incomplete; {_REPAIR}")
    return onnxruntime


def _create_session(runtime: Any, content: bytes, path: Path, device: Device, threads: int | None) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    if device is Device.DIRECTML:
        options.enable_mem_pattern = False  # DirectML refuses sessions with it
    wanted = [_PROVIDERS[each] for each in _ORDER.get(device, (device, Device.CPU))]
    try:
        with native_stderr_silenced():
            session = runtime.InferenceSession(
                content,
                sess_options=options,
                providers=[(each.key, each.options) for each in wanted],
                enable_fallback=0,  # it would print, and run on another device than asked for
            )
    except Exception as error:
        if device is Device.CPU:
            raise ModelError(f"{path} is broken: {_reason(error)}") from error
        raise DeviceError(f"{wanted[0].name} cannot run {path.name}: {_reason(error)}") from error
    if wanted[0].key not in session.get_providers():
        raise DeviceError(
            f"{wanted[0].name} was asked for, but ONNX Runtime took {session.get_providers()[0]}"
        )
    return session


def _check_signature(session: Any, path: Path, n_styles: int) -> None:
    """Refuse a graph whose inputs and outputs are not the contract's."""
    expected_inputs = {"frame": _FRAME_TYPE, "style_mix": ("tensor(float)", (n_styles,))}
    for what, expected, values in (
        ("inputs", expected_inputs, session.get_inputs()),
        ("outputs", {"stylized": _FRAME_TYPE}, session.get_outputs()),
    ):
        found = {value.name: value for value in values}
        if found.keys() != expected.keys():
            raise ModelError(f"{path} is not a livestyle model: its {what} are not {' and '.join(expected)}")
        for name, (kind, shape) in expected.items():
            if found[name].type != kind or not _fits(found[name].shape, shape):
                is_now = f"{found[name].type} of shape {found[name].shape}"
                expects = f"{kind} of shape {list(shape)}".replace("None", "any")
                raise ModelError(f"{path} is not a livestyle model: {name} is {is_now}, not {expects}")


def _fits(found: Sequence[object], wanted: Sequence[int | None]) -> bool:
    """Whether a shape may be the wanted one. A size that is no number is settled when the engine runs."""
    return len(found) == len(wanted) and all(
        not isinstance(size, int) or size == want for size, want in zip(found, wanted, strict=True)
    )


def why_not(
    device: Device,
    available: Sequence[str],
    runtime_folder: Path,
    load: Callable[[str], Any] = ctypes.CDLL,
) -> str | None:
    """Why a device cannot run here and what to type, found without noise; None where it seems to run.

    available: providers that the installed ONNX Runtime was built with; it says nothing of the machine.
    runtime_folder: where the onnxruntime package lies. load: opens a shared library, or raises OSError.
    """
    provider = _PROVIDERS[device]
    if provider.platform not in (None, sys.platform):
        system = {"darwin": "macOS", "win32": "Windows"}[str(provider.platform)]
        return f"it exists on {system} only; use `--device auto`"
    if provider.key not in available:
        return f"the installed onnxruntime was built without it; {_how_to_get(device)}"
    if device not in (Device.CUDA, Device.TENSORRT):
        return None
    no_gpu = _why_no_nvidia_gpu(load)
    if no_gpu:
        return (
            f"{no_gpu}; with one, `pip install 'livestyle[cuda]'` brings the rest, else use `--device auto`"
        )
    missing = _missing_library(device, runtime_folder, load)
    if missing and device is Device.TENSORRT:
        return f"{missing}; it needs NVIDIA's TensorRT 10 and `pip install 'livestyle[cuda]'`"
    return f"{missing}; `pip install 'livestyle[cuda]'` brings NVIDIA's libraries" if missing else None


def _how_to_get(device: Device) -> str:
    if device is Device.DIRECTML:
        return "`pip uninstall -y onnxruntime-gpu && pip install onnxruntime-directml`"
    if device is Device.COREML:
        return "`pip install --force-reinstall onnxruntime`"
    if sys.platform == "darwin":
        return "macOS has no CUDA, use `--device auto`"
    # Whichever of the two was installed last owns their common folder.
    return "`pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'livestyle[cuda]'`"


def _why_no_nvidia_gpu(load: Callable[[str], Any]) -> str | None:
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = load(library)
        status = driver.cuInit(0)
        count = ctypes.c_int(0)
        if status == 0:
            status = driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):
        return f"this machine has no NVIDIA driver ({library})"
    if status == 100 or (status == 0 and count.value == 0):  # CUDA_ERROR_NO_DEVICE
        return "this machine has no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it"
    return None if status == 0 else f"the NVIDIA driver does not start (cuInit returns {status})"


def _missing_library(device: Device, runtime_folder: Path, load: Callable[[str], Any]) -> str | None:
    """What the provider's library lacks, asked before ONNX Runtime asks, because that prints."""
    runtime = _import_runtime()
    with contextlib.redirect_stdout(io.StringIO()), native_stderr_silenced():
        runtime.preload_dlls()  # prints what it does not find
    windows = sys.platform == "win32"
    names = ["shared", "cuda", *(["tensorrt"] if device is Device.TENSORRT else [])]
    pattern = "onnxruntime_providers_{}.dll" if windows else "libonnxruntime_providers_{}.so"
    libraries = [str(runtime_folder / "capi" / pattern.format(name)) for name in names]
    # ONNX Runtime loads cuDNN only when a convolution comes.
    for library in [*libraries, "cudnn64_9.dll" if windows else "libcudnn.so.9"]:
        try:
            load(library)
        except OSError as error:
            return f"{Path(library).name} does not load: {_reason(error)}"
    return None


def _reason(error: BaseException) -> str:
    """An engine's message as part of one line."""
    text = re.sub(r"^\s*\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error))
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
