"""A tour through all styles of a model: as a take for a film, or step by step while somebody may play."""

from __future__ import annotations

from livestyle.take import Cue, Take

SECONDS, FADE = 2.5, 0.8  # of a style, and from one to the next


def tour(n_styles: int, smooth: float) -> Take:
    """Each painted style in its order, for SECONDS each. n_styles: of the model, the original included."""
    cues = [
        Cue(SECONDS * (row - 1), _alone(row, n_styles), over=FADE if row > 1 else 0.0, smooth=smooth)
        for row in range(1, n_styles)
    ]
    return Take(cues)


def tour_length(n_styles: int) -> float:
    """Seconds."""
    return SECONDS * (n_styles - 1)


class Guide:
    """Moves a take on to the next style every SECONDS, over and over, until somebody else changes it.

    take: begins with style 1 alone.
    """

    def __init__(self, take: Take, n_styles: int) -> None:
        self._take = take
        self._n_styles = n_styles
        self._row = 1
        self._due: float | None = None  # None until the first look
        self._last = take.cues[-1]

    def step(self, now: float) -> None:
        """To be called often. now: seconds of any clock."""
        if self._due is None:
            self._due = now + SECONDS
        if now < self._due or self._take.cues[-1] is not self._last:
            return
        self._row = self._row % (self._n_styles - 1) + 1
        self._take.change(shares=_alone(self._row, self._n_styles), over=FADE)
        self._last = self._take.cues[-1]
        self._due += SECONDS


def _alone(row: int, n_styles: int) -> tuple[float, ...]:
    return tuple(float(number == row) for number in range(n_styles))
