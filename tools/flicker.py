"""Measures how much a model flickers, and what smoothing takes away of it and of the painting.

    python tools/flicker.py MODEL [--against OTHER ...] --clips FOLDER --photos FOLDER [--styles 1,5,9 | all]
        [--smooth strong] [--flow film] [--ema auto] [--limit-frames N] [--json [OUT]] [--strips DIR]
    python tools/flicker.py --external PAINTED --clips FOLDER --photos FOLDER
    python tools/flicker.py --write-inputs DIR --clips FOLDER --photos FOLDER

Each clip is painted once in each style, then every smoother runs on the same painted frames. The clips (at
most 640 wide): flicker_clips.py. The figures, with formulas and sources: flicker_measures.py. The columns are

input      √E_warp of the unpainted frames: their noise and light, and what flow and warp get wrong. A
           painting that follows its input exactly scores this; smoothing that calms the noise too, less.
raw        √E_warp of the painting, 0 to 1: root of the mean squared change along the motion, the mean over
           the three channels, over what is seen in both frames, and over pairs of frames
smoothed   the same after FlowSmoother(--smooth), its motion followed as closely as --flow says: film as
           `livestyle video` does it, live as `livestyle webcam`
less       1 − smoothed / raw
SSIM, edges  the guard, smoothed against raw: structural similarity, and gradient energy. 1 is all of it.
EMA        √E_warp of a plain moving average, its time constant searched so that it takes away as much as
           ours (a * where none does for some style: then the best), and its guard, SSIM and edges
gain       standing camera: deviation over time of the painting over that of its input; raw, smoothed, EMA

A row is the mean over styles; for each kind of clip follow the mean over its clips and the worst style.
--against: ratios of raw √E_warp and gain to the first model. --external PAINTED: frames of another program,
PAINTED/<clip>/<frame>.png, painted from those of --write-inputs; with a model, compared with it.
--strips: six frames of each real clip, raw over EMA over ours, in the first style.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import flicker_clips as clips
import numpy as np
from flicker_measures import REAL, Clip, warping_error
from flicker_painters import painters
from flicker_readings import COLUMNS, about, compared, read, read_smoothed, summary

from livestyle.errors import LivestyleError, SourceError
from livestyle.flow import DETAILS
from livestyle.frame import Image
from livestyle.lettering import write_text
from livestyle.pictures import pictures_in, write_picture
from livestyle.smoothing import FlowSmoother, parse_smoothing
from livestyle.terminal import progress_bar

REAL_CLIPS = "webcam_asl_sister,talking_man_pexels_8048492,room_person_walks_intel"
STANDING_EVERY = 3  # stills: one standing camera for so many gliding ones
STRIP_FRAMES = 6


@dataclass(frozen=True)
class Planned:
    """A clip that is loaded when its turn comes. frames: how many, at most."""

    frames: int
    load: Callable[[], Clip]


def plan(arguments: argparse.Namespace) -> list[Planned]:
    limit: int | None = arguments.limit_frames

    def least(count: int) -> int:
        return count if limit is None else min(limit, count)

    planned = []
    if arguments.clips:
        for folder in clips.clip_folders(arguments.clips):
            count = least(len(clips.frame_files(folder)))
            planned.append(Planned(count, partial(clips.true_flow_clip, folder, count)))
    if arguments.photos:
        files = pictures_in(arguments.photos)
        chosen = np.linspace(0, len(files) - 1, min(arguments.stills, len(files))).round().astype(int)
        for seed, file in enumerate(files[number] for number in chosen):
            count = least(clips.EXACT_FRAMES)
            for noise in (0.0, clips.EXACT_NOISE):
                make = partial(clips.exact_clip, file, count=count, noise=noise, seed=seed)
                planned.append(Planned(count, make))
            if seed % STANDING_EVERY == 0:
                count = least(clips.STANDING_FRAMES)
                planned.append(Planned(count, partial(clips.standing_clip, file, count=count, seed=seed)))
    if arguments.clips:
        for name in filter(None, arguments.real.split(",")):
            count = least(clips.REAL_FRAMES)
            planned.append(Planned(count, partial(clips.real_clip, arguments.clips / f"{name}.mp4", count)))
    return planned


def strip(rows: Mapping[str, Sequence[Image]]) -> Image:
    """The last frames of each row side by side, under the row's name."""
    bands = []
    for name, frames in rows.items():
        band = np.ascontiguousarray(np.hstack(frames[-STRIP_FRAMES:]))
        label = np.full((26, band.shape[1], 3), 255, np.uint8)
        write_text(label, name, 6, 19, 17, (0, 0, 0))
        bands += [label, band]
    return np.ascontiguousarray(np.vstack(bands))


def loaded(planned: Sequence[Planned]) -> Iterator[tuple[Planned, Clip]]:
    for each in planned:
        clip = each.load()
        if clip.motions:
            yield each, clip
        else:
            told = f"{clip.name} is left out: no motion is known in its first {each.frames} frames"
            print(told, file=sys.stderr)


def measure(arguments: argparse.Namespace, strength: float, time_constant: float | None) -> dict[str, Any]:
    first, *others = painters(arguments)
    planned = plan(arguments)
    paintings = sum(len(each.styles) for each in (first, *others))
    if arguments.strips:
        arguments.strips.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    against: list[list[dict[str, Any]]] = [[] for _ in others]
    left = sum(each.frames for each in planned) * paintings
    begun, done = time.monotonic(), 0
    with progress_bar("frames/s") as bar:
        task = bar.add_task("painting", total=left)
        for each, clip in loaded(planned):
            row = about(clip)
            row["input"] = warping_error(clip.frames, clip.motions)
            for style in first.styles:
                painted = first.paint(clip, style)
                if strength:
                    smoother = FlowSmoother(strength, DETAILS[arguments.flow])
                    reading = read_smoothed(painted, clip, smoother, time_constant)
                    row["styles"][style], ours, plain = reading
                    if arguments.strips and clip.kind == REAL and style == first.styles[0]:
                        picture = strip({"raw": painted, "EMA": plain, "ours": ours})
                        write_picture(arguments.strips / f"{clip.name}.png", picture, overwrite=True)
                else:
                    row["styles"][style] = read(painted, clip)
                bar.advance(task, each.frames)
            rows.append(row)
            for other, their_rows in zip(others, against, strict=True):
                their = about(clip)
                for style in other.styles:
                    their["styles"][style] = read(other.paint(clip, style), clip)
                    bar.advance(task, each.frames)
                their_rows.append(their)
            done += each.frames * paintings
            if bar.disable:  # no terminal: a line a clip
                seconds = (time.monotonic() - begun) / done * (left - done)
                print(f"{clip.name}, {seconds:.0f} s left", file=sys.stderr, flush=True)
    if not rows:
        raise SourceError("there is nothing to measure; give --clips, --photos, and more frames")
    result = {
        "model": first.name,
        "smooth": strength,
        "flow": arguments.flow,
        "ema": time_constant or "auto",
        **summary(rows),
    }
    pairs = zip(others, against, strict=True)
    result["against"] = [compared(other.name, their_rows, rows) for other, their_rows in pairs]
    return result


# --- what is told ---


def cell(key: str, value: float | None) -> str:
    if value is None:
        return ""
    if key == "reduction":
        return f"{100 * value:.0f} %"
    digits = 2 if "gain" in key else 3 if "ssim" in key or "energy" in key else 4
    return f"{value:.{digits}f}"


def line(name: str, figures: Mapping[str, float], width: int) -> str:
    cells = [f"{cell(key, figures.get(key)):>8}" for key, _, _ in COLUMNS]
    missed = figures.get("ema_reached", 1.0) < 1
    ema_at = [key for key, _, _ in COLUMNS].index("ema")
    marks = ["*" if missed and i == ema_at else " " for i in range(len(cells))]
    told = "".join(f"{text}{mark}" for text, mark in zip(cells, marks, strict=True))
    return f"{name:{width}}{told.rstrip()}"


def headings() -> list[list[str]]:
    """Two lines: whose figures begin here, and what they are."""
    above = {"input": "√E_warp", "smoothed": "ours", "ema": "EMA", "gain": "gain"}
    return [[above.get(key, "") for key, _, _ in COLUMNS], [heading for _, heading, _ in COLUMNS]]


def table(result: Mapping[str, Any]) -> str:
    names = [row["name"] for row in result["clips"]]
    width = max(map(len, [*names, "  worst style"])) + 1
    styles = len(result["clips"][0]["styles"])
    count = f"{styles} style{'s' * (styles > 1)}"
    lines = [f"{result['model']}, {count}, smooth {result['smooth']:g}, EMA {result['ema']}"]
    lines += [" " * width + "".join(f"{text:>8} " for text in texts).rstrip() for texts in headings()]
    for kind, of_kind in result["kinds"].items():
        lines += ["", kind]
        lines += [line(row["name"], row["mean"], width) for row in result["clips"] if row["kind"] == kind]
        lines.append(line("  mean", of_kind["mean"], width))
        worst = {key: found["value"] for key, found in of_kind["worst"].items()}
        lines.append(line("  worst style", worst, width))
    if any(row["mean"].get("ema_reached", 1.0) < 1 for row in result["clips"]):
        lines += ["", "* for some style no plain average takes away as much; the best one stands there"]
    for other in result["against"]:
        ratios = [f"{kind} {value:.2f}" for kind, value in other["raw"].items() if value is not None]
        gain = "" if other["gain"] is None else f"; gain {other['gain']:.2f}"
        lines += ["", f"{other['model']} over {result['model']}: raw {', '.join(ratios)}{gain}"]
    return "\n".join(lines)


def write_inputs(folder: Path, planned: Sequence[Planned]) -> None:
    for _, clip in loaded(planned):
        (folder / clip.name).mkdir(parents=True, exist_ok=True)
        for index, frame in enumerate(clip.frames):
            write_picture(folder / clip.name / clips.frame_name(index), frame, overwrite=True)
        print(folder / clip.name)


def strength_of(text: str) -> float:
    try:
        return parse_smoothing(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def time_constant_of(text: str) -> float | None:
    """ "auto" (None) or seconds."""
    if text == "auto":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 60:
        raise argparse.ArgumentTypeError(f"{text!r} is not auto or a time constant in seconds, like 0.08")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="a name like painters, or an .onnx file")
    parser.add_argument("--against", nargs="+", default=[], metavar="OTHER", help="more models")
    parser.add_argument("--external", type=Path, action="append", default=[], metavar="PAINTED")
    parser.add_argument("--write-inputs", type=Path, metavar="DIR", help="write the clips as PNG and end")
    parser.add_argument("--clips", type=Path, help="folder with true-flow folders and videos")
    parser.add_argument("--photos", type=Path, help="folder with stills that the model never saw")
    parser.add_argument("--stills", type=int, default=6, help="how many of them (6)")
    parser.add_argument("--real", default=REAL_CLIPS, help="videos in --clips, without .mp4")
    parser.add_argument("--styles", default="all", help="numbers or names, or all (but the original)")
    parser.add_argument("--limit-frames", type=int, metavar="N", help="only the first N frames of each clip")
    parser.add_argument("--smooth", type=strength_of, default="strong", help="off, light, strong or 0 to 1")
    parser.add_argument("--flow", choices=DETAILS, default="film", help="how closely motion is followed")
    parser.add_argument("--ema", type=time_constant_of, default="auto", help="auto, or seconds")
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT")
    parser.add_argument("--strips", type=Path, metavar="DIR")
    parser.add_argument("--device", default="cpu", help="where models paint (cpu)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    options = parser.parse_args(arguments)
    if min(options.stills, options.threads or 1) < 1 or (options.limit_frames or 2) < 2:
        parser.error("--stills and --threads are 1 or more, --limit-frames 2 or more")
    if not (options.clips or options.photos):
        parser.error("there are no clips: give --clips FOLDER, --photos FOLDER or both")
    if not (options.model or options.external or options.write_inputs):
        parser.error("there is nothing to measure: give a model, --external or --write-inputs")
    if options.against and not options.model:
        parser.error("--against needs a model to compare with")
    if options.strips and not options.smooth:
        parser.error("--strips shows what smoothing does: leave --smooth off out")
    if options.threads:
        cv2.setNumThreads(options.threads)
    try:
        if options.write_inputs:
            write_inputs(options.write_inputs, plan(options))
            return 0
        result = measure(options, options.smooth, options.ema)
        text = json.dumps(result, ensure_ascii=False, indent=2)
        print(text if options.json == "-" else table(result))
        if options.json not in (None, "-"):
            Path(options.json).write_text(text + "\n", encoding="utf-8")
    except (LivestyleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
