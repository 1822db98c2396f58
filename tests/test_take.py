from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from livestyle.take import Cue, Take

ORIGINAL, FIRST, SECOND = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def mix(take: Take, timestamp: float) -> list[float]:
    return [float(value) for value in take.at(timestamp).style_mix]


def test_the_first_cue_is_in_force_before_its_own_time() -> None:
    take = Take([Cue(5.0, FIRST, strength=0.5)])
    assert mix(take, 0.0) == [0.5, 0.5, 0.0]


def test_a_cue_acts_from_its_time_on_and_takes_as_long_as_it_says() -> None:
    take = Take([Cue(0.0, FIRST), Cue(2.0, SECOND, over=2.0)])
    assert mix(take, 1.999) == [0, 1, 0]
    assert mix(take, 2.0) == [0, 1, 0]
    assert mix(take, 2.5) == pytest.approx([0, 0.84375, 0.15625])  # smoothstep of a quarter
    assert mix(take, 4.0) == [0, 0, 1]


def test_cues_are_played_in_the_order_of_time_whatever_their_order_in_the_list() -> None:
    take = Take([Cue(2.0, SECOND), Cue(0.0, FIRST)])
    assert [mix(take, 1.0), mix(take, 3.0)] == [[0, 1, 0], [0, 0, 1]]


def test_more_strength_does_not_hurry_a_slow_fade() -> None:
    alone = Take([Cue(0.0, FIRST), Cue(1.0, SECOND, over=4.0)])
    louder = Take([*alone.cues, Cue(2.0, SECOND, strength=1.5)])
    for timestamp in (1.5, 2.5, 3.0, 4.9):
        plain, strong = mix(alone, timestamp), mix(louder, timestamp)
        # At 150 % both shares are half as much again, and the original is half below nothing.
        factor = 1.5 if timestamp > 2.2 else 1.0
        assert strong[1:] == pytest.approx([factor * share for share in plain[1:]], abs=1e-6)


def test_switches_change_at_once() -> None:
    take = Take([Cue(0.0, FIRST), Cue(1.0, FIRST, own_colours=True, smooth=0.6, frozen=True)])
    before, after = take.at(0.9), take.at(1.0)
    assert (before.own_colours, before.smooth, before.frozen) == (False, 0.0, False)
    assert (after.own_colours, after.smooth, after.frozen) == (True, 0.6, True)


def test_a_change_acts_on_the_frames_after_the_latest_one_only() -> None:
    take = Take([Cue(0.0, FIRST)])
    assert mix(take, 1.25) == [0, 1, 0]
    take.change(shares=SECOND)
    assert take.cues[-1].timestamp == np.nextafter(1.25, 2)
    assert mix(take, 1.25) == [0, 1, 0]
    assert mix(take, 1.26) == [0, 0, 1]


def test_a_change_keeps_what_it_does_not_name() -> None:
    take = Take([Cue(0.0, FIRST, strength=0.5, over=3.0, smooth=0.25)])
    take.change(frozen=True)
    assert replace(take.cues[-1], timestamp=0.0) == Cue(0.0, FIRST, strength=0.5, smooth=0.25, frozen=True)


def test_the_same_cues_played_again_give_every_frame_the_same_look() -> None:
    take = Take([Cue(0.0, FIRST)])
    times = [n / 7 for n in range(60)]
    live = []
    for n, timestamp in enumerate(times):
        live.append(take.at(timestamp))
        if n in (5, 6, 20):
            take.change(over=1.3, shares=SECOND if n == 5 else ORIGINAL)
            take.change(strength=0.25 * (n % 4))
    again = Take(take.cues)
    for timestamp, look in zip(times, live, strict=True):
        assert again.at(timestamp).style_mix.tobytes() == look.style_mix.tobytes()


def test_changes_from_another_thread_lose_nothing() -> None:
    take = Take([Cue(0.0, FIRST)])

    def press() -> None:
        for n in range(200):
            take.change(strength=n % 2)

    presser = threading.Thread(target=press)
    presser.start()
    for n in range(200):
        take.at(n / 30)
    presser.join()
    times = [cue.timestamp for cue in take.cues]
    assert len(times) == 201
    assert times == sorted(times)


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": float("nan")},
        {"over": -1.0},
        {"over": float("inf")},
        {"strength": 1.51},
        {"strength": float("nan")},
        {"shares": (0.5, 0.4, 0.0)},
        {"shares": (-0.5, 1.5, 0.0)},
        {"shares": (float("nan"), 1.0, 0.0)},
        {"shares": ()},
    ],
)
def test_a_cue_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cue|strength|shares"):
        replace(Cue(0.0, FIRST), **changes)  # type: ignore[arg-type]


def test_a_take_is_of_one_model_and_not_empty() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Take([])
    with pytest.raises(ValueError, match="same number"):
        Take([Cue(0.0, FIRST), Cue(1.0, (1.0, 0.0))])


@pytest.mark.parametrize(("first", "start"), [(0.0, 0.0), (7.5, 0.0), (0.0, 1.0)])
def test_a_film_is_followed_from_its_first_frame_or_from_where_it_was_cut(first: float, start: float) -> None:
    take = Take([Cue(0.0, FIRST), Cue(2.0, SECOND)])
    look_at = take.following(start)
    seen = [look_at(first + n / 2).style_mix.tolist() == [0, 0, 1] for n in range(6)]
    assert seen.index(True) == (2.0 - start) * 2


def test_cues_beyond_the_last_frame_are_counted() -> None:
    take = Take([Cue(0.0, FIRST), Cue(1.0, SECOND), Cue(5.0, FIRST), Cue(6.0, SECOND)])
    take.at(0.5)
    assert take.unplayed == 3
    take.at(2.0)
    assert take.unplayed == 2


@pytest.mark.parametrize("smooth", [-0.1, 1.1, float("nan")])
def test_a_cue_smooths_from_0_to_1(smooth: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Cue(0.0, FIRST, smooth=smooth)
