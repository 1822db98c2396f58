#!/usr/bin/env python
"""How live the live loop is: a video as camera, the real network, a real window where there is a display.

    python tools/live_bench.py --camera models/clip.mp4 --size 640x360 --seconds 6 --turns 6

network alone      pictures a second of the network on the camera's pictures, nothing else running
live               livestyle's own loop: rates of camera, network and screen, delay from camera to screen
slow network       the same with a network that takes --slow seconds: does anything queue, does memory grow?

The network alone and the live loop take turns, and each turn is held against the network before and after
it: a machine that gets hot changes its pace by a third within a minute. Figures are medians over the turns.
Should hold: screen fps at least 95 % of the lower of the camera's rate and the network's alone; delay p95 of
at most two camera intervals and the network's time; with the slow network, p95 under twice its time, and flat
memory.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from livestyle.controls import Desk
from livestyle.frame import Frame, Image
from livestyle.live import LiveReport, play
from livestyle.mix import MixVector
from livestyle.saver import Saver
from livestyle.sinks import WindowSink
from livestyle.sources import open_camera
from livestyle.stylizer import Stylizer, open_stylizer
from livestyle.take import Cue, Take


class NoWindow:
    """Where there is no display: takes every picture and has no keys."""

    full_screen = False
    closed = False

    def show(self, image: Image) -> None: ...
    def poll_key(self, wait: float = 0.0) -> str | None:
        return None


class SlowStylizer(Stylizer):
    """Takes at least so many seconds a picture, as a heavy network would, without using the CPU for it."""

    def __init__(self, stylizer: Stylizer, seconds: float) -> None:
        super().__init__(stylizer.engine, stylizer.manifest)
        self.seconds = seconds

    def __call__(self, image: Image, style_mix: MixVector) -> Image:
        time.sleep(self.seconds)
        return image


def first_pictures(arguments: argparse.Namespace, count: int) -> list[Frame]:
    with open_camera(arguments.camera, size=arguments.size) as source:
        frames = []
        for frame in source:
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


def network_alone(stylizer: Stylizer, frames: list[Frame], mix: MixVector, seconds: float) -> list[float]:
    """Seconds of each run."""
    for frame in frames[:3]:
        stylizer(frame.image, mix)
    times: list[float] = []
    while sum(times) < seconds:
        began = time.perf_counter()
        stylizer(frames[len(times) % len(frames)].image, mix)
        times.append(time.perf_counter() - began)
    return times


def live(arguments: argparse.Namespace, stylizer: Stylizer, seconds: float) -> tuple[LiveReport, list[float]]:
    """The report, and resident memory in MB, ten times on the way."""
    shares = tuple(float(row == arguments.style) for row in range(len(stylizer.manifest.styles)))
    take = Take([Cue(0.0, shares)])
    memory: list[float] = []
    beginning = time.monotonic()

    def look() -> bool:
        if time.monotonic() - beginning >= seconds * len(memory) / 10:
            memory.append(resident_mb())
        return False

    with ExitStack() as stack:
        source = stack.enter_context(open_camera(arguments.camera, size=arguments.size))
        saver = stack.enter_context(Saver(source.info, Path(stack.enter_context(TemporaryDirectory()))))
        window: Any = NoWindow()
        if os.environ.get("DISPLAY") and not arguments.no_window:
            window = stack.enter_context(WindowSink("livestyle", source.info))
        report = play(
            source,
            stylizer,
            take,
            Desk(take),
            saver,
            window=window,
            seconds=seconds,
            stopped=look,
            target_fps=1,  # always at full size
        )
    return report, memory


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    stylizer = open_stylizer(arguments.model, arguments.device, threads=arguments.threads)
    frames = first_pictures(arguments, 60)
    mix = np.eye(len(stylizer.manifest.styles), dtype=np.float32)[arguments.style]
    alone = [network_alone(stylizer, frames, mix, arguments.seconds / 2)]
    reports = []
    for _ in range(arguments.turns):
        reports.append(live(arguments, stylizer, arguments.seconds)[0])
        alone.append(network_alone(stylizer, frames, mix, arguments.seconds / 2))
    rates = [fmean((1 / fmean(before), 1 / fmean(after))) for before, after in pairwise(alone)]
    shares = [
        report.screen_fps / min(report.camera_fps, rate) for report, rate in zip(reports, rates, strict=True)
    ]
    delays = [report.delay_p95_ms or 0.0 for report in reports]
    slow, memory = live(arguments, SlowStylizer(stylizer, arguments.slow), 5 * arguments.seconds)
    runs = [seconds for turn in alone for seconds in turn]
    height, width = frames[0].image.shape[:2]
    return {
        "device": stylizer.engine.name,
        "size": f"{width}x{height}",
        "window": bool(os.environ.get("DISPLAY")) and not arguments.no_window,
        "turns": arguments.turns,
        "network_alone_fps": median(rates),
        "network_alone_ms": median(runs) * 1000,
        "network_alone_runs": len(runs),
        "camera_fps": median(report.camera_fps for report in reports),
        "network_fps": median(report.network_fps for report in reports),
        "screen_fps": median(report.screen_fps for report in reports),
        "share_of_possible": median(shares),
        "shares": [round(share, 3) for share in sorted(shares)],
        "delay_p95_ms": median(delays),
        "delay_p95_ms_worst_turn": max(delays),
        "delay_limit_ms": 2000 / median(report.camera_fps for report in reports) + median(runs) * 1000,
        "slow_network_ms": arguments.slow * 1000,
        "slow": shown(slow),
        "slow_memory_mb": [round(value, 1) for value in memory],
    }


def shown(report: LiveReport) -> dict[str, float | int | None]:
    keys = ("frames", "dropped", "camera_fps", "network_fps", "screen_fps", "delay_p50_ms", "delay_p95_ms")
    return {key: getattr(report, key) for key in keys}


def size_of(text: str) -> tuple[int, int]:
    width, height = text.lower().split("x")
    return int(width), int(height)


def show_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every bench that plays a show."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    parser.add_argument("--camera", default="models/clip.mp4", help="as of livestyle webcam")
    parser.add_argument("--size", type=size_of, help="WxH")
    parser.add_argument("--model", default="painters")
    parser.add_argument("--style", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = show_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a turn")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--slow", type=float, default=0.3, help="seconds of the slow network")
    parser.add_argument("--no-window", action="store_true")
    chosen = parser.parse_args(arguments)
    result = measure(chosen)
    shortened = {key: f"{value:.3g}" if isinstance(value, float) else value for key, value in result.items()}
    table = (f"{key:<20} {value}" for key, value in shortened.items())
    print(json.dumps(result) if chosen.json else "\n".join(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
