"""One line of text on a picture: measured, cut to fit, written."""

from __future__ import annotations

import unicodedata

import cv2

from livestyle.frame import Image

Colour = tuple[int, int, int]  # RGB
REGULAR, BOLD = 400, 600  # weights of the font


def text_width(text: str, size: int, weight: int = REGULAR) -> int:
    """Pixels that a line of text takes. size: of the font, in pixels."""
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, weight)
    return width


def fit_text(text: str, width: int, size: int, weight: int = REGULAR) -> str:
    """The text as one printable line, cut with an ellipsis where it is wider than `width` pixels."""
    # OpenCV ends at a zero, sets an accent of its own beside its letter, and crashes on half of a
    # surrogate pair, which file names can hold.
    composed = unicodedata.normalize("NFC", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in composed).split())
    if text_width(text, size, weight) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if text_width(text[:middle].rstrip() + "…", size, weight) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…" if fits else ""


def write_text(
    canvas: Image, text: str, x: int, baseline: int, size: int, colour: Colour, weight: int = REGULAR
) -> None:
    """Draw a line of text from x on, its letters standing on `baseline`; what lies outside is cut off."""
    cv2.putText(canvas, text, (x, baseline), colour, _font(), size, weight)


def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")  # built into OpenCV, with most of Unicode; made anew in 2 microseconds
