from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commands import Run, is_one_error, written
from fakes import tiny_model
from tiny_runs import STYLES
from tiny_world import N, files_in

from livestyle.library import load_manifest
from livestyle.pictures import read_picture

pytestmark = pytest.mark.slow  # the export of the base takes seconds


def command(world: Path, out: Path, *words: object, painting: object = "stripes.png") -> list[str]:
    """words: come last, and win where they give an option again."""
    files = ["--to", world / "base.onnx", "--out", out, "--loss-network", world / "slim.pt"]
    return ["add-style", str(world / str(painting)), *map(str, [*files, *words])]


def started(words: list[str], **streams: Any) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "livestyle", *words]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, **streams)


def test_the_command_teaches_and_says_how_well(world: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out.onnx"
    photos = ["--photos", world / "photos"]
    words = [*photos, "--steps", 2, "--paintings", world / "paintings", "--json", "--device", "cpu"]
    status, stdout, stderr = run(*command(world, out, *words))
    assert status == 0, stderr
    found = json.loads(stdout)
    assert (found["model"], found["name"], found["number"], found["steps"]) == (str(out), "stripes", N, 2)
    assert found["base"]["styles"] == len(STYLES)
    assert (found["others_moved"], found["unlocked"]) == (0, False)
    assert files_in(tmp_path) == {"out.onnx", "out.png"}
    assert read_picture(tmp_path / "out.png")[0].shape == (3 * 256, 2 * 256, 3)  # original and new
    style = load_manifest(out).styles[N]
    assert (style.name, style.title, style.artist) == ("stripes", "Stripes", "")
    # A second time: nothing is replaced unless that is asked for.
    status, _, stderr = run(*command(world, out, *words))
    assert (status, is_one_error(stderr)) == (1, True)
    assert "exists; --overwrite replaces it" in stderr
    # Without --photos, on those that come with livestyle.
    status, stdout, stderr = run(*command(world, out, "--steps", 1, "--overwrite", "--unlock"))
    assert status == 0, stderr
    assert stdout.startswith(f"{out}: style {N} is stripes; style left ")
    assert "the last layers were trained too: the other styles of" in stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--photos", "NOWHERE"], "give --photos FOLDER"),
        (["--photos", "EMPTY"], "give --photos FOLDER"),
        (["--photos", "PHOTOS", "PAINTING", "TEXT"], "the painting cannot be read"),
        (["--photos", "PHOTOS", "PAINTING", "PIXEL"], "is only 1x1 pixels: give one of at least 32x32"),
        (["--photos", "PHOTOS", "PAINTING", "NOWHERE"], "the painting cannot be read"),
        (["--to", "TEXT"], "is not an ONNX model"),
        (["--to", "FOREIGN"], "cannot learn a style: its recipe names no styles"),
        (["--to", "nowhere"], "there is no model"),
        (["--photos", "PHOTOS", "--name", "waves"], "has a style called waves already: give --name another"),
        (["--photos", "PHOTOS", "--name", "Big Wave"], "must be 1 to 64 of a-z"),
        (["--photos", "PHOTOS", "--title", "x" * 201], "longer than 200 characters; change it with"),
        (["--photos", "PHOTOS", "--out", "NO_FOLDER"], "there is no folder"),
        (["--photos", "PHOTOS", "--out", "FOLDER"], "it is a folder"),
        (["--photos", "PHOTOS", "--out", "model.png"], "a model's name ends in .onnx"),
        (["--photos", "PHOTOS", "--out", "BASE"], "exists; --overwrite replaces it"),
        (["--photos", "PHOTOS", "--out", "BASE", "--overwrite", "--unlock"], "give --out another name"),
        (["--photos", "PHOTOS", "--loss-network", "NOWHERE"], "no loss network at"),
        (["--photos", "PHOTOS", "--paintings", "EMPTY"], "none of the paintings"),
        (["--photos", "PHOTOS", "--device", "tpu"], "auto, cpu or cuda, not tpu"),
    ],
)
def test_bad_input_is_one_line_before_any_training(
    words: list[str], says: str, world: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.onnx").mkdir()
    cv2.imwrite(str(tmp_path / "pixel.png"), np.zeros((1, 1, 3), np.uint8))
    places = {
        "NOWHERE": tmp_path / "nowhere",
        "EMPTY": tmp_path / "empty",
        "PHOTOS": world / "photos",
        "TEXT": written(tmp_path / "text.jpg", b"not a picture, nor a model"),
        "PIXEL": tmp_path / "pixel.png",
        "FOREIGN": tiny_model(tmp_path / "foreign.onnx"),
        "NO_FOLDER": tmp_path / "none" / "out.onnx",
        "FOLDER": tmp_path / "folder.onnx",
        "BASE": world / "base.onnx",
    }
    before, base = files_in(tmp_path), (world / "base.onnx").read_bytes()
    given = [places.get(word, word) for word in words]
    painting = given[3] if "PAINTING" in given else "stripes.png"
    given = given[:2] if "PAINTING" in given else given
    # So many steps that a refusal after the training would be noticed.
    words = command(world, tmp_path / "out.onnx", "--steps", 100_000, *given, painting=painting)
    status, stdout, stderr = run(*words)
    assert (status, stdout, is_one_error(stderr)) == (1, "", True), stderr
    assert says in stderr
    assert files_in(tmp_path) == before
    assert (world / "base.onnx").read_bytes() == base


def test_without_torch_it_says_what_to_install(
    world: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, stderr = run(*command(world, tmp_path / "out.onnx"))
    assert (status, is_one_error(stderr)) == (1, True)
    assert 'pip install "livestyle[train]"' in stderr


def test_ctrl_c_stops_and_writes_nothing(world: Path, tmp_path: Path) -> None:
    words = ["--photos", world / "photos", "--steps", 100_000, "--device", "cpu"]
    process = started(command(world, tmp_path / "out.onnx", *words))
    assert process.stderr is not None
    assert process.stderr.readline().startswith("teaching stripes to base.onnx on cpu, beginning with ")
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert stderr.splitlines()[-1].startswith("stopped")
    assert not files_in(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals there")
def test_at_a_terminal_it_asks_for_what_was_not_given(world: Path, tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    words = ["--photos", world / "photos", "--steps", 1, "--year", "1999", "--device", "cpu"]
    taught = command(world, tmp_path / "out.onnx", *words)
    with started(taught, stdin=slave, stdout=subprocess.PIPE) as process:
        os.write(master, b"\nSomebody\nCC0\n")  # title, artist, licence
        _, stderr = process.communicate(timeout=120)
    os.close(master)
    os.close(slave)
    assert process.returncode == 0, stderr
    style = load_manifest(tmp_path / "out.onnx").styles[N]
    assert (style.title, style.artist, style.year, style.licence) == ("Stripes", "Somebody", "1999", "CC0")
