"""Where TensorRT keeps the engines that it built, which takes it long, and anew for each frame size.

An engine is code that runs: whoever can write there, or replace a folder on the way there, can run theirs.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# A few models at a few sizes.
_KEPT_ENTRIES = 16

_log = logging.getLogger(__name__)


def cache_folder(
    environment: Mapping[str, str] = os.environ, platform: str = sys.platform, home: Path | None = None
) -> Path:
    """livestyle's folder among the user's caches: LOCALAPPDATA, ~/Library/Caches, XDG_CACHE_HOME, ~/.cache.

    A variable that is no absolute path is ignored, as the XDG specification wants it.
    """
    home = Path.home() if home is None else home
    if platform == "darwin":
        return home / "Library" / "Caches" / "livestyle"
    variable, usual = (
        ("LOCALAPPDATA", home / "AppData" / "Local")
        if platform == "win32"
        else ("XDG_CACHE_HOME", home / ".cache")
    )
    given = Path(environment.get(variable, ""))
    return (given if given.is_absolute() else usual) / "livestyle"


def engine_folder(content: bytes, size_hw: tuple[int, int], precision: str, versions: str) -> Path | None:
    """A folder for the engine of a model at a frame size, made where it is missing; None: do without one.

    versions: of all that an engine depends on; another one is another folder. The least recently used
    folders beyond 16 are deleted. Where others can write, nothing is read or written, and the log says so.
    """
    # ONNX Runtime would take an engine of the same graph and another size for this one (its issue 32254).
    key = f"{hashlib.sha256(content).hexdigest()} {size_hw[0]}x{size_hw[1]} {precision} {versions}"
    try:
        parent = cache_folder() / "tensorrt"
        folder = parent / hashlib.sha256(key.encode()).hexdigest()[:32]
        for each in (parent.parent.parent, parent.parent, parent, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        distrusted = next((each for each in (folder, *folder.parents) if not _trusted(each)), None)
        if distrusted is not None:
            _log.warning(
                "TensorRT's engines are not kept, since others may write to %s; `chmod go-w` it", distrusted
            )
            return None
        os.utime(folder)
        _delete_oldest(parent, folder)
    except (OSError, RuntimeError) as error:  # a RuntimeError: no home folder
        _log.warning("TensorRT's engines are not kept: %s", error)
        return None
    return folder


def tensorrt_options(
    content: bytes, size_hw: tuple[int, int], precision: str, runtime_version: str
) -> dict[str, str]:
    """Options of ONNX Runtime's TensorRT provider for a model at a frame size, in "fp16" or "f32"."""
    # Python's words: this provider refuses 1 and 0, which the CUDA provider takes.
    options = {"trt_fp16_enable": str(precision == "fp16")}
    versions = f"onnxruntime {runtime_version}, TensorRT {tensorrt_version()}"
    folder = engine_folder(content, size_hw, precision, versions)
    if folder is not None:
        options |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(folder)}
    return options


def tensorrt_version(load: Callable[[str], Any] = ctypes.CDLL) -> str:
    """The number of the TensorRT that runs here, 101303 for 10.13.3; "unknown" where it does not tell."""
    try:
        library = load("nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10")
        return str(library.getInferLibVersion())
    except (OSError, AttributeError):
        return "unknown"


def _trusted(folder: Path) -> bool:
    """Whether nobody but the user and the administrator can change what the folder holds."""
    if sys.platform == "win32":  # its rights are no mode bits, and LOCALAPPDATA is the user's alone
        return True
    found = folder.lstat()
    if stat.S_ISLNK(
        found.st_mode
    ):  # a link, as /tmp on macOS, is as safe as where it lies and where it leads
        resolved = folder.resolve()
        return found.st_uid in (0, os.geteuid()) and all(map(_trusted, (resolved, *resolved.parents)))
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()):
        return False
    others_write = bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    # In a folder like /tmp nobody can rename what belongs to others.
    return not others_write or bool(found.st_mode & stat.S_ISVTX)


def _delete_oldest(parent: Path, kept: Path) -> None:
    entries = [each for each in parent.iterdir() if each != kept]
    entries.sort(key=lambda each: each.lstat().st_mtime)
    for each in entries[: max(0, len(entries) + 1 - _KEPT_ENTRIES)]:
        shutil.rmtree(each, ignore_errors=True)
