from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.controls import CONTROL_OF_KEY, CONTROLS, Desk
from livestyle.smoothing import SMOOTHING
from livestyle.take import Cue, Take

N = 12  # styles beside the original


def start(**changes: object) -> tuple[Take, Desk]:
    shares = tuple(float(row == 1) for row in range(N + 1))
    take = Take([Cue(0.0, shares)])
    return take, Desk(take, fade=1.0, **changes)  # type: ignore[arg-type]


def press(desk: Desk, keys: str) -> None:
    for key in keys.split():
        desk.press(key)


def shares_after(keys: str) -> dict[int, float]:
    """What the painting is made of in the end, by row, as the take has it."""
    take, desk = start()
    press(desk, keys)
    return {row: round(share, 6) for row, share in enumerate(take.cues[-1].shares) if share}


@pytest.mark.parametrize(
    ("keys", "shares"),
    [
        ("3", {3: 1}),
        ("0", {0: 1}),
        ("3 0 5", {5: 1}),
        ("]", {1: 1}),
        ("] 1", {10: 1}),
        ("] 3", {12: 1}),
        ("] 4", {1: 1}),  # there is no 13th
        ("] ] 2", {2: 1}),  # two pages only
        ("[ 1", {10: 1}),
        ("PageDown PageUp 2", {2: 1}),
        ("Tab 2", {1: 0.9, 2: 0.1}),
        ("Tab 2 2 2", {1: 0.7, 2: 0.3}),
        ("Tab 2 3", {1: 0.81, 2: 0.09, 3: 0.1}),
        ("Tab 2 2 @", {1: 0.9, 2: 0.1}),
        ("Tab 2 2 Backspace", {1: 0.9, 2: 0.1}),
        ("Tab 2 @", {1: 1}),
        ("Tab 2 @ @ @", {1: 1}),
        ("Tab !", {0: 0.1, 1: 0.9}),
        ("Tab 0", {0: 1}),
        ("Tab 0 4", {0: 0.9, 4: 0.1}),
        ("Tab 2 Tab 7", {7: 1}),
        ("Right", {1: 0.95, 2: 0.05}),
        ("Right " * 20, {2: 1}),
        ("Right " * 30, {2: 0.5, 3: 0.5}),
        ("Left " * 5, {1: 0.75, 12: 0.25}),
        ("Left " * 20, {12: 1}),
        ("Right " * 240, {1: 1}),
        ("0 Right", {1: 1}),
        ("0 Right Right", {1: 0.95, 2: 0.05}),
        ("Up Down c t Space m o f h s r x ü Home", {1: 1}),
    ],
)
def test_keys_change_the_mix_as_the_table_says(keys: str, shares: dict[int, float]) -> None:
    assert shares_after(keys) == shares


def test_every_tenth_of_a_raise_is_a_tenth_up_to_the_whole() -> None:
    take, desk = start()
    press(desk, "Tab" + " 2" * 11)
    assert [round(cue.shares[2], 6) for cue in take.cues] == [min(n / 10, 1.0) for n in range(12)]


def test_strength_stays_between_nothing_and_one_and_a_half() -> None:
    take, desk = start()
    press(desk, "Up " * 12)
    assert take.cues[-1].strength == 1.5
    press(desk, "Down " * 40)
    assert take.cues[-1].strength == 0
    press(desk, "Up " * 3)
    assert take.cues[-1].strength == desk.strength == 0.15


def test_a_digit_fades_as_long_as_asked_and_a_glide_follows_at_once() -> None:
    take, desk = start()
    press(desk, "4 Right")
    assert [cue.over for cue in take.cues] == [0.0, 1.0, 0.1]


@pytest.mark.parametrize(("keys", "field"), [("c", "own_colours"), ("C", "own_colours"), ("Space", "frozen")])
def test_switches_of_the_painting_go_to_the_take(keys: str, field: str) -> None:
    take, desk = start()
    press(desk, keys)
    assert (getattr(desk, field), getattr(take.cues[-1], field)) == (True, True)
    press(desk, keys)
    assert (getattr(desk, field), getattr(take.cues[-1], field)) == (False, False)


def test_t_goes_round_the_levels_of_smoothing() -> None:
    take, desk = start()
    seen = []
    for key in "tTt":
        press(desk, key)
        seen.append((desk.smooth, take.cues[-1].smooth, desk.switches))
    light, strong = SMOOTHING["light"], SMOOTHING["strong"]
    assert seen == [(light, light, ("smooth light",)), (strong, strong, ("smooth strong",)), (0.0, 0.0, ())]


def test_b_takes_a_wider_brush_and_begins_again() -> None:
    take, desk = start()
    seen = []
    for key in "bBbbb":
        press(desk, key)
        assert take.cues[-1].brush == desk.brush
        seen.append((desk.brush, desk.switches))
    assert seen == [
        (1.5, ("brush 1.5",)),
        (2.0, ("brush 2",)),
        (3.0, ("brush 3",)),
        (0.5, ("brush 0.5",)),
        (1.0, ()),
    ]
    take = Take([Cue(0.0, (0.0, 1.0), brush=5.0)])
    desk = Desk(take)
    assert desk.switches == ("brush 5",)
    press(desk, "b")
    assert desk.brush == 0.5


def test_after_a_number_without_a_name_t_is_off() -> None:
    take = Take([Cue(0.0, (0.0, 1.0), smooth=0.3)])
    desk = Desk(take)
    assert desk.switches == ("smooth 0.3",)
    press(desk, "t")
    assert (desk.smooth, take.cues[-1].smooth) == (0.0, 0.0)


def test_switches_of_the_view_do_not() -> None:
    take, desk = start()
    press(desk, "m f r s s o")
    assert (desk.mirror, desk.full_screen, desk.recording, desk.snapshots) == (True, True, True, 2)
    press(desk, "r m")
    assert (desk.recording, desk.mirror) == (False, False)
    assert len(take.cues) == 1


def test_o_goes_round_the_views() -> None:
    _, desk = start()
    seen = [desk.view]
    for _ in range(3):
        press(desk, "o")
        seen.append(desk.view)
    assert seen == ["painting", "split", "beside", "painting"]


def test_h_shows_the_keys_then_nothing_then_the_overlay() -> None:
    _, desk = start()
    seen = []
    for _ in range(4):
        seen.append((desk.overlay, desk.help))
        press(desk, "h")
    assert seen == [(True, False), (True, True), (False, False), (True, False)]


@pytest.mark.parametrize("key", ["q", "Q", "Esc"])
def test_quit_keys_end(key: str) -> None:
    _, desk = start()
    press(desk, key)
    assert desk.ended


def test_auto_goes_round_the_ring_and_any_choice_stops_it() -> None:
    take, desk = start()
    press(desk, "] 2 a")  # style 11
    targets = []
    for second in range(0, 21):
        desk.tick(float(second))
        targets.append(max(range(N + 1), key=take.cues[-1].shares.__getitem__))
    assert targets[0] == 12
    assert [targets[n] for n in (4, 5, 10, 15, 20)] == [12, 1, 2, 3, 4]
    assert desk.auto
    press(desk, "7")
    assert not desk.auto
    desk.tick(100.0)
    assert desk.shares() == ((7, 1.0),)


def test_the_overlay_hears_of_the_mix_largest_first_and_nothing_of_the_plain_original() -> None:
    _, desk = start()
    press(desk, "Tab 2 2 2 2 2 2")
    assert [(row, round(share, 6)) for row, share in desk.shares()] == [(2, 0.6), (1, 0.4)]
    press(desk, "0")
    assert desk.shares() == ()


def test_a_model_of_one_style_can_be_played() -> None:
    take = Take([Cue(0.0, (0.0, 1.0))])
    desk = Desk(take)
    press(desk, "Right Left 1 2 ] [ Tab 1 ! a 0")
    desk.tick(1.0)
    assert sum(take.cues[-1].shares) == pytest.approx(1)


def test_no_key_is_in_two_rows_and_every_row_says_what_it_does() -> None:
    keys = [key for control in CONTROLS for key in control.keys]
    assert len(keys) == len(set(keys))
    assert all(control.help and control.shown for control in CONTROLS)


@given(keys=st.lists(st.sampled_from([*sorted(CONTROL_OF_KEY), "x", "ß", "F5"]), min_size=200, max_size=200))
def test_no_sequence_of_keys_breaks_the_mix(keys: list[str]) -> None:
    take, desk = start()
    for n, key in enumerate(keys):
        desk.press(key)
        desk.tick(n / 10)
        look = take.at(n / 10)
        assert all(math.isfinite(value) for value in look.style_mix)
    for cue in take.cues:
        assert all(share >= 0 for share in cue.shares)
        assert sum(cue.shares) == pytest.approx(1, abs=1e-5)  # shares have six decimals
        assert 0 <= cue.strength <= 1.5


def test_the_readme_has_the_table_of_keys() -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \|$", text.partition("| key |")[2].partition("\n\n")[0], re.M)
    assert rows == [(control.shown, control.help) for control in CONTROLS]
