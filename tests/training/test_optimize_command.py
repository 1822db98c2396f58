from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commands import Run, is_one_error
from tiny_runs import DOTS, PHOTO, WAVES, halves, write_weights

from livestyle.pictures import read_picture
from livestyle.training import optimize as module
from livestyle.training.optimize import optimize


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the folder with a photo, two paintings, masks of the photo and a painting, and weights."""
    monkeypatch.chdir(tmp_path)
    pictures = {
        "photo.png": PHOTO,
        "dots.png": DOTS,
        "waves.png": WAVES,
        "mask.png": halves(48, 64),
        "dots_mask.png": halves(64, 56),
        "greys.png": halves(64, 56, 90, 160),
        "dot.png": np.zeros((1, 1), np.uint8),
    }
    for name, picture in pictures.items():
        assert cv2.imwrite(name, picture[:, :, ::-1] if picture.ndim == 3 else picture)
    Path("words.png").write_text("no picture")
    write_weights(Path("slim.pt"))
    return Path("out.png")


def test_the_command_writes_a_picture_and_previews(run: Run, out: Path) -> None:
    words = ["photo.png", "dots.png:0.7", out, "--style", "waves.png", "--loss-network", "slim.pt"]
    words += ["--iterations", 3, "--preview-every", 2, "--json"]
    status, stdout, stderr = run("optimize", *words)
    assert (status, stderr) == (0, "painting on cpu at 64 pixels; Ctrl-C ends\n")
    result = json.loads(stdout)
    assert (result["width"], result["height"], result["iterations"]) == (64, 48, 3)
    assert result["finished"] is True
    assert result["style_fraction"] < 1
    picture, preview = (read_picture(path)[0] for path in (out, Path("out.preview.png")))
    assert picture.shape == preview.shape == PHOTO.shape
    status, _, stderr = run("optimize", *words)
    assert (status, is_one_error(stderr)) == (1, True)
    assert "out.png exists" in stderr


def test_ctrl_c_writes_the_picture_so_far(run: Run, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Any:
        for step in optimize(*arguments, **options):
            if step.iteration == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield step

    monkeypatch.setattr(module, "optimize", interrupted)
    status, stdout, stderr = run("optimize", "photo.png", "dots.png", out, "--loss-network", "slim.pt")
    assert status == 130
    told = stderr.splitlines()[-1]
    assert told == "stopped at iteration 2 of 200; out.png holds the picture so far"
    assert "after 2 iterations" in stdout
    assert read_picture(out)[0].shape == PHOTO.shape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["words.png", "dots.png", "out.png"], "words.png is"),
        (["photo.png", "words.png", "out.png"], "words.png is"),
        (["photo.png", "none", "out.png"], "there is no picture"),
        (["dot.png", "dots.png", "out.png"], "the photo is 1x1, and the shorter side"),
        (["photo.png", "dot.png", "out.png"], "dot.png is 1x1, and the shorter side"),
        (["photo.png", "dots.png", "none/out.png"], "there is no folder"),
        (["photo.png", "dots.png", "none"], "must end in one of"),
        (["photo.png", "dots.png", "photo.png", "--overwrite"], "photo.png would be replaced"),
        (["photo.png", "dots.png", "out.png", "--mask", "dots_mask.png"], "make them the same size"),
        (
            ["photo.png", "dots.png", "out.png", "--mask", "mask.png", "--style-mask", "greys.png"],
            "no region",
        ),
        (["photo.png", "dots.png", "out.png", "--mask", "mask.png"], "2 greys for 1 painting"),
        (["photo.png", "dots.png", "out.png", "--style-mask", "dots_mask.png"], "the photo has none"),
        (["photo.png", "dots.png", "out.png", "--loss-network", "none"], "no loss network at"),
        (["photo.png", "dots.png", "out.png", "--loss-network", "words.png"], "is not a weights file"),
    ],
)
def test_what_cannot_be_painted_is_one_line_before_the_work(
    words: list[str], message: str, run: Run, out: Path
) -> None:
    network = [] if "--loss-network" in words else ["--loss-network", "slim.pt"]
    status, stdout, stderr = run("optimize", *words, *network)
    assert (status, stdout, is_one_error(stderr)) == (1, "", True), stderr
    assert message in stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--colours", "blue"], "'blue' is none of style, match, luminance"),
        (["--pooling", "mean"], "'mean' is none of max, average"),
        (["--style", "waves.png:0"], "a share is a number above 0"),
        (["--style-mask", "mask.png", "--style-mask", "mask.png"], "one for each painting: 1, not 2"),
        (["--size", "9000"], "less than or equal to 1024"),
    ],
)
def test_wrong_options_are_one_line_too(words: list[str], message: str, run: Run, out: Path) -> None:
    status, _, stderr = run("optimize", "photo.png", "dots.png", out, *words)
    assert (status, is_one_error(stderr)) == (2, True), stderr
    assert message in stderr
