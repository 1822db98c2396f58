"""The screen as a camera: its pace with a fake, its pictures on a virtual screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

from livestyle.camera import CameraSource
from livestyle.errors import SourceError
from livestyle.screen import ScreenCamera, ScreenCapture
from livestyle.sources import open_camera

mss = pytest.importorskip("mss", reason='needs pip install "livestyle[screen]"')


class FakeShooter:
    """Gives blue pictures of 8x6, or fails."""

    def __init__(self, works: list[bool]) -> None:
        self._works = iter(works)

    def grab(self, monitor: Any) -> Any:
        if not next(self._works):
            raise mss.ScreenShotError("the screen is locked")
        return np.full((6, 8, 4), (200, 0, 0, 255), np.uint8)

    def close(self) -> None:
        pass


def test_a_screen_that_cannot_be_read_for_a_moment_goes_on() -> None:
    class Locked(ScreenCamera):
        def open(self) -> ScreenCapture:
            shooter: Any = FakeShooter([True, False, True])
            return ScreenCapture(shooter, {}, self.fps)

    source = CameraSource(Locked(1, 100.0))
    assert source.info.fps == 100.0
    frames = list(islice(source, 2))
    assert [frame.image[3, 4].tolist() for frame in frames] == [[0, 0, 200]] * 2


def test_without_mss_the_screen_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(SourceError, match=r'pip install "livestyle\[screen\]"'):
        open_camera("screen")


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A virtual screen of 320x240."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24", "-nolisten", "tcp", "-wr"]
    with subprocess.Popen(
        command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        os.close(write)
        with os.fdopen(read) as pipe:
            name = f":{pipe.readline().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        yield name
        server.terminate()


needs_xvfb = pytest.mark.skipif(
    not shutil.which("Xvfb"), reason="needs a virtual screen: apt-get install xvfb"
)


@needs_xvfb
@pytest.mark.slow
@pytest.mark.parametrize("spec", ["screen", "screen:1"])
def test_the_screen_is_filmed(spec: str, desktop: str) -> None:
    with open_camera(spec, size=(999, 120), fps=50) as source:
        frames = list(islice(source, 3))
        assert source.problem is None
        assert 0 <= source.now() - frames[-1].timestamp < 5
    assert (source.info.width, source.info.height, source.info.fps) == (160, 120, 50)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[0].image.shape == (120, 160, 3)
    assert frames[0].image.min() == 255  # -wr: a white root window


@needs_xvfb
@pytest.mark.slow
def test_a_screen_that_is_not_there_is_one_sentence(desktop: str) -> None:
    with pytest.raises(SourceError, match=r"there is no screen 3; this machine has screen:1$"):
        open_camera("screen:3")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
def test_no_desktop_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceError, match=r"^cannot film the screen: [^\n]*$"):
        open_camera("screen")
