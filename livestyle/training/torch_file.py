"""Reads what torch.save wrote, as a stranger's file."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from livestyle.errors import RecipeError

# VGG-19 with its classifier is 575 MB, a checkpoint of the widest network less.
MAX_BYTES = 2**31
_MOST_VALUES = 1_000_000


def read_torch_file(path: Path, what: str) -> Any:
    """The plain values in a file; nothing in it is executed. Raises RecipeError, which calls it `what`."""
    if not path.is_file():  # a folder, a pipe or a device as well
        raise RecipeError(f"there is no {what} at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise RecipeError(f"{path} is too large to be a {what}")
    try:
        _check_sizes_in_zip(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats: they fail, or they do not
            content = torch.load(path, map_location="cpu", weights_only=True)
        _check_sizes(content)
    except Exception as error:  # torch's reader stumbles over broken bytes in a dozen ways
        raise RecipeError(f"{path} is not a {what}, or is broken") from error
    return content


def _check_sizes_in_zip(path: Path) -> None:
    """torch.save packs without compression: what is compressed may become anything. Raises ValueError."""
    if not zipfile.is_zipfile(path):
        return  # from before torch 1.6
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is compressed")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ValueError("it becomes too large")


def _check_sizes(content: object) -> None:
    """A tensor with strides of 0 can be far larger than its file. Raises ValueError."""
    todo, room, seen = [content], MAX_BYTES, 0
    while todo:
        value = todo.pop()
        seen += 1
        if isinstance(value, torch.Tensor):
            room -= value.numel() * value.element_size()
        elif isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value
        if room < 0 or seen > _MOST_VALUES:
            raise ValueError("it becomes too large")
