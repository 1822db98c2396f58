from __future__ import annotations

import numpy as np
import pytest

from livestyle.frame import Image
from livestyle.lettering import BOLD, fit_text, text_width, write_text


def written(text: str) -> Image:
    canvas = np.zeros((40, 400, 3), np.uint8)
    write_text(canvas, text, 5, 30, 20, (255, 255, 255))
    return canvas


def test_a_line_is_as_wide_as_it_was_measured() -> None:
    columns = np.flatnonzero(written("Hill").any(axis=(0, 2)))
    assert columns[-1] - columns[0] == pytest.approx(text_width("Hill", 20), abs=4)  # H has space beside it
    assert text_width("Portrait", 20, BOLD) > text_width("Portrait", 20)


def test_accents_are_written() -> None:
    assert (written("Doré") != written("Dore")).any()
    assert (written("Doré") != written("Dor?")).any()


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("Udnie", "Udnie"),
        ("", ""),
        ("Dore\u0301", "Doré"),  # accent and letter as one character
        ("two\nlines\tand   gaps", "two lines and gaps"),
        ("a\0b", "a b"),
        ("photo-\udcff.png", "photo- .png"),  # of a file name that is not UTF-8
    ],
)
def test_text_becomes_one_printable_line(text: str, fitted: str) -> None:
    assert fit_text(text, 1000, 20) == fitted


def test_as_many_letters_as_fit_stay_before_the_ellipsis() -> None:
    title = "Portrait of Jean Metzinger"
    for width in range(text_width(title, 20) + 2):
        fitted = fit_text(title, width, 20)
        assert text_width(fitted, 20) <= width
        if fitted and fitted != title:
            kept = len(fitted) - 1
            assert fitted == title[:kept] + "…"
            longer = title[: kept + 1 + (title[kept] == " ")] + "…"
            assert text_width(longer, 20) > width
    assert fitted == title


def test_no_room_leaves_nothing() -> None:
    assert fit_text("Udnie", 3, 20) == ""
    assert fit_text("Udnie", -5, 20) == ""
