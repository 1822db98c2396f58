"""Records a live stream into a file that can be played whatever happens to the program."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo
from livestyle.video_writer import DEFAULT_QUALITY, VideoWriter, check_output, write_errors
from livestyle.whole_file import WholeFile


class RecordingSink:
    """Writes frames as they come: H.264 in .mp4, .mkv and .mov, VP9 in .webm. The first one is at time 0.

    The file grows under its own name, and what is older than about half a second is in it: when the program
    is killed, the disk is full or an exception ends the stream, what was recorded stays and plays. Closing
    makes it an mp4 like any other; one that was never closed is fragmented, which most players know.
    When no frame came, no file is left.

    quality: 0 to 100. An existing file is replaced only with overwrite, and by the first frame: it stays
    where none came. Raises SinkError.
    """

    def __init__(
        self, path: Path, info: VideoInfo, *, quality: int = DEFAULT_QUALITY, overwrite: bool = False
    ) -> None:
        check_output(path, info, quality)
        WholeFile(path, overwrite)  # for what it refuses; a hidden name would hide what a kill leaves
        self._path = path
        self._info = info
        self._quality = quality
        self._overwrite = overwrite
        self._writer: VideoWriter | None = None
        self._is_open = self._is_new = False

    @property
    def closed(self) -> bool:
        return False  # nobody watches a file

    def __enter__(self) -> Self:
        with write_errors(self._path):
            self._is_new = not (self._overwrite and self._path.exists())
            # To tell at once what cannot be written. Not "w", which would empty an old file.
            with self._path.open("ab" if self._overwrite else "xb"):
                self._is_open = True
        return self

    def write(self, frame: Frame) -> None:
        if not self._is_open:
            raise ValueError("the sink is not open")
        with write_errors(self._path):
            if self._writer is None:
                self._writer = VideoWriter(self._path, self._info, self._quality, live=True)
            self._writer.write(frame.image, frame.timestamp)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        writer, self._writer = self._writer, None
        was_open, self._is_open = self._is_open, False
        if writer is None:
            if was_open and self._is_new:
                self._remove()
            return
        try:
            with write_errors(self._path):
                writer.finish()
        except SinkError:
            if kind is None:  # else the first error is the one to tell
                raise
        finally:
            writer.close()
            if writer.empty:
                self._remove()

    def _remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()
