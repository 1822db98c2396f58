#!/usr/bin/env python
"""What smoothing costs: milliseconds of one core for each picture.

    python tools/smooth_bench.py [--camera models/clip.mp4] [--sizes 640x360,1280x720] [--frames 100]
        [--flow live] [--brush 1]

begin     the motion of the camera's picture, and the picture shown last moved along: beside the network
finish    the blend with the painting: what the loop waits for
both      begin and finish: what a machine without a core to spare pays
meter     the flicker of the painting before and after

The median and the 95th percentile of so many pictures of the clip, scaled to the size, forth and back. The
painting is the picture with its colours turned, and noise: the cost does not ask what is painted. It is as
large as livestyle paints such a picture with this brush, since it is smoothed before it is enlarged; 0.1 is
the full size. cv2 has one thread. Times are those of the processor, so that other programs disturb them less
than a clock's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from livestyle.flicker import FlickerMeter
from livestyle.flow import DETAILS, FlowDetail
from livestyle.frame import Image
from livestyle.governor import brush_scale
from livestyle.smoothing import FlowSmoother, parse_smoothing
from livestyle.upsampling import shrink
from livestyle.video_source import VideoFileSource

WARM = 5  # pictures that are not counted
CLIP = 40  # pictures that are read, at most
FPS = 30.0


def pictures(path: Path, width: int, height: int) -> list[Image]:
    with VideoFileSource(path) as source:
        frames = [frame.image for frame in islice(source, CLIP)]
    return [np.asarray(cv2.resize(image, (width, height)), np.uint8) for image in frames]


def there_and_back(count: int) -> Iterator[int]:
    """0 1 2 … n−1 n−2 … 1 0 1 …: no cut anywhere."""
    return cycle([*range(count), *range(count - 2, 0, -1)])


def timed(work: Callable[[], object]) -> tuple[object, float]:
    began = time.process_time()
    result = work()
    return result, (time.process_time() - began) * 1000


def measure(
    path: Path, width: int, height: int, frames: int, strength: float, detail: FlowDetail, brush: float
) -> dict[str, dict[str, float]]:
    contents = pictures(path, width, height)
    scale = brush_scale(height, width, brush)
    size_hw = (2 * round(scale * height / 2), 2 * round(scale * width / 2))
    noise = np.random.default_rng(0).integers(0, 20, (*size_hw, 3), np.uint8)
    paintings = [
        cv2.add(shrink(image, size_hw)[..., ::-1].copy(), np.roll(noise, 7 * n, axis=1))
        for n, image in enumerate(contents)
    ]
    smoother, meter = FlowSmoother(strength, detail), FlickerMeter()
    times: dict[str, list[float]] = {"begin": [], "finish": [], "both": [], "meter": []}
    for n, at in enumerate(islice(there_and_back(len(contents)), frames + WARM)):
        content, painted = contents[at], np.asarray(paintings[at], np.uint8)
        _, begin = timed(lambda content=content, n=n: smoother.begin(content, n / FPS))  # type: ignore[misc]
        shown, finish = timed(lambda painted=painted: smoother.finish(painted))  # type: ignore[misc]
        _, told = timed(lambda p=painted, s=shown: meter(p, s, smoother.motion))  # type: ignore[misc]
        if n >= WARM:
            for name, value in (
                ("begin", begin),
                ("finish", finish),
                ("both", begin + finish),
                ("meter", told),
            ):
                times[name].append(value)
    return {
        name: {"median_ms": round(float(np.median(t)), 2), "p95_ms": round(float(np.percentile(t, 95)), 2)}
        for name, t in times.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--camera", type=Path, default=Path("models/clip.mp4"), help="a video")
    parser.add_argument("--sizes", default="640x360,1280x720")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--smooth", type=parse_smoothing, default="strong")
    parser.add_argument("--flow", choices=DETAILS, default="live", help="film: as in `livestyle video`")
    parser.add_argument("--brush", type=float, default=1.0, help="as in `livestyle video`")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    result = {}
    for size in chosen.sizes.split(","):
        width, height = map(int, size.lower().split("x"))
        result[size] = measure(
            chosen.camera, width, height, chosen.frames, chosen.smooth, DETAILS[chosen.flow], chosen.brush
        )
    if chosen.json:
        print(json.dumps({"frames": chosen.frames, "threads": 1, "sizes": result}))
        return 0
    print(f"{'':10} {'':8} {'median':>8} {'95 %':>8}   of {chosen.frames} pictures, one thread, ms")
    for size, stages in result.items():
        for name, values in stages.items():
            print(f"{size:10} {name:8} {values['median_ms']:8.2f} {values['p95_ms']:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
