from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestyle.frame import Image
from livestyle.glass import GLASS, RED
from livestyle.overlay import GOLD, INK, Readout, View, compose_view, draw_notice, draw_overlay

SOLO = Readout(
    shares=(("Udnie", 1.0),),
    strength=1.0,
    fps=29.7,
    delay_ms=34.2,
    mode="solo",
    page=(1, 1),
    switches=(),
    recording=None,
    message=None,
    problem=None,
)
FULL = replace(
    SOLO,
    shares=(("The Starry Night", 0.5), ("Golden Adèle", 0.3), ("Udnie", 0.1), ("A", 0.05), ("B", 0.05)),
    mode="mix",
    page=(2, 3),
    switches=("own colours", "frozen", "auto", "mirror", "smooth strong"),
    recording=61.2,
    message="saved livestyle-1.png",
    problem="camera 0 gives no pictures",
)
HELP = tuple((key, f"what the key {key} does") for key in "abcdefghijklmnopq")


def picture(kind: str, width: int = 1280, height: int = 720) -> Image:
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return np.full((height, width, 3), {"white": 255, "black": 0}[kind], np.uint8)


def changed(before: Image, after: Image) -> npt.NDArray[np.intp]:
    """(top, left, bottom, right) of what differs."""
    found = np.argwhere((before != after).any(axis=2))
    return np.concatenate([found.min(axis=0), found.max(axis=0) + 1])


def luminance(image: Image) -> npt.NDArray[np.float64]:
    """Relative luminance, 0 to 1, as the web's guidelines for contrast (WCAG 2) define it."""
    value = image / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ [0.2126, 0.7152, 0.0722])


def count(image: Image, colour: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour in the line that has most of them."""
    return int((image == colour).all(axis=2).sum(axis=1).max())


@pytest.mark.parametrize("size", [(64, 64), (320, 240), (640, 360), (720, 1280), (2560, 720), (3840, 2160)])
@pytest.mark.parametrize("help_rows", [(), HELP])
def test_the_overlay_is_a_new_picture(size: tuple[int, int], help_rows: tuple[tuple[str, str], ...]) -> None:
    image = picture("noise", *size)
    before = image.copy()
    for drawn in (draw_overlay(image, FULL, help_rows), draw_notice(image, FULL)):
        assert drawn.shape == image.shape
        assert drawn.dtype == np.uint8
        assert drawn.flags.c_contiguous
        assert not np.shares_memory(drawn, image)
        assert (drawn != before).any()
    assert (image == before).all()


@pytest.mark.parametrize("kind", ["white", "black", "noise"])
@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize("part", ["mixer", "chips", "message", "problem"])
def test_words_are_read_on_any_picture(kind: str, size: tuple[int, int], part: str) -> None:
    image = picture(kind, *size)
    if part == "mixer":
        drawn = draw_overlay(image, SOLO)
    elif part == "chips":
        only = draw_overlay(image, SOLO)
        drawn = draw_overlay(image, replace(SOLO, switches=("own colours",)))
        image = only
    else:
        said: dict[str, Any] = {part: "camera 0 gives no pictures"}
        drawn = draw_notice(image, replace(SOLO, **said))
    top, left, bottom, right = changed(image, drawn)
    corner = (bottom - top) // 4
    inside = luminance(drawn[top + corner : bottom - corner, left + corner : right - corner])
    darkest, glass, ink = np.percentile(inside, [1, 50, 99])
    assert (ink + 0.05) / (glass + 0.05) > 4.5
    assert glass - darkest < 0.02  # calm: hardly anything of the noise is left


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.99])
def test_bars_are_as_long_as_their_share(share: float) -> None:
    image = picture("black")
    whole = count(draw_overlay(image, SOLO), GOLD)
    assert whole > 200
    part = count(draw_overlay(image, replace(SOLO, shares=(("Udnie", share),))), GOLD)
    assert part == pytest.approx(share * whole, abs=1)
    strength = count(draw_overlay(image, replace(SOLO, strength=share)), INK)
    assert strength == pytest.approx(share / 1.5 * whole, abs=1)


def test_a_bar_moves_smoothly() -> None:
    image = picture("black")
    # A pixel is about 4 thousandths. The number beside the bar stays at 50%.
    shares = [0.4955 + step / 1000 for step in range(9)]
    gold = [int(draw_overlay(image, replace(SOLO, shares=(("Udnie", share),))).sum()) for share in shares]
    assert all(longer > shorter for shorter, longer in pairwise(gold))


def test_too_many_styles_are_summed_up() -> None:
    image = picture("black")
    six = tuple((f"style {i}", 0.1) for i in range(6))
    eight = (*six, ("style 6", 0.05), ("style 7", 0.02))
    by_hand = (*six[:5], ("3 more", 0.17))
    drawn = draw_overlay(image, replace(SOLO, shares=eight))
    assert (drawn == draw_overlay(image, replace(SOLO, shares=by_hand))).all()
    assert (drawn != draw_overlay(image, replace(SOLO, shares=six))).any()


@pytest.mark.parametrize(
    "change",
    [
        {"strength": 0.9},
        {"fps": 12.0},
        {"delay_ms": None},
        {"delay_ms": 60.0},
        {"mode": "mix"},
        {"page": (1, 2)},
        {"switches": ("mirror",)},
        {"recording": 0.0},
        {"message": "saved"},
        {"problem": "no camera"},
        {"flicker": (0.021, 0.58)},
        {"scale": 0.7},
        {"shares": ()},
        {"shares": (("Udniè", 1.0),)},
    ],
)
def test_everything_in_the_readout_is_shown(change: dict[str, Any]) -> None:
    image = picture("black")
    assert (draw_overlay(image, replace(SOLO, **change)) != draw_overlay(image, SOLO)).any()


def test_flicker_is_told_with_what_was_removed_of_it_if_anything_was() -> None:
    image = picture("black")
    widths = []
    for removed in (None, 0.0, 0.001, -0.02, 0.58):
        drawn = draw_overlay(image, replace(SOLO, flicker=(0.021, removed)))
        _, left, _, right = changed(draw_overlay(image, SOLO), drawn)
        widths.append(int(right - left))
    assert len(set(widths[:4])) == 1
    assert widths[4] > 1.5 * widths[0]


def test_one_page_needs_no_number() -> None:
    image = picture("black")
    assert (draw_overlay(image, replace(SOLO, page=(3, 1))) == draw_overlay(image, SOLO)).all()


def test_the_notice_shows_recording_message_and_problem_only() -> None:
    image = picture("white")
    quiet = replace(FULL, recording=None, message=None, problem=None)
    assert (draw_notice(image, quiet) == image).all()
    top, left, bottom, right = changed(image, draw_notice(image, replace(quiet, recording=3.0)))
    assert max(bottom - top, right - left) < 30  # the dot is small, and in the top right corner
    assert bottom < 50
    assert left > 1200
    assert count(draw_notice(image, replace(quiet, recording=3.0)), RED) > 5
    for said in (replace(quiet, message="saved"), replace(quiet, problem="no camera")):
        top, left, bottom, right = changed(image, draw_notice(image, said))
        assert top > 600
        assert left + right == pytest.approx(1280, abs=2)


def test_the_notice_stays_where_the_overlay_has_it() -> None:
    image = picture("white")
    only = replace(SOLO, message="saved", problem="no camera")
    assert (draw_notice(image, only)[600:] == draw_overlay(image, only)[600:]).all()


def test_help_stands_beside_the_mixer() -> None:
    image = picture("white")
    plain, drawn = draw_overlay(image, FULL), draw_overlay(image, FULL, HELP)
    assert (drawn[:, :320] == plain[:, :320]).all()
    assert (drawn[:40] == plain[:40]).all()
    top, left, bottom, right = changed(plain, drawn)
    assert (bottom - top) * (right - left) > 400 * 200
    assert right < 1280


def test_help_takes_the_mixers_place_in_a_small_picture() -> None:
    image = picture("black", 320, 240)
    assert count(draw_overlay(image, SOLO), GOLD) > 100
    drawn = draw_overlay(image, SOLO, HELP)
    assert 0 < count(drawn, GOLD) < 50
    assert (drawn != draw_overlay(image, SOLO, HELP[:-1])).any()  # all of it fits


def crowded(image: Image, readout: Readout, help_rows: tuple[tuple[str, str], ...] = ()) -> bool:
    """Whether two things are drawn over each other: on white, glass on glass is darker than anything else."""
    drawn = draw_overlay(image, readout, help_rows)
    dark = drawn.min(axis=2) < 60
    return bool((drawn[dark] != GLASS).any())  # the mark at full strength is meant


def test_overlap_would_be_seen() -> None:
    image = picture("white")
    once = draw_overlay(image, SOLO)
    assert crowded(once, SOLO)
    assert not crowded(image, SOLO)


words = st.text(max_size=60)
seconds = st.floats(0, 1e5)
readouts = st.builds(
    Readout,
    shares=st.lists(st.tuples(words, st.floats(0, 1)), max_size=14).map(tuple),
    strength=st.floats(0, 1.5),
    fps=st.floats(0, 1e4),
    delay_ms=st.none() | st.floats(0, 1e6),
    mode=st.sampled_from(["solo", "mix"]),
    page=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    switches=st.lists(words, max_size=8).map(tuple),
    recording=st.none() | seconds,
    message=st.none() | words,
    problem=st.none() | words,
)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 900),
    height=st.integers(1, 700),
    readout=readouts,
    help_rows=st.lists(st.tuples(words, words), max_size=25).map(tuple),
)
def test_any_picture_takes_any_readout(
    width: int, height: int, readout: Readout, help_rows: tuple[tuple[str, str], ...]
) -> None:
    image = picture("white", width, height)
    for drawn in (draw_overlay(image, readout, help_rows), draw_notice(image, readout)):
        assert drawn.shape == image.shape
        for border in (drawn[:7], drawn[-7:], drawn[:, :7], drawn[:, -7:]):
            assert (border == 255).all()
    assert not crowded(image, readout, help_rows)


CONTENT: Image = np.arange(2 * 6 * 3, dtype=np.uint8).reshape(2, 6, 3)
PAINTED: Image = CONTENT + 100


def test_the_view_of_the_painting_is_the_painting() -> None:
    assert compose_view(PAINTED, CONTENT, "painting", False) is PAINTED
    assert (compose_view(PAINTED, CONTENT, "painting", True) == PAINTED[:, ::-1]).all()


def test_beside_shows_both_whole() -> None:
    both = compose_view(PAINTED, CONTENT, "beside", False)
    assert (both[:, :6] == CONTENT).all()
    assert (both[:, 6:] == PAINTED).all()
    mirrored = compose_view(PAINTED, CONTENT, "beside", True)
    assert (mirrored[:, :6] == CONTENT[:, ::-1]).all()
    assert (mirrored[:, 6:] == PAINTED[:, ::-1]).all()


def test_split_shows_the_left_half_before_and_the_right_half_after() -> None:
    split = compose_view(PAINTED, CONTENT, "split", False)
    assert (split[:, :2] == CONTENT[:, :2]).all()
    assert (split[:, 2] == 0).all()
    assert (split[:, 3] == 255).all()
    assert (split[:, 4:] == PAINTED[:, 4:]).all()
    mirrored = compose_view(PAINTED, CONTENT, "split", True)
    assert (mirrored[:, :2] == CONTENT[:, :3:-1]).all()
    assert (mirrored[:, 4:] == PAINTED[:, 1::-1]).all()


@pytest.mark.parametrize("view", get_args(View))
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1441, 7)])
def test_views_are_images_and_leave_the_pictures_alone(
    view: View, mirror: bool, shape: tuple[int, int]
) -> None:
    content, painted = np.zeros((*shape, 3), np.uint8), np.full((*shape, 3), 200, np.uint8)
    composed = compose_view(painted, content, view, mirror)
    assert composed.shape == (shape[0], shape[1] * (2 if view == "beside" else 1), 3)
    assert composed.dtype == np.uint8
    assert composed.flags.c_contiguous
    assert (content == 0).all()
    assert (painted == 200).all()
