"""A model on ONNX Runtime: NVIDIA, Apple and DirectX GPUs, and any CPU."""

from __future__ import annotations

from pathlib import Path
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
from livestyle.engines.providers import PROVIDERS, import_runtime, providers_for, why_not
from livestyle.errors import DeviceError, ModelError
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file
from livestyle.silence import native_stderr_silenced


class OnnxRuntimeEngine:
    """A model on ONNX Runtime.

    device: one that ONNX Runtime has; "cpu" is here the same as "onnx-cpu". threads: CPU threads for one
    frame; None leaves it to ONNX Runtime.
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
        self._session = _create_session(runtime, model.content, path, device, threads)
        inputs, outputs = _values(self._session.get_inputs()), _values(self._session.get_outputs())
        check_signature(inputs, outputs, path, len(manifest.styles))
        try_out(self._trial(path), path, len(manifest.styles))

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        try:
            return self._run(frame, style_mix)
        except Exception as error:
            raise DeviceError(failed_on(self.name, frame, error)) from error

    def _run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        (stylized,) = self._session.run(["stylized"], {"frame": frame, "style_mix": style_mix})
        result: FrameBatch = stylized
        return result

    def _trial(self, path: Path) -> Any:
        def run(frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
            try:
                with native_stderr_silenced():
                    return self._run(frame, style_mix)
            except Exception as error:
                reason = reason_of(error)
                if self.name == PROVIDERS[Device.ONNX_CPU].name:
                    raise ModelError(f"{path} is broken: its network does not run: {reason}") from error
                raise DeviceError(
                    f"{self.name} cannot run {path.name}: {reason}; try `--device cpu`"
                ) from error

        return run


def _values(values: Any) -> list[GraphValue]:
    return [GraphValue(value.name, value.type, value.shape) for value in values]


def _create_session(runtime: Any, content: bytes, path: Path, device: Device, threads: int | None) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    if device is Device.DIRECTML:
        options.enable_mem_pattern = False  # DirectML refuses sessions with it
    wanted = providers_for(device)
    try:
        with native_stderr_silenced():
            session = runtime.InferenceSession(
                content,
                sess_options=options,
                providers=[(each.key, each.options) for each in wanted],
                enable_fallback=0,  # it would print, and run on another device than asked for
            )
    except Exception as error:
        if device is Device.ONNX_CPU:
            raise ModelError(f"{path} is broken: {reason_of(error)}") from error
        raise DeviceError(f"{wanted[0].name} cannot run {path.name}: {reason_of(error)}") from error
    if wanted[0].key not in session.get_providers():
        raise DeviceError(
            f"{wanted[0].name} was asked for, but ONNX Runtime took {session.get_providers()[0]}"
        )
    return session
