"""A tour through all styles of a model."""

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


def _alone(row: int, n_styles: int) -> tuple[float, ...]:
    return tuple(float(number == row) for number in range(n_styles))
