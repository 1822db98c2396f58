"""Keeps native libraries from writing on the user's terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

_STDERR = 2


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Send what is written to file descriptor 2 to nowhere for a moment.

    libpng, libjpeg and ONNX Runtime's hardware discovery write there themselves; no log level reaches them.
    The descriptor is the whole process's: keep the block short, and start nothing in it. Where blocks of
    several threads overlap, the silence lasts from the beginning of the first to the end of the last.
    """
    block = object()
    # A signal may raise anywhere in here: whatever happens, the terminal comes back.
    try:
        _flush()
        _stderr.silence(block)
        yield
    finally:
        try:
            _flush()
        finally:
            _stderr.give_back(block)


class _Descriptor:
    """A file descriptor, which has one state however many threads there are, and the blocks that silence it.

    The blocks are kept, not their number: one that a signal breaks off may not have been counted yet.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._lock = Lock()
        self._blocks: set[object] = set()
        self._kept: int | None = None  # a copy of what it was

    def silence(self, block: object) -> None:
        with self._lock:
            if not self._blocks:
                self._redirect()
            self._blocks.add(block)

    def give_back(self, block: object) -> None:
        with self._lock:
            self._blocks.discard(block)
            if not self._blocks and self._kept is not None:
                os.dup2(self._kept, self._number)
                kept, self._kept = self._kept, None
                os.close(kept)

    def _redirect(self) -> None:
        try:
            self._kept = os.dup(self._number)
        except OSError:  # no terminal at all, as under pythonw
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self._number)
        finally:
            os.close(nowhere)


_stderr = _Descriptor(_STDERR)


def _flush() -> None:
    with suppress(AttributeError, OSError, ValueError):  # None, a closed pipe, a closed file
        sys.stderr.flush()
