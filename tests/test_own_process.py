from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from livestyle.errors import DeviceError, ModelError
from livestyle.own_process import answers_of, ask


def counted(to: int) -> Iterator[dict[str, int]]:
    for number in range(to):
        os.write(1, b"a library talks\n")
        yield {"number": number}


def refused(path: str) -> Iterator[None]:
    raise ModelError(f"no model at {path}; name another one")
    yield


def wrong() -> Iterator[None]:
    yield None
    raise RuntimeError("a driver\nfailed")


def crashed() -> Iterator[None]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield


def stuck(folder: str) -> Iterator[int]:
    yield os.getpid()
    time.sleep(60)
    (Path(folder) / "alive").touch()


def test_answers_come_one_by_one_without_what_libraries_print() -> None:
    assert list(answers_of(counted, to=3)) == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert ask(counted, patience=60, to=3) == {"number": 2}


def test_an_error_comes_back_as_itself() -> None:
    with pytest.raises(ModelError, match=r"^no model at x; name another one$"):
        ask(refused, patience=60, path="x")
    with pytest.raises(DeviceError, match=r"^RuntimeError: a driver failed$"):
        list(answers_of(wrong))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_crash_is_an_error() -> None:
    with pytest.raises(DeviceError, match="ended with signal 9"):
        ask(crashed, patience=60)
    with pytest.raises(DeviceError, match="ended with signal 9"):
        list(answers_of(crashed))


def test_what_hangs_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no answer within 1 s"):
        ask(stuck, patience=1, folder=str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="there, signal 0 is no question")
def test_leaving_early_ends_the_process(tmp_path: Path) -> None:
    answers = answers_of(stuck, folder=str(tmp_path))
    number = next(answers)
    os.kill(number, 0)  # it is there
    answers.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
