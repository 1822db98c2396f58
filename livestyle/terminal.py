"""The terminal: progress bars on stderr, and Ctrl-C as a question that a loop can ask."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from livestyle.frame import Frame, VideoInfo


class Stopped(BaseException):
    """Ctrl-C or SIGTERM. Not KeyboardInterrupt, for which the command parser has its own words and status."""


def raise_stopped(_: int, frame: FrameType | None) -> None:
    """A signal handler that raises Stopped: everything that is open cleans up on the way out.

    In the middle of an import it asks again a little later (where there are timers, so not on Windows):
    there an exception may be swallowed, or leave a library half loaded. A second signal does not wait.
    """
    if hasattr(signal, "setitimer"):
        waiting = signal.getitimer(signal.ITIMER_REAL)[0] > 0
        if _is_importing(frame) and not waiting:
            signal.signal(signal.SIGALRM, raise_stopped)
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
    raise Stopped


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def printable(text: str) -> str:
    """On one line, and without what moves a terminal's cursor: names in files are anybody's words."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


class OneLine(logging.Formatter):
    """A log's record as one printable line."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class StopSignal:
    """Ctrl-C and SIGTERM as a question that a loop asks between steps; the second one interrupts.

    hang_up: a closed terminal too, for what has something to save.
    """

    def __init__(self, *, hang_up: bool = False) -> None:
        self.asked = False
        names = ["SIGINT", "SIGTERM", *(["SIGHUP", "SIGBREAK"] if hang_up else [])]
        self._numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        self._before = {
            number: signal.signal(number, self._ask)
            for number in self._numbers
            if signal.getsignal(number) is not signal.SIG_IGN  # as a shell has it for what runs behind it
        }

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise Stopped
        self.asked = True


@contextmanager
def progress_bar(unit: str = "fps") -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.1f} {unit}" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
    console = Console(stderr=True)
    with Progress(
        *columns, Speed(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        yield bar


def with_progress(frames: Iterable[Frame], info: VideoInfo, duration: float | None) -> Iterator[Frame]:
    """The frames, and a bar that knows from their timestamps how much is left."""
    with progress_bar() as bar:
        total = info.frame_count or (duration * info.fps if duration else None)
        task = bar.add_task("painting", total=total)
        for frame in frames:
            yield frame
            bar.advance(task)
