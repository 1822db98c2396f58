from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from locked import REFUSED, locked_folder
from picture_files import ALPHA, LOSSLESS_WEBP, RGB, encoded, grey_tiff, premultiplied_tiff, read

from livestyle import pictures
from livestyle.errors import SinkError, SourceError
from livestyle.pictures import check_picture_path, pictures_in, read_picture, write_picture


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tif", ".tiff", ".PNG"])
def test_a_picture_written_and_read_is_the_same(suffix: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(pictures._WRITE_OPTIONS, ".webp", LOSSLESS_WEBP)
    path = tmp_path / f"Bild – 星月夜{suffix}"
    write_picture(path, RGB)
    image, alpha = read_picture(path)
    np.testing.assert_array_equal(image, RGB)
    assert alpha is None
    assert image.flags.c_contiguous
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_a_lossy_picture_is_nearly_the_same(suffix: str, tmp_path: Path) -> None:
    smooth = cv2.resize(RGB, (90, 60), interpolation=cv2.INTER_CUBIC)
    write_picture(tmp_path / f"x{suffix}", smooth.astype(np.uint8))
    image, _ = read_picture(tmp_path / f"x{suffix}")
    assert np.abs(image.astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_alpha_is_kept(suffix: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(pictures._WRITE_OPTIONS, ".webp", LOSSLESS_WEBP)
    opaque_enough = np.maximum(ALPHA, 1)  # WebP forgets colours that nobody sees
    write_picture(tmp_path / f"x{suffix}", RGB, opaque_enough)
    image, alpha = read_picture(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(image, RGB)
    np.testing.assert_array_equal(alpha, opaque_enough)


def test_an_opaque_alpha_is_none(tmp_path: Path) -> None:
    write_picture(tmp_path / "x.png", RGB, np.full((6, 9), 255, np.uint8))
    image, alpha = read_picture(tmp_path / "x.png")
    np.testing.assert_array_equal(image, RGB)
    assert alpha is None


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".jpg"])
def test_a_format_without_alpha_shows_the_picture_over_white(suffix: str, tmp_path: Path) -> None:
    image = np.full((8, 8, 3), (200, 100, 0), np.uint8)
    for alpha, shown in ((0, (255, 255, 255)), (51, (244, 224, 204)), (255, (200, 100, 0))):
        write_picture(tmp_path / f"x{suffix}", image, np.full((8, 8), alpha, np.uint8), overwrite=True)
        read_back, no_alpha = read_picture(tmp_path / f"x{suffix}")
        assert no_alpha is None
        # 200 * 0.2 + 255 * 0.8 = 244; JPEG rounds on its own
        assert np.abs(read_back.astype(int) - shown).max() <= (3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(".png", np.full((2, 2), 7, np.uint8)), (7, 7, 7)),
        (encoded(".jpg", np.full((8, 8), 70, np.uint8)), (70, 70, 70)),
        (encoded(".png", np.full((2, 2), 65535, np.uint16)), (255, 255, 255)),
        # 32767 / 257 = 127.498, 32896 = 128 * 257
        (encoded(".png", np.full((2, 2, 3), (32767, 32896, 0), np.uint16)), (0, 128, 127)),
        (encoded(".tif", np.full((2, 2, 3), (32767, 32896, 0), np.uint16)), (0, 128, 127)),
        (grey_tiff(np.full((2, 2), 257 * 9, np.uint16)), (9, 9, 9)),
        (encoded(".bmp", np.full((2, 2, 3), (1, 2, 3), np.uint8)), (3, 2, 1)),
    ],
    ids=["grey png", "grey jpeg", "white 16 bit", "png 16 bit", "tiff 16 bit", "grey tiff 16 bit", "bmp"],
)
def test_every_kind_of_pixel_becomes_rgb_of_8_bits(
    content: bytes, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    image, alpha = read(tmp_path, content)
    assert image.dtype == np.uint8
    assert (image == expected).all()
    assert alpha is None


def test_alpha_of_16_bits_becomes_8_bits(tmp_path: Path) -> None:
    pixels = np.full((2, 2, 4), (257 * 3, 257 * 2, 257, 257 * 77), np.uint16)
    image, alpha = read(tmp_path, encoded(".png", pixels))
    assert (image == (1, 2, 3)).all()
    assert (alpha == 77).all()


@pytest.mark.parametrize("extra_samples", [0, 1, 2])
def test_a_transparent_tiff_keeps_its_colours(extra_samples: int, tmp_path: Path) -> None:
    image, alpha = read(tmp_path, premultiplied_tiff(extra_samples), "x.tif")
    assert alpha.tolist() == [[51]]
    assert np.abs(image.astype(int) - (200, 100, 50)).max() <= 3


def test_an_animation_gives_its_first_picture(tmp_path: Path) -> None:
    frames = cv2.Animation()
    frames.frames = [np.full((8, 8, 4), (value, value, value, 255), np.uint8) for value in (0, 128, 255)]
    frames.durations = [100, 100, 100]
    for suffix in (".gif", ".png", ".webp"):
        done, content = cv2.imencodeanimation(suffix, frames)
        assert done
        image, _ = read(tmp_path, content.tobytes(), f"x{suffix}")
        assert image.shape == (8, 8, 3)
        assert image.max() < 10


def test_what_is_no_file_is_a_source_error(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path / "absent.png", "there is no picture .*; check the name"),
        (tmp_path, "is a folder; name a picture in it"),
        (Path("a\0b.png"), "there is no picture|cannot read"),
        (tmp_path / ("x" * 5000), "there is no picture|cannot read"),
    ):
        with pytest.raises(SourceError, match=says):
            read_picture(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(SourceError, match="there is no picture"):
        read_picture(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x.txt", r"must end in one of \.png"),
        ("x", "must end in one of"),
        ("x.gif", "must end in one of"),
        ("folder.png", "it is a folder"),
        ("absent/x.png", "there is no folder"),
        ("here.png/x.png", "there is no folder"),
        ("here.png", "exists; --overwrite replaces it"),
        ("a\0b.png", "cannot write"),
        ("x" * 300 + ".png", "cannot write"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_and_left_alone(
    name: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "here.png").write_bytes(b"mine")
    before = names_in(tmp_path)
    with pytest.raises(SinkError, match=says):
        write_picture(tmp_path / name, RGB)
    assert names_in(tmp_path) == before
    assert (tmp_path / "here.png").read_bytes() == b"mine"


def test_an_existing_picture_is_replaced_when_told(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"old")
    check_picture_path(tmp_path / "x.png", overwrite=True)
    write_picture(tmp_path / "x.png", RGB, overwrite=True)
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png")[0], RGB)
    assert names_in(tmp_path) == ["x.png"]


def test_an_unwritable_folder_is_a_sink_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=REFUSED):
        write_picture(locked_folder(tmp_path) / "x.png", RGB)


def run_with_small_disk(code: str, folder: Path) -> tuple[str, str]:
    """Run code where no file may grow beyond 64 bytes, which fails a write as a full disk does."""
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
    ended = subprocess.run(
        [sys.executable, "-B", "-c", limit + code, str(folder)], capture_output=True, text=True, check=False
    )
    return ended.stdout, ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"old")
    code = """
import sys
import numpy as np
from pathlib import Path
from livestyle.errors import SinkError
from livestyle.pictures import write_picture
try:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_picture(Path(sys.argv[1]) / "x.png", noise, overwrite=True)
except SinkError as error:
    print(error)
"""
    out, err = run_with_small_disk(code, tmp_path)
    assert err == ""
    assert "cannot write" in out
    assert len(out.splitlines()) == 1
    assert names_in(tmp_path) == ["x.png"]
    assert (tmp_path / "x.png").read_bytes() == b"old"


def test_a_format_too_small_for_the_picture_is_a_sink_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SinkError, match=r"webp cannot hold 16384x1; try \.png"):
        write_picture(tmp_path / "x.webp", np.zeros((1, 16384, 3), np.uint8))
    assert names_in(tmp_path) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("image", "alpha", "error"),
    [
        (RGB.astype(np.float32), None, TypeError),
        (RGB[:, :, 0], None, ValueError),
        (RGB, ALPHA.astype(np.float32), TypeError),
        (RGB, ALPHA[:-1], ValueError),
        (RGB, RGB, ValueError),
    ],
)
def test_a_callers_mistake_writes_nothing(
    image: Any, alpha: Any, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        write_picture(tmp_path / "x.png", image, alpha)
    assert names_in(tmp_path) == []


def test_a_folders_pictures_come_in_natural_order(tmp_path: Path) -> None:
    for name in (
        "img10.png",
        "img2.JPG",
        "Img1.png",
        "notes.txt",
        ".hidden.png",
        "2.webp",
        "b2a.bmp",
        "b10.tiff",
    ):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in pictures_in(tmp_path)]
    assert names == ["2.webp", "b2a.bmp", "b10.tiff", "Img1.png", "img2.JPG", "img10.png"]


def test_a_folder_without_pictures_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures in the folder"):
        pictures_in(tmp_path)
    with pytest.raises(SourceError, match="cannot read the folder"):
        pictures_in(tmp_path / "absent")
