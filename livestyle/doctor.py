"""Examines an installation by using it: what is there, what really runs, and what to type where it does not.

Each engine, the cameras and the virtual camera are tried in a process of their own, so that a driver that
crashes or hangs costs one line and not the answer.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from livestyle import __version__
from livestyle.doctor_trials import (
    list_cameras_found,
    open_virtual_camera,
    open_window,
    paint_trial,
    read_models,
    write_trial,
)
from livestyle.engines import Device
from livestyle.errors import LivestyleError, ModelError
from livestyle.machine import describe_machine
from livestyle.own_process import Task, ask

_PATIENCE = 30.0  # seconds for most trials; cameras that are asleep take several each
_ENGINE_PATIENCE = 120.0  # TensorRT compiles for a minute
_DRIVER_PATIENCE = 10.0
_MOST_ASTRAY = 6.0  # grey levels on average between two engines; bfloat16 takes 0.4

# As in pyproject.toml: the GPU's build where it has wheels.
_USUAL_RUNTIME = (
    "onnxruntime-gpu"
    if (sys.platform, platform.machine()) in {("linux", "x86_64"), ("win32", "AMD64")}
    else "onnxruntime"
)
# Modules that livestyle uses, and what brings each. Those without a name of an extra are in the base install.
_MODULES = {
    "numpy": ("numpy", ""),
    "cv2": ("opencv-python", ""),
    "av": ("av", ""),
    "onnxruntime": (_USUAL_RUNTIME, ""),
    "openvino": ("openvino", ""),
    "cv2_enumerate_cameras": ("cv2-enumerate-cameras", ""),
    "typer": ("typer", ""),
    "rich": ("rich", ""),
    "mss": ("mss", "screen"),
    "pyvirtualcam": ("pyvirtualcam", "virtual-camera"),
    "torch": ("torch", "train"),
}
# Without these it still paints: another engine, cameras without names.
_SPARED = ("openvino", "cv2_enumerate_cameras")
# Libraries that engines load from packages of their own.
_LIBRARIES = re.compile(r"nvidia-.+|tensorrt(-.+)?|onnxruntime-ep-.+")
_REPAIRS = dict.fromkeys(Device, "`--device auto` takes another one") | {
    Device.ONNX_CPU: f"`pip install --force-reinstall {_USUAL_RUNTIME}` may repair it",
    Device.OPENVINO: "`pip install --force-reinstall openvino`, or `--device onnx-cpu`",
}
_OTHER_MODEL = "`--model painters` is built in"
_PLATFORM_DEVICES = {"darwin": (Device.COREML,), "win32": (Device.DIRECTML,)}


class State(StrEnum):
    """note: something less is possible, or something is worth knowing. problem: it should be mended."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination. mend: what to type or do; "" where nothing is to be done."""

    topic: str
    state: State
    what: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        return {key: str(value) for key, value in asdict(self).items()}


def examine(model: str = "painters", *, cameras: bool = True) -> Iterator[Finding]:
    """Every finding, as soon as it is known. model: what the engines paint with. cameras: open them."""
    yield Finding("system", State.OK, f"livestyle {__version__}, Python {platform.python_version()}")
    yield Finding("system", State.OK, f"{describe_machine()} {platform.release()}, {platform.machine()}")
    owners = importlib.metadata.packages_distributions()
    yield from package_findings(owners, _versions(owners))
    yield _nvidia_driver()
    found = _model(model)
    yield found
    if found.state is State.OK:  # else each engine would say the same of it
        yield from engine_findings(model)
    for suffix, name in ((".mp4", "H.264"), (".webm", "VP9")):
        yield _encoder(suffix, name)
    yield _tried("window", "windows can be shown", open_window)
    if cameras:
        yield from _cameras()
    yield _tried("virtual camera", "calls can see it as a camera", open_virtual_camera)


def why_not_ready(findings: Iterable[Finding]) -> str | None:
    """Why no video can be painted and written here; None where one can."""
    findings = list(findings)
    well = {finding.topic for finding in findings if finding.state is State.OK}
    if any(finding.topic == "model" and finding.state is State.PROBLEM for finding in findings):
        return "the model cannot be used"
    if "engine" not in well:
        return "no engine runs the network"
    return None if "H.264" in well else "no H.264 can be written"


def package_findings(owners: Mapping[str, Sequence[str]], versions: Mapping[str, str]) -> Iterator[Finding]:
    """owners: the distributions that have files in each module. versions: of each distribution."""
    for module, (usual, extra) in _MODULES.items():
        found = sorted({_plain(name) for name in owners.get(module, ())})
        listed = " and ".join(f"{name} {versions.get(name, '?')}" for name in found)
        if len(found) > 1:
            # Whichever came last owns the files; uninstalling one takes the other's away.
            # DirectML is there because somebody asked for it.
            asked = [name for name in found if name.endswith("-directml")]
            kept = asked[0] if asked else usual if usual in found else found[0]
            mend = f"`pip uninstall -y {' '.join(found)}`, then `pip install {kept}`"
            yield Finding("package", State.PROBLEM, f"{module} belongs to {listed}, which overwrite it", mend)
        elif found:
            yield Finding("package", State.OK, f"{module} is of {listed}")
        elif extra:
            mend = f'`pip install "livestyle[{extra}]"` brings it'
            yield Finding("package", State.NOTE, f"{module} is not installed", mend)
        else:
            state = State.NOTE if module in _SPARED else State.PROBLEM
            mend = f"`pip install {usual}` brings it"
            yield Finding("package", state, f"no installed package owns {module}", mend)
    libraries = [f"{name} {versions[name]}" for name in sorted(versions) if _LIBRARIES.fullmatch(name)]
    if libraries:
        yield Finding("package", State.OK, f"libraries for GPUs: {', '.join(libraries)}")


def engine_findings(model: str) -> Iterator[Finding]:
    """A picture painted on every engine that this system may have."""
    devices = (Device.ONNX_CPU, Device.OPENVINO, *_PLATFORM_DEVICES.get(sys.platform, ()))
    if sys.platform != "darwin":
        devices = (*devices, Device.CUDA, Device.TENSORRT)
    reference: list[float] | None = None
    for device in devices:
        try:
            trial = ask(paint_trial, patience=_ENGINE_PATIENCE, model=model, device=device.value)
        except LivestyleError as error:
            if isinstance(error, ModelError) and device is Device.ONNX_CPU:
                yield _failed("model", State.PROBLEM, str(error), _OTHER_MODEL)
                return  # the engine that runs every model: the others would stumble over the same
            state = State.PROBLEM if device is Device.ONNX_CPU else State.NOTE
            yield _failed("engine", state, f"{device}: {error}", _REPAIRS[device])
            continue
        reference = reference or trial["glance"]
        yield judged(trial, reference)


def judged(trial: Mapping[str, Any], reference: Sequence[float]) -> Finding:
    """What an engine painted, held against the first engine's painting. See paint_trial."""
    pairs = list(zip(trial["glance"], reference, strict=True))
    astray = sum(abs(value - other) for value, other in pairs) / len(pairs)
    what = (
        f"{trial['engine']} ({trial['version']}) painted {trial['width']}x{trial['height']} "
        f"in {trial['ms']:.3g} ms"
    )
    if astray > _MOST_ASTRAY:
        mend = "name another one with --device, and report this"
        return Finding("engine", State.NOTE, f"{what}, but {astray:.0f} grey levels astray", mend)
    return Finding("engine", State.OK, what)


def camera_findings(cameras: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """cameras: CameraInfo as tables."""
    if not cameras:
        mend = "plug one in, or play a film: `livestyle webcam --camera FILE`"
        yield Finding("camera", State.NOTE, "no camera is connected", mend)
    for camera in cameras:
        name = f"{camera['index']}: {camera['name']}"
        if camera["problem"]:
            yield Finding("camera", State.NOTE, f"{name} is not to be had: {camera['problem']}", _of(camera))
            continue
        modes = ", ".join(f"{width}x{height} {fps:.4g} fps" for width, height, fps in camera["modes"])
        yield Finding("camera", State.OK, f"{name}: {modes or 'tells no modes'}")


def _of(camera: Mapping[str, Any]) -> str:
    if camera["problem"] == "no permission":
        return "`sudo usermod -aG video $USER`, then log in again"
    return "close the program that uses it"


def _versions(owners: Mapping[str, Sequence[str]]) -> dict[str, str]:
    names = {name for module in _MODULES for name in owners.get(module, ())}
    versions = {_plain(name): importlib.metadata.version(name) for name in names}
    for distribution in importlib.metadata.distributions():
        name = _plain(distribution.metadata["Name"] or "")
        if _LIBRARIES.fullmatch(name):
            versions[name] = distribution.version
    return versions


def _plain(name: str) -> str:
    """A distribution's name as pip compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _nvidia_driver() -> Finding:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(
            query, capture_output=True, text=True, timeout=_DRIVER_PATIENCE, check=True, errors="replace"
        )
    except FileNotFoundError:
        what, mend = "no NVIDIA driver (nvidia-smi is not there)", "install it if there is such a card"
        return Finding("driver", State.NOTE, what, mend)
    except (OSError, subprocess.SubprocessError) as error:
        mend = "run `nvidia-smi` to see why; installing the driver again often helps"
        return Finding("driver", State.NOTE, f"the NVIDIA driver does not answer: {_one_line(error)}", mend)
    cards = [" ".join(line.split()) for line in told.stdout.splitlines() if line.strip()]
    return Finding("driver", State.OK, f"NVIDIA {'; '.join(cards) or 'without a card'}")


def _model(model: str) -> Finding:
    try:
        told = ask(read_models, patience=_PATIENCE, model=model)
    except LivestyleError as error:
        return _failed("model", State.PROBLEM, str(error), _OTHER_MODEL)
    return Finding("model", State.OK, f"{told['name']} {told['version']} with {told['styles']} styles")


def _encoder(suffix: str, name: str) -> Finding:
    try:
        told = ask(write_trial, patience=_PATIENCE, suffix=suffix)
    except LivestyleError as error:
        state = State.PROBLEM if name == "H.264" else State.NOTE
        return _failed(name, state, str(error), "`pip install --force-reinstall av` brings FFmpeg")
    return Finding(name, State.OK, f"{told['frames']} pictures written and read ({told['library']})")


def _cameras() -> Iterator[Finding]:
    try:
        cameras = ask(list_cameras_found, patience=_PATIENCE)
    except LivestyleError as error:
        mend = "unplug the cameras one after another; `livestyle doctor --no-cameras` leaves them alone"
        yield Finding("camera", State.NOTE, f"the cameras cannot be listed: {error}", mend)
        return
    yield from camera_findings(cameras)


def _tried(topic: str, well: str, trial: Task) -> Finding:
    try:
        told = ask(trial, patience=_PATIENCE)
    except LivestyleError as error:
        mend = "`pip install --force-reinstall opencv-python` may repair it"
        return _failed(topic, State.NOTE, str(error), mend)
    return Finding(topic, State.OK, f"{well}{told}")


def _failed(topic: str, state: State, message: str, otherwise: str) -> Finding:
    """An error's one line: what is wrong, and after a semicolon what to do, else `otherwise`."""
    what, _, mend = message.partition("; ")
    return Finding(topic, state, _without_home(what), _without_home(mend or otherwise))


def _without_home(text: str) -> str:
    """Paths shortened: people show these lines to others."""
    return text.replace(str(Path.home()), "~")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
