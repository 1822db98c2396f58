"""What tools/flicker.py reads off a clip and sums up over clips, with the plain average to compare with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any, NamedTuple, Protocol

import numpy as np
from flicker_measures import STANDING, Clip, fidelity, temporal_deviation, warping_error

from livestyle.frame import Image
from livestyle.smoothing import EmaSmoother

# Where a search for a time constant looks, in seconds: from one that hardly calms 25 frames a second
# to one that keeps 97 % of the past.
TIME_CONSTANTS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
BISECTIONS = 5  # each halves the logarithm of a factor of two: to 2 % of the time constant
SEARCH_STEP = 3  # it looks at every third pixel of every third row
# What is measured of a clip in a style, its heading, and which end is bad.
COLUMNS: tuple[tuple[str, str, Callable[..., float]], ...] = (
    ("input", "input", max),
    ("raw", "raw", max),
    ("smoothed", "smoothed", max),
    ("reduction", "less", min),
    ("ssim", "SSIM", min),
    ("energy", "edges", min),
    ("ema", "EMA", max),
    ("ema_ssim", "SSIM", min),
    ("ema_energy", "edges", min),
    ("gain", "gain", max),
    ("smoothed_gain", "smoothed", max),
    ("ema_gain", "EMA", max),
)
Reading = dict[str, float]


class Smoother(Protocol):
    def __call__(self, painted: Image, content: Image, timestamp: float) -> Image: ...


class Match(NamedTuple):
    """A time constant in seconds, and whether it reaches the error that was asked for."""

    time_constant: float
    reached: bool


def matching_time_constant(error_of: Callable[[float], float], wanted: float) -> Match:
    """The shortest time constant whose error is `wanted` or less, by bisection.

    Where the scene moves, a longer average at last raises the error again, as it leaves the motion behind: so
    the first of TIME_CONSTANTS that is good enough is looked for, then the step before it is halved. Where
    none is, the best of them, and reached is false.
    """
    errors: list[float] = []
    for long in TIME_CONSTANTS:
        errors.append(error_of(long))
        if errors[-1] <= wanted:
            break
    else:
        return Match(TIME_CONSTANTS[int(np.argmin(errors))], reached=False)
    steps = dict(pairwise(reversed(TIME_CONSTANTS)))  # the next shorter one of each
    short = steps.get(long, long / 2)
    for _ in range(BISECTIONS):
        middle = (short * long) ** 0.5
        if error_of(middle) <= wanted:
            long = middle
        else:
            short = middle
    return Match(long, reached=True)


# --- of a clip ---


def smooth_with(smoother: Smoother, painted: Sequence[Image], clip: Clip) -> list[Image]:
    """A smoother that has seen nothing yet, over a whole clip."""
    return [
        smoother(image, content, timestamp)
        for image, content, timestamp in zip(painted, clip.frames, clip.timestamps, strict=True)
    ]


def ema(time_constant: float, painted: Sequence[Image], clip: Clip) -> list[Image]:
    """time_constant: seconds; 0 is no smoothing at all."""
    return smooth_with(EmaSmoother(time_constant), painted, clip) if time_constant else list(painted)


def equal_ema(painted: Sequence[Image], smoothed: Sequence[Image], clip: Clip) -> Match:
    """The plain average that takes away as much √E_warp as ours."""

    def error(images: Sequence[Image]) -> float:
        return warping_error(images, clip.motions, step=SEARCH_STEP)

    wanted = error(smoothed)
    if wanted >= error(painted):
        return Match(0.0, reached=True)
    return matching_time_constant(lambda constant: error(ema(constant, painted, clip)), wanted)


def read(painted: Sequence[Image], clip: Clip) -> Reading:
    """What is measured without smoothing."""
    reading = {"raw": warping_error(painted, clip.motions)}
    if clip.kind == STANDING:
        reading["gain"] = temporal_deviation(painted) / temporal_deviation(clip.frames)
    return reading


def read_smoothed(
    painted: Sequence[Image], clip: Clip, smoother: Smoother, time_constant: float | None
) -> tuple[Reading, list[Image], list[Image]]:
    """The figures, and the frames of ours and of the EMA. time_constant: None looks for the equal one."""
    ours = smooth_with(smoother, painted, clip)
    match = equal_ema(painted, ours, clip) if time_constant is None else Match(time_constant, reached=True)
    plain = ema(match.time_constant, painted, clip)
    reading = read(painted, clip)
    reading["smoothed"] = warping_error(ours, clip.motions)
    reading["reduction"] = 1 - reading["smoothed"] / reading["raw"] if reading["raw"] else 0.0
    reading["ssim"], reading["energy"] = fidelity(ours, painted)
    reading["ema"] = warping_error(plain, clip.motions)
    reading["ema_ssim"], reading["ema_energy"] = fidelity(plain, painted)
    reading["ema_time_constant"], reading["ema_reached"] = match.time_constant, float(match.reached)
    if clip.kind == STANDING:
        deviation = temporal_deviation(clip.frames)
        reading["smoothed_gain"] = temporal_deviation(ours) / deviation
        reading["ema_gain"] = temporal_deviation(plain) / deviation
    return reading, ours, plain


# --- of all clips ---


def about(clip: Clip) -> dict[str, Any]:
    height, width = clip.frames[0].shape[:2]
    facts = {"name": clip.name, "kind": clip.kind, "size": f"{width}x{height}"}
    return {**facts, "frames": len(clip.frames), "pairs": len(clip.motions), "styles": {}}


def mean_of(readings: Sequence[Mapping[str, float]]) -> Reading:
    """The mean of each figure that all of them have."""
    keys = [key for key in readings[0] if all(key in each for each in readings)]
    return {key: fmean(each[key] for each in readings) for key in keys}


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The means over styles of each clip; of each kind the mean over its clips and the worst style."""
    for row in rows:
        row["mean"] = {"input": row["input"], **mean_of(list(row["styles"].values()))}
    kinds = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        styles = {style: mean_of([row["styles"][style] for row in of_kind]) for style in of_kind[0]["styles"]}
        worst = {}
        for key, _, bad_end in COLUMNS:
            values = {style: figures[key] for style, figures in styles.items() if key in figures}
            if values:
                style = bad_end(values, key=values.__getitem__)
                worst[key] = {"style": style, "value": values[style]}
        kinds[kind] = {"mean": mean_of([row["mean"] for row in of_kind]), "worst": worst, "styles": styles}
    return {"clips": list(rows), "kinds": kinds}


def compared(name: str, their: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Their means over ours, kind by kind: raw √E_warp, and the standing camera's gain."""

    def mean(rows: Sequence[dict[str, Any]], kind: str, key: str) -> float:
        return fmean(fmean(s[key] for s in row["styles"].values()) for row in rows if row["kind"] == kind)

    def ratio(kind: str, key: str) -> float | None:
        before = mean(ours, kind, key)
        return mean(their, kind, key) / before if before else None

    kinds = dict.fromkeys(row["kind"] for row in ours)
    gain = ratio(STANDING, "gain") if STANDING in kinds else None
    return {
        "model": name,
        "raw": {kind: ratio(kind, "raw") for kind in kinds},
        "gain": gain,
        "clips": list(their),
    }
