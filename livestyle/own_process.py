"""Runs a piece of livestyle in a process of its own, which may hang, crash or be killed without harm.

What is measured there starts from nothing: no memory and no threads of anything that ran before.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from livestyle import errors

# A task gives JSON values, one after another; its arguments are JSON values too.
Task = Callable[..., Iterable[Any]]

_SCRIPT = "from livestyle.own_process import serve; serve()"


def answers_of(task: Task, **arguments: Any) -> Iterator[Any]:
    """What `task(**arguments)` yields in a fresh process, as it comes.

    The process is killed when this is closed before its end. Raises the LivestyleError that the task raises,
    and DeviceError where the process ends in another way.
    """
    process = _start(task, arguments)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            yield _opened(line)
        _check_status(process.wait())
    finally:
        _end(process)


def ask(task: Task, *, patience: float, **arguments: Any) -> Any:
    """The last value that `task(**arguments)` yields in a fresh process. patience: seconds, then DeviceError.

    Raises the LivestyleError that the task raises, and DeviceError where the process ends in another way.
    """
    process = _start(task, arguments)
    try:
        text, _ = process.communicate(timeout=patience)
        values = [_opened(line) for line in text.splitlines()]
        _check_status(process.returncode)
    except subprocess.TimeoutExpired:
        raise errors.DeviceError(f"no answer within {patience:.0f} s") from None
    finally:
        _end(process)
    return values[-1]


def own_python(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """A command that runs this Python with the same modules in reach, and its environment."""
    # Without -P, a file called numpy.py in the user's folder would be taken for the library.
    path = os.pathsep.join(folder for folder in sys.path if folder)
    return [sys.executable, "-P", *arguments], {**os.environ, "PYTHONPATH": path}


def serve() -> None:
    """The other process: run the task that the arguments name, and write its values, a line each."""
    module, name, arguments = sys.argv[1:4]
    # Libraries write on stdout too; only answers may come through.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

        def say(answer: dict[str, Any]) -> None:
            out.write(f"{json.dumps(answer)}\n")
            out.flush()

        try:
            for value in getattr(importlib.import_module(module), name)(**json.loads(arguments)):
                say({"value": value})
        except errors.LivestyleError as error:
            say({"error": str(error), "kind": type(error).__name__})
        except Exception as error:  # noqa: BLE001 - handed on: the first process raises it
            text = " ".join(str(error).split())[:300]
            say({"error": f"{type(error).__name__}: {text}", "kind": "DeviceError"})


def _start(task: Task, arguments: dict[str, Any]) -> subprocess.Popen[str]:
    command, environment = own_python("-c", _SCRIPT)
    names = [task.__module__, task.__name__]
    # A session of its own: Ctrl-C comes to the first process, which ends this one without its words.
    return subprocess.Popen(
        [*command, *names, json.dumps(arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def _opened(line: str) -> Any:
    answer = json.loads(line)
    if "error" in answer:
        raise getattr(errors, answer["kind"])(answer["error"])
    return answer["value"]


def _check_status(status: int) -> None:
    if status:
        what = f"signal {-status}" if status < 0 else f"status {status}"
        raise errors.DeviceError(f"the process that ran it ended with {what}")


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
