"""Finds photos to train on: files in folders, and members of tar files, which are read where they lie."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from livestyle.errors import RecipeError, SourceError
from livestyle.frame import Image
from livestyle.picture_header import MAX_PIXELS, read_header
from livestyle.pictures import read_picture
from livestyle.silence import native_stderr_silenced

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
MAX_MEMBERS = 5_000_000  # of all tar files: some 2 GB of index
MAX_MEMBER_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture file, or a member of a tar file: `size` bytes from `offset` on."""

    path: Path
    member: str = ""
    offset: int = 0
    size: int = 0

    def __str__(self) -> str:
        # A member may be called anything, line breaks and escape sequences too.
        return f"{self.path}, {self.member[:100]!a}" if self.member else str(self.path)

    def read(self) -> Image | None:
        """The photo upright and without its alpha, or None where it cannot be read."""
        try:
            return self._member() if self.member else read_picture(self.path)[0]
        except SourceError:
            return None

    def _member(self) -> Image | None:
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read(self.size)
        except OSError:
            return None
        header = read_header(content, self.path)
        if header.width * header.height > MAX_PIXELS:
            return None
        try:
            with native_stderr_silenced():  # cv2 turns it upright by itself
                pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            return None
        return None if pixels is None else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def find_photos(place: Path) -> list[Photo]:
    """All photos below a folder or in a tar file, in an order that does not depend on the disk.

    Nothing is unpacked: a tar file (not a compressed one, in which nothing can be found without reading all
    that comes before) is an index of offsets. Members' names choose nothing but whether they are pictures.
    Raises RecipeError.
    """
    if place.is_file() and place.suffix.lower() == ".tar":
        return _members(place)
    if place.is_file():
        raise RecipeError(
            f"{place} is no folder and no .tar file: set content_folder in the recipe (unpack .gz first)"
        )
    if not place.is_dir():
        raise RecipeError(f"no folder of photos at {place}: set content_folder in the recipe")
    photos: list[Photo] = []
    for path in sorted(place.rglob("*")):
        suffix = path.suffix.lower()
        if suffix in PICTURE_SUFFIXES and path.is_file():
            photos.append(Photo(path))
        elif suffix == ".tar" and path.is_file():
            photos += _members(path)
        if len(photos) > MAX_MEMBERS:
            raise RecipeError(f"more than {MAX_MEMBERS} photos in {place}: name a part of them")
    return photos


def _members(path: Path) -> list[Photo]:
    photos: list[Photo] = []
    try:
        end = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            last = -1
            while (member := tar.next()) is not None:
                vars(tar)["members"].clear()  # or all that was read stays in memory
                # A size below zero leads backwards, and round and round.
                if member.offset_data <= last:
                    raise tarfile.ReadError("it leads back to where it was")
                last = member.offset_data
                if Path(member.name).suffix.lower() not in PICTURE_SUFFIXES or not member.isreg():
                    continue
                inside = 0 < member.size <= MAX_MEMBER_BYTES and last + member.size <= end
                if inside and not member.issparse():
                    photos.append(Photo(path, member.name, last, member.size))
                if len(photos) > MAX_MEMBERS:
                    raise RecipeError(f"more than {MAX_MEMBERS} photos in {path}: name a part of them")
    except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError, MemoryError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RecipeError(
            f"cannot read the photos in {path}: {ascii(why)[1:-1]}; copy it again, or take it out"
        ) from error
    return photos
