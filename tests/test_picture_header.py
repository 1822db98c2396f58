from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import write_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import (
    ALPHA,
    RANDOM,
    RGB,
    chunk,
    claims,
    encoded,
    exif,
    grey_tiff,
    jpeg_behind,
    jpeg_with_exif,
    patched,
    png_with,
    read,
    tiff,
    webp_with_exif,
)

from livestyle.errors import SourceError
from livestyle.pictures import read_picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "jpeg, big endian", "png", "webp", "tiff 8 bit", "tiff 16 bit"])
def test_a_picture_stands_upright_as_cv2_would_show_it(kind: str, orientation: int, tmp_path: Path) -> None:
    grey = RGB[:, :, 0]
    content = {
        "jpeg": lambda: jpeg_with_exif(orientation, RGB),
        "jpeg, big endian": lambda: jpeg_with_exif(orientation, RGB, ">"),
        "png": lambda: png_with(chunk(b"eXIf", exif(orientation)), RGB),
        "webp": lambda: webp_with_exif(orientation, RGB),
        "tiff 8 bit": lambda: grey_tiff(grey, orientation),
        "tiff 16 bit": lambda: grey_tiff(grey.astype(np.uint16) * 257, orientation),
    }[kind]()
    image, _ = read(tmp_path, content)
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None
    assert image.shape == ((6, 9, 3) if orientation < 5 else (9, 6, 3))
    np.testing.assert_array_equal(image, expected[:, :, ::-1])


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_alpha_turns_with_its_picture(kind: str, tmp_path: Path) -> None:
    pixels = np.dstack([RGB[:, :, ::-1], np.maximum(ALPHA, 1)])
    turned = {"png": png_with(chunk(b"eXIf", exif(6)), pixels), "webp": webp_with_exif(6, pixels)}
    content = turned[kind]
    image, alpha = read(tmp_path, content)
    # 6: turn clockwise by 90 degrees
    np.testing.assert_array_equal(image, np.rot90(RGB, -1))
    np.testing.assert_array_equal(alpha, np.rot90(np.maximum(ALPHA, 1), -1))


@pytest.mark.parametrize("blob", [b"", b"II*\0", b"nonsense", exif(0), exif(9), exif(65535), exif(6)[:18]])
def test_a_broken_orientation_counts_as_upright(blob: bytes, tmp_path: Path) -> None:
    body = b"Exif\0\0" + blob
    content = encoded(".jpg", RGB)
    content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]
    assert read(tmp_path, content)[0].shape == (6, 9, 3)


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [
        ("png", 100_000, 100_000),
        ("png", 2**31 - 1, 2**31 - 1),
        ("jpeg", 65_535, 65_535),
        ("bmp", 100_000, 100_000),
        ("gif", 65_535, 65_535),
        ("webp extended", 16_000_000, 16_000),
        ("webp lossless", 16_384, 16_384),
        ("webp lossy", 16_383, 16_383),
        ("tiff", 2**32 - 1, 2**32 - 1),
        ("tiff, big endian", 60_000, 60_000),
    ],
)
def test_a_picture_that_claims_too_much_is_refused_before_it_is_decoded(
    kind: str, width: int, height: int, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=f"is {width}x{height}, more than 200 million pixels"):
        read(tmp_path, claims(kind, width, height))


@pytest.mark.parametrize("marker", [0x01, *range(0xD0, 0xDA)])
def test_a_frame_does_not_hide_behind_a_marker_without_a_length(marker: int, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is 20000x20000, more than 200 million pixels"):
        read(tmp_path, jpeg_behind(bytes([0xFF, marker]), 20_000))


def test_a_frame_does_not_hide_behind_what_is_no_marker(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its header cannot be read"):
        read(tmp_path, jpeg_behind(b"\xff\0", 20_000))


@pytest.mark.parametrize(("kind", "width"), [(3, 20_000), (4, 20_000), (9, 0)])  # 9: a number with a sign
def test_the_first_of_a_tiff_s_widths_counts_as_for_its_decoder(
    kind: int, width: int, tmp_path: Path
) -> None:
    content = tiff([(256, kind, 20_000), (256, 4, 4), (257, 4, 20_000)])
    with pytest.raises(SourceError, match=f"is {width}x20000"):
        read(tmp_path, content)


def test_the_decoder_has_the_same_bound_where_a_header_deceives(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(claims("png", 20_000, 10_001))
    code = (
        "import sys; from livestyle.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "import cv2\n"
        "try: cv2.imread('huge.png')\nexcept cv2.error as error: print(error)"
    )
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "CV_IO_MAX_IMAGE_PIXELS" in done.stdout


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "gif", "tiff"])
def test_a_picture_without_pixels_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its size is 0x7"):
        read(tmp_path, claims(kind, 0, 7))


def broken_files() -> dict[str, bytes]:
    picture = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    files = {
        "empty": b"",
        "text": b"not a picture at all, but long enough to look at",
        "html": b"<!DOCTYPE html>",
        "float tiff": encoded(".tiff", np.zeros((4, 4), np.float32)),
        "avi": b"RIFF\x00\x00\x00\x00AVI LIST",
        "unknown webp": b"RIFF\x00\x00\x00\x00WEBPXXXX" + bytes(40),
        "jpeg without frame": b"\xff\xd8\xff\xd9" + bytes(20),
        "jpeg of marks": b"\xff\xd8" + b"\xff" * 5000,
        "endless chunks": b"\x89PNG\r\n\x1a\n" + bytes(12 * 20_000),
    }
    for suffix in (".png", ".jpg", ".webp", ".bmp", ".tif", ".gif"):
        content = encoded(suffix, picture)
        files[f"half {suffix}"] = content[: len(content) // 2]
        files[f"start of {suffix}"] = content[:20]
    for suffix in (".png", ".gif"):
        content = encoded(suffix, picture)
        files[f"damaged {suffix}"] = patched(content, len(content) // 3, b"\x5a" * 60)
    return files


@pytest.mark.parametrize(("name", "content"), broken_files().items(), ids=broken_files().keys())
def test_a_broken_picture_is_one_line_and_no_noise(
    name: str, content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, content, "broken file")
    assert "broken file" in str(caught.value)
    assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")


@settings(max_examples=50)
@given(cut=st.integers(0, 400), at=st.integers(0, 400), value=st.binary(min_size=1, max_size=8))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".gif"])
def test_a_damaged_picture_is_a_picture_or_a_source_error(
    suffix: str, cut: int, at: int, value: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = encoded(suffix, RGB)
    content = content[: max(1, len(content) - cut)]
    content = content[:at] + value + content[at + len(value) :]
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(content)
    try:
        image, _ = read_picture(path)
    except SourceError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3


def test_a_picture_of_fill_bytes_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its header cannot be read"):
        read(tmp_path, b"\xff\xd8" + b"\xff" * 1_000_000)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi"])
def test_a_video_is_told_from_a_picture(name: str, tmp_path: Path) -> None:
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(Path(name).suffix, "libx264")
    path = write_clip(tmp_path / name, codec=codec)
    with pytest.raises(SourceError, match=rf"{name} is a video, not a picture; `livestyle video IN OUT`"):
        read_picture(path)
