"""Makes a file appear under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from livestyle.errors import SinkError

_NEXT_STEPS = {
    errno.ENOSPC: "make room, or name another disk",
    errno.EDQUOT: "make room, or name another disk",
    errno.EACCES: "name a folder that you may write to",
    errno.EPERM: "name a folder that you may write to",
    errno.EROFS: "name a folder that you may write to",
    errno.ENAMETOOLONG: "name it shorter",
    errno.EFBIG: "name another disk",
    errno.ENOENT: "name a folder that exists",
}

# Windows replaces nothing that a player, an indexer or a virus scanner holds open, if only for a moment.
_PATIENCE = 2.0 if sys.platform == "win32" else 0.0  # seconds
_PAUSE = 0.1


class WholeFile:
    """A file that is written under a hidden name beside its own and renamed when it is whole.

        with WholeFile(path, overwrite=False) as partial:
            partial.write_bytes(content)

    Where opening and closing lie apart: begin() gives the hidden path, complete() renames it, abandon()
    removes what is unfinished, at any time. An existing file is replaced only with overwrite.
    Raises SinkError, also for an OSError of the with block.
    Only a process that is killed outright leaves its hidden file behind, and work that is whole but may not
    take its name: the error says where it is.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.path = path
        self._overwrite = overwrite
        # Through a symbolic link, as any program writes: the link stays.
        try:
            self._target = Path(os.path.realpath(path))
        except (OSError, ValueError) as error:
            raise self._error(error) from error
        self._partial: Path | None = None
        self._check()

    def __enter__(self) -> Path:
        try:
            return self.begin()
        except BaseException:
            self.abandon()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.complete()
        finally:
            self.abandon()
        if isinstance(error, OSError):
            raise self._error(error) from error

    def begin(self) -> Path:
        self._check()
        # A part of the name, because names end at 255 bytes; the random part keeps two writers apart.
        name = f".{self._target.stem[:40]}.partial-{os.getpid()}-{secrets.token_hex(3)}{self._target.suffix}"
        partial = self._target.with_name(name)
        try:
            if os.path.lexists(self._target):
                self._target.rename(self._target)  # what cannot be replaced later is told now
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except (OSError, ValueError) as error:
            raise self._error(error) from error
        self._partial = partial
        return partial

    def probe(self) -> None:
        """Refuse now, before long work, a file that could not even be begun. Raises SinkError."""
        try:
            self.begin()
        finally:
            self.abandon()

    def complete(self) -> None:
        partial = self._partial
        if partial is None:
            raise ValueError("complete() comes after begin()")
        self._check()
        try:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # some disks say only now that they are full
            self._replace(partial)
        except PermissionError as error:
            self._partial = None  # it may be the work of hours
            raise SinkError(
                f"cannot replace {self.path}: {error.strerror or error}; close what has it open. "
                f"The finished file is {partial}"
            ) from error
        except OSError as error:
            raise self._error(error) from error
        self._partial = None

    def _replace(self, partial: Path) -> None:
        deadline = time.perf_counter() + _PATIENCE
        while True:
            try:
                partial.replace(self._target)
            except PermissionError:
                if time.perf_counter() >= deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def abandon(self) -> None:
        if self._partial is not None:
            with suppress(OSError):  # Windows keeps what is still open: the next call may have more luck
                self._partial.unlink(missing_ok=True)
                self._partial = None

    def _check(self) -> None:
        """Refuse early and again at the end: hours may lie between."""
        try:
            if self._target.is_dir():
                raise SinkError(f"cannot write {self.path}: it is a folder; name a file in it")
            if not self._target.parent.is_dir():
                raise SinkError(
                    f"cannot write {self.path}: there is no folder {self._target.parent}; make it first"
                )
            if not os.path.lexists(self._target):
                return
            if not self._target.is_file():
                raise SinkError(f"cannot write {self.path}: it is not a file; name another")
        except (OSError, ValueError) as error:
            raise self._error(error) from error
        if not self._overwrite:
            raise SinkError(f"{self.path} exists; --overwrite replaces it")

    def _error(self, error: Exception) -> SinkError:
        if not isinstance(error, OSError):
            return SinkError(f"cannot write {self.path}: {error}")
        step = _NEXT_STEPS.get(error.errno or 0)
        return SinkError(f"cannot write {self.path}: {error.strerror or error}{f'; {step}' if step else ''}")


def is_same_file(path: Path, other: Path) -> bool:
    """Whether two names lead to one file that exists, through whatever links and folders."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False
