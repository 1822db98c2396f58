"""Reads and writes picture files. BGR exists only on the lines that call cv2."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.errors import SinkError, SourceError
from livestyle.frame import Image, check_image
from livestyle.picture_header import MAX_PIXELS, read_header
from livestyle.silence import native_stderr_silenced
from livestyle.whole_file import WholeFile

Bytes = npt.NDArray[np.uint8]  # (H, W) or (H, W, channels)
Alpha = npt.NDArray[np.uint8]  # (H, W), 255 is opaque

MAX_FILE_BYTES = 1 << 30

READABLE = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# Stylized strokes are all fine edges: little compression, and the colours at full resolution.
_WRITE_OPTIONS: dict[str, list[int]] = {
    ".png": [],
    ".jpg": [
        cv2.IMWRITE_JPEG_QUALITY,
        95,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
    ".bmp": [],
    ".tif": [],
}
_SAME_FORMAT = {".jpeg": ".jpg", ".tiff": ".tif"}
WRITABLE = frozenset({*_WRITE_OPTIONS, *_SAME_FORMAT})
_KEEPS_ALPHA = frozenset({".png", ".webp"})

_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
_ORIENT: dict[int, Callable[[Bytes], Bytes]] = {
    1: lambda array: array,
    # EXIF 2.32, tag 0x0112: what to do to the stored picture to see it upright
    2: lambda array: array[:, ::-1],
    3: lambda array: array[::-1, ::-1],
    4: lambda array: array[::-1],
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: array.swapaxes(0, 1)[:, ::-1],
    7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
    8: lambda array: array.swapaxes(0, 1)[::-1],
}


def read_picture(path: Path) -> tuple[Image, Alpha | None]:
    """A picture upright, and its alpha where it is not opaque. Raises SourceError.

    Grey becomes RGB, 16 bits become 8, EXIF orientation is applied, an animation gives its first picture.
    Colours are taken as they are stored: colour profiles are not applied.

    Shapes: (H, W, 3) uint8, (H, W) uint8.
    """
    content = _read(path)
    header = read_header(content, path)
    orient = _ORIENT[header.orientation]
    if header.width * header.height > MAX_PIXELS:
        raise SourceError(
            f"{path} is {header.width}x{header.height}, more than {MAX_PIXELS // 10**6} million pixels; "
            "make it smaller first"
        )
    stored = _decode(content, path)
    pixels = _eight_bits(stored, path)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels not in _TO_RGB:
        raise SourceError(f"{path} has {channels} channels; save it as grey, RGB or RGBA")
    colour = np.asarray(cv2.cvtColor(pixels, _TO_RGB[channels]), np.uint8)
    alpha = None
    if channels == 4 and pixels[:, :, 3].min() < 255:
        alpha = pixels[:, :, 3]
        # cv2 hands 8-bit TIFFs out premultiplied whatever they were, and the rest as stored.
        if header.extra_samples == 1 or (header.extra_samples == 2 and stored.dtype == np.uint8):
            colour = _unmultiplied(colour, alpha)
        alpha = np.ascontiguousarray(orient(alpha))
    return np.ascontiguousarray(orient(colour)), alpha


def check_picture_path(path: Path, *, overwrite: bool = False) -> None:
    """Whether a picture can be written there, before any work is spent on it. Raises SinkError."""
    if _format(path) not in _WRITE_OPTIONS:
        known = ", ".join([*_WRITE_OPTIONS, *_SAME_FORMAT])
        raise SinkError(f"cannot write {path}: the name must end in one of {known}")
    WholeFile(path, overwrite)


def write_picture(path: Path, image: Image, alpha: Alpha | None = None, *, overwrite: bool = False) -> None:
    """Write a picture in the format that its name says: whole or not at all. Raises SinkError.

    alpha: kept in PNG and WebP; the other formats show the picture over white.

        shown = image * alpha / 255 + 255 - alpha

    Shapes: image (H, W, 3) uint8, alpha (H, W) uint8.
    """
    check_image(image)
    if alpha is not None:
        _check_alpha(alpha, image)
    check_picture_path(path, overwrite=overwrite)
    content = _encode(path, image, alpha)
    with WholeFile(path, overwrite) as partial:
        partial.write_bytes(content)


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, but hidden ones, in natural order: 2 before 10. Raises SourceError."""
    try:
        found = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
        ]
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read the folder {folder}: {_why(error)}") from error
    if not found:
        known = ", ".join(sorted(READABLE))
        raise SourceError(f"no pictures in the folder {folder}; name one with files that end in {known}")
    return sorted(found, key=_natural_key)


def _natural_key(path: Path) -> tuple[list[str | int], str]:
    # Texts and numbers alternate, so that like is always compared with like.
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    return _SAME_FORMAT.get(suffix, suffix)


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder; name a picture in it")
        if not path.is_file():  # a pipe or a device as well
            raise SourceError(f"there is no picture {path}; check the name")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read the picture {path}: {_why(error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise SourceError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; make it smaller first")
    return content


def _decode(content: bytes, path: Path) -> npt.NDArray[np.generic]:
    """Pixels as stored: (H, W) or (H, W, channels) BGR, any depth, not yet turned upright."""
    try:
        with native_stderr_silenced():
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise SourceError(f"the picture {path} is broken; copy or save it again") from error
    if pixels is None:
        raise SourceError(f"the picture {path} is broken or cut off; copy or save it again")
    return np.asarray(pixels)


def _eight_bits(pixels: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels.view(np.uint8)
    if pixels.dtype == np.uint16:
        # 65535 = 255 * 257, so white stays white and each level is rounded to the nearest.
        return np.asarray(cv2.convertScaleAbs(pixels.view(np.uint16), alpha=1 / 257), np.uint8)
    raise SourceError(f"{path} holds {pixels.dtype} samples; save it with 8 or 16 bits")


def _unmultiplied(colour: Image, alpha: Alpha) -> Image:
    """Colour times alpha, divided by it again; nothing can be known where alpha is 0."""
    share = np.maximum(alpha, 1)[:, :, np.newaxis] / np.float32(255)
    straight: Image = np.minimum(np.rint(colour / share), 255).astype(np.uint8)
    return straight


def _over_white(image: Image, alpha: Alpha) -> Image:
    share = alpha[:, :, np.newaxis] / np.float32(255)
    shown: Image = np.rint(image * share + 255 * (1 - share)).astype(np.uint8)
    return shown


def _encode(path: Path, image: Image, alpha: Alpha | None) -> bytes:
    suffix = _format(path)
    if alpha is not None and suffix not in _KEEPS_ALPHA:
        image, alpha = _over_white(image, alpha), None
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    try:
        with native_stderr_silenced():
            done, content = cv2.imencode(suffix, pixels, _WRITE_OPTIONS[suffix])
    except cv2.error as error:
        raise SinkError(f"cannot write {path}: {_too_large(image, suffix)}") from error
    if not done:
        raise SinkError(f"cannot write {path}: {_too_large(image, suffix)}")
    return content.tobytes()


def _too_large(image: Image, suffix: str) -> str:
    height, width = image.shape[:2]
    return f"{suffix[1:]} cannot hold {width}x{height}; try .png"


def _check_alpha(alpha: Alpha, image: Image) -> None:
    if alpha.dtype != np.uint8:
        raise TypeError(f"alpha is uint8, not {alpha.dtype}")
    if alpha.shape != image.shape[:2]:
        raise ValueError(f"alpha has shape {image.shape[:2]} like its image, not {alpha.shape}")


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
