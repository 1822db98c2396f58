from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from fakes import FakeEngine, tiny_manifest

from livestyle.errors import SourceError
from livestyle.frame import Frame, VideoInfo
from livestyle.live import digit_target, play
from livestyle.stylizer import Stylizer


class FakeCamera:
    """Grey frames, one every 1/25 s of its own clock; waits for nobody."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.info = VideoInfo(width=16, height=16, fps=25.0)
        self.count, self.error = count, error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self.count):
            threading.Event().wait(0.002)
            yield Frame(np.full((16, 16, 3), 100, np.uint8), i, i / 25)
        if self.error:
            raise self.error


class FakeWindow:
    """Presses a key after a number of frames."""

    def __init__(self, keys: dict[int, str], closes_after: int | None = None) -> None:
        self.keys, self.closes_after = keys, closes_after
        self.frames: list[Frame] = []

    @property
    def closed(self) -> bool:
        return self.closes_after is not None and len(self.frames) >= self.closes_after

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)

    def poll_key(self) -> str | None:
        return self.keys.get(len(self.frames))


def stylizer() -> Stylizer:
    return Stylizer(FakeEngine(), tiny_manifest())


ORIGINAL = np.array([1, 0, 0], np.float32)
NEGATIVE = np.array([0, 1, 0], np.float32)


@pytest.mark.parametrize("key", ["q", "Q", "Esc"])
def test_quit_keys_end_at_once_and_leave_no_thread(key: str) -> None:
    before = threading.active_count()
    assert play(FakeCamera(10_000), FakeWindow({3: key}), stylizer(), ORIGINAL) == 3
    assert threading.active_count() == before


def test_a_closed_window_ends() -> None:
    assert play(FakeCamera(10_000), FakeWindow({}, closes_after=2), stylizer(), ORIGINAL) == 2


def test_a_digit_fades_without_a_jump() -> None:
    window = FakeWindow({2: "1"})
    play(FakeCamera(200), window, stylizer(), ORIGINAL, fade=1.0)
    greys = [int(frame.image[0, 0, 0]) for frame in window.frames]
    assert greys[:2] == [100, 100]
    assert greys[-1] == 155  # the negative of 100
    pairs = zip(window.frames, window.frames[1:], greys, greys[1:], strict=False)
    # smoothstep is never steeper than 1.5 a second, and the way is 55 grey levels long
    assert all(0 <= b - a <= 1.5 * 55 * (g.timestamp - f.timestamp) + 1 for f, g, a, b in pairs)


def test_strength_holds_for_the_first_style_and_for_every_key() -> None:
    window = FakeWindow({1: "2"})
    play(FakeCamera(60), window, stylizer(), NEGATIVE, strength=0.5, fade=0.0)
    assert int(window.frames[0].image[0, 0, 0]) in (127, 128)  # half of 100 and half of 155
    assert int(window.frames[-1].image[0, 0, 0]) == 70  # half of 100 and half of 40


def test_other_keys_and_missing_styles_do_nothing() -> None:
    assert digit_target("9", 3) is None
    assert digit_target("Left", 3) is None
    assert digit_target(None, 3) is None
    target = digit_target("0", 3)
    assert target is not None
    assert target.tolist() == [1, 0, 0]


def test_a_camera_that_fails_is_reported() -> None:
    with pytest.raises(SourceError, match="unplugged"):
        play(FakeCamera(3, SourceError("unplugged")), FakeWindow({}), stylizer(), ORIGINAL)
