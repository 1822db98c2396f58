"""Reads what the first bytes of a picture file say: its size and which way up it is.

A few bytes can claim a picture that fills the memory, so the claim is read before anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from livestyle.errors import SourceError

# The largest pictures that phones take; a decoded one is 600 MB. A file may claim far more in a few bytes.
MAX_PIXELS = 200_000_000
# A real file has tens of chunks before its pixels; a bound keeps a file of empty ones from taking long.
_MAX_CHUNKS = 10_000
_EXIF_MARK = b"Exif\0\0"
# Of these, decoders read no length: TEM, then RST0 to RST7, SOI and EOI (ITU-T T.81, table B.1).
_BARE_MARKERS = (0x01, *range(0xD0, 0xDA))
# Of containers that hold films: MPEG-4, Matroska and WebM, and AVI, whose RIFF is WebP's too.
_FILM_MARKS = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (8, b"AVI "))
PHOTO_BRANDS = ("avif", "heic", "heix", "mif1")  # photos in the container of .mp4 (ISO 23008-12)
_BEGINNING = 1 << 20  # bytes, in which a header that is not broken lies
_ORIENTATION, _EXTRA_SAMPLES, _WIDTH, _HEIGHT = 0x0112, 0x0152, 0x0100, 0x0101


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """width, height: pixels as stored, before the orientation.

    orientation: EXIF's, 1 to 8; 1 where cv2 applies it itself, as for TIFF.
    extra_samples: TIFF's word for its alpha: 1 premultiplied, 2 straight, 0 not said or no TIFF.
    """

    width: int
    height: int
    orientation: int = 1
    extra_samples: int = 0


def read_header(content: bytes, path: Path) -> PictureHeader:
    """Raises SourceError for what is no PNG, JPEG, WebP, BMP, GIF or TIFF, or is cut off in its header."""
    readers = (
        (b"\x89PNG\r\n\x1a\n", _png),
        (b"\xff\xd8\xff", _jpeg),
        (b"RIFF", _webp),
        (b"BM", _bmp),
        (b"GIF8", _gif),
        (b"II*\0", _tiff),
        (b"MM\0*", _tiff),
    )
    if not content:
        raise SourceError(f"the picture {path} is empty")
    if _is_film(content):
        raise SourceError(f"{path} is a video, not a picture; `livestyle video IN OUT` paints videos")
    for magic, read in readers:
        if content.startswith(magic):
            try:
                header = read(content)
            except (struct.error, ValueError, IndexError) as error:
                raise SourceError(f"the picture {path} is broken: its header cannot be read") from error
            if header.width < 1 or header.height < 1:
                raise SourceError(f"the picture {path} is broken: its size is {header.width}x{header.height}")
            return header
    raise SourceError(f"{path} is no PNG, JPEG, WebP, BMP, GIF or TIFF; save it as JPEG or PNG")


def is_picture(path: Path) -> bool:
    """Whether a file begins with the header of a picture, as read_header knows them."""
    try:
        with path.open("rb") as file:
            read_header(file.read(_BEGINNING), path)
    except (OSError, SourceError):
        return False
    return True


def _is_film(content: bytes) -> bool:
    marked = any(content.startswith(mark, at) for at, mark in _FILM_MARKS)
    return marked and content[8:12].decode("latin-1") not in PHOTO_BRANDS


def _png(content: bytes) -> PictureHeader:
    width, height = struct.unpack_from(">II", content, 16)
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(content):
            break
        length, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"eXIf":
            return PictureHeader(width, height, _exif_orientation(content[at + 8 : at + 8 + length]))
        at += 12 + length
    return PictureHeader(width, height)


def _jpeg(content: bytes) -> PictureHeader:
    orientation = 1
    at = 2
    for _ in range(_MAX_CHUNKS):
        fill = at
        while content[at] == 0xFF and content[at + 1] == 0xFF and at - fill < _MAX_CHUNKS:  # fill bytes
            at += 1
        mark, kind = content[at], content[at + 1]
        if mark != 0xFF or kind == 0:  # no marker: decoders would look for the next one anywhere behind it
            break
        if kind in _BARE_MARKERS:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        body = at + 4
        if kind == 0xE1 and content.startswith(_EXIF_MARK, body):
            orientation = _exif_orientation(content[body + len(_EXIF_MARK) : at + 2 + length])
        # Start of frame: C0 to CF, less tables (C4), an extension (C8) and arithmetic conditions (CC).
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, body + 1)
            return PictureHeader(width, height, orientation)
        at += 2 + length
    raise ValueError("no start of frame")


def _webp(content: bytes) -> PictureHeader:
    if content[8:12] != b"WEBP":
        raise ValueError("RIFF, but not WebP")
    first = content[12:16]
    if first == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return PictureHeader(width & 0x3FFF, height & 0x3FFF)
    if first == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return PictureHeader((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if first != b"VP8X":
        raise ValueError("an unknown kind of WebP")
    if len(content) < 30:
        raise ValueError("cut off")
    width = int.from_bytes(content[24:27], "little") + 1
    height = int.from_bytes(content[27:30], "little") + 1
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(content):
            break
        kind, length = struct.unpack_from("<4sI", content, at)
        if kind == b"EXIF":
            blob = content[at + 8 : at + 8 + length]
            return PictureHeader(width, height, _exif_orientation(blob.removeprefix(_EXIF_MARK)))
        at += 8 + length + length % 2
    return PictureHeader(width, height)


def _bmp(content: bytes) -> PictureHeader:
    (size,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", content, 18)
    return PictureHeader(width, abs(height))  # a negative height: stored from the top


def _gif(content: bytes) -> PictureHeader:
    width, height = struct.unpack_from("<HH", content, 6)
    return PictureHeader(width, height)


def _tiff(content: bytes) -> PictureHeader:
    tags = dict(_tiff_tags(content))
    return PictureHeader(tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0), 1, tags.get(_EXTRA_SAMPLES, 0))


def _exif_orientation(blob: bytes) -> int:
    """EXIF is a TIFF without pixels. Nonsense counts as upright, as everywhere."""
    try:
        value = dict(_tiff_tags(blob)).get(_ORIENTATION, 1)
    except (struct.error, ValueError):
        return 1
    return value if 1 <= value <= 8 else 1


def _tiff_tags(content: bytes) -> Iterator[tuple[int, int]]:
    """Number and value of the tags in a TIFF's first directory that hold one whole number.

    Of tags with the same number, the first counts and the others do not, as in libtiff.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        raise ValueError("no TIFF")
    (directory,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, directory)
    seen = set()
    for index in range(count):
        at = directory + 2 + 12 * index
        tag, kind, n_values = struct.unpack_from(f"{order}HHI", content, at)
        if tag in seen:
            continue
        seen.add(tag)
        if n_values == 1 and kind in (3, 4):  # SHORT, LONG
            (value,) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", content, at + 8)
            yield tag, value
