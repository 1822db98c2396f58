#!/usr/bin/env python
"""Does the rate hold while something else eats the CPU? livestyle's own loop, the real network, no window.

    python tools/governor_bench.py --camera clip.mp4 --target-fps 30 --before 8 --load 20 --after 8

In the middle, `--eaters` other processes run for --load seconds. Should hold: screen fps during the load at
least 90 % of the target, and wherever a second has less, that is over within three seconds, during the load
and after it. "heights" are what the network painted, with the part of the frames. The target is
no more than the camera's own rate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from live_bench import NoWindow, show_parser

from livestyle.controls import Desk
from livestyle.frame import Frame, Image
from livestyle.live import play
from livestyle.mix import MixVector
from livestyle.saver import Saver
from livestyle.smoothing import SMOOTHING
from livestyle.sources import open_camera
from livestyle.stylizer import Stylizer, open_stylizer
from livestyle.take import Cue, Take

ENOUGH = 0.9  # of the target
STEP = 0.1  # seconds, at which the second that is looked at moves on
WARM_UP = 3.0  # seconds that are not counted: the first pictures make the engine ready


class WatchedStylizer(Stylizer):
    """Notes when it painted, and how tall a picture."""

    def __init__(self, stylizer: Stylizer) -> None:
        super().__init__(stylizer.engine, stylizer.manifest)
        self.painted: list[tuple[float, int]] = []

    def __call__(self, image: Image, style_mix: MixVector) -> Image:
        stylized = super().__call__(image, style_mix)
        self.painted.append((time.monotonic(), image.shape[0]))
        return stylized


class WatchedOutput:
    """Notes when it was given a painted picture. A window also shows old ones with new words on them."""

    closed = False

    def __init__(self) -> None:
        self.shown: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, frame: Frame) -> None:
        self.shown.append(time.monotonic())


@contextmanager
def eaters(count: int) -> Iterator[None]:
    """Other processes that take a core each."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rate(times: list[float], begin: float, end: float) -> float:
    """Pictures a second between two times."""
    return (bisect_left(times, end) - bisect_left(times, begin)) / (end - begin)


def longest_dip(times: list[float], begin: float, end: float, wanted: float) -> float:
    """Seconds of the longest stretch in which no whole second has the wanted rate; 0 where all have it."""
    longest, since = 0.0, None
    for step in range(int((end - begin - 1) / STEP) + 1):
        second = begin + step * STEP
        if rate(times, second, second + 1) >= wanted:
            since = None
            continue
        since = second if since is None else since
        longest = max(longest, second + 1 - since)
    return longest


def heights(painted: list[tuple[float, int]], begin: float, end: float) -> dict[int, float]:
    """Height of a painted picture -> part of the pictures, from tall to small."""
    count = Counter(height for when, height in painted if begin <= when < end)
    return {height: round(count[height] / count.total(), 2) for height in sorted(count, reverse=True)}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    stylizer = WatchedStylizer(open_stylizer(arguments.model, arguments.device, threads=arguments.threads))
    shares = tuple(float(row == arguments.style) for row in range(len(stylizer.manifest.styles)))
    take = Take([Cue(0.0, shares, smooth=SMOOTHING["light"])])
    screen = WatchedOutput()
    beginning = time.monotonic() + WARM_UP
    marks = [beginning, beginning + arguments.before]
    marks += [marks[-1] + arguments.load, marks[-1] + arguments.load + arguments.after]
    with ExitStack() as stack:
        source = stack.enter_context(open_camera(arguments.camera, size=arguments.size))
        saver = stack.enter_context(Saver(source.info, Path(stack.enter_context(TemporaryDirectory()))))
        eating = ExitStack()
        stack.callback(eating.close)
        state = iter(("eat", "stop", "end"))
        due = iter(marks[1:])
        following = [next(due)]

        def keep_time() -> bool:
            if time.monotonic() < following[0]:
                return False
            todo = next(state)
            if todo == "eat":
                eating.enter_context(eaters(arguments.eaters))
            elif todo == "stop":
                eating.close()
            following[0] = next(due, following[0])
            return todo == "end"

        report = play(
            source,
            stylizer,
            take,
            Desk(take),
            saver,
            window=NoWindow(),
            outputs=[screen],
            target_fps=arguments.target_fps,
            stopped=keep_time,
        )
        target = arguments.target_fps or source.info.fps
        size = f"{source.info.width}x{source.info.height}"
    result: dict[str, Any] = {"device": stylizer.engine.name, "size": size, "target_fps": target}
    for n, phase in enumerate(("before", "load", "after")):
        begin, end = marks[n], marks[n + 1]
        wanted = ENOUGH * target
        result[phase] = {
            "screen_fps": round(rate(screen.shown, begin, end), 2),
            "of_target": round(rate(screen.shown, begin, end) / target, 3),
            "longest_dip_s": round(longest_dip(screen.shown, begin, end, wanted), 1),
            "heights": heights(stylizer.painted, begin, end),
        }
    return {**result, "size_changes": report.size_changes, "delay_p95_ms": report.delay_p95_ms}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = show_parser(__doc__)
    parser.add_argument("--target-fps", type=float, help="the camera's rate unless given")
    parser.add_argument("--eaters", type=int, default=1, help="processes that eat a core each")
    parser.add_argument("--before", type=float, default=8.0, help="seconds")
    parser.add_argument("--load", type=float, default=20.0, help="seconds")
    parser.add_argument("--after", type=float, default=8.0, help="seconds")
    chosen = parser.parse_args(arguments)
    result = measure(chosen)
    table = (f"{key:<14} {value}" for key, value in result.items())
    print(json.dumps(result) if chosen.json else "\n".join(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
