"""A contact sheet: one photo in every style of a model, each with its number and title."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from livestyle.errors import SourceError
from livestyle.frame import Image
from livestyle.lettering import fit_text, write_text
from livestyle.stylizer import Stylizer

TILE_HEIGHT = 360  # pixels of a picture
CAPTION_HEIGHT = 30
CAPTION_SIZE = 17  # of the letters
GAP = 8
WIDEST = 20  # aspect of a picture that is shown at the height of a tile
PAPER, INK = 250, (30, 30, 30)


def paint_styles(photo: Image, stylizer: Stylizer) -> Iterator[Image]:
    """The photo in style 0 (original), 1, 2, …, scaled to the height of a tile."""
    height, width = photo.shape[:2]
    if width > WIDEST * height:
        raise SourceError(f"a picture of {width}x{height} is too wide for a sheet; crop it")
    size = (max(1, round(width * TILE_HEIGHT / height)), TILE_HEIGHT)
    interpolation = cv2.INTER_AREA if height > TILE_HEIGHT else cv2.INTER_CUBIC
    small = np.ascontiguousarray(cv2.resize(photo, size, interpolation=interpolation), dtype=np.uint8)
    for mix in np.eye(len(stylizer.manifest.styles), dtype=np.float32):
        yield stylizer(small, mix)


def arrange_sheet(pictures: list[Image], captions: list[str]) -> Image:
    """Pictures of one size on pale paper, in about a 3:2 sheet, row by row, the last one full if it can be.

    Shapes: each (h, w, 3) -> (H, W, 3).
    """
    height, width = pictures[0].shape[:2]
    cell_h, cell_w = height + CAPTION_HEIGHT + GAP, width + GAP
    wished = max(1, min(len(pictures), round(math.sqrt(1.5 * len(pictures) * cell_h / cell_w))))
    # A last row that is full looks better than the exact shape.
    near = [columns for columns in (wished, wished + 1, wished - 1) if 1 <= columns <= len(pictures)]
    columns = min(near, key=lambda columns: -len(pictures) % columns)
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * cell_h + GAP, columns * cell_w + GAP, 3), PAPER, np.uint8)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        y, x = GAP + i // columns * cell_h, GAP + i % columns * cell_w
        sheet[y : y + height, x : x + width] = picture
        strip = sheet[y + height : y + height + CAPTION_HEIGHT, x : x + width]
        write_text(strip, fit_text(caption, width, CAPTION_SIZE), 0, CAPTION_HEIGHT - 9, CAPTION_SIZE, INK)
    return sheet
