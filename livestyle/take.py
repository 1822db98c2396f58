"""A performance: which painting, how strong, and in what way, from moment to moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from livestyle.governor import FINEST, WIDEST
from livestyle.mix import STRONGEST, Ease, MixVector, with_strength

# The strength follows a key at once, but a jump would flash.
_STRENGTH_EASE = 0.15  # seconds


@dataclass(frozen=True, slots=True)
class Cue:
    """From `timestamp` on, the painting moves to this, and is there after `over` seconds.

    shares: one per row of the model's styles, 0 or more, their sum 1; row 0 is the original. strength: 0 to
    1.5. own_colours: brightness of the painting, colours of the camera. smooth: how much flicker is calmed, 0
    to 1, as FlowSmoother has it. brush: how many times as wide the strokes are, as brush_scale has it.
    frozen: the picture before this cue is painted again and again.
    """

    timestamp: float
    shares: tuple[float, ...]
    strength: float = 1.0
    over: float = 0.0
    own_colours: bool = False
    smooth: float = 0.0
    brush: float = 1.0
    frozen: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.timestamp) and math.isfinite(self.over) and self.over >= 0):
            raise ValueError(
                f"a cue has a time, and takes 0 seconds or more, not {self.timestamp}, {self.over}"
            )
        if not 0 <= self.strength <= STRONGEST:
            raise ValueError(f"the strength is between 0 and {STRONGEST}, not {self.strength}")
        if not 0 <= self.smooth <= 1:
            raise ValueError(f"smoothing goes from 0 to 1, not {self.smooth}")
        if not FINEST <= self.brush <= WIDEST:
            raise ValueError(f"a brush goes from {FINEST:g} to {WIDEST:g}, not {self.brush}")
        if not all(0 <= share <= 1 for share in self.shares) or not math.isclose(
            sum(self.shares), 1, abs_tol=1e-4
        ):
            raise ValueError(f"shares are 0 or more and add up to 1, not {self.shares}")


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one frame is painted with. style_mix: (n_styles,), the strength included. The rest: as in Cue."""

    style_mix: MixVector
    own_colours: bool = False
    smooth: float = 0.0
    brush: float = 1.0
    frozen: bool = False


class Take:
    """Cues in the order of time, and what every frame looks like by them.

    A frame follows the cues that are not later than itself. A new cue acts on the frames after the latest one
    that was asked for, and carries the time at which it does, so that the same cues played again give every
    frame the same look. Any thread may call it. Frames are asked for in the order of time.
    """

    def __init__(self, cues: Iterable[Cue]) -> None:
        self._lock = Lock()
        self._cues = sorted(cues, key=lambda cue: cue.timestamp)
        if not self._cues:
            raise ValueError("a take has at least one cue")
        first = self._cues[0]
        if any(len(cue.shares) != len(first.shares) for cue in self._cues):
            raise ValueError("all cues of a take have the same number of shares")
        self._current = first  # in force before its own time too: there must be some painting
        self._applied = 1
        self._mix = Ease(_vector(first.shares))
        self._strength = Ease(_vector((first.strength,)))
        self._latest = -math.inf

    @property
    def cues(self) -> tuple[Cue, ...]:
        with self._lock:
            return tuple(self._cues)

    @property
    def unplayed(self) -> int:
        """Cues later than every frame that was asked for."""
        with self._lock:
            return len(self._cues) - self._applied

    def at(self, timestamp: float) -> Look:
        """Seconds on the clock of the frames -> how the frame of that time looks."""
        with self._lock:
            while self._applied < len(self._cues) and self._cues[self._applied].timestamp <= timestamp:
                self._apply(self._cues[self._applied])
            self._latest = max(self._latest, timestamp)
            # The ease can leave its range by a rounding.
            strength = min(max(float(self._strength.at(timestamp)[0]), 0.0), STRONGEST)
            return Look(
                with_strength(self._mix.at(timestamp), strength),
                self._current.own_colours,
                self._current.smooth,
                self._current.brush,
                self._current.frozen,
            )

    def following(self, start: float = 0.0) -> Callable[[float], Look]:
        """at() for a film whose first frame is at the take's time `start`, whatever its own timestamp."""
        first: float | None = None

        def look_at(timestamp: float) -> Look:
            nonlocal first
            first = timestamp if first is None else first
            return self.at(timestamp - first + start)

        return look_at

    def change(self, *, over: float = 0.0, **changes: Any) -> None:
        """Add a cue: the last one with some fields changed, just after the latest frame asked for."""
        with self._lock:
            timestamp = max(0.0, math.nextafter(self._latest, math.inf), self._cues[-1].timestamp)
            self._cues.append(replace(self._cues[-1], timestamp=timestamp, over=over, **changes))

    def _apply(self, cue: Cue) -> None:
        # What does not change goes on moving as it was: more strength must not hurry a slow fade.
        if cue.shares != self._current.shares:
            self._mix.move_to(_vector(cue.shares), cue.timestamp, cue.over)
        if cue.strength != self._current.strength:
            self._strength.move_to(_vector((cue.strength,)), cue.timestamp, _STRENGTH_EASE)
        self._current = cue
        self._applied += 1


def _vector(values: tuple[float, ...]) -> MixVector:
    return np.array(values, np.float32)
