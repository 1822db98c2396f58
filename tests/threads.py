"""What tests of threads share: frames to pass on, and waiting for what must happen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache

import numpy as np

from livestyle.frame import Frame

LIMIT = 10.0  # seconds; a test that needs them hangs


@cache
def frame(index: int) -> Frame:
    """The same object every time, because arrays cannot be compared with ==."""
    return Frame(np.zeros((1, 1, 3), np.uint8), index, index / 25)


def wait_until(fact: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(LIMIT / 0.002)):
        if fact():
            return
        pause.wait(0.002)
    raise AssertionError("it did not happen")


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"livestyle {name}"]
