"""Which picture goes where: one file to one file, or many, or a folder, into a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from livestyle.errors import SinkError, SourceError
from livestyle.pictures import READABLE, WRITABLE, check_picture_path, pictures_in
from livestyle.whole_file import WholeFile


@dataclass(frozen=True, slots=True)
class PictureJob:
    """One picture to read and the file to write."""

    source: Path
    output: Path


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """What is painted, and what is not.

    folder: where many pictures go; None for one picture into one file. kept: outputs that are there already
    and stay as they are. left_out: what else lies in the folders, in words; "" for nothing.
    """

    jobs: tuple[PictureJob, ...]
    folder: Path | None
    kept: tuple[Path, ...]
    left_out: str

    @contextmanager
    def outputs_ready(self) -> Iterator[None]:
        """Inside, the folder is there and files can be made in it; SinkError where they cannot.

        A folder that was made for this is gone again afterwards if nothing came into it.
        """
        made = self.folder is not None and self._make(self.folder)
        try:
            for job in self.jobs[:1]:  # the others lie in the same folder
                WholeFile(job.output, overwrite=True).probe()
            yield
        finally:
            if made and self.folder is not None:
                with suppress(OSError):  # it is not empty, as it should be
                    self.folder.rmdir()

    @staticmethod
    def _make(folder: Path) -> bool:
        """Whether the folder had to be made."""
        if folder.is_dir():
            return False
        try:
            folder.mkdir()
        except OSError as error:
            why = error.strerror or error
            raise SinkError(f"cannot make the folder {folder}: {why}; name another") from error
        return True


def plan_pictures(
    sources: Sequence[Path], output: Path, *, overwrite: bool = False, skip_existing: bool = False
) -> PicturePlan:
    """What to paint, checked before any work is spent on it. Nothing is written yet.

    Pictures keep their names; one of a kind that can only be read becomes a .png. A picture that is given
    twice is painted once. Raises SourceError for what is not there, SinkError for what cannot be written.
    """
    try:
        return _plan(sources, output, overwrite, skip_existing)
    except OSError as error:  # a name that is too long, or a folder into which nobody may look
        raise SinkError(f"cannot use {error.filename}: {error.strerror or error}; check the name") from error


def _plan(sources: Sequence[Path], output: Path, overwrite: bool, skip_existing: bool) -> PicturePlan:
    for source in sources:
        if not source.exists():
            raise SourceError(f"there is no picture or folder {source}; check the name")
    left_out = ""
    if len(sources) == 1 and not sources[0].is_dir() and not output.is_dir():
        if not output.suffix:
            raise SinkError(f"there is no folder {output}; make it first, or name a picture: {output}.png")
        folder = None
        jobs = [PictureJob(sources[0], output)]
    else:
        folder = output
        _check_folder(folder)
        found: list[Path] = []
        for source in _once(sources):
            found += pictures_in(source) if source.is_dir() else [source]
        jobs = [PictureJob(path, folder / _name(path)) for path in _once(found)]
        left_out = _left_out([source for source in _once(sources) if source.is_dir()])
    _check_apart(jobs)
    kept = [job.output for job in jobs if job.output.is_file()] if skip_existing else []
    there = set(kept)
    jobs = [job for job in jobs if job.output not in there]
    for job in jobs:
        if folder is not None and not overwrite and job.output.is_file():
            raise SinkError(
                f"{job.output} exists; --overwrite replaces it, --skip-existing keeps it and goes on"
            )
        if folder is None or folder.is_dir():
            check_picture_path(job.output, overwrite=overwrite)
    return PicturePlan(tuple(jobs), folder, tuple(kept), left_out)


def _once(paths: Iterable[Path]) -> list[Path]:
    """Each path once. Two names of one file are two: a link is painted under its own name."""
    return list({(os.path.realpath(path.parent), path.name): path for path in paths}.values())


def _check_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if folder.exists():
        raise SinkError(f"{folder} is a file, and a folder or many pictures go into a folder; name one")
    if folder.suffix.lower() in READABLE | WRITABLE:
        raise SinkError(
            f"{folder} is a picture's name, and a folder or many pictures go into a folder; "
            f"name one, such as {folder.with_suffix('')}"
        )
    if not folder.parent.is_dir():
        raise SinkError(f"cannot make the folder {folder}: there is no folder {folder.parent}; make it first")


def _name(picture: Path) -> str:
    return picture.name if picture.suffix.lower() in WRITABLE else f"{picture.stem}.png"


def _check_apart(jobs: Iterable[PictureJob]) -> None:
    """No output is written twice, and none is a picture that is read."""
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.output in taken:
            raise SinkError(
                f"{taken[job.output]} and {job.source} would both be written to {job.output}; rename one"
            )
        taken[job.output] = job.source
        if job.output.exists() and job.output.samefile(job.source):
            raise SinkError(f"{job.source} would be painted over itself; name another output")


def _left_out(folders: Iterable[Path]) -> str:
    """What lies in the folders besides pictures; hidden files are nobody's business."""
    rest = [path for folder in folders for path in folder.iterdir() if not path.name.startswith(".")]
    inner = sum(path.is_dir() for path in rest)
    files = [path for path in rest if not path.is_dir() and path.suffix.lower() not in READABLE]
    parts = []
    if files:
        kinds = ", ".join(sorted({path.suffix.lower() or "without a suffix" for path in files}))
        are = "file that is no picture" if len(files) == 1 else "files that are no pictures"
        parts.append(f"{len(files)} {are} livestyle reads ({kinds})")
    if inner:
        parts.append(f"{inner} {'folder' if inner == 1 else 'folders'}")
    return f"skipped {', and '.join(parts)}" if parts else ""
