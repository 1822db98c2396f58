"""The live window on a real screen without a monitor: Xvfb shows it, xdotool presses the keys."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from fakes import tiny_manifest

from livestyle.controls import Desk
from livestyle.smoothing import SMOOTHING
from livestyle.take import Cue, Take
from livestyle.take_file import read_take

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(shutil.which(program) for program in ("Xvfb", "xdotool", "openbox")),
        reason="needs a virtual screen: apt-get install xvfb xdotool openbox",
    ),
]


RED = [220, 0, 0]  # what clips and players begin with

# Windows without a frame in the corner of the screen, so that a test knows where their pixels are.
OPENBOX = """<openbox_config xmlns="http://openbox.org/3.4/rc"><applications><application class="*">
<decor>no</decor><position force="yes"><x>0</x><y>0</y></position><focus>yes</focus>
</application></applications></openbox_config>"""


def wait_until(is_so: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it came about in that time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Screen:
    """A virtual screen. Xvfb keeps its pixels in a file: the format of X's window dumps."""

    def __init__(self, name: str, pixels: Path) -> None:
        self.name, self._pixels = name, pixels
        self.environment = {**os.environ, "DISPLAY": name}

    def run(self, *words: str) -> str:
        """What xdotool says."""
        command = ["xdotool", *words]
        done = subprocess.run(command, env=self.environment, check=True, timeout=30, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def find(self, title: str) -> str:
        """The id of the window with this title, once it is there; it has the keys then."""
        window = self.run("search", "--sync", "--onlyvisible", "--name", f"^{title}$").split()[-1]
        self.run("windowfocus", "--sync", window)
        return window

    def is_managed(self) -> bool:
        """Whether a window manager has taken over."""
        words = ["xdotool", "get_num_desktops"]
        done = subprocess.run(words, env=self.environment, timeout=30, capture_output=True, check=False)
        return done.returncode == 0

    def size(self, window: str) -> tuple[int, int]:
        shell = dict(line.split("=") for line in self.run("getwindowgeometry", "--shell", window).split())
        return int(shell["WIDTH"]), int(shell["HEIGHT"])

    def ask_to_close(self, window: str) -> None:
        """What a window manager sends when its button is pressed."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        display = ctypes.c_void_p(x11.XOpenDisplay(self.name.encode()))
        protocols, delete = (
            x11.XInternAtom(display, name, False) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")
        )
        client_message = 33
        # type, serial, send_event, display, window, message_type, format, data; an XEvent has 24 longs
        event = (ctypes.c_long * 24)(client_message, 0, 1, 0, int(window), protocols, 32, delete, 0)
        x11.XSendEvent(display, ctypes.c_ulong(int(window)), False, ctypes.c_long(0), event)
        x11.XCloseDisplay(display)

    def shows(self, colour: list[int], left: int = 4, top: int = 4, seconds: float = 10) -> bool:
        """Whether this place takes that colour in time; by default near the corner of the picture."""
        return wait_until(
            lambda: int(np.abs(np.subtract(self._colour(left, top), colour)).max()) < 12, seconds
        )

    def _colour(self, left: int, top: int) -> list[int]:
        """The median colour, RGB, of 20x8 pixels."""
        dump = self._pixels.read_bytes()
        header = struct.unpack(">25I", dump[:100])
        start, line_bytes, colours = header[0], header[12], header[19]
        lines = np.frombuffer(dump, np.uint8, offset=start + 12 * colours)[: 480 * line_bytes]
        box = lines.reshape(480, line_bytes // 4, 4)[top : top + 8, left : left + 20, 2::-1]
        return [int(value) for value in np.median(box.reshape(-1, 3), axis=0)]


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(
        [*command, "-fbdir", str(tmp_path)],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        screen = Screen(f":{number}", tmp_path / "Xvfb_screen0")
        # A keyboard that has every key of these tests. For one that it lacks, xdotool lends it a spare
        # keycode for a moment, and Qt was now and then too late to ask what that meant (1 of 30 runs).
        subprocess.run(["setxkbmap", "-display", screen.name, "de", "nodeadkeys"], check=True, timeout=30)
        # As on every desktop. Without a window manager, Qt missed that its window was there in 5 of 20
        # starts and painted nothing (namedWindow, imshow and waitKey alone, too); with one, in none of 20.
        config = tmp_path / "openbox.xml"
        config.write_text(OPENBOX)
        with subprocess.Popen(
            ["openbox", "--sm-disable", "--config-file", str(config)],
            env=screen.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as manager:
            assert wait_until(screen.is_managed)
            yield screen
            manager.terminate()
        server.terminate()


@contextmanager
def started(screen: Screen, title: str, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python program that first shows RED on that screen, and the id of its window."""
    with subprocess.Popen(
        [sys.executable, *words],
        env=screen.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watchdog = threading.Timer(60, process.kill)  # reading what it says then ends
        watchdog.start()
        try:
            window = screen.find(title)
            assert screen.shows(RED), "the window stayed empty"
            yield process, window
        finally:
            watchdog.cancel()
            process.kill()  # or a test that fails would wait for it


@pytest.mark.parametrize("last", ["Escape", "q"])
def test_keys_play_the_webcam_and_the_last_one_ends_it(
    last: str, screen: Screen, tiny_model_path: Path, tmp_path: Path
) -> None:
    clip, take = write_clip(tmp_path / "camera.mp4", pts=range(10)), tmp_path / "take.json"
    command = ["-m", "livestyle", "webcam", "--camera", str(clip), "--style", "0", "--save-take", str(take)]
    command += ["--model", str(tiny_model_path), "--fade", "0.2"]
    with started(screen, "livestyle", *command) as (process, _):
        for digit, colour in (("1", [35, 255, 255]), ("2", [40, 40, 40])):
            screen.run("key", digit)
            assert screen.shows(colour)
        for key in ("Tab", "1", "1", "Up", "c"):
            screen.run("key", key)
            time.sleep(0.3)
        screen.run("key", last)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 0
    assert re.fullmatch("painting on .*CPU.*; h shows the keys", stderr.splitlines()[0])
    # What the window heard is what the table of keys does without a window.
    desk_take = Take([Cue(0.0, (1.0, 0.0, 0.0), smooth=SMOOTHING["light"])])
    desk = Desk(desk_take, fade=0.2)
    for key in ("1", "2", "Tab", "1", "1", "Up", "c"):
        desk.press(key)
    played = read_take(str(take), tiny_manifest()).cues[-1]
    assert replace(played, timestamp=0.0) == replace(desk_take.cues[-1], timestamp=0.0)


# A window of 160x120 that says on stdout which keys it hears and does a few things when told to.
PLAYER = """
import numpy as np
from livestyle.frame import VideoInfo
from livestyle.sinks import WindowSink
red, wide = np.zeros((120, 160, 3), np.uint8), np.zeros((60, 160, 3), np.uint8)
red[...], wide[...] = (220, 0, 0), (0, 0, 220)
picture = red
with WindowSink("player", VideoInfo(160, 120, 25.0)) as window:
    while not window.closed:
        window.show(picture)
        key = window.poll_key(0.02)
        if key == "w":
            picture = wide
        elif key == "f":
            window.full_screen = not window.full_screen
            key = f"full screen: {window.full_screen}"
        if key is not None:
            print(key, flush=True)
    window.show(picture)
    print(window.poll_key(0.02), window.full_screen, flush=True)
"""


def test_keys_arrive_by_name_and_in_order(screen: Screen) -> None:
    names = {
        **{"Left": "Left", "Right": "Right", "Up": "Up", "Down": "Down", "Home": "Home", "End": "End"},
        **{"Tab": "Tab", "BackSpace": "Backspace", "space": "Space", "Return": "Enter", "Delete": "Delete"},
        **{"Escape": "Esc", "Prior": "PageUp", "Next": "PageDown", "F1": "F1", "F11": "F11"},
        **{"bracketleft": "[", "bracketright": "]", "exclam": "!", "at": "@", "question": "?", "plus": "+"},
        **{"0": "0", "9": "9", "a": "a", "udiaeresis": "ü"},
        # The number pad. Its digits come last: xdotool leaves NumLock on after them.
        **{"KP_Left": "Left", "KP_Next": "PageDown", "KP_Enter": "Enter", "KP_Add": "+"},
        **{"KP_0": "0", "KP_5": "5", "KP_9": "9"},
    }
    with started(screen, "player", "-c", PLAYER) as (process, _):
        assert process.stdout is not None
        heard = []
        for key in names:
            screen.run("key", key)
            heard.append(process.stdout.readline().strip())
        assert heard == list(names.values())
        screen.run("key", "--delay", "50", *"12345678")  # a quick hand
        assert [process.stdout.readline().strip() for _ in range(8)] == list("12345678")


def test_a_picture_of_another_shape_changes_the_windows_width_and_is_not_distorted(screen: Screen) -> None:
    with started(screen, "player", "-c", PLAYER) as (_, window):
        assert screen.size(window) == (160, 120)
        screen.run("key", "w")  # 160x60 pixels
        assert wait_until(lambda: screen.size(window) == (320, 120))
        assert screen.shows([0, 0, 220], 290, 100)
        screen.run("windowsize", "--sync", window, "320", "300")  # the hand of the user
        assert screen.shows([0, 0, 0], 100, 20)  # black above and below
        assert screen.shows([0, 0, 220], 10, 100)
        assert screen.shows([0, 0, 220], 290, 200)
        assert screen.shows([0, 0, 0], 100, 270)
        assert screen.size(window) == (320, 300)


def test_a_window_goes_full_screen_and_back_and_is_closed_by_its_button(screen: Screen) -> None:
    with started(screen, "player", "-c", PLAYER) as (process, window):
        assert process.stdout is not None
        for wanted in (True, False):
            screen.run("key", "f")
            assert process.stdout.readline().strip() == f"full screen: {wanted}"
        screen.ask_to_close(window)
        assert process.stdout.readline().strip() == "None False"
        assert process.wait(timeout=10) == 0
