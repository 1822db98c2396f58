"""A model on ONNX Runtime: NVIDIA, Apple and DirectX GPUs, and any CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from livestyle.engines.contract import (
    Device,
    FrameBatch,
    GraphValue,
    MixVector,
    check_signature,
    check_threads,
    failed_on,
    reason_of,
    try_out,
)
from livestyle.engines.nvidia import NvidiaNetwork, Paint
from livestyle.engines.providers import (
    PROVIDERS,
    create_session,
    import_runtime,
    operators_beside,
    providers_for,
    why_not,
)
from livestyle.errors import DeviceError, ModelError
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file
from livestyle.silence import native_stderr_silenced


class OnnxRuntimeEngine:
    """A model on ONNX Runtime.

    device: one that ONNX Runtime has; "cpu" is here the same as "onnx-cpu". threads: CPU threads for one
    frame; None leaves it to ONNX Runtime.
    On an NVIDIA GPU the network computes in float16 where that paints what float32 does on the CPU, and the
    name says which of the two it is: "CUDA (fp16)", "CUDA (f32)". The first frame of a size is slow there.
    Raises ModelError for a file that is no livestyle model, DeviceError where the device cannot run.
    """

    name: str
    manifest_json: str

    def __init__(
        self, path: Path, device: Device | str = Device.ONNX_CPU, *, threads: int | None = None
    ) -> None:
        device = Device.ONNX_CPU if device == Device.CPU else Device(device)
        if device not in PROVIDERS:
            raise ValueError(f"ONNX Runtime has no device {device}; open_engine chooses")
        check_threads(threads)
        provider = PROVIDERS[device]
        runtime = import_runtime()
        reason = why_not(device, runtime.get_available_providers(), Path(runtime.__file__).parent)
        if reason:
            raise DeviceError(f"{provider.name} cannot run here: {reason}")
        model = read_model_file(path)
        manifest = Manifest.from_json(model.manifest_json, where=f"the manifest of {path}")
        self.name = provider.name
        self.manifest_json = model.manifest_json
        # For a GPU of NVIDIA's it is opened on the CPU as well, which tells a broken model from one that the
        # GPU cannot run, and paints what the GPU is to paint.
        on_nvidia = device in (Device.CUDA, Device.TENSORRT)
        session = _create_session(model.content, path, Device.ONNX_CPU if on_nvidia else device, threads)
        inputs, outputs = _values(session.get_inputs()), _values(session.get_outputs())
        check_signature(inputs, outputs, path, len(manifest.styles))
        self._paint: Paint = partial(_run_session, session)
        if device is Device.DIRECTML:  # it crashes where two threads are in one session
            self._paint = partial(_one_at_a_time, Lock(), self._paint)
        beside = operators_beside(session, [provider])
        if beside and device in (Device.COREML, Device.DIRECTML):
            self.name = f"{provider.name} ({len(beside)} operators on the CPU)"
        if on_nvidia:
            try_out(self._trial(path, on_cpu=True), path, len(manifest.styles))
            open_sizes = next(value.shape for value in inputs if value.name == "frame")[1:3]
            network = _open_on_nvidia(
                model.content, path, device, open_sizes, len(manifest.styles), self._paint
            )
            self.name, self._paint = network.name, network.run
        on_cpu = device is Device.ONNX_CPU
        try_out(self._trial(path, on_cpu=on_cpu), path, len(manifest.styles))

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        try:
            return self._paint(frame, style_mix)
        except Exception as error:
            raise DeviceError(failed_on(self.name, frame, error)) from error

    def _trial(self, path: Path, *, on_cpu: bool) -> Paint:
        def run(frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
            try:
                with native_stderr_silenced():
                    return self._paint(frame, style_mix)
            except Exception as error:
                if on_cpu:
                    reason = reason_of(error)
                    raise ModelError(f"{path} is broken: its network does not run: {reason}") from error
                raise _cannot_run(self.name, path, error) from error

        return run


def _run_session(session: Any, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
    (stylized,) = session.run(["stylized"], {"frame": frame, "style_mix": style_mix})
    result: FrameBatch = stylized
    return result


def _one_at_a_time(lock: Lock, paint: Paint, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
    with lock:
        return paint(frame, style_mix)


def _values(values: Any) -> list[GraphValue]:
    return [GraphValue(value.name, value.type, value.shape) for value in values]


def _create_session(content: bytes, path: Path, device: Device, threads: int | None) -> Any:
    try:
        return create_session(content, providers_for(device), threads=threads)
    except Exception as error:
        if device is Device.ONNX_CPU:
            raise ModelError(f"{path} is broken: {reason_of(error)}") from error
        raise _cannot_run(PROVIDERS[device].name, path, error) from error


def _open_on_nvidia(
    content: bytes, path: Path, device: Device, open_sizes: Sequence[object], n_styles: int, paint: Paint
) -> NvidiaNetwork:
    try:
        return NvidiaNetwork(content, device, open_sizes=open_sizes, n_styles=n_styles, paint=paint)
    except Exception as error:
        raise _cannot_run(PROVIDERS[device].name, path, error) from error


def _cannot_run(name: str, path: Path, error: Exception) -> DeviceError:
    return DeviceError(f"{name} cannot run {path.name}: {reason_of(error)}; try `--device cpu`")
