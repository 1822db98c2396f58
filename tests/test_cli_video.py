"""livestyle video, as people type it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import read_back, trim, write_clip
from commands import Run, is_one_error, written


def test_video_paints_every_frame(run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    status, stdout, _ = run("video", clip, out, "--model", tiny_model_path, "--style", "negative", "--json")
    assert status == 0
    result = json.loads(stdout)
    assert (result["frames"], result["width"], result["height"]) == (10, 64, 48)
    assert "CPU" in result["device"]  # of whichever engine runs here
    before, after = read_back(clip), read_back(out)
    assert after.pts == before.pts
    difference = after.images[3].astype(int) - (255 - before.images[3].astype(int))
    assert np.abs(difference).mean() < 8  # two lossy encodings


@pytest.mark.parametrize(("end", "says"), [("0.03", ": 1 frame of 64x48"), ("0.07", ": 2 frames of 64x48")])
def test_the_result_is_a_line_that_counts(
    end: str, says: str, run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    status, stdout, stderr = run("video", clip, out, "--model", tiny_model_path, "--end", end)
    device = stderr.removeprefix("painting on ").removesuffix("\n")
    assert (status, "CPU" in device, "\n" in device) == (0, True, False)
    assert stdout.startswith(f"{out}{says} in ")
    assert stdout.endswith(f" fps) on {device}\n")


def test_strength_zero_gives_the_video_back(
    run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    status, _, _ = run("video", clip, out, "--model", tiny_model_path, "--style", "1", "--strength", "0")
    assert status == 0
    assert np.abs(read_back(out).images[0].astype(int) - read_back(clip).images[0]).mean() < 5


BAD_INPUTS: dict[str, Callable[[Path], Path]] = {
    "missing file": lambda folder: folder / "missing.mp4",
    "folder": lambda folder: folder,
    "text named mp4": lambda folder: written(folder / "text.mp4", b"hello\n" * 1000),
    "zero bytes": lambda folder: written(folder / "empty.mp4", b""),
    "cut in half": lambda folder: written(
        folder / "cut.mp4", (p := write_clip(folder / "whole.mp4")).read_bytes()[: p.stat().st_size // 2]
    ),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_a_bad_input_is_one_line_and_leaves_nothing(
    run: Run, kind: str, tmp_path: Path, tiny_model_path: Path
) -> None:
    source = BAD_INPUTS[kind](tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    status, stdout, stderr = run("video", source, folder / "out.mp4", "--model", tiny_model_path)
    assert (status, stdout, is_one_error(stderr)) == (1, "", True), stderr
    assert list(folder.iterdir()) == []


def test_a_video_that_is_cut_off_is_refused(run: Run, tiny_model_path: Path, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", pts=range(20), options={"movflags": "+faststart"})
    content = whole.read_bytes()
    # The index comes first, so that the file opens: only its pictures end early.
    cut = written(tmp_path / "cut.mp4", content[: content.index(b"mdat") + 600])
    out = tmp_path / "out.mp4"
    status, _, stderr = run("video", cut, out, "--model", tiny_model_path)
    assert (status, is_one_error(stderr), out.exists()) == (1, True, False), stderr
    assert "of 20 frames" in stderr or "no " in stderr
    status, _, _ = run("video", whole, out, "--model", tiny_model_path)
    assert status == 0


def test_a_video_that_was_trimmed_without_cutting_is_painted(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    trimmed = trim(write_clip(tmp_path / "trimmed.mp4", pts=range(20)), 0.2, 0.4)
    out = tmp_path / "out.mp4"
    status, _, stderr = run("video", trimmed, out, "--model", tiny_model_path)
    assert (status, len(read_back(out).images)) == (0, 10), stderr


def test_an_existing_file_is_kept_unless_told(
    run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = written(tmp_path / "out.mp4", b"precious")
    status, _, stderr = run("video", clip, out, "--model", tiny_model_path)
    assert (status, is_one_error(stderr), out.read_bytes()) == (1, True, b"precious")
    status, _, _ = run("video", clip, out, "--model", tiny_model_path, "--overwrite")
    assert status == 0
    assert len(read_back(out).images) == 10


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("old.mp4", "--overwrite replaces it"),
        ("x.avi", "must end in .mp4"),
        ("nowhere/x.mp4", "make it first"),
        ("in.mp4", "give the output another name"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_model_is_opened(
    name: str, says: str, run: Run, clip: Path, tmp_path: Path
) -> None:
    written(tmp_path / "old.mp4", b"precious")
    status, _, stderr = run("video", clip, tmp_path / name, "--model", "no such model")
    assert (status, is_one_error(stderr)) == (1, True), stderr
    assert says in stderr


def test_painting_a_video_loads_no_torch(clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from livestyle.cli import main\n"
        f"sys.argv[1:] = {['video', str(clip), str(tmp_path / 'o.mp4'), '--model', str(tiny_model_path)]}\n"
        "try: main()\nexcept SystemExit as end: assert not end.code or end.code == 0, end.code\n"
        "EXTRA\n"
        "sys.exit(41 if 'torch' in sys.modules else 0)"
    )
    for extra, expected in (("", 0), ("import torch", 41)):  # the second: this test can fail
        out = tmp_path / "o.mp4"
        out.unlink(missing_ok=True)
        script = code.replace("EXTRA", extra)
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert result.returncode == expected, result.stderr


def test_a_full_disk_is_one_line_and_leaves_nothing(
    clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from livestyle.cli import main\n"
        f"sys.argv[1:] = {['video', str(clip), str(folder / 'o.mp4'), '--model', str(tiny_model_path)]}\n"
        "main()"
    )
    result = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, is_one_error(result.stderr)) == (1, True), result.stderr
    assert result.stderr.endswith("o.mp4: File too large; name another disk\n")
    assert list(folder.iterdir()) == []


def test_a_video_is_smoothed_lightly_unless_told_and_the_flicker_is_in_the_json(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    film = write_clip(tmp_path / "film.mp4", pts=range(40))
    told = {}
    for smooth in (None, "off", "0.6", "strong"):
        words = [] if smooth is None else ["--smooth", smooth]
        out = tmp_path / f"{smooth}.mp4"
        status, stdout, _ = run("video", film, out, "--model", tiny_model_path, "--json", *words)
        assert status == 0
        told[smooth] = json.loads(stdout)
    assert told["off"]["flicker_removed"] == 0
    for key in ("flicker", "flicker_removed"):
        assert told[None][key] == told["0.6"][key]  # which is light
    assert told["strong"]["flicker"] <= told[None]["flicker"] <= told["off"]["flicker"]


def test_smoothing_of_a_take_can_be_replaced(
    run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    take = written(
        tmp_path / "old.json",
        b'{"livestyle_take": 1, "cues": [{"at": 0, "mix": {"negative": 1}, "smooth": true}]}',
    )
    told = []
    for n, words in enumerate(([], ["--smooth", "light"], ["--smooth", "off"])):
        out = tmp_path / f"{n}.mp4"
        status, stdout, _ = run(
            "video", clip, out, "--take", take, "--model", tiny_model_path, "--json", *words
        )
        assert status == 0
        told.append(json.loads(stdout)["flicker"])
    assert told[0] == told[1]


@pytest.mark.parametrize("smooth", ["much", "2", "-0.5", "nan"])
def test_what_is_no_smoothing_is_one_line(
    smooth: str, run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    status, stdout, stderr = run("video", clip, out, "--model", tiny_model_path, f"--smooth={smooth}")
    assert (status, stdout, out.exists()) == (2, "", False)
    assert "off, light, strong or a number from 0 to 1" in " ".join(stderr.split())


def test_fast_paints_smaller_at_the_same_size_and_the_same_every_time(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    film = write_clip(tmp_path / "film.mp4", pts=range(6), width=640, height=512)
    scales, written_bytes = [], []
    for n, words in enumerate(([], ["--fast"], ["--fast"])):
        out = tmp_path / f"{n}.mp4"
        common = ("--model", tiny_model_path, "--style", "negative", "--smooth", "off", "--json")
        status, stdout, _ = run("video", film, out, *common, *words)
        told = json.loads(stdout)
        assert (status, told["width"], told["height"]) == (0, 640, 512)
        scales.append(told["scale"])
        written_bytes.append(out.read_bytes())
    assert scales == [0.703, 0.469, 0.469]
    assert written_bytes[1] == written_bytes[2] != written_bytes[0]
    full, fast = (read_back(tmp_path / f"{n}.mp4").images[3].astype(int) for n in (0, 1))
    assert 0 < np.abs(fast - full).mean() < 10


def test_a_wider_brush_paints_smaller_and_large_films_get_one_by_themselves(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    small = write_clip(tmp_path / "small.mp4", pts=range(2), width=640, height=512)
    large = write_clip(tmp_path / "large.mp4", pts=range(2), width=1088, height=1080)
    scales = []
    for n, (film, brush) in enumerate(((small, 0.5), (small, 1.6), (large, 1), (large, 0.3), (large, 2))):
        common = ("--model", tiny_model_path, "--smooth", "off", "--json", "--brush", brush)
        status, stdout, _ = run("video", film, tmp_path / f"{n}.mp4", *common)
        told = json.loads(stdout)
        assert (status, told["height"]) == (0, 512 if film is small else 1080)
        scales.append(told["scale"])
    assert scales == [1, 0.439, 0.471, 1, 0.236]
    status, _, stderr = run("video", small, tmp_path / "no.mp4", "--model", tiny_model_path, "--brush", "0")
    assert (status, "--brush" in stderr) == (2, True)


@pytest.mark.parametrize("words", [("--style", "1"), ("--strength", "0.5")])
def test_a_take_says_the_style_so_another_one_is_refused(
    run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path, words: tuple[str, str]
) -> None:
    out = tmp_path / "out.mp4"
    status, _, stderr = run("video", clip, out, "--take", "0s: negative", "--model", tiny_model_path, *words)
    assert (status, f"leave {words[0]} away" in stderr, out.exists()) == (2, True, False)
