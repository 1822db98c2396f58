"""Takes as files: what `livestyle webcam --save-take` writes, and scripts that people write by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from livestyle.errors import ModelError, SinkError, SourceError
from livestyle.governor import FINEST, WIDEST
from livestyle.manifest import Manifest
from livestyle.mix import LISTED, STRONGEST, parse_mix
from livestyle.smoothing import SMOOTHING
from livestyle.take import Cue, Take
from livestyle.whole_file import WholeFile

FORMAT = 1
SUFFIXES = (".json", ".txt")  # takes are text; any other name promises something else
LARGEST = 50_000_000  # bytes; hours of playing have a few
_LONGEST = 1e6  # seconds, of a time or a fade
_SWITCHES = ("own_colours", "frozen")
_KEYS = {"at", "over", "mix", "strength", "smooth", "brush", *_SWITCHES}
# 1:30: starry_night at 80% over 2s
# Single spaces: a long run of them, tried again from each of its places, would take for ever.
_LINE = re.compile(
    r"(?:(?P<minutes>\d{1,5}):)?(?P<seconds>\d{1,6}(?:\.\d{1,9})?)s? ?: (?P<mix>.+?)"
    r"(?: at (?P<strength>\d{1,3}(?:\.\d{1,9})?) ?%)?(?: over (?P<over>\d{1,6}(?:\.\d{1,9})?) ?s?)?"
)
_EXAMPLE = "write it like `0s: starry_night; 4s: great_wave over 2s`"


def read_take(spec: str, manifest: Manifest, *, smooth: float = 0.0) -> Take:
    """The take in a file, or the script that `spec` itself is. Raises SourceError, ModelError.

    smooth: of a script, which cannot say it; 0 to 1.
    """
    path = Path(spec)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a script too long for a name
        is_file = False
    if not is_file:
        if ": " in spec:
            return parse_script(spec, manifest, where="the take", smooth=smooth)
        if path.suffix.lower() in SUFFIXES:
            raise SourceError(f"there is no take {spec}; check the name, or {_EXAMPLE}")
        raise SourceError(f"cannot read the take {spec[:60]!r}; name a file, or {_EXAMPLE}")
    try:
        if path.stat().st_size > LARGEST:
            raise SourceError(f"{path} is too large to be a take: over {LARGEST // 1_000_000} MB")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not a take: it is not text") from error
    except OSError as error:
        raise SourceError(f"cannot read the take {path}: {error.strerror or error}") from error
    if text.lstrip().startswith(("{", "[")):
        return parse_take(text, manifest, where=str(path))
    return parse_script(text, manifest, where=str(path), smooth=smooth)


def check_take_path(path: Path, *, overwrite: bool = False) -> None:
    """Whether a take can be written there, before the show that it will hold. Raises SinkError."""
    if path.suffix.lower() not in SUFFIXES:
        known = " or ".join(SUFFIXES)
        better = path.with_suffix(SUFFIXES[0]) if path.name else f"take{SUFFIXES[0]}"
        raise SinkError(f"cannot write the take {path}: its name must end in {known}; name it {better}")
    WholeFile(path, overwrite).probe()


def write_take(path: Path, take: Take, manifest: Manifest, *, overwrite: bool = False) -> None:
    """Save every cue, exactly. Raises SinkError."""
    names = [style.name for style in manifest.styles]
    cues = [
        {
            "at": cue.timestamp,
            "over": cue.over,
            "mix": {name: share for name, share in zip(names, cue.shares, strict=True) if share},
            "strength": cue.strength,
            **({"smooth": cue.smooth} if cue.smooth else {}),
            **({"brush": cue.brush} if cue.brush != 1 else {}),
            **{key: True for key in _SWITCHES if getattr(cue, key)},
        }
        for cue in take.cues
    ]
    rows = ",\n".join("  " + json.dumps(cue) for cue in cues)
    text = f'{{"livestyle_take": {FORMAT}, "model": {json.dumps(manifest.name)}, "cues": [\n{rows}\n]}}\n'
    with WholeFile(path, overwrite) as partial:
        partial.write_text(text, encoding="utf-8")


def parse_take(text: str, manifest: Manifest, *, where: str) -> Take:
    """A take as write_take() writes it. Raises SourceError, ModelError for a style that there is not.

    What a cue does not say is as in Cue. "smooth": a number from 0 to 1; true, which older takes have, is the
    light smoothing, and false none.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where} is not a take: {error}") from error
    if not isinstance(table, Mapping) or "livestyle_take" not in table:
        raise SourceError(f'{where} is not a take: it has no "livestyle_take": 1')
    if table["livestyle_take"] != FORMAT:
        raise SourceError(f"{where} is a take of another kind than {FORMAT}; a newer livestyle may read it")
    rows = table.get("cues")
    if not isinstance(rows, list) or not rows:
        raise SourceError(f"{where} holds no cues")
    return Take(_cue(row, manifest, f"{where}: cue {n}") for n, row in enumerate(rows, 1))


def parse_script(text: str, manifest: Manifest, *, where: str, smooth: float = 0.0) -> Take:
    """Cues by hand: `TIME: MIX [at STRENGTH%] [over DURATION]`, with `;` or a new line between them.

    TIME: seconds (4s, 4.5) or minutes and seconds (1:30). MIX: as --style takes it. What follows # is a note.
    The first cue is in force from the beginning. smooth: of every cue. Raises SourceError, ModelError.
    """
    cues = []
    for line in text.splitlines():
        for part in filter(None, (" ".join(piece.split()) for piece in line.partition("#")[0].split(";"))):
            match = _LINE.fullmatch(part)
            if match is None:
                raise SourceError(f"{where}: cannot read {part[:60]!r}; {_EXAMPLE}")
            strength = float(match["strength"] or 100) / 100
            if strength > STRONGEST:
                raise SourceError(f"{where}: {part[:60]!r} asks for more than {STRONGEST:.0%}")
            cues.append(
                Cue(
                    60 * int(match["minutes"] or 0) + float(match["seconds"]),
                    tuple(parse_mix(match["mix"], manifest).astype(float).tolist()),
                    strength=strength,
                    over=float(match["over"] or 0),
                    smooth=smooth,
                )
            )
    if not cues:
        raise SourceError(f"{where} holds no cues; {_EXAMPLE}")
    return Take(cues)


def _cue(row: Any, manifest: Manifest, where: str) -> Cue:
    if not isinstance(row, Mapping) or "at" not in row or "mix" not in row:
        raise SourceError(f'{where} needs "at", in seconds, and "mix", such as {{"starry_night": 1}}')
    if unknown := sorted(set(row) - _KEYS):
        raise SourceError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    switches = {key: row.get(key, False) for key in _SWITCHES}
    if not all(isinstance(value, bool) for value in switches.values()):
        raise SourceError(f"{where}: {', '.join(_SWITCHES)} are true or false")
    try:
        return Cue(
            _number(row["at"], where, "at", 0, _LONGEST),
            _shares(row["mix"], manifest, where),
            strength=_number(row.get("strength", 1), where, "strength", 0, STRONGEST),
            over=_number(row.get("over", 0), where, "over", 0, _LONGEST),
            smooth=_smooth(row.get("smooth", 0), where),
            brush=_number(row.get("brush", 1), where, "brush", FINEST, WIDEST),
            **switches,
        )
    except ValueError as error:
        raise SourceError(f"{where}: {error}") from error


def _smooth(value: Any, where: str) -> float:
    if isinstance(value, bool):  # what takes had when smoothing was on or off
        return SMOOTHING["light"] if value else 0.0
    return _number(value, where, "smooth", 0, 1)


def _shares(mix: Any, manifest: Manifest, where: str) -> tuple[float, ...]:
    if not isinstance(mix, Mapping) or not mix:
        raise SourceError(
            f'{where}: "mix" is a table of styles and their shares, such as {{"starry_night": 1}}'
        )
    names = [style.name for style in manifest.styles]
    shares = np.zeros(len(names))
    for style, share in mix.items():
        if style not in names:
            raise ModelError(f"{where}: {manifest.name} has no style {style[:60]!r}; {LISTED}")
        shares[names.index(style)] = _number(share, where, f"the share of {style}", 0, 1)
    if not math.isclose(shares.sum(), 1, abs_tol=1e-4):
        raise SourceError(f"{where}: the shares add up to {shares.sum():g}, not 1")
    return tuple(shares.tolist())


def _number(value: Any, where: str, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SourceError(f"{where}: {name} is a number from {low:g} to {high:.10g}, not {str(value)[:60]}")
    return float(value)
