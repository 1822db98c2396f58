"""Picture files made by hand: as cameras write them, broken, or claiming what is not there."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livestyle.pictures import read_picture

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 255, (6, 9), dtype=np.uint8)
LOSSLESS_WEBP = [cv2.IMWRITE_WEBP_QUALITY, 101]


def encoded(suffix: str, pixels: Any, options: list[int] | None = None) -> bytes:
    """A picture file as cv2 writes it. pixels: BGR."""
    done, content = cv2.imencode(suffix, pixels, options or [])
    assert done
    return bytes(content)


def tiff(entries: list[tuple[int, int, int]], pixels: bytes = b"", order: str = "<") -> bytes:
    """A TIFF, or EXIF, by hand. entries: tag, type (3: 16 bits, 4 and 9: 32 bits), value."""
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in sorted(entries, key=lambda entry: entry[0]):
        packed = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value).ljust(4, b"\0")
        directory += struct.pack(f"{order}HHI", tag, kind, 1) + packed
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", 8) + directory + bytes(4) + pixels


def grey_tiff(pixels: Any, orientation: int = 1) -> bytes:
    """Uncompressed grey of 8 or 16 bits. What cv2 writes has no orientation to change."""
    height, width = pixels.shape
    n_entries = 9
    start = 8 + 2 + 12 * n_entries + 4
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, pixels.itemsize * 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, start),
        (274, 3, orientation),
        (278, 4, height),
        (279, 4, pixels.nbytes),
    ]
    assert len(entries) == n_entries
    return tiff(entries, pixels.tobytes())


def exif(orientation: int, order: str = "<") -> bytes:
    return tiff([(0x0112, 3, orientation)], order=order)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(extra: bytes, pixels: Any) -> bytes:
    content = encoded(".png", pixels)
    return content[:33] + extra + content[33:]  # behind the signature and IHDR


def jpeg_with_exif(orientation: int, pixels: Any, order: str = "<") -> bytes:
    content = encoded(".jpg", pixels)
    body = b"Exif\0\0" + exif(orientation, order)
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]


def webp_with_exif(orientation: int, pixels: Any) -> bytes:
    height, width = pixels.shape[:2]
    flags = 0x08 | (0x10 if pixels.shape[2] == 4 else 0)  # EXIF, alpha
    extended = (
        struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    chunks = b"VP8X" + struct.pack("<I", len(extended)) + extended
    chunks += encoded(".webp", pixels, LOSSLESS_WEBP)[12:]
    chunks += b"EXIF" + struct.pack("<I", len(exif(orientation))) + exif(orientation)
    file: bytes = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    return file


def premultiplied_tiff(extra_samples: int) -> bytes:
    """One RGBA pixel of 8 bits: (200, 100, 50, 51), or times 51 / 255 where the file says so."""
    colour = (40, 20, 10, 51) if extra_samples == 1 else (200, 100, 50, 51)
    n_entries = 11
    start = 8 + 2 + 12 * n_entries + 4
    content = tiff(
        [
            (256, 4, 1),
            (257, 4, 1),
            (258, 4, start),  # patched below: four values of 16 bits lie elsewhere
            (259, 3, 1),
            (262, 3, 2),
            (273, 4, start + 8),
            (277, 3, 4),
            (278, 4, 1),
            (279, 4, 4),
            (284, 3, 1),
            (338, 3, extra_samples),
        ],
        struct.pack("<4H", 8, 8, 8, 8) + bytes(colour),
    )
    bits = content.index(struct.pack("<HHI", 258, 4, 1))
    return content[:bits] + struct.pack("<HHI", 258, 3, 4) + content[bits + 8 :]


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def patched(content: bytes, at: int, claim: bytes) -> bytes:
    return content[:at] + claim + content[at + len(claim) :]


def claims(kind: str, width: int, height: int) -> bytes:
    """A file of a few bytes that claims a size."""
    small = np.zeros((4, 4, 3), np.uint8)
    jpeg = encoded(".jpg", small)
    match kind:
        case "png":
            return png_that_claims(width, height)
        case "jpeg":
            return patched(jpeg, jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))
        case "bmp":
            return patched(encoded(".bmp", small), 18, struct.pack("<ii", width, -height))
        case "gif":
            return patched(encoded(".gif", small), 6, struct.pack("<HH", width, height))
        case "webp extended":
            claim = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
            return patched(webp_with_exif(1, small), 24, claim)
        case "webp lossless":
            claim = struct.pack("<I", (width - 1) | (height - 1) << 14)
            return patched(encoded(".webp", small, LOSSLESS_WEBP), 21, claim)
        case "webp lossy":
            claim = struct.pack("<HH", width, height)
            return patched(encoded(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 90]), 26, claim)
    return tiff([(256, 4, width), (257, 4, height)], order=">" if kind == "tiff, big endian" else "<")


def read(tmp_path: Path, content: bytes, name: str = "x.png") -> Any:
    path = tmp_path / name
    path.write_bytes(content)
    return read_picture(path)


def jpeg_behind(marker: bytes, size: int) -> bytes:
    """A JPEG of size x size whose marker comes before the frame, which a length behind it would jump over."""
    small = encoded(".jpg", np.zeros((4, 4, 3), np.uint8))
    start = small.index(b"\xff\xc0")
    frame = patched(small, start + 5, struct.pack(">HH", size, size))[start : start + 19]
    hidden = marker + frame  # the frame's own marker, FF C0, as a length
    return small[:2] + hidden + bytes(2 + 0xFFC0 - len(hidden)) + small[start:]
