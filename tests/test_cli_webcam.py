"""livestyle webcam without a window, as people type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from clips import read_back, write_clip
from commands import Run, is_one_error

from livestyle.smoothing import SMOOTHING


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Five seconds of 64x48."""
    return write_clip(tmp_path / "camera.mp4", pts=range(125))


def test_a_headless_show_is_recorded_and_told_in_figures(
    run: Run, film: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "show.mp4"
    status, stdout, _ = run(
        *("webcam", "--no-window", "--camera", film, "--record", out, "--seconds", "1.5"),
        *("--model", tiny_model_path, "--style", "negative", "--json"),
    )
    assert status == 0
    told = json.loads(stdout)
    assert (told["saved"], told["failed"]) == ([str(out)], [])
    assert "CPU" in told["device"]  # of whichever engine runs here
    assert told["frames"] > 5
    assert told["delay_p50_ms"] > 0
    assert 0 < told["flicker"] < 0.5
    assert told["flicker_removed"] < 1
    assert (told["scale"], told["size_changes"]) == (1, 0)  # no picture of 64x48 is painted smaller
    recorded = read_back(out)
    assert len(recorded.images) >= told["frames"] - 1
    difference = recorded.images[3].astype(int) - (255 - read_back(film).images[3].astype(int))
    assert np.abs(np.median(difference)) < 25


def test_without_json_the_files_are_on_stdout_and_the_rest_is_for_people(
    run: Run, film: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "show.mp4"
    status, stdout, stderr = run(
        *("webcam", "--no-window", "--camera", film, "--record", out, "--seconds", "0.5"),
        *("--model", tiny_model_path),
    )
    assert (status, stdout) == (0, f"{out}\n")
    assert "dropped" in stderr
    assert "camera to screen" in stderr
    assert "\nflicker 0." in stderr


def test_a_take_is_saved_and_paints_the_film_again(
    run: Run, film: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    take, out = tmp_path / "take.json", tmp_path / "out.mp4"
    common = ("--model", tiny_model_path)
    status, _, _ = run(
        *("webcam", "--no-window", "--camera", film, "--record", tmp_path / "show.mp4", "--seconds", "0.5"),
        *("--save-take", take, "--style", "negative", *common),
    )
    assert status == 0
    assert [cue["smooth"] for cue in json.loads(take.read_text())["cues"]] == [SMOOTHING["light"]]
    assert run("video", film, out, "--take", take, *common)[0] == 0
    difference = read_back(out).images[9].astype(int) - (255 - read_back(film).images[9].astype(int))
    assert np.abs(difference).mean() < 8  # two lossy encodings


def test_a_take_by_hand_changes_the_style_on_the_way(
    run: Run, film: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    script = "0s: negative; 2s: grey_40; 4s: negative over 0.5s"
    assert run("video", film, out, "--take", script, "--model", tiny_model_path)[0] == 0
    painted, plain = read_back(out).images, read_back(film).images
    for index, is_grey in ((0, False), (49, False), (50, True), (99, True), (124, False)):
        expected = np.full_like(plain[index], 40) if is_grey else 255 - plain[index]
        assert np.abs(painted[index].astype(int) - expected).mean() < 8, index


@pytest.mark.parametrize(
    ("words", "says", "status"),
    [
        (["--no-window"], "nobody would see it; add --record FILE, --virtual-camera or --save-take", 1),
        (["--no-window", "--seconds", "60"], "nobody would see it", 1),
        (["--camera", "missing.mp4"], "there is no camera or file missing.mp4", 1),
        (["--size", "big"], "is no size", 2),
        (["--smooth", "much"], "is no smoothing", 2),
        (["--target-fps", "0"], "'--target-fps'", 2),
        (["--save-take", "missing/take.json"], "there is no folder", 1),
        (["--save-take", "take.mp4"], "name it take.json", 1),
        (["--folder", "missing"], "there is no folder missing", 1),
        (["--no-window", "--record", "show.txt", "--camera", "FILM"], "its name must end in", 1),
        (["--no-window", "--record", "missing/show.mp4", "--camera", "FILM"], "there is no folder", 1),
        (["--no-window", "--record", "FILM", "--camera", "FILM", "--overwrite"], "is the film that plays", 1),
        (["--camera", "FILM", "--style", "purple"], "no style 'purple'", 1),
    ],
)
def test_what_cannot_be_played_is_one_line(
    words: list[str],
    says: str,
    status: int,
    run: Run,
    film: Path,
    tiny_model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    arguments = [str(film) if word == "FILM" else word for word in words]
    found, stdout, stderr = run("webcam", *arguments, "--model", tiny_model_path)
    assert (found, stdout) == (status, "")
    assert is_one_error(stderr)
    assert says in stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize(
    ("record", "camera"),
    [
        ("link.mp4", "FILM"),
        ("FILM", "link.mp4"),
        ("hard.mp4", "FILM"),
        ("FILM", "file://FILM"),
        ("camera.mp4", "FILM"),
        ("a/../camera.mp4", "camera.mp4"),
    ],
)
def test_the_film_that_plays_is_not_recorded_over_under_any_name(
    record: str, camera: str, run: Run, film: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(film.parent)
    Path("a").mkdir()
    Path("link.mp4").symlink_to(film)
    Path("hard.mp4").hardlink_to(film)
    content = film.read_bytes()
    names = [name.replace("FILM", str(film)) for name in (record, camera)]
    status, _, stderr = run(
        *("webcam", "--no-window", "--record", names[0], "--camera", names[1], "--overwrite"),
        *("--seconds", "0.5", "--model", tiny_model_path),
    )
    assert film.read_bytes() == content
    assert (status, is_one_error(stderr)) == (1, True), stderr
    assert f"{names[0]} is the film that plays" in stderr


@pytest.mark.parametrize("missing", ["display", "driver"])
def test_a_show_that_cannot_begin_leaves_the_old_recording(
    missing: str, run: Run, film: Path, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "display" and sys.platform != "linux":
        pytest.skip("other systems always have a screen")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)  # how Python notes that there is no such module
    old = tmp_path / "old.mp4"
    old.write_bytes(b"old")
    output = [] if missing == "display" else ["--no-window", "--virtual-camera"]
    status, _, stderr = run(
        *("webcam", *output, "--camera", film, "--record", old, "--overwrite"),
        *("--model", tiny_model_path),
    )
    assert (status, is_one_error(stderr)) == (1, True), stderr
    assert old.read_bytes() == b"old"


def start_recording(film: Path, model: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = ["webcam", "--no-window", "--camera", str(film), "--record", str(out), "--model", str(model)]
    return subprocess.Popen(
        [sys.executable, "-m", "livestyle", *words, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_recording(out: Path) -> None:
    deadline = time.monotonic() + 30
    while not (out.exists() and out.stat().st_size > 5000):
        assert time.monotonic() < deadline, "nothing was recorded"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="another Ctrl-C")
def test_ctrl_c_ends_a_headless_show_as_q_does(film: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "show.mp4"
    with start_recording(film, tiny_model_path, out) as show:
        wait_for_recording(out)
        os.kill(show.pid, signal.SIGINT)
        stdout, stderr = show.communicate(timeout=20)
    assert (show.returncode, stdout) == (0, f"{out}\n")
    assert "Traceback" not in stderr
    assert len(read_back(out).images) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_terminal_that_is_closed_leaves_the_take(film: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out, take = tmp_path / "show.mp4", tmp_path / "take.json"
    with start_recording(film, tiny_model_path, out, "--save-take", str(take)) as show:
        wait_for_recording(out)
        os.kill(show.pid, signal.SIGHUP)
        _, stderr = show.communicate(timeout=20)
    assert (show.returncode, stderr.splitlines()[-1]) == (130, "stopped")
    assert len(json.loads(take.read_text())["cues"]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="another way to be killed")
def test_a_recording_that_is_killed_plays(film: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "show.mp4"
    with start_recording(film, tiny_model_path, out) as show:
        wait_for_recording(out)
        show.kill()
        show.communicate(timeout=20)
    assert len(read_back(out).images) > 0


def test_list_names_cameras_or_says_that_there_are_none(run: Run) -> None:
    status, stdout, stderr = run("webcam", "--list")
    assert status == 0
    assert bool(stdout) != ("no camera is connected" in stderr)
    assert isinstance(json.loads(run("webcam", "--list", "--json")[1]), list)
