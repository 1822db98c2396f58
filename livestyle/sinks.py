"""Shows frames in a window, and hears its keys."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

import cv2

from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo

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
    65421: "Enter",  # of the number pad
    **{65456 + digit: str(digit) for digit in range(10)},  # the number pad's
    **{65470 + number: f"F{number + 1}" for number in range(12)},
    **{7340032 + 65536 * number: f"F{number + 1}" for number in range(12)},
}
# Up to here, a code is a character; from here, Unicode's private area and X11's keys without a character.
_FIRST_UNNAMED = 0xE000
_X11_KEY = 0xFFFF  # the bits above say which of Shift, Ctrl, NumLock … are held


def key_name(code: int) -> str | None:
    """The name of a key from cv2.waitKeyEx: the character that it types, or "Esc", "Left", "F1", …

    None for no key (-1), and for keys without a name, such as Shift alone.
    """
    if code < 0:
        return None
    for candidate in (code, code & _X11_KEY):
        if candidate in _NAMED_KEYS:
            return _NAMED_KEYS[candidate]
        if candidate < _FIRST_UNNAMED and chr(candidate).isprintable():
            return chr(candidate)
    return None


class WindowSink:
    """Shows frames in a window. Use it in the main thread: macOS allows no other.

    closed turns true when the user closes the window. Raises SinkError where no window can be shown.
    """

    def __init__(self, title: str, info: VideoInfo) -> None:
        _check_display()
        self._title = title
        self._info = info
        self._keys: deque[str] = deque()
        self._open = False

    @property
    def closed(self) -> bool:
        if self._open:
            try:
                self._open = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
            except cv2.error:  # how some toolkits say that there is no such window
                self._open = False
        return not self._open

    def __enter__(self) -> Self:
        try:
            # GUI_NORMAL: without Qt's tool bar, which looks for fonts that are not there.
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(self._title, self._info.width, self._info.height)
        except cv2.error as error:
            raise SinkError(
                "cannot open a window: this OpenCV was built without windows; "
                "`pip uninstall opencv-python-headless`, then `pip install --force-reinstall opencv-python`"
            ) from error
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.closed:
            self._open = False
            cv2.destroyWindow(self._title)
            cv2.pollKey()  # the toolkit closes it only when it is asked for keys

    def write(self, frame: Frame) -> None:
        if self.closed:
            return
        cv2.imshow(self._title, cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        self._hear(0)

    def poll_key(self, wait: float = 0.0) -> str | None:
        """The key that was pressed next, as key_name() calls it; None when none was within `wait` seconds."""
        if not self._keys:
            self._hear(wait)
        return self._keys.popleft() if self._keys else None

    def _hear(self, wait: float) -> None:
        """Let the toolkit paint and take its keys."""
        name = key_name(cv2.waitKeyEx(max(1, round(wait * 1000))))  # 0 would wait for ever
        if name is not None:
            self._keys.append(name)


def _check_display() -> None:
    """Without a display, OpenCV's toolkit ends the whole process (SIGABRT) instead of raising."""
    if not sys.platform.startswith("linux"):
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        problem = "there is no display: DISPLAY is not set (under Wayland, install XWayland)"
    elif not _answers(display):
        problem = f"no display answers at DISPLAY={display}"
    else:
        return
    raise SinkError(f"cannot open a window: {problem}; `livestyle video IN OUT` needs none")


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
