from __future__ import annotations

import io
import os
import sys
from contextlib import ExitStack

import pytest

from livestyle.silence import native_stderr_silenced


def test_silence_ends_with_its_block(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with native_stderr_silenced():
        os.write(2, b"within ")
    with pytest.raises(KeyError), native_stderr_silenced():
        raise KeyError
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_silence_does_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with native_stderr_silenced():
            pass


def test_the_terminal_comes_back_when_blocks_of_two_threads_overlap(
    capfd: pytest.CaptureFixture[str],
) -> None:
    os.write(2, b"before ")
    with ExitStack() as second:
        with ExitStack() as first:
            first.enter_context(native_stderr_silenced())
            second.enter_context(native_stderr_silenced())
        os.write(2, b"within ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"
