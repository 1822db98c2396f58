"""One case of the benchmark: a model on a device at a size, stage by stage and then as a whole.

Runs in a process of its own (own_process.py): engines disturb each other in one, and its peak memory is its
own. The functions yield {"done": 0 … 1} on the way and {"result": …} at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.buffering import WhenFull, buffered
from livestyle.errors import ModelError
from livestyle.flow import FILM
from livestyle.frame import Frame, Image, VideoInfo
from livestyle.graph_cost import count_cost
from livestyle.library import find_model
from livestyle.machine import peak_memory_mb
from livestyle.mix import parse_mix
from livestyle.model_file import read_model_file
from livestyle.overlay import Readout, compose_view, draw_overlay
from livestyle.pictures import write_picture
from livestyle.pipeline import stylize_film
from livestyle.roofline import Rates, bytes_per_value, limit_of, measure_rates
from livestyle.smoothing import SMOOTHING, FlowSmoother
from livestyle.stylizer import BrushStylizer, Stylizer, open_stylizer
from livestyle.take import Cue, Take
from livestyle.timing import StageTimer
from livestyle.video_sink import VideoFileSink
from livestyle.video_source import VideoFileSource, looped

STYLE = "1"
SMOOTH = SMOOTHING["light"]
FPS = 30.0
CLIP_FRAMES = 24  # in which the picture goes around once, so that the clip can loop without a cut
_RADIUS = 10.0  # pixels of that round: 2.6 a frame, as something that is carried slowly
_WARM = 3  # frames of a pass that do not count: the engine compiles, caches fill
_FEWEST = 5  # frames that do, however slow they are


def make_clip(path: str, picture: str, width: int, height: int) -> Iterator[dict[str, Any]]:
    """Write a clip that moves and is grainy like a camera's, and its first picture."""
    info = VideoInfo(width, height, FPS)
    clouds = _clouds(width, height)
    with VideoFileSink(Path(path), info) as sink:
        for index in range(CLIP_FRAMES):
            image = _scene(clouds, index)
            if index == 0:
                write_picture(Path(picture), image)
            sink.write(Frame(image, index, index / FPS))
            yield {"done": (index + 1) / CLIP_FRAMES}


def _clouds(width: int, height: int) -> npt.NDArray[np.float32]:
    """(H, W, 3) about 0, with detail of all sizes, coarse ones strongest."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 8):
        coarse = rng.normal(0, 28 / 1.5 ** (octave - 2), (2**octave, 2**octave, 3)).astype(np.float32)
        total += np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return total


def _scene(clouds: npt.NDArray[np.float32], index: int) -> Image:
    """The clouds at their place on a circle, and the noise of a camera."""
    height, width = clouds.shape[:2]
    angle = 2 * math.pi * index / CLIP_FRAMES
    x, y = _RADIUS * math.cos(angle), _RADIUS * math.sin(angle)
    shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
    moved = cv2.warpAffine(clouds, shift, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    noise = np.random.default_rng(index).normal(128, 3, (height, width, 1))
    return np.clip(np.asarray(moved) + noise, 0, 255).astype(np.uint8)


def measure_roof(device: str) -> Iterator[dict[str, Any]]:
    yield {"result": asdict(measure_rates(device))}


def measure_case(
    model: str,
    device: str,
    clip: str,
    output: str,
    seconds: float,
    rates: dict[str, Any],
    threads: int | None = None,
) -> Iterator[dict[str, Any]]:
    """output: a path for each of the two videos, replaced. seconds: of each pass. rates: measure_roof's."""
    stylizer = open_stylizer(model, device, threads=threads)
    timer = StageTimer(kept=100_000)
    with VideoFileSource(Path(clip)) as source:
        info = source.info
    timed = -_WARM
    for done in _time_stages(stylizer, Path(clip), Path(output), info, seconds, timer):
        timed += 1
        yield {"done": done / 2}
    began = time.perf_counter()
    frames = 0
    for done in _paint(stylizer, Path(clip), Path(output), info, seconds):
        frames += 1
        yield {"done": (1 + done) / 2}
    fps = frames / (time.perf_counter() - began)  # with what the encoder still held
    stages = {name: times._asdict() for name, times in timer.times().items()}
    yield {
        "result": {
            "engine": stylizer.engine.name,
            "width": info.width,
            "height": info.height,
            "fps": fps,
            "overhead": 1000 / fps / max(times["p50_ms"] for times in stages.values()),
            "frames": frames,
            "stages": stages,
            "timed_frames": timed,
            "peak_memory_mb": peak_memory_mb(),
            "roofline": _roofline(model, stylizer, info, Rates(**rates), stages["network"]["p50_ms"] / 1000),
        }
    }


def _time_stages(
    stylizer: Stylizer, clip: Path, output: Path, info: VideoInfo, seconds: float, timer: StageTimer
) -> Iterator[float]:
    """One stage after another, so that none waits for another; the part of the time that has gone."""
    mix = parse_mix(STYLE, stylizer.manifest)
    smoother = FlowSmoother(SMOOTH, FILM)
    readout = Readout((("Style", 1.0),), 1.0, FPS, 50.0, "solo", (1, 2), ("smooth",), 12.0, None, None)
    warming = StageTimer()
    index, began = 0, time.perf_counter()
    with VideoFileSink(output, info, overwrite=True) as sink, closing(looped(clip)) as frames:
        while index < _WARM + _FEWEST or time.perf_counter() - began < seconds:
            if index == _WARM:
                began = time.perf_counter()
            told = warming if index < _WARM else timer
            # Where the clip begins anew, the file is opened: no film does that every second.
            with (warming if index % CLIP_FRAMES == 0 else told).stage("read"):
                frame = next(frames)
            with told.stage("network"):
                painted = stylizer(frame.image, mix)
            with told.stage("smoothing"):
                shown = smoother(painted, frame.image, frame.timestamp)
            with told.stage("compose"):
                draw_overlay(compose_view(shown, frame.image, "split", True), readout)
            with told.stage("write"):
                sink.write(replace(frame, image=shown))
            index += 1
            yield min(1.0, (time.perf_counter() - began) / seconds)


def _paint(stylizer: Stylizer, clip: Path, output: Path, info: VideoInfo, seconds: float) -> Iterator[float]:
    """As `livestyle video` does it: for each frame, the part of the time that has gone."""
    take = Take([Cue(0.0, tuple(parse_mix(STYLE, stylizer.manifest).tolist()), smooth=SMOOTH)])
    began = time.perf_counter()
    with VideoFileSink(output, info, overwrite=True) as sink:
        read = buffered(looped(clip), size=4, when_full=WhenFull.WAIT)
        with closing(stylize_film(read, BrushStylizer(stylizer), take.at)) as painted:
            for count, frame in enumerate(painted, 1):
                sink.write(frame)
                elapsed = time.perf_counter() - began
                yield min(1.0, elapsed / seconds)
                if count >= _FEWEST and elapsed >= seconds:
                    break


def _roofline(
    model: str, stylizer: Stylizer, info: VideoInfo, rates: Rates, network_seconds: float
) -> dict[str, Any] | None:
    """None for a network whose work cannot be counted."""
    multiple, styles = stylizer.manifest.size_multiple, len(stylizer.manifest.styles)
    height, width = (-(-size // multiple) * multiple for size in (info.height, info.width))
    try:
        cost = count_cost(read_model_file(find_model(model)).content, height, width, styles)
    except ModelError:
        return None
    wide = bytes_per_value(stylizer.engine)
    limit = limit_of(cost, rates, wide)
    return {
        "gmac": cost.macs / 1e9,
        "mb": cost.traffic(wide) / 1e6,
        "limit_ms": limit.seconds * 1000,
        "bound": limit.bound,
        "of_limit": limit.seconds / network_seconds,
    }
