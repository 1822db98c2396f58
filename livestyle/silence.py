"""Keeps native libraries from writing on the user's terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDERR = 2


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Send what is written to file descriptor 2 to nowhere for a moment.

    libpng, libjpeg and ONNX Runtime's hardware discovery write there themselves; no log level reaches them.
    The descriptor is the whole process's: keep the block short, and start nothing in it.
    """
    try:
        kept = os.dup(_STDERR)
    except OSError:  # no terminal at all, as under pythonw
        yield
        return
    # A signal may raise anywhere in here: whatever happens, the terminal comes back.
    try:
        _flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, _STDERR)
        finally:
            os.close(nowhere)
        yield
    finally:
        try:
            _flush()
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)


def _flush() -> None:
    with suppress(AttributeError, OSError, ValueError):  # None, a closed pipe, a closed file
        sys.stderr.flush()
