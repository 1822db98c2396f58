"""ONNX Runtime's execution providers, and why one cannot run here, found without noise."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livestyle.engines.contract import Device, reason_of
from livestyle.errors import DeviceError
from livestyle.silence import native_stderr_silenced


@dataclass(frozen=True, slots=True)
class Provider:
    """An ONNX Runtime execution provider. platform: the only sys.platform that has it."""

    name: str
    key: str
    options: dict[str, str] = field(default_factory=dict)
    platform: str | None = None


PROVIDERS = {
    Device.ONNX_CPU: Provider("ONNX Runtime CPU", "CPUExecutionProvider"),
    Device.CUDA: Provider(
        "CUDA",
        "CUDAExecutionProvider",
        # A stream keeps its frame size, so a slow first choice of kernels pays.
        {"cudnn_conv_algo_search": "EXHAUSTIVE", "cudnn_conv_use_max_workspace": "1"},
    ),
    Device.TENSORRT: Provider("TensorRT", "TensorrtExecutionProvider"),
    # The older format, its default, has no instance normalization.
    Device.COREML: Provider(
        "CoreML", "CoreMLExecutionProvider", {"ModelFormat": "MLProgram"}, platform="darwin"
    ),
    # Its first GPU is the one in the processor, on most laptops.
    Device.DIRECTML: Provider(
        "DirectML",
        "DmlExecutionProvider",
        {"performance_preference": "high_performance"},
        platform="win32",
    ),
}
# What follows in the list takes the operators that the first one lacks.
_ORDER = {
    Device.TENSORRT: (Device.TENSORRT, Device.CUDA, Device.ONNX_CPU),
    Device.ONNX_CPU: (Device.ONNX_CPU,),
}

_REPAIR = "`pip uninstall -y onnxruntime onnxruntime-gpu`, then `pip install livestyle` repairs it"
_CUDA_EXTRA = '`pip install "livestyle[cuda]"`'
_NEW_RUNTIME = "https://aka.ms/vs/17/release/vc_redist.x64.exe brings what Windows lacks"


def providers_for(device: Device) -> list[Provider]:
    """The provider of a device, and those that take the operators which it lacks."""
    return [PROVIDERS[each] for each in _ORDER.get(device, (device, Device.ONNX_CPU))]


def create_session(
    content: bytes,
    providers: Sequence[Provider],
    *,
    threads: int | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Any:
    """An ONNX Runtime session on the first provider; the others take the operators that it lacks.

    threads: of the CPU, for one frame; None leaves it to ONNX Runtime. sizes: numbers for the graph's open
    sizes, by their names. Raises what ONNX Runtime raises, DeviceError where it took another provider.
    """
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    for name, size in (sizes or {}).items():
        options.add_free_dimension_override_by_name(name, size)
    first = providers[0]
    if first.key == PROVIDERS[Device.DIRECTML].key:
        options.enable_mem_pattern = False  # DirectML refuses sessions with it
    with native_stderr_silenced():
        session = runtime.InferenceSession(
            content,
            sess_options=options,
            providers=[(each.key, each.options) for each in providers],
            enable_fallback=0,  # it would print, and run on another device than asked for
        )
    if first.key not in session.get_providers():
        raise DeviceError(f"{first.name} was asked for, but ONNX Runtime took {session.get_providers()[0]}")
    return session


def operators_beside(session: Any, providers: Sequence[Provider]) -> list[str]:
    """Operators of a session's graph that run on none of these providers, sorted, one for each node."""
    # It came between 1.23 and 1.31; before, nobody knows without a profile.
    tell = getattr(session, "get_provider_graph_assignment_info", lambda: ())
    keys = {each.key for each in providers}
    return sorted(node.op_type for part in tell() if part.ep_name not in keys for node in part.get_nodes())


def import_runtime() -> Any:
    # It reports its use to Microsoft otherwise, on Linux too (seen with 1.31).
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    # On virtual machines and small boards the import itself warns of graphics cards that it cannot read.
    try:
        with native_stderr_silenced():
            import onnxruntime  # 0.1 s that `livestyle --help` need not wait for
    except ImportError as error:
        # So it is on a fresh Windows, whose repair is not pip's.
        repair = _NEW_RUNTIME if "DLL load failed" in str(error) else _REPAIR
        raise DeviceError(f"ONNX Runtime does not load: {reason_of(error)}; {repair}") from error
    # Uninstalling one of the two distributions that share its folder leaves an empty package behind.
    if not hasattr(onnxruntime, "InferenceSession"):
        raise DeviceError(f"the installed ONNX Runtime is incomplete; {_REPAIR}")
    return onnxruntime


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
    provider = PROVIDERS[device]
    if provider.platform not in (None, sys.platform):
        system = {"darwin": "macOS", "win32": "Windows"}[str(provider.platform)]
        return f"it exists on {system} only; use `--device auto`"
    if provider.key not in available:
        return f"the installed onnxruntime was built without it; {_how_to_get(device)}"
    if device not in (Device.CUDA, Device.TENSORRT):
        return None
    no_gpu = why_no_nvidia_gpu(load)
    if no_gpu:
        return f"{no_gpu}; with one, {_CUDA_EXTRA} brings the rest, else use `--device auto`"
    old = _why_driver_too_old(load)
    if old:
        return f"{old}; update NVIDIA's driver, then {_CUDA_EXTRA} brings the rest"
    missing = _missing_library(device, runtime_folder, load)
    if missing and device is Device.TENSORRT:
        return f'{missing}; {_CUDA_EXTRA} and `pip install "tensorrt-cu13-libs<11"` bring what it needs'
    return f"{missing}; {_CUDA_EXTRA} brings NVIDIA's libraries" if missing else None


def _how_to_get(device: Device) -> str:
    if device is Device.DIRECTML:
        return "`pip uninstall -y onnxruntime-gpu`, then `pip install onnxruntime-directml`"
    if device is Device.COREML:
        return "`pip install --force-reinstall onnxruntime`"
    if sys.platform == "darwin":
        return "macOS has no CUDA, use `--device auto`"
    # Whichever of the two was installed last owns their common folder.
    return f"`pip uninstall -y onnxruntime onnxruntime-gpu`, then {_CUDA_EXTRA}"


def _driver_library() -> str:
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def why_no_nvidia_gpu(load: Callable[[str], Any] = ctypes.CDLL) -> str | None:
    """Why no program can use an NVIDIA GPU here; None where there is one."""
    library = _driver_library()
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


def _why_driver_too_old(load: Callable[[str], Any]) -> str | None:
    """A driver serves the CUDA that it was made for and all before, not the next one."""
    found = ctypes.c_int(0)  # 12040 is CUDA 12.4
    if load(_driver_library()).cuDriverGetVersion(ctypes.byref(found)) != 0:
        return None
    wanted = cuda_built_for()
    if wanted is None or found.value // 1000 >= wanted:
        return None
    return f"the NVIDIA driver is for CUDA {found.value // 1000}, and this ONNX Runtime for CUDA {wanted}"


def cuda_built_for() -> int | None:
    """The CUDA that the installed ONNX Runtime was built for: 13; None where it does not tell."""
    try:
        built = importlib.import_module("onnxruntime.capi.build_and_package_info")
        return int(str(built.cuda_version).split(".")[0])
    except (ImportError, AttributeError, ValueError):
        return None


def _load_tensorrt_of_pip(load: Callable[[str], Any]) -> None:
    """ONNX Runtime asks the system for TensorRT, which does not look where pip puts it."""
    found = importlib.util.find_spec("tensorrt_libs")
    for folder in map(Path, (found and found.submodule_search_locations) or ()):
        if sys.platform == "win32":
            os.add_dll_directory(str(folder))
            return
        for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
            with contextlib.suppress(OSError):  # what lacks it says so itself
                load(str(folder / f"lib{name}.so.10"))


def _missing_library(device: Device, runtime_folder: Path, load: Callable[[str], Any]) -> str | None:
    """What the provider's library lacks, asked before ONNX Runtime asks, because that prints."""
    runtime = import_runtime()
    with contextlib.redirect_stdout(io.StringIO()), native_stderr_silenced():
        runtime.preload_dlls()  # prints what it does not find
        if device is Device.TENSORRT:
            _load_tensorrt_of_pip(load)
    windows = sys.platform == "win32"
    names = ["shared", "cuda", *(["tensorrt"] if device is Device.TENSORRT else [])]
    pattern = "onnxruntime_providers_{}.dll" if windows else "libonnxruntime_providers_{}.so"
    libraries = [str(runtime_folder / "capi" / pattern.format(name)) for name in names]
    # ONNX Runtime loads cuDNN only when a convolution comes.
    for library in [*libraries, "cudnn64_9.dll" if windows else "libcudnn.so.9"]:
        try:
            load(library)
        except OSError as error:
            return f"{Path(library).name} does not load: {reason_of(error)}"
    return None
