"""What doctor tries out: each function does one thing for real, and yields what it saw.

They run in a process of their own (own_process.py), and import what they try only there: a library that does
not load is a finding, not the end of the examination.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from livestyle.engines import open_engine
from livestyle.errors import SinkError
from livestyle.frame import Frame, Image, VideoInfo
from livestyle.library import find_model, load_manifest

_WIDTH, _HEIGHT = 640, 384  # multiples of every size_multiple
_TILE = 64  # pixels of a square whose average is compared
_RUNS = 3


def paint_trial(model: str, device: str) -> Iterator[dict[str, Any]]:
    """Paint a picture. glance: averages of the painting's squares, 0 to 255. ms: of the fastest run."""
    path = find_model(model)
    engine = open_engine(path, device)
    rows = len(load_manifest(path).styles)
    style_mix = np.zeros(rows, np.float32)
    style_mix[1] = 1
    frame = _picture(_WIDTH, _HEIGHT)[np.newaxis]
    painted = engine.run(frame, style_mix)
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        painted = engine.run(frame, style_mix)
        times.append(time.perf_counter() - began)
    squares = painted[0].reshape(_HEIGHT // _TILE, _TILE, _WIDTH // _TILE, _TILE, 3)
    yield {
        "engine": engine.name,
        "version": _engine_version(engine.name),
        "width": _WIDTH,
        "height": _HEIGHT,
        "ms": min(times) * 1000,
        "glance": [round(value, 1) for value in squares.mean(axis=(1, 3)).ravel().tolist()],
    }


def read_models(model: str) -> Iterator[dict[str, Any]]:
    manifest = load_manifest(find_model(model))
    yield {"name": manifest.name, "version": manifest.version, "styles": len(manifest.styles)}


def write_trial(suffix: str) -> Iterator[dict[str, Any]]:
    """Write some pictures into a video, and read them again."""
    from livestyle.video_sink import VideoFileSink
    from livestyle.video_source import VideoFileSource

    av = importlib.import_module("av")
    info = VideoInfo(160, 96, 25.0)
    with TemporaryDirectory(prefix="livestyle-doctor-") as folder:
        path = Path(folder) / f"trial{suffix}"
        with VideoFileSink(path, info) as sink:
            for index in range(5):
                sink.write(Frame(np.roll(_picture(160, 96), index, axis=1), index, index / 25))
        with VideoFileSource(path) as source:
            frames = sum(1 for _ in source)
    yield {"frames": frames, "library": f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"}


def list_cameras_found() -> Iterator[list[dict[str, Any]]]:
    from livestyle.camera_list import list_cameras

    yield [asdict(camera) for camera in list_cameras()]


def open_window() -> Iterator[str]:
    """Whether there is a display, and an OpenCV with windows; nothing appears on it."""
    from livestyle.sinks import WindowSink

    told = re.search(r"GUI:\s*(\S+)", importlib.import_module("cv2").getBuildInformation())
    toolkit = told[1] if told else "unknown"
    if toolkit == "NONE":
        raise SinkError(
            "this OpenCV was built without windows; "
            "`pip uninstall -y opencv-python-headless`, then `pip install --force-reinstall opencv-python`"
        )
    WindowSink("livestyle", VideoInfo(64, 48, 25.0))
    yield f" ({toolkit})"


def open_virtual_camera() -> Iterator[str]:
    from livestyle.virtual_camera import VirtualCameraSink

    with VirtualCameraSink(VideoInfo(640, 480, 25.0)) as sink:
        yield f": {sink.device}"


def _picture(width: int, height: int) -> Image:
    """Soft colours, so that rounding on the way does not flip anything."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    planes = [x, y, 0.5 + 0.5 * np.sin(9 * x + 5 * y)]
    return (np.dstack(planes) * 255).astype(np.uint8)


def _engine_version(name: str) -> str:
    """Of the library that the engine has loaded already."""
    module = "openvino" if name.startswith("OpenVINO") else "onnxruntime"
    return str(sys.modules[module].__version__).split("-")[0]
