"""A show without devices: a camera, a window, an output, a slow network, and the stage they stand on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from fakes import FakeEngine, tiny_manifest

from livestyle.controls import Desk
from livestyle.errors import SinkError
from livestyle.frame import Frame, Image, VideoInfo
from livestyle.live import LiveReport, play
from livestyle.mix import MixVector
from livestyle.saver import Saver
from livestyle.sources import LoopedFileSource
from livestyle.stylizer import Stylizer
from livestyle.take import Cue, Take


class _Device:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None: ...


class FakeCamera(_Device):
    """Grey pictures of 100, `count` of them at `fps` on the real clock. error: raised after the last."""

    def __init__(
        self, count: int = 1_000_000, fps: float = 200.0, error: Exception | None = None, height: int = 48
    ) -> None:
        self.info = VideoInfo(width=height * 4 // 3, height=height, fps=fps)
        self.count, self.error = count, error
        self.given = 0
        self.problem: str | None = None
        self.beginning = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self.beginning

    def __iter__(self) -> Iterator[Frame]:
        for n in range(self.count):
            time.sleep(1 / self.info.fps)
            self.given += 1
            yield Frame(np.full((self.info.height, self.info.width, 3), 100, np.uint8), n, self.now())
        if self.error is not None:
            raise self.error


class FakeWindow:
    """Keeps what it shows, and presses keys[n] after the nth picture."""

    def __init__(self, keys: dict[int, str] | None = None, closes_after: int | None = None) -> None:
        self.keys, self.closes_after = dict(keys or {}), closes_after
        self.pictures: list[Image] = []
        self.full_screen = False

    @property
    def closed(self) -> bool:
        return self.closes_after is not None and len(self.pictures) >= self.closes_after

    def show(self, image: Image) -> None:
        self.pictures.append(image)

    def poll_key(self, wait: float = 0.0) -> str | None:
        return self.keys.pop(len(self.pictures), None)


class FakeOutput(_Device):
    def __init__(self, fails_after: int | None = None) -> None:
        self.frames: list[Frame] = []
        self.closed = False
        self.fails_after = fails_after

    def write(self, frame: Frame) -> None:
        if self.fails_after is not None and len(self.frames) >= self.fails_after:
            raise SinkError("the output broke")
        self.frames.append(frame)


class SlowStylizer(Stylizer):
    """Takes `seconds` for so many pixels, and less for less."""

    def __init__(self, seconds: float, pixels: int = 64 * 48) -> None:
        super().__init__(FakeEngine(), tiny_manifest())
        self.seconds = seconds / pixels  # for one

    def __call__(self, image: Image, style_mix: MixVector) -> Image:
        time.sleep(self.seconds * image.shape[0] * image.shape[1])
        return super().__call__(image, style_mix)


class Stage:
    """All that play() needs, and play() itself."""

    def __init__(self, folder: Path) -> None:
        self.take = Take([Cue(0.0, (1.0, 0.0, 0.0))])
        self.desk = Desk(self.take, fade=0.0)
        self.folder = folder
        self.saver = Saver

    def play(
        self,
        camera: FakeCamera | LoopedFileSource,
        window: FakeWindow | None,
        *outputs: FakeOutput,
        stylizer: Stylizer | None = None,
        **options: Any,
    ) -> LiveReport:
        """options: play()'s own."""
        painter = stylizer or Stylizer(FakeEngine(), tiny_manifest())
        options |= {"window": window, "outputs": outputs}
        with self.saver(camera.info, self.folder) as saver:
            return play(camera, painter, self.take, self.desk, saver, **options)
