"""The live loop: a camera painted in a window, the style chosen by keys."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from livestyle.buffering import WhenFull, buffered
from livestyle.frame import Frame, FrameSource
from livestyle.mix import MixVector, StyleMix, with_strength
from livestyle.pipeline import stylize_frames
from livestyle.stylizer import Stylizer

QUIT_KEYS = ("q", "Q", "Esc")


class Window(Protocol):
    """What the live loop asks of a window."""

    @property
    def closed(self) -> bool: ...
    def write(self, frame: Frame) -> None: ...
    def poll_key(self) -> str | None: ...


def play(
    source: FrameSource,
    window: Window,
    stylizer: Stylizer,
    start: MixVector,
    *,
    strength: float = 1.0,
    fade: float = 1.0,
) -> int:
    """Paint the newest frame again and again until q, Esc, a closed window or the source's end.

    Digits fade to that style in `fade` seconds; 0 is the original. Gives the number of frames shown.
    """
    mix = StyleMix(with_strength(start, strength))
    shown = 0
    # One frame waits at most: whoever plays must see the present, so the older one is dropped.
    frames = buffered(source, size=1, when_full=WhenFull.DROP_OLDEST)
    for frame in stylize_frames(frames, stylizer, mix.at):
        window.write(frame)
        shown += 1
        key = window.poll_key()
        if window.closed or key in QUIT_KEYS:
            break
        target = digit_target(key, len(stylizer.manifest.styles))
        if target is not None:
            mix.fade_to(with_strength(target, strength), frame.timestamp, fade)
    return shown


def digit_target(key: str | None, n_styles: int) -> MixVector | None:
    """The style that a digit chooses, as a mix; None for other keys and styles that do not exist."""
    if key is None or len(key) != 1 or key not in "0123456789" or int(key) >= n_styles:
        return None
    target: MixVector = np.eye(n_styles, dtype=np.float32)[int(key)]
    return target
