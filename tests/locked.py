"""A place where the tests may not write, whoever runs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

REFUSED = "Permission denied|Read-only file system"  # what the system says of it


def locked_folder(parent: Path) -> Path:
    """A folder in which no file can be made. Skips where the user has all rights over every folder."""
    if sys.platform == "linux":
        return Path("/sys")  # nobody makes files there, root neither
    folder = parent / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    return folder
