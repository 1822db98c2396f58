"""ONNX Runtime's own matters: its devices, the probe for them, a broken installation, its reports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
import pytest

from livestyle.engines import Device, OnnxRuntimeEngine, choice, why_not
from livestyle.engines.contract import reason_of
from livestyle.engines.onnx_runtime import _one_at_a_time
from livestyle.engines.providers import import_runtime
from livestyle.errors import DeviceError

ALL_PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
Load = Callable[[str], Any]


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("device", ["auto", "openvino"])
def test_onnx_runtime_is_one_device_that_it_has(device: str, tiny_model_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no device {device}; open_engine chooses"):
        OnnxRuntimeEngine(tiny_model_path, device)


class Driver:
    """NVIDIA's driver library, as far as the probe asks it."""

    def __init__(self, status: int = 0, count: int = 1, version: int = 99000) -> None:
        self.status = status
        self.count = count
        self.version = version

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - NVIDIA's name
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 - NVIDIA's name
        count._obj.value = self.count
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802 - NVIDIA's name
        version._obj.value = self.version
        return 0


def machine(driver: Driver | None, missing: str = "nothing") -> Load:
    """A loader of libraries as it would be on a machine with that driver and without that library."""

    def load(name: str) -> Any:
        if name in ("libcuda.so.1", "nvcuda.dll"):
            if driver is None:
                raise OSError(f"{name}: cannot open shared object file")
            return driver
        if missing in name:
            raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")
        return object()

    return load


@pytest.mark.parametrize(
    ("device", "load", "says"),
    [
        (Device.ONNX_CPU, machine(None), None),
        (Device.CUDA, machine(Driver()), None),
        (Device.TENSORRT, machine(Driver()), None),
        (Device.CUDA, machine(None), "no NVIDIA driver"),
        (Device.CUDA, machine(Driver(status=100)), "no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it"),
        (Device.CUDA, machine(Driver(count=0)), "no NVIDIA GPU"),
        (Device.CUDA, machine(Driver(status=999)), "cuInit returns 999"),
        (Device.CUDA, machine(Driver(), "providers_cuda"), "providers_cuda.* libcublasLt.so.13: cannot open"),
        (Device.CUDA, machine(Driver(), "cudnn"), "cudnn.* does not load"),
        (Device.TENSORRT, machine(Driver(), "tensorrt"), r'"tensorrt-cu13-libs<11"` bring what it needs'),
        (
            Device.CUDA,
            machine(Driver(version=9020)),
            "is for CUDA 9, .* for CUDA [0-9]+; update NVIDIA's driver",
        ),
    ],
)
def test_the_probe_says_why_a_device_cannot_run(
    device: Device, load: Load, says: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reason = why_not(device, ALL_PROVIDERS, tmp_path, load)
    assert capfd.readouterr() == ("", "")
    if says is None:
        assert reason is None
        return
    assert reason is not None
    assert re.search(says, reason)
    assert '`pip install "livestyle[cuda]"`' in reason
    assert reason.isprintable()


def test_the_probe_names_the_runtime_that_lacks_a_device(tmp_path: Path) -> None:
    reason = why_not(Device.CUDA, ["CPUExecutionProvider"], tmp_path, machine(Driver()))
    assert reason is not None
    assert "built without it" in reason
    for device, platform, system in (
        (Device.COREML, "darwin", "macOS"),
        (Device.DIRECTML, "win32", "Windows"),
    ):
        reason = why_not(device, ["CPUExecutionProvider"], tmp_path)
        assert reason is not None
        assert ("without it" if sys.platform == platform else f"on {system} only") in reason


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_hidden_gpu_is_an_error_when_asked_for_and_no_noise_when_not(
    device: str, tiny_model_path: Path
) -> None:
    code = """
import sys
from pathlib import Path
from livestyle.engines import open_engine
from livestyle.errors import DeviceError
try:
    open_engine(Path(sys.argv[1]), sys.argv[2])
except DeviceError as error:
    print(error)
print(open_engine(Path(sys.argv[1])).name)
assert "torch" not in sys.modules and "onnx" not in sys.modules
"""
    ended = run_python(code, tiny_model_path, device, CUDA_VISIBLE_DEVICES="")
    assert ended.stderr == ""
    error, auto = ended.stdout.splitlines()
    assert "cannot run here" in error
    assert 'pip install "livestyle[cuda]"' in error or sys.platform == "darwin"
    assert auto.startswith("OpenVINO CPU (")


@pytest.mark.parametrize("content", ["", "raise ImportError('libstdc++ is too old')"])
def test_a_broken_onnxruntime_says_how_to_repair_it(
    content: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(content)
    code = """
import sys
from pathlib import Path
from livestyle.engines import open_engine
from livestyle.errors import DeviceError
try:
    open_engine(Path(sys.argv[1]), "onnx-cpu")
except DeviceError as error:
    print(error)
print(open_engine(Path(sys.argv[1]), "auto").name)
"""
    ended = run_python(code, tiny_model_path, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert ended.stderr == ""
    error, auto = ended.stdout.splitlines()
    assert "then `pip install livestyle` repairs it" in error
    assert auto.startswith("OpenVINO CPU (")  # one of the two is enough


def test_onnx_runtime_is_told_to_report_nothing(tiny_model_path: Path) -> None:
    script = (
        "import os, sys\n"
        "os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "from livestyle.engines import OnnxRuntimeEngine\n"
        "from pathlib import Path\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "OnnxRuntimeEngine(Path(sys.argv[1]))\n"
        "sys.exit(41 if os.environ.get('ORT_DISABLE_TELEMETRY') == '1' else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tiny_model_path)], check=False)
    assert done.returncode == 41


def test_a_fresh_windows_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "onnxruntime":
                raise ImportError("DLL load failed while importing onnxruntime_pybind11_state")

    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(DeviceError, match=r"DLL load failed .*; https://aka\.ms/vs/17/release/vc_redist"):
        import_runtime()


def test_tensorrt_is_found_where_pip_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt_libs").mkdir()
    (tmp_path / "tensorrt_libs" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    loaded: list[str] = []
    given: list[str] = []  # to Windows, which looks there itself
    monkeypatch.setattr(os, "add_dll_directory", given.append, raising=False)

    def load(name: str) -> Any:
        loaded.append(Path(name).name)
        return machine(Driver())(name)

    assert why_not(Device.TENSORRT, ALL_PROVIDERS, tmp_path, load) is None
    places = {name: loaded.index(name) for name in loaded}
    if sys.platform == "win32":
        assert given == [str(tmp_path / "tensorrt_libs")]
    else:
        assert places["libnvinfer.so.10"] < places["libonnxruntime_providers_tensorrt.so"]


def test_a_session_that_bears_one_thread_gets_one() -> None:
    inside, most = 0, 0

    def paint(frame: Any, _mix: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        return frame

    alone = partial(_one_at_a_time, Lock(), paint)
    threads = [Thread(target=alone, args=(np.zeros(1), np.zeros(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_gpu_that_idles_is_told_and_one_that_is_absent_is_not(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise DeviceError("CUDA cannot run here: too old")

    monkeypatch.setattr(choice, "OnnxRuntimeEngine", refuse)
    for reason, told in ((None, True), ("this machine has no NVIDIA GPU", False)):
        monkeypatch.setattr(choice, "why_no_nvidia_gpu", lambda reason=reason: reason)
        caplog.clear()
        with caplog.at_level("WARNING"):
            choice.open_engine(tiny_model_path)
        assert ("too old" in caplog.text) is told


def test_an_error_tells_no_name_of_the_machine() -> None:
    error = RuntimeError("CUDA failure 35: driver too old ; GPU=0 ; hostname=anna-pc ; file=/x.cc")
    assert "anna" not in reason_of(error)
