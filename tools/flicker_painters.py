"""Who paints the clips of tools/flicker.py: models, or another program that has done it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from flicker_clips import frame_name
from flicker_measures import Clip

from livestyle.errors import SourceError
from livestyle.frame import Image
from livestyle.mix import parse_mix
from livestyle.pictures import read_picture
from livestyle.stylizer import Stylizer, open_stylizer


class Painter(Protocol):
    """Who paints the clips. styles: what paint takes."""

    name: str

    @property
    def styles(self) -> Sequence[str]: ...

    def paint(self, clip: Clip, style: str) -> list[Image]: ...


class ModelPainter:
    """styles: as parse_mix takes them, or "all": every style but the original."""

    def __init__(self, name: str, stylizer: Stylizer, styles: str) -> None:
        self.name = name
        self._stylizer = stylizer
        rows = stylizer.manifest.styles
        wanted = [str(row) for row in range(1, len(rows))] if styles == "all" else styles.split(",")
        mixes = [parse_mix(text, stylizer.manifest) for text in wanted]
        self._mixes = {rows[int(mix.argmax())].name: mix for mix in mixes}
        self.styles = tuple(self._mixes)

    def paint(self, clip: Clip, style: str) -> list[Image]:
        return [self._stylizer(frame, self._mixes[style]) for frame in clip.frames]


class ExternalPainter:
    """Another program, which has painted already: FOLDER/<clip>/<frame>.png, as --write-inputs names them."""

    styles = ("as painted",)

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder

    def paint(self, clip: Clip, style: str) -> list[Image]:
        pictures = []
        for index, frame in enumerate(clip.frames):
            path = self._folder / clip.name / frame_name(index)
            picture = read_picture(path)[0]
            if picture.shape != frame.shape:
                got, wanted = (f"{shape[1]}x{shape[0]}" for shape in (picture.shape, frame.shape))
                told = f"{path} is {got} and its input {wanted}"
                raise SourceError(f"{told}; paint it at the size of its input")
            pictures.append(picture)
        return pictures


def painters(arguments: argparse.Namespace) -> list[Painter]:
    found: list[Painter] = []
    for model in [arguments.model, *arguments.against] if arguments.model else []:
        stylizer = open_stylizer(model, arguments.device, threads=arguments.threads)
        found.append(ModelPainter(model, stylizer, arguments.styles))
    return found + [ExternalPainter(folder) for folder in arguments.external]
