"""Measures frames a second and the milliseconds of each stage."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np


class FpsMeter:
    """Frames a second over the last `window` seconds.

    fps = (n - 1) / (last - first): n frames have n - 1 intervals between them.
    """

    def __init__(self, window: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        if not window > 0:
            raise ValueError(f"the window must be longer than 0 seconds, not {window:g}")
        self._window = window
        self._clock = clock
        self._times: deque[float] = deque()

    def tick(self) -> None:
        """A frame is there."""
        now = self._clock()
        self._times.append(now)
        # The frame just outside stays: slow streams too need two.
        while len(self._times) > 2 and self._times[1] < now - self._window:
            self._times.popleft()

    @property
    def fps(self) -> float:
        """0 until the second frame."""
        if len(self._times) < 2 or self._times[-1] == self._times[0]:
            return 0.0
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])


class StageTimes(NamedTuple):
    """Half of the runs took at most p50_ms, nineteen of twenty at most p95_ms."""

    p50_ms: float
    p95_ms: float


class StageTimer:
    """How long each stage took, over its last `kept` runs."""

    def __init__(self, kept: int = 600, clock: Callable[[], float] = time.perf_counter) -> None:
        self._kept = kept
        self._clock = clock
        self._seconds: dict[str, deque[float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block; one that fails does not count."""
        start = self._clock()
        yield
        self._seconds.setdefault(name, deque(maxlen=self._kept)).append(self._clock() - start)

    def times(self) -> dict[str, StageTimes]:
        """The stages in the order in which they first ran."""
        table = {}
        for name, seconds in self._seconds.items():
            p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
            table[name] = StageTimes(float(p50), float(p95))
        return table
