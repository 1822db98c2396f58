"""Fixtures for several test files."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import write_clip
from commands import Run
from fakes import tiny_model
from hypothesis import settings

# How long an example takes is the machine's affair: no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model of three styles that every test may read: original, negative, grey_40."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny.onnx")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that tiny_world filled, and every test may read."""
    from tiny_world import tiny_world  # needs torch

    return tiny_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Exit status, stdout and stderr of a command, called as the console script calls it."""
    from livestyle.cli import main

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["livestyle", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten frames of 64x48, 25 a second."""
    return write_clip(tmp_path / "in.mp4")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of 56x40."""
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return path
