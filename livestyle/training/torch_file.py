"""Reads what torch.save wrote, as a stranger's file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from livestyle.errors import RecipeError

# VGG-19 with its classifier is 575 MB, a checkpoint of the widest network less.
MAX_BYTES = 2**31


def read_torch_file(path: Path, what: str) -> Any:
    """The plain values in a file; nothing in it is executed. Raises RecipeError, which calls it `what`."""
    if not path.is_file():  # a folder, a pipe or a device as well
        raise RecipeError(f"there is no {what} at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise RecipeError(f"{path} is too large to be a {what}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats: they fail, or they do not
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader stumbles over broken bytes in a dozen ways
        raise RecipeError(f"{path} is not a {what}, or is broken") from error
