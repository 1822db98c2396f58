"""Which picture goes where: one file to one file, or many, or a folder, into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from livestyle.errors import SinkError, SourceError
from livestyle.pictures import check_picture_path, pictures_in


@dataclass(frozen=True, slots=True)
class PictureJob:
    """One picture to read and the file to write."""

    source: Path
    output: Path


def plan_pictures(sources: Sequence[Path], output: Path, *, overwrite: bool) -> list[PictureJob]:
    """What to paint, checked before any work is spent on it. Makes the output folder where one is needed.

    Raises SourceError for what is not there, SinkError for what cannot be written.
    """
    for source in sources:
        if not source.exists():
            raise SourceError(f"no such file: {source}")
    if len(sources) == 1 and not sources[0].is_dir() and not output.is_dir():
        jobs = [PictureJob(sources[0], output)]
    else:
        found = [
            path for source in sources for path in (pictures_in(source) if source.is_dir() else [source])
        ]
        if not found:
            raise SourceError(f"no pictures in {sources[0]}")
        jobs = [PictureJob(path, output / path.name) for path in found]
        _make_folder(output)
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.output in taken:
            raise SinkError(
                f"{taken[job.output]} and {job.source} would both be written to {job.output}; rename one"
            )
        taken[job.output] = job.source
        if job.output.exists() and job.output.samefile(job.source):
            raise SinkError(f"{job.source} would be painted over itself; name another output")
        check_picture_path(job.output, overwrite=overwrite)
    return jobs


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {folder}: {error.strerror or error}") from error
