"""How the tests of the command line talk about a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]  # arguments -> exit status, stdout, stderr: conftest's `run`

COMMANDS = (
    "video",
    "image",
    "styles",
    "webcam",
    "demo",
    "doctor",
    "bench",
    "train",
    "export",
    "add-style",
    "optimize",
)


def is_one_error(stderr: str) -> bool:
    """Whether an error is one line. What is painted on, and what is skipped, are no errors."""
    lines = [line for line in stderr.splitlines() if not line.startswith(("painting on ", "skipped "))]
    return len(lines) == 1 and lines[0].startswith("error: ") and "Traceback" not in stderr


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
