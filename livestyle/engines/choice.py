"""Opens a model on the device that was asked for, or on the best that works."""

from __future__ import annotations

import logging
from pathlib import Path

from livestyle.engines.contract import Device, Engine
from livestyle.engines.onnx_runtime import OnnxRuntimeEngine
from livestyle.engines.openvino import OpenVinoEngine
from livestyle.engines.providers import why_no_nvidia_gpu
from livestyle.errors import DeviceError

# Tried in this order. The devices in neither list were not measured: they are for who asks for them.
_CHOICES = {
    Device.AUTO: (Device.CUDA, Device.OPENVINO, Device.ONNX_CPU),
    Device.CPU: (Device.OPENVINO, Device.ONNX_CPU),
}

_log = logging.getLogger(__name__)


def open_engine(path: Path, device: Device | str = Device.AUTO, *, threads: int | None = None) -> Engine:
    """The model at `path` on a device.

    auto: CUDA where it really runs, else cpu. cpu: OpenVINO where it loads and runs, else the slower ONNX
    Runtime. threads: CPU threads for one frame; None leaves it to the engine.
    Raises ModelError for a file that is no livestyle model, DeviceError where the device cannot run.
    """
    device = Device(device)
    *first, last = _CHOICES.get(device, (device,))
    for candidate in first:
        try:
            return _open(path, candidate, threads)
        except DeviceError as error:
            # Who has a GPU wants to know why it idles.
            idles = candidate is Device.CUDA and why_no_nvidia_gpu() is None
            _log.log(logging.WARNING if idles else logging.INFO, "%s", error)
    return _open(path, last, threads)


def _open(path: Path, device: Device, threads: int | None) -> Engine:
    if device is Device.OPENVINO:
        return OpenVinoEngine(path, threads=threads)
    return OnnxRuntimeEngine(path, device, threads=threads)
