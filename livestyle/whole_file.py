"""Makes a file appear under its name only when it is whole."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from livestyle.errors import SinkError


class WholeFile:
    """A file that is written under a hidden name beside its own and renamed when it is whole.

    begin() gives the hidden path, complete() renames it, abandon() removes what is unfinished, at any time.
    An existing file is replaced only with overwrite. Raises SinkError.
    Only a process that is killed outright leaves its hidden file behind.
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

    def begin(self) -> Path:
        self._check()
        # A part of the name, because names end at 255 bytes; the random part keeps two writers apart.
        name = f".{self._target.stem[:40]}.partial-{os.getpid()}-{secrets.token_hex(3)}{self._target.suffix}"
        partial = self._target.with_name(name)
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except (OSError, ValueError) as error:
            raise self._error(error) from error
        self._partial = partial
        return partial

    def complete(self) -> None:
        partial = self._partial
        if partial is None:
            raise ValueError("complete() comes after begin()")
        self._check()
        try:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # some disks say only now that they are full
            partial.replace(self._target)
        except OSError as error:
            raise self._error(error) from error
        self._partial = None

    def abandon(self) -> None:
        if self._partial is not None:
            with suppress(OSError):
                self._partial.unlink()

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
                raise SinkError(f"cannot write {self.path}: it is not a file")
        except (OSError, ValueError) as error:
            raise self._error(error) from error
        if not self._overwrite:
            raise SinkError(f"{self.path} exists; --overwrite replaces it")

    def _error(self, error: Exception) -> SinkError:
        reason = error.strerror if isinstance(error, OSError) else error
        return SinkError(f"cannot write {self.path}: {reason}")
