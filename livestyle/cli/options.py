"""What the commands share: options, and the way they speak."""

from __future__ import annotations

import errno
import os
import sys
from importlib.util import find_spec
from typing import Annotated, cast

import typer

from livestyle.engines import Device
from livestyle.errors import LivestyleError
from livestyle.governor import FINEST, WIDEST
from livestyle.terminal import printable


def _known_strength(value: float) -> float:
    from livestyle.mix import STRONGEST

    if not 0 <= value <= STRONGEST:  # NaN too
        raise typer.BadParameter(
            f"it goes from 0 to {STRONGEST:g}, not {value:g}; 1 is the whole style, 0.8 is 80 %"
        )
    return value


def known_brush(value: float | None) -> float | None:
    """A brush that there is, or None. Raises BadParameter."""
    if value is not None and not FINEST <= value <= WIDEST:  # NaN too
        raise typer.BadParameter(f"it goes from {FINEST:g} to {WIDEST:g}, not {value:g}")
    return value


Style = Annotated[
    str, typer.Option(help="A number or a name, as `livestyle styles` lists them, or a mix: 3:0.7,5:0.3.")
]
Strength = Annotated[
    float, typer.Option(callback=_known_strength, help="0 is the original, 1 the style, 1.5 the most.")
]
Model = Annotated[str, typer.Option(help="A built-in model's name, or the path of an ONNX file.")]
DeviceName = Annotated[Device, typer.Option("--device", help="What the network runs on.")]
Threads = Annotated[int | None, typer.Option(min=1, max=256, help="CPU threads of the network.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
SMOOTH_HELP, BRUSH_HELP = "Against flicker.", "Width of strokes: 2 is twice; below 1, finer beyond 360 lines."
Smooth = Annotated[str, typer.Option(metavar="off|light|strong|0…1", help=SMOOTH_HELP)]
Brush = Annotated[float, typer.Option(callback=known_brush, help=BRUSH_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

# What is done about a disk, whichever library wrote on it.
_DISK_STEPS = {
    errno.ENOSPC: "make room, or name another disk",
    errno.EDQUOT: "make room, or name another disk",
    errno.EFBIG: "name another disk",
}

# The parser's own class, which typer takes from click or, newer, from a private copy of it.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__bases__[0])


def smoothing_of(text: str) -> float:
    """The strength that --smooth asks for."""
    from livestyle.smoothing import parse_smoothing

    try:
        return parse_smoothing(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--smooth") from error


def say(text: str) -> None:
    """A line for people, on stderr: stdout holds results only."""
    print(printable(text), file=sys.stderr, flush=True)


def error_line(error: LivestyleError) -> str:
    """What is printed of an error. Where a disk is its cause, the next step is added unless it is there."""
    number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
    step = _DISK_STEPS.get(number or 0, "")
    return printable(f"error: {error}; {step}" if step not in str(error) else f"error: {error}")


def need_torch() -> None:
    """Sets torch up; to be called before it is imported. Raises LivestyleError where it is missing."""
    if find_spec("torch") is None:
        raise LivestyleError('this command needs torch: pip install "livestyle[train]"')
    # Torch reads it once: on the CPU, fresh memory in small pages takes a good part of a training's time.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
