"""What a performance leaves behind: recordings and snapshots, none of which replaces another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self

from livestyle.buffering import WriteBehind
from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo
from livestyle.pictures import write_picture
from livestyle.recording import RecordingSink

_WAITING = 16  # frames for the encoder; one that is later than these loses some
_MOST_NAMES = 1000


class Saver:
    """Records and takes snapshots of a stream when told to.

    folder: for files without a name of their own. record_to: the first recording's name. clock: local time,
    for names. saved: every file, in order. Use it as a context manager: leaving it ends the recording.
    """

    def __init__(
        self,
        info: VideoInfo,
        folder: Path,
        *,
        record_to: Path | None = None,
        overwrite: bool = False,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.saved: list[Path] = []
        self._info = info
        self._folder = folder
        self._record_to = record_to
        self._overwrite = overwrite
        self._clock = clock
        self._recording: WriteBehind | None = None
        self._path = Path()
        self._first: float | None = None
        self._seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def recorded(self) -> float | None:
        """Seconds in the running recording, None without one."""
        return self._seconds if self._recording is not None else None

    def start(self) -> None:
        """Begin a recording; nothing if one runs. Raises SinkError."""
        if self._recording is not None:
            return
        self._path = self._record_to or self._free(".mp4")
        overwrite, self._overwrite, self._record_to = self._overwrite, False, None
        recording = WriteBehind(RecordingSink(self._path, self._info, overwrite=overwrite), _WAITING)
        self._recording = recording.__enter__()
        self._first, self._seconds = None, 0.0

    def stop(self) -> Path | None:
        """End the recording and give its path; None if none ran or nothing came. Raises SinkError."""
        recording, self._recording = self._recording, None
        if recording is None:
            return None
        recording.__exit__(None, None, None)
        if self._first is None:
            return None
        self.saved.append(self._path)
        return self._path

    def write(self, frame: Frame) -> None:
        """Give a painted frame to the recording, if there is one. Raises SinkError, and has stopped then."""
        if self._recording is None:
            return
        try:
            self._recording.write(frame)
        except SinkError:
            recording, self._recording = self._recording, None
            recording.__exit__(SinkError, None, None)
            raise
        self._first = frame.timestamp if self._first is None else self._first
        self._seconds = frame.timestamp - self._first

    def snapshot(self, frame: Frame) -> Path:
        """The painting, and the picture that it was painted from, as PNG files. Raises SinkError."""
        path = self._free("-painting.png")
        write_picture(path, frame.image)
        self.saved.append(path)
        if frame.content is not None:
            original = path.with_name(path.name.replace("-painting", "-original"))
            write_picture(original, frame.content)
            self.saved.append(original)
        return path

    def _free(self, ending: str) -> Path:
        """A name that no file has."""
        stem = f"livestyle-{self._clock():%Y%m%d-%H%M%S}"
        for number in range(1, _MOST_NAMES):
            path = self._folder / f"{stem}{'' if number == 1 else f'-{number}'}{ending}"
            if not path.exists():
                return path
        raise SinkError(f"{self._folder} has no free name left for {stem}{ending}; name another folder")
