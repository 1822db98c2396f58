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

    def __init__(self, window: float = 2.0, clock: Callable[[], float] = time.perf_counter) -> None:
        if not window > 0:
            raise ValueError(f"the window must be longer than 0 seconds, not {window:g}")
        self._window = window
        self._clock = clock
        self._times: deque[float] = deque()
        self._first: float | None = None
        self.count = 0  # frames so far

    def tick(self) -> None:
        """A frame is there."""
        now = self._clock()
        self._first = now if self._first is None else self._first
        self.count += 1
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

    @property
    def mean(self) -> float:
        """Frames a second from the first frame to the last; 0 until the second."""
        if self._first is None or self._times[-1] == self._first:
            return 0.0
        return (self.count - 1) / (self._times[-1] - self._first)


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
