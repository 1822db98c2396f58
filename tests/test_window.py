"""The live window on a real screen without a monitor: Xvfb shows it, xdotool presses the keys."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("Xvfb") and shutil.which("xdotool")),
        reason="needs a virtual screen: apt-get install xvfb xdotool",
    ),
]


class Screen:
    """A virtual screen. Xvfb keeps its pixels in a file: the format of X's window dumps."""

    def __init__(self, name: str, pixels: Path) -> None:
        self.name, self._pixels = name, pixels

    def corner(self) -> list[int]:
        """The median colour, RGB, near the top left, where the window's picture is."""
        dump = self._pixels.read_bytes()
        header = struct.unpack(">25I", dump[:100])
        start, line_bytes, colours = header[0], header[12], header[19]
        lines = np.frombuffer(dump, np.uint8, offset=start + 12 * colours)[: 480 * line_bytes]
        bgrx = lines.reshape(480, line_bytes // 4, 4)
        return [int(value) for value in np.median(bgrx[4:12, 4:24, 2::-1].reshape(-1, 3), axis=0)]


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(
        [*command, "-fbdir", str(tmp_path)],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        yield Screen(f":{number}", tmp_path / "Xvfb_screen0")
        server.terminate()


def wait_for(screen: Screen, colour: list[int]) -> list[int]:
    """What is shown once it is near `colour`, or after ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        shown = screen.corner()
        if np.abs(np.subtract(shown, colour)).max() < 12 or time.monotonic() > deadline:
            return shown
        time.sleep(0.1)


@pytest.mark.parametrize("last", ["Escape", "q"])
def test_digits_choose_the_style_and_the_last_key_ends(
    last: str, screen: Screen, tiny_model_path: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "camera.mp4", pts=range(10))
    command = [sys.executable, "-m", "livestyle", "webcam", "--camera", str(clip), "--style", "0"]
    command += ["--model", str(tiny_model_path), "--fade", "0.2"]
    environment = {**os.environ, "DISPLAY": screen.name}

    def press(key: str) -> None:
        subprocess.run(["xdotool", "key", key], env=environment, check=True)

    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        find = ["xdotool", "search", "--sync", "--name", "^livestyle$", "windowfocus"]
        subprocess.run(find, env=environment, check=True, timeout=30, stdout=subprocess.DEVNULL)
        red = wait_for(screen, [220, 0, 0])
        press("1")
        negative = wait_for(screen, [35, 255, 255])
        press("2")
        grey = wait_for(screen, [40, 40, 40])
        press(last)
        _, stderr = process.communicate(timeout=5)
    assert np.abs(np.subtract(red, [220, 0, 0])).max() < 12
    assert np.abs(np.subtract(negative, [35, 255, 255])).max() < 12
    assert np.abs(np.subtract(grey, [40, 40, 40])).max() < 12
    assert process.returncode == 0
    assert stderr.splitlines() == ["painting on CPU; 1-9 choose the style, q ends"]
