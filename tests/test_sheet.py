"""The contact sheet's shape."""

from __future__ import annotations

import numpy as np
import pytest

from livestyle.sheet import CAPTION_HEIGHT, GAP, arrange_sheet


@pytest.mark.parametrize(
    ("count", "columns"),
    [(1, 1), (2, 2), (3, 3), (13, 5), (24, 6), (25, 5), (26, 7)],
)
def test_the_last_row_is_full_where_a_column_more_or_less_makes_it_so(count: int, columns: int) -> None:
    tile = np.zeros((360, 360, 3), np.uint8)
    height, width, _ = arrange_sheet([tile] * count, ["a"] * count).shape
    assert (width - GAP) // (360 + GAP) == columns
    assert (height - GAP) // (360 + CAPTION_HEIGHT + GAP) == -(-count // columns)
