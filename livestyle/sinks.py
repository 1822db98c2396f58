"""The live window: shows pictures and hears keys."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Self

import cv2
import numpy as np

from livestyle.errors import SinkError
from livestyle.frame import Image, VideoInfo

_NAMED_KEYS = {
    8: "Backspace",
    9: "Tab",
    10: "Enter",
    13: "Enter",
    27: "Esc",
    32: "Space",
    127: "Delete",
    # What waitKeyEx gives, by toolkit: X11 names (Qt and GTK), Windows codes, Cocoa codes.
    **dict.fromkeys((65361, 2424832, 63234), "Left"),
    **dict.fromkeys((65362, 2490368, 63232), "Up"),
    **dict.fromkeys((65363, 2555904, 63235), "Right"),
    **dict.fromkeys((65364, 2621440, 63233), "Down"),
    **dict.fromkeys((65360, 2359296, 63273), "Home"),
    **dict.fromkeys((65367, 2293760, 63275), "End"),
    **dict.fromkeys((65365, 2162688, 63276), "PageUp"),
    **dict.fromkeys((65366, 2228224, 63277), "PageDown"),
    **dict.fromkeys((65535, 3014656, 63272), "Delete"),
    65288: "Backspace",
    65289: "Tab",
    65293: "Enter",
    65307: "Esc",
    # The number pad's on X11, without NumLock and with it.
    **dict(enumerate(("Home", "Left", "Up", "Right", "Down", "PageUp", "PageDown", "End"), 65429)),
    65439: "Delete",
    65421: "Enter",
    **{65408 + ord(sign): sign for sign in "*+,-./0123456789"},
    **{65470 + number: f"F{number + 1}" for number in range(12)},
    **{7340032 + 65536 * number: f"F{number + 1}" for number in range(12)},
}
# Up to here, a code is a character; from here, Unicode's private area and X11's keys without a character.
_FIRST_UNNAMED = 0xE000
_X11_KEY = 0xFFFF  # the bits above say which of Shift, Ctrl, NumLock … are held

# A property that windows have until they are closed, and its least value. On a Mac, a minimised or hidden
# window is not visible; those without a window have no full screen.
_STAYS = (cv2.WND_PROP_FULLSCREEN, 0) if sys.platform == "darwin" else (cv2.WND_PROP_VISIBLE, 1)
# Of two keys in one go of Qt's events only the last is heard, so the goes must be short. Seconds.
_LONGEST_GO = 0.01
_WIDEST = 8.0  # aspect of a window, either way, up to which it is filled with black beside the picture


def key_name(code: int) -> str | None:
    """The name of a key from cv2.waitKeyEx: the character that it types, or "Esc", "Left", "F1", …

    None for no key (-1), and for keys without a name, such as Shift alone. Under Qt, all letters are small.
    """
    if -128 <= code < -1:  # Qt's capital of a Latin letter beyond ASCII, as a signed byte
        return chr(code + 256).lower()
    if code < 0:
        return None
    for candidate in (code, code & _X11_KEY):
        if candidate in _NAMED_KEYS:
            return _NAMED_KEYS[candidate]
        if candidate < _FIRST_UNNAMED and chr(candidate).isprintable():
            return chr(candidate)
    return None


class WindowSink:
    """Shows pictures in a window. Use it in the main thread: macOS allows no other.

    closed turns true when the user closes the window. Raises SinkError where no window can be shown.
    """

    def __init__(self, title: str, info: VideoInfo) -> None:
        _check_display()
        self._title = title
        self._info = info
        self._aspect = info.width / info.height  # of the picture that the window was sized for
        self._keys: deque[str] = deque()
        self._open = False

    @property
    def closed(self) -> bool:
        if self._open:
            try:
                self._open = cv2.getWindowProperty(self._title, _STAYS[0]) >= _STAYS[1]
            except cv2.error:  # how some toolkits say that there is no such window
                self._open = False
        return not self._open

    @property
    def full_screen(self) -> bool:
        return not self.closed and cv2.getWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN) == 1

    @full_screen.setter
    def full_screen(self, wanted: bool) -> None:
        if not self.closed and wanted != self.full_screen:
            state = cv2.WINDOW_FULLSCREEN if wanted else cv2.WINDOW_NORMAL
            cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, state)
            self._hear(0.1)  # or show() would choose a size before the window manager brings the old one back

    def __enter__(self) -> Self:
        try:
            # GUI_NORMAL: without Qt's tool bar, which looks for fonts that are not there. FREERATIO: what is
            # shown fills the window; with bars of its own, Qt distorts a picture of a new aspect.
            flags = cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_FREERATIO
            cv2.namedWindow(self._title, flags)
            cv2.resizeWindow(self._title, self._info.width, self._info.height)
        except cv2.error as error:
            raise SinkError(
                "cannot open a window: this OpenCV was built without windows; "
                "`pip uninstall opencv-python-headless`, then `pip install --force-reinstall opencv-python`"
            ) from error
        self._open = True
        return self

    def __exit__(self, *_: object) -> None:
        if not self.closed:
            self._open = False
            cv2.destroyWindow(self._title)
            cv2.pollKey()  # the toolkit closes it only when it is asked for keys

    def show(self, image: Image) -> None:
        """The picture, as large as the window. A picture of a new aspect changes the window's width."""
        if self.closed:
            return
        _, _, width, height = cv2.getWindowImageRect(self._title)
        aspect = image.shape[1] / image.shape[0]
        if aspect != self._aspect and height > 0 and not self.full_screen:
            self._aspect, width = aspect, round(height * aspect)
            cv2.resizeWindow(self._title, width, height)
        cv2.imshow(self._title, _between_bars(image, width / height if min(width, height) > 0 else aspect))
        self._hear(0)

    def poll_key(self, wait: float = 0.0) -> str | None:
        """The key that was pressed next, as key_name() calls it; None when none was within `wait` seconds."""
        deadline = time.monotonic() + wait
        while not self._keys and not self.closed:
            left = deadline - time.monotonic()
            self._hear(min(left, _LONGEST_GO))
            if left <= _LONGEST_GO:
                break
        return self._keys.popleft() if self._keys else None

    def _hear(self, wait: float) -> None:
        """Let the toolkit paint and take its keys."""
        name = key_name(cv2.waitKeyEx(max(1, round(wait * 1000))))  # 0 would wait for ever
        if name is not None:
            self._keys.append(name)


def _between_bars(image: Image, aspect: float) -> Image:
    """The picture in BGR, with black bars that give it the window's aspect."""
    aspect = min(max(aspect, 1 / _WIDEST), _WIDEST)  # a window of one line would make gigabytes
    height, width = image.shape[:2]
    full_height, full_width = max(height, round(width / aspect)), max(width, round(height * aspect))
    top, left = (full_height - height) // 2, (full_width - width) // 2
    shown = np.zeros((full_height, full_width, 3), np.uint8)
    cv2.cvtColor(image, cv2.COLOR_RGB2BGR, dst=shown[top : top + height, left : left + width])
    return shown


def display_problem() -> str | None:
    """Why no window can be opened; None where one can, as far as can be told without trying."""
    if not sys.platform.startswith("linux"):
        return None
    display = os.environ.get("DISPLAY", "")
    if not display:
        return "there is no display: DISPLAY is not set (under Wayland, install XWayland)"
    return None if _answers(display) else f"no display answers at DISPLAY={display}"


def _check_display() -> None:
    """Without a display, OpenCV's toolkit ends the whole process (SIGABRT) instead of raising."""
    problem = display_problem()
    if problem is not None:
        raise SinkError(
            f"cannot open a window: {problem}; `--no-window --record FILE`, or `livestyle video`, need none"
        )


def _answers(display: str) -> bool:
    """Whether an X server listens on a local display; others are believed."""
    local = re.fullmatch(r"(?:unix)?:(\d+)(?:\.\d+)?", display)
    if local is None:
        return True
    path = f"/tmp/.X11-unix/X{local[1]}"
    for address in (path, f"\0{path}"):  # as a file, and in Linux's abstract names
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(address)
            return True
    return False
