from __future__ import annotations

import os
import subprocess
import sys

import pytest

from livestyle.sinks import key_name

SHIFT, NUM_LOCK = 0x10000, 0x100000  # as Qt and GTK on X11 add them


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-1, None),
        (ord("q"), "q"),
        (ord("Q"), "Q"),
        (ord("1"), "1"),
        (ord("]"), "]"),
        (ord("ö"), "ö"),
        (27, "Esc"),
        (13, "Enter"),
        (32, "Space"),
        # the same key on X11, Windows and macOS
        *[(code, "Left") for code in (65361, 2424832, 63234)],
        *[(code, "Up") for code in (65362, 2490368, 63232)],
        *[(code, "Right") for code in (65363, 2555904, 63235)],
        *[(code, "Down") for code in (65364, 2621440, 63233)],
        # on X11, with keys held down
        (SHIFT | ord("A"), "A"),
        (NUM_LOCK | ord("q"), "q"),
        (NUM_LOCK | 65361, "Left"),
        (NUM_LOCK | 65459, "3"),  # the number pad's
        (NUM_LOCK | 65451, "+"),
        *[(65429 + i, name) for i, name in enumerate(("Home", "Left", "Up", "Right", "Down"))],  # NumLock off
        (65434, "PageUp"),
        (65435, "PageDown"),
        (65439, "Delete"),
        (-36, "ü"),  # Qt's Ü as a signed byte
        (65470, "F1"),
        (7340032, "F1"),
        (65505, None),  # Shift alone
        (0, None),
    ],
)
def test_keys_have_one_name_on_all_systems(code: int, name: str | None) -> None:
    assert key_name(code) == name


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only X11 ends the process")
@pytest.mark.parametrize(
    ("display", "words"), [(None, "DISPLAY is not set"), (":7654", "no display answers at DISPLAY=:7654")]
)
def test_without_a_display_a_window_is_an_error_and_not_an_abort(display: str | None, words: str) -> None:
    code = (
        "from livestyle.errors import SinkError\n"
        "from livestyle.frame import VideoInfo\n"
        "from livestyle.sinks import WindowSink\n"
        "try:\n"
        "    with WindowSink('livestyle', VideoInfo(64, 48, 25.0)):\n"
        "        print('a window')\n"
        "except SinkError as error:\n"
        "    print(error)\n"
    )
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    if display is not None:
        environment["DISPLAY"] = display
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert done.stdout.count("\n") == 1
