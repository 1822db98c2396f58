"""tools/blends.py: what counts as between, as clipped and as a step."""

from __future__ import annotations

import numpy as np
import pytest
from scripts import tool


def test_a_strength_is_shared_with_the_original() -> None:
    blends = tool("blends")
    assert blends.alone(2, 4).tolist() == [0, 0, 1, 0]
    assert blends.alone(2, 4, 0.25).tolist() == [0.75, 0, 0.25, 0]
    assert blends.alone(2, 4, 1.5).tolist() == [-0.5, 0, 1.5, 0]


@pytest.mark.parametrize(
    ("first", "second", "between"),
    [
        (2.0, 3.0, True),
        (1.0, 5.0, True),  # as near as a parent is still between
        (0.9, 3.0, False),  # nearer to the first painting than its own style
        (2.0, 5.1, False),  # farther from the second than the other style
    ],
)
def test_a_mix_lies_between_its_parents_for_both_paintings(
    first: float, second: float, between: bool
) -> None:
    blends = tool("blends")
    parents = {
        1: blends.Painted({1: 1.0, 2: 5.0}, clipped=0, away=0),
        2: blends.Painted({1: 6.0, 2: 2.0}, clipped=0, away=0),
    }
    assert blends.is_between(1, 2, parents, blends.Painted({1: first, 2: second}, 0, 0)) == between


def test_black_and_white_values_are_clipped_and_little_counts_as_half_a_percent() -> None:
    blends = tool("blends")
    picture = np.full((10, 10, 3), 128, np.uint8)
    picture[0, 0] = 0
    picture[0, 1] = 255
    assert blends.clipped_share(picture) == pytest.approx(0.02)
    assert blends.over(0.02, 0.01) == 2
    assert blends.over(0.005, 0) == 1


def test_a_style_that_turns_back_does_not_rise() -> None:
    blends = tool("blends")

    def ladder(away: list[float], clipped: float = 0.01) -> list[object]:
        return [
            blends.Painted({1: 10 - value, 2: 10 - value}, clipped * (1 + (step > 4)), value)
            for step, value in enumerate(away)
        ]

    steady, back = [0.0, 1, 2, 3, 4, 5, 6], [0.0, 1, 2, 3, 4, 3.5, 6]
    found = blends.strengths({1: ladder(steady), 2: ladder(back)})
    assert (found.styles, found.away_from_photo) == (2, 1)
    assert found.towards_painting == 2  # beyond full strength there is no painting to come nearer to
    assert found.clipped_beyond == 2
