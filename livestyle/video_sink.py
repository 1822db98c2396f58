"""Writes video files: exact timestamps, the tracks of the original, and never half a file under the name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo
from livestyle.video_source import VideoFileSource
from livestyle.video_writer import DEFAULT_QUALITY, VideoWriter, check_output, write_errors
from livestyle.whole_file import WholeFile, is_same_file


class VideoFileSink:
    """Writes frames into a video file whose kind its name tells: H.264 in .mp4, .mkv and .mov, VP9 in .webm.

    template: the source that the frames come from. Its clock is kept, so that every timestamp is written as
    it was read (to the millisecond in .mkv and .webm, which count in those), and its other tracks come along.
    Without one, the first frame is at time 0. quality: 0 to 100.

    Every size is kept. H.264 as all players know it has only even ones: an odd picture gets its last column
    or row twice, and the container says the true size. Players built on FFmpeg show just that; others may
    show the repeated column too.

    The file grows under a hidden name beside its own and is renamed when it is whole. After an exception, or
    when no frame came, nothing is left. An existing file is replaced only with overwrite. Raises SinkError.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        template: VideoFileSource | None = None,
        quality: int = DEFAULT_QUALITY,
        overwrite: bool = False,
    ) -> None:
        check_output(path, info, quality)
        if template is not None and is_same_file(path, template.path):
            raise SinkError(f"{path} is the video that is read; give the output another name")
        self._info = info
        self._template = template
        self._quality = quality
        self._file = WholeFile(path, overwrite)
        self._writer: VideoWriter | None = None

    @property
    def closed(self) -> bool:
        return False  # nobody watches a file

    def __enter__(self) -> Self:
        try:
            partial = self._file.begin()
            with write_errors(self._file.path):
                self._writer = VideoWriter(partial, self._info, self._quality, template=self._template)
        except BaseException:
            self._file.abandon()
            raise
        return self

    def write(self, frame: Frame) -> None:
        if self._writer is None:
            raise ValueError("the sink is not open")
        with write_errors(self._file.path):
            self._writer.write(frame.image, frame.timestamp)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            # Unlinked first, so that libav does not rearrange a large file that nobody wants; again
            # afterwards, because Windows keeps open files.
            self._file.abandon()
            if self._writer is not None:
                self._writer.close()
            self._file.abandon()
            self._writer = None

    def _finish(self) -> None:
        if self._writer is None:
            return
        if self._writer.empty:
            raise SinkError(f"{self._file.path} was not written: no frame came")
        with write_errors(self._file.path):
            self._writer.finish(self._template.last_frame_duration if self._template else Fraction(0))
        self._file.complete()
