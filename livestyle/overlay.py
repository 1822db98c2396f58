"""What the performer sees on top of the painting: the mix as bars, the numbers, the keys.

Everything is measured in em, the text's size, which follows the picture's; where there is no room, less is
shown. Text stands on dark frosted glass, so that it can be read on any picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import cv2
import numpy as np

from livestyle.frame import Image
from livestyle.glass import ALARM, GLASS, Box, draw_dot, lay_glass
from livestyle.lettering import BOLD, REGULAR, Colour, fit_text, text_width, write_text
from livestyle.mix import STRONGEST

View = Literal["painting", "split", "beside"]

INK, QUIET = (246, 246, 246), (196, 196, 196)
GOLD = (255, 196, 84)

EM_SHARE = 0.024  # of the picture's shorter side
SMALLEST_EM = 11  # pixels: what can still be read
MIXER_EMS, CHIPS_EMS = 17.0, 9.0  # width of the mixer, and the least beside it for the chips
CHIP_EMS = 1.7  # height
HEAD_EMS, LINE_EMS, GAP_EMS = 1.6, 2.1, 0.4  # heights: head line, label with bar, after the strength
# From rich to poor: the most styles in the list, and whether strength and head line are there.
DETAILS = (*((most, True, True) for most in (6, 5, 4, 3, 2, 1)), (1, True, False), (1, False, False))


@dataclass(frozen=True)
class Readout:
    """What the overlay says."""

    shares: tuple[tuple[str, float], ...]  # titles with their part, 0 … 1, largest first; none: the original
    strength: float  # 0 … 1.5
    fps: float  # of the screen
    delay_ms: float | None  # capture to screen, median of the last second
    mode: str  # "solo" or "mix"
    page: tuple[int, int]  # this page of styles, from 1, and how many there are
    switches: tuple[str, ...]  # what is on: "mirror", "smooth"
    recording: float | None  # seconds recorded, None when not recording
    message: str | None  # said for a moment: "saved livestyle-….png"
    problem: str | None  # while no picture comes
    flicker: tuple[float, float | None] | None = None  # √E_warp of what is shown, the part that was removed
    scale: float = 1.0  # part of width and height at which is painted


class _Chip(NamedTuple):
    box: Box
    text: str
    dot: int  # pixels that the recording dot takes, or 0


def draw_overlay(image: Image, readout: Readout, help_rows: Sequence[tuple[str, str]] = ()) -> Image:
    """A copy of the picture with everything that is known. help_rows: keys and their meaning, as a panel."""
    canvas, em = image.copy(), _em(image)
    room = _draw_notices(canvas, readout, em)
    mixer = room._replace(right=min(room.right, room.left + round(MIXER_EMS * em)))
    beside = room._replace(left=mixer.right + _margin(em))
    narrow = beside.width < CHIPS_EMS * em
    first_row = room._replace(bottom=min(room.bottom, room.top + round(CHIP_EMS * em)))
    chips = _place_chips(readout, first_row if narrow else beside, em)
    with_mixer = True
    if help_rows:  # beside the mixer, or instead of it, or instead of all but the recording's chip
        few = chips[: readout.recording is not None]
        layouts = [(chips, beside, True), (chips, room, False), (few, room, False)][narrow:]
        rooms = [_below(above, box, em) for above, box, _ in layouts]
        chips, _, with_mixer = layouts[_draw_help(canvas, help_rows, rooms, em)]
    _draw_chips(canvas, chips, em)
    if with_mixer:
        _draw_mixer(canvas, readout, _below(chips, mixer, em) if narrow else mixer, em)
    return canvas


def draw_notice(image: Image, readout: Readout) -> Image:
    """A copy of the picture with what may not be missed: the recording dot, the message, the problem."""
    canvas, em = image.copy(), _em(image)
    room = _draw_notices(canvas, readout, em)
    side = round(1.2 * em)
    if readout.recording is not None and min(room.width, room.height) >= side:
        box = Box(room.right - side, room.top, room.right, room.top + side)
        draw_dot(lay_glass(canvas, box, radius=side // 2), side / 2, side / 2, 0.3 * em)
    return canvas


def compose_view(stylized: Image, content: Image, view: View, mirror: bool) -> Image:
    """The painting alone, the photo's left half beside the painting's right half, or both pictures whole.

    mirror: flip each picture. Shapes: (H, W, 3) twice -> (H, W, 3), or (H, 2 W, 3) for "beside".
    The painting itself is given back where nothing changes.
    """
    if mirror:
        stylized, content = (np.asarray(cv2.flip(picture, 1), np.uint8) for picture in (stylized, content))
    if view == "painting":
        return stylized
    if view == "beside":
        return np.hstack([content, stylized])
    height, width = stylized.shape[:2]
    middle, line = width // 2, -(-height // 720)
    composed = stylized.copy()
    composed[:, :middle] = content[:, :middle]
    composed[:, max(0, middle - line) : middle] = 0  # black beside white: one of them is seen on any picture
    composed[:, middle : middle + line] = 255
    return composed


def _em(image: Image) -> int:
    shorter: int = min(image.shape[:2])
    return max(SMALLEST_EM, round(EM_SHARE * shorter))


def _margin(em: int) -> int:
    return round(0.7 * em)


def _small(em: int) -> int:
    return max(SMALLEST_EM, round(0.9 * em))


def _draw_notices(canvas: Image, readout: Readout, em: int) -> Box:
    """The problem at the bottom, the message above it; the box that is left for the rest."""
    height, width = canvas.shape[:2]
    margin, pad = _margin(em), round(0.8 * em)
    room = Box(margin, margin, width - margin, height - margin)
    for text, tint, weight in ((readout.problem, ALARM, BOLD), (readout.message, GLASS, REGULAR)):
        fitted = fit_text(text, room.width - 2 * pad, em, weight) if text else ""
        tall = round(1.9 * em)
        if not fitted or room.height < tall:
            continue
        wide = text_width(fitted, em, weight) + 2 * pad
        left = (width - wide) // 2
        box = Box(left, room.bottom - tall, left + wide, room.bottom)
        glass = lay_glass(canvas, box, radius=tall // 2, tint=tint)
        write_text(glass, fitted, pad, round(1.32 * em), em, INK, weight)
        room = room._replace(bottom=box.top - margin)
    return room


def _place_chips(readout: Readout, room: Box, em: int) -> list[_Chip]:
    """What is on, from the top right corner to the left, then in further rows."""
    texts = [] if readout.recording is None else [_clock(readout.recording)]
    tall, gap = round(CHIP_EMS * em), em // 3
    right, top = room.right, room.top
    chips: list[_Chip] = []
    for text in (*texts, *_size(readout), *readout.switches, *_flicker(readout)):
        dot = round(0.9 * em) if len(chips) < len(texts) else 0
        wide = text_width(text, _small(em)) + dot + 2 * _margin(em)
        if right - wide < room.left and chips:
            right, top = room.right, top + tall + gap
        if right - wide < room.left or top + tall > room.bottom:
            break
        chips.append(_Chip(Box(right - wide, top, right, top + tall), text, dot))
        right -= wide + gap
    return chips


def _size(readout: Readout) -> list[str]:
    return [f"painted at {readout.scale:.0%}"] if readout.scale < 1 else []


def _flicker(readout: Readout) -> list[str]:
    if readout.flicker is None:
        return []
    shown, removed = readout.flicker
    # Nothing was removed, or nothing was there: then the number alone says it.
    return [f"flicker {shown:.3f}" + (f", {removed:.0%} removed" if removed and removed >= 0.005 else "")]


def _below(chips: Sequence[_Chip], room: Box, em: int) -> Box:
    return room._replace(top=max([room.top, *(chip.box.bottom + _margin(em) for chip in chips)]))


def _draw_chips(canvas: Image, chips: Sequence[_Chip], em: int) -> None:
    for box, text, dot in chips:
        glass = lay_glass(canvas, box, radius=box.height // 2)
        if dot:
            draw_dot(glass, _margin(em) + 0.25 * em, box.height / 2, 0.32 * em)
        write_text(glass, text, _margin(em) + dot, round(1.17 * em), _small(em), INK)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _draw_mixer(canvas: Image, readout: Readout, room: Box, em: int) -> None:
    """Head line, strength and styles, with as much detail as the room has."""
    pad, line, head = round(0.8 * em), round(LINE_EMS * em), round(HEAD_EMS * em)
    first = line + round(GAP_EMS * em)
    for most, strength, head_line in DETAILS:
        shares = _strongest(readout.shares, most)
        height = 2 * pad + line * len(shares) + first * strength + head * head_line - em // 2
        if height <= room.height:
            break
    else:
        return
    if room.width < 8 * em:
        return
    box = Box(room.left, room.top, room.right, room.top + height)
    inner = lay_glass(canvas, box, radius=em // 2)[pad:, pad:-pad]
    if head_line:
        _draw_head(inner, readout, em)
        inner = inner[head:]
    if strength:
        part = readout.strength / STRONGEST
        _draw_bar(inner[:line], "Strength", f"{readout.strength:.0%}", part, INK, em, tick=1 / STRONGEST)
        inner = inner[first:]
    for title, share in shares:
        _draw_bar(inner[:line], title, f"{share:.0%}" if readout.shares else "", share, GOLD, em)
        inner = inner[line:]


def _strongest(shares: Sequence[tuple[str, float]], most: int) -> list[tuple[str, float]]:
    if not shares:
        return [("Original", 0.0)]
    if len(shares) <= most or most == 1:
        return list(shares[:most])
    rest = shares[most - 1 :]
    return [*shares[: most - 1], (f"{len(rest)} more", sum(share for _, share in rest))]


def _draw_head(row: Image, readout: Readout, em: int) -> None:
    """Mode and page on the left, speed and delay on the right."""
    size, baseline = _small(em), round(0.8 * em)
    fps = f"{readout.fps:.0f}" if readout.fps >= 9.95 else f"{readout.fps:.1f}"
    speed = f"{fps} fps" if readout.delay_ms is None else f"{fps} fps   {readout.delay_ms:.0f} ms"
    left = row.shape[1] - text_width(speed, size)
    write_text(row, speed, left, baseline, size, QUIET)
    mode = fit_text(readout.mode.capitalize(), left - em, size, BOLD)
    write_text(row, mode, 0, baseline, size, GOLD, BOLD)
    page, pages = readout.page
    after = text_width(mode, size, BOLD) + em // 2
    place = f"page {page}/{pages}"
    if pages > 1 and after + text_width(place, size) + em // 2 <= left:
        write_text(row, place, after, baseline, size, QUIET)


def _draw_bar(
    row: Image, label: str, number: str, part: float, colour: Colour, em: int, tick: float | None = None
) -> None:
    """A label, a number, and below them a bar of which `part` is filled. tick: marks a part."""
    width, baseline = row.shape[1], round(0.85 * em)
    left = width - text_width(number, em)
    write_text(row, number, left, baseline, em, QUIET)
    write_text(row, fit_text(label, left - em // 2, em), 0, baseline, em, INK)
    top, thick = round(1.2 * em), max(3, round(0.28 * em))
    bar = row[top : top + thick]
    bar += 44  # glass is dark enough for it
    filled = min(max(part, 0.0), 1.0) * width
    whole = int(filled)
    bar[:, :whole] = colour
    if whole < width:  # the end lies within a pixel, so that a fade moves smoothly
        behind = bar[:, whole].astype(np.float32)
        bar[:, whole] = np.rint(behind + (filled - whole) * (np.asarray(colour, np.float32) - behind))
    if tick is not None:
        x = round(tick * width)
        bar[:, x : x + max(1, em // 8)] = GLASS


def _draw_help(canvas: Image, rows: Sequence[tuple[str, str]], rooms: Sequence[Box], em: int) -> int:
    """The keys in the first room that holds them all, smaller or in columns if they must be; its number."""
    for scale, number in product((1.0, 0.85, 0.7), range(len(rooms))):
        room = rooms[number]
        size = max(SMALLEST_EM - 1, round(scale * em))
        pad, line = round(0.9 * size), round((1.6 if scale == 1 else 1.4) * size)
        keys = max(text_width(key, size, BOLD) for key, _ in rows) + size
        column = keys + max(text_width(meaning, size) for _, meaning in rows) + 2 * size
        lines = (room.height - 2 * pad) // line
        columns = -(-len(rows) // max(1, lines))
        if columns * column - 2 * size + 2 * pad <= room.width:
            break
    else:  # as many as there is room for
        columns = max(1, min(columns, room.width // (14 * size)))
        column = (room.width - 2 * pad + 2 * size) // columns
        keys = min(keys, column // 3)
    lines = min(lines, -(-len(rows) // columns))
    wide, tall = columns * column - 2 * size + 2 * pad, lines * line + 2 * pad
    if lines < 1 or column < 8 * size:
        return number
    box = Box(room.right - wide, room.top, room.right, room.top + tall)
    inner = lay_glass(canvas, box, radius=em // 2)[pad:-pad, pad:-pad]
    for i, (key, meaning) in enumerate(rows[: columns * lines]):
        row = inner[i % lines * line :][:line, i // lines * column :][:, : column - 2 * size]
        write_text(row, fit_text(key, keys - size, size, BOLD), 0, round(1.1 * size), size, GOLD, BOLD)
        meaning = fit_text(meaning, row.shape[1] - keys, size)
        write_text(row, meaning, keys, round(1.1 * size), size, INK)
    return number
