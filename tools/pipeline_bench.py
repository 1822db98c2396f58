#!/usr/bin/env python
"""What the pipeline of `livestyle video` costs beyond its slowest stage, the network: pair by pair.

    python tools/pipeline_bench.py VIDEO [--height 720] [--threads 1] [--smooth light] [--pairs 6] [--json]

A pair is the network alone on --frames pictures of the video, and then as many through all stages at once:
read, network, flow and smoothing, encoding into a file. Both are milliseconds a frame, from the first one to
the last. The ratio of a pair is the overhead. Where the network has all cores, the other stages take their
work from it, and the ratio tells how much work that is; with --threads below the number of cores it tells
whether they are in its way. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from livestyle.buffering import WhenFull, buffered
from livestyle.errors import LivestyleError
from livestyle.frame import Frame, VideoInfo
from livestyle.mix import MixVector, parse_mix
from livestyle.pipeline import stylize_film
from livestyle.smoothing import parse_smoothing
from livestyle.stylizer import BrushStylizer, Stylizer, open_stylizer
from livestyle.take import Cue, Take
from livestyle.video_sink import VideoFileSink
from livestyle.video_source import VideoFileSource, looped

WARM = 5  # frames that are not counted, each time


def network_alone(stylizer: Stylizer, frames: Sequence[Frame], mix: MixVector) -> float:
    """Milliseconds a frame."""
    for frame in frames[:WARM]:
        stylizer(frame.image, mix)
    began = time.perf_counter()
    for frame in frames:
        stylizer(frame.image, mix)
    return (time.perf_counter() - began) * 1000 / len(frames)


def all_stages(stylizer: Stylizer, arguments: argparse.Namespace, info: VideoInfo, mix: MixVector) -> float:
    """Milliseconds a frame."""
    take = Take([Cue(0.0, tuple(mix.tolist()), smooth=arguments.smooth)])
    with TemporaryDirectory() as folder, VideoFileSink(Path(folder, "painted.mp4"), info) as sink:
        read = buffered(looped(arguments.video, arguments.height), size=4, when_full=WhenFull.WAIT)
        with closing(stylize_film(read, BrushStylizer(stylizer), take.at)) as painted:
            for frame in islice(painted, WARM):
                sink.write(frame)
            began = time.perf_counter()
            for frame in islice(painted, arguments.frames):
                sink.write(frame)
            return (time.perf_counter() - began) * 1000 / arguments.frames


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    stylizer = open_stylizer(arguments.model, arguments.device, threads=arguments.threads)
    mix = parse_mix("1", stylizer.manifest)
    with VideoFileSource(arguments.video, height=arguments.height) as source:
        info = source.info
    frames = list(islice(looped(arguments.video, arguments.height), min(arguments.frames, 40)))
    pairs = []
    for _ in range(arguments.pairs):
        alone = network_alone(stylizer, frames, mix)
        pairs.append((alone, all_stages(stylizer, arguments, info, mix)))
    ratios = [together / alone for alone, together in pairs]
    return {
        "engine": stylizer.engine.name,
        "size": f"{info.width}x{info.height}",
        "threads": arguments.threads,
        "pairs": [[round(alone, 2), round(together, 2)] for alone, together in pairs],
        "overhead": round(median(ratios), 3),
        "overhead_min": round(min(ratios), 3),
        "overhead_max": round(max(ratios), 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--model", default="painters")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="of the network on a CPU")
    parser.add_argument("--height", type=int, help="scale the video down to so many lines")
    parser.add_argument("--smooth", type=parse_smoothing, default="light")
    parser.add_argument("--frames", type=int, default=60, help="of each half of a pair")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    if min(chosen.frames, chosen.pairs) < 1:
        parser.error("--frames and --pairs are 1 or more")
    try:
        result = measure(chosen)
    except LivestyleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result) if chosen.json else "\n".join(f"{k:<13} {v}" for k, v in result.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
