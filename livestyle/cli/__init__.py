"""The command line. The only rooms that print and exit: results to stdout, all else to stderr."""

from __future__ import annotations

import io
import os
import signal
import sys


def main() -> None:
    """Run the command and exit. An error is one line on stderr and status 1, a wrong option 2, Ctrl-C 130."""
    # Before anything is imported, which takes a moment in which people press Ctrl-C too.
    _on_stop(_exit_at_once)
    from livestyle.picture_header import MAX_PIXELS

    # Read when cv2 is loaded: a second guard, for pictures that are larger than their header seems to say.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
    from livestyle.cli.app import run_command
    from livestyle.cli.options import error_line
    from livestyle.errors import LivestyleError
    from livestyle.terminal import Stopped, printable, raise_stopped

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Into a file, Windows writes letters of one country, and no name is worth a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _on_stop(raise_stopped)
        status = run_command()
    except LivestyleError as error:
        print(error_line(error), file=sys.stderr, flush=True)
        status = 1
    except OSError as error:  # a name that is too long, or a folder that may not be looked into
        words = [str(error.filename)] if error.filename else []
        print(printable(f"error: {': '.join([*words, error.strerror or str(error)])}"), file=sys.stderr)
        status = 1
    except Stopped:
        print("stopped", file=sys.stderr, flush=True)
        status = 130
    sys.exit(status)


def _on_stop(handler: signal._HANDLER) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # of the last two, each system has one
        number = getattr(signal, name, None)
        # What is ignored from the start stays so: that is how nohup keeps a command running.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _exit_at_once(*_: object) -> None:
    """Nothing is open yet, and an exception in the middle of an import comes out as anything."""
    os.write(2, b"stopped\n")
    os._exit(130)
