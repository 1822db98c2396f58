"""The tour through all styles, and `livestyle demo`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from commands import Run, is_one_error

from livestyle.controls import Desk
from livestyle.library import demo_film
from livestyle.tour import FADE, SECONDS, tour, tour_length
from livestyle.video_source import VideoFileSource, looped


def test_a_tour_shows_every_style_alone_for_a_while() -> None:
    take = tour(4, smooth=0.6)
    seen = []
    for row in range(1, 4):
        look = take.at(SECONDS * row - 0.1)
        assert np.sort(look.style_mix).tolist() == [0, 0, 0, 1]
        seen.append(int(np.argmax(look.style_mix)))
    assert seen == [1, 2, 3]
    assert take.unplayed == 0
    assert tour_length(4) == 3 * SECONDS
    assert FADE < SECONDS / 2


def test_a_looped_film_goes_on_where_it_ended(clip: Path) -> None:
    frames = list(islice(looped(clip), 25))
    assert [frame.index for frame in frames] == list(range(25))
    assert np.diff([frame.timestamp for frame in frames]) == pytest.approx([1 / 25] * 24, abs=1e-3)
    assert np.array_equal(frames[0].image, frames[10].image)


def test_without_a_display_the_tour_becomes_a_video(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("livestyle.sinks.display_problem", lambda: "there is no display")
    monkeypatch.setattr("livestyle.tour.SECONDS", 0.2)
    status, out, err = run("demo")
    assert status == 0
    assert out.startswith("livestyle-demo.mp4: ")
    assert err.startswith("there is no display; the tour is written into livestyle-demo.mp4\n")
    with VideoFileSource(tmp_path / "livestyle-demo.mp4") as film:
        pictures = [frame.image for frame in film]
        assert (film.info.width, film.info.height) == (640, 360)
    assert len(pictures) >= 12 * 0.2 * 29
    with VideoFileSource(demo_film()) as film:
        original = next(iter(film)).image
    assert np.abs(pictures[0].astype(int) - original).mean() > 5  # painted
    status, out, _ = run("demo")  # nobody chose that name
    assert status == 0
    assert out.startswith("livestyle-demo1.mp4: ")
    status, _, err = run("demo", "livestyle-demo.mp4")
    assert status == 1
    assert is_one_error(err)
    assert "livestyle-demo.mp4" in err
    assert "--overwrite" in err


def test_a_tour_in_a_window_plays_the_webcam_s_desk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[np.ndarray] = []
    named: list[int] = []

    def shares(desk: Desk) -> tuple[tuple[int, float], ...]:
        found = whole(desk)
        named.extend(row for row, _ in found if row not in named)
        return found

    whole = Desk.shares
    monkeypatch.setattr(Desk, "shares", shares)
    keys = ["q"]

    class Window:
        closed = full_screen = False

        def __init__(self, title: str, info: object) -> None: ...
        def __enter__(self) -> Window:
            return self

        def __exit__(self, *_: object) -> None: ...
        def show(self, image: np.ndarray) -> None:
            shown.append(image)

        def poll_key(self, wait: float = 0.0) -> str | None:
            return keys.pop() if keys and len(shown) >= 20 else None

    monkeypatch.setattr("livestyle.sinks.display_problem", lambda: None)
    monkeypatch.setattr("livestyle.sinks.WindowSink", Window)
    monkeypatch.setattr("livestyle.tour.SECONDS", 0.1)
    status, out, err = run("demo")
    assert (status, out) == (0, ""), err
    assert "h shows the keys, q ends" in err
    assert len(shown) >= 20
    assert named[:3] == [1, 2, 3]  # the overlay says what is on, style after style
