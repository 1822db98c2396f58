from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_runs import noise_picture, write_pictures
from torch.utils.data import DataLoader

from livestyle.errors import RecipeError
from livestyle.training import dataset
from livestyle.training.dataset import (
    ContentImages,
    load_style_image,
    read_rgb,
    resize_short_side,
    to_image,
    to_tensor,
)


def photos_of(folder: Path, **changes: Any) -> ContentImages:
    options: dict[str, Any] = {"batch": 2, "crop": 64, "steps": 10, "seed": 0}
    return ContentImages(folder, **(options | changes))


def png(pixels: Any) -> bytes:
    done, content = cv2.imencode(".png", pixels)
    assert done
    return bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "photos", ["a.png", "b.jpg", "c.webp", "d.bmp"], size_hw=(70, 90))


def test_an_item_is_a_batch_of_crops(folder: Path) -> None:
    photos = photos_of(folder, batch=3)
    item = photos[0]
    assert (item.shape, item.dtype, len(photos)) == ((3, 64, 64, 3), torch.uint8, 10)
    assert len({bytes(crop.numpy()) for crop in item}) == 3


def test_an_item_depends_on_seed_and_step_alone(folder: Path) -> None:
    first, again = photos_of(folder), photos_of(folder, steps=99)
    backwards = {step: again[step] for step in reversed(range(10))}
    for step in range(10):
        assert torch.equal(first[step], backwards[step])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], photos_of(folder, seed=1)[0])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # torch has threads; Python 3.12 says so
def test_worker_processes_give_the_same_items_in_the_same_order(folder: Path) -> None:
    photos = photos_of(folder, steps=4)
    for step, item in enumerate(DataLoader(photos, batch_size=None, num_workers=2)):
        assert torch.equal(item, photos[step])


def test_some_crops_are_seen_in_another_light(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    photos = ContentImages(tmp_path, batch=100, crop=64, steps=1, seed=0)
    levels = photos[0][:, 0, 0, 0].numpy().astype(int)
    assert 45 <= (levels == 128).sum() <= 75  # 60 on average
    # 255 (128 / 255) ** p for p of 2.5 and 0.7.
    assert 45 <= levels.min() < 60
    assert 150 < levels.max() <= 158


def test_a_crop_is_a_piece_of_its_photo_perhaps_mirrored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "EXPOSED", 0.0)
    # Red grows to the right, green downwards, blue is constant: a crop shows where it was cut.
    y, x = np.mgrid[:150, :150]
    rgb = np.stack([x, y, np.full_like(x, 77)], axis=2).astype(np.uint8)
    (tmp_path / "ramp.png").write_bytes(png(rgb[:, :, ::-1]))
    photos = photos_of(tmp_path, batch=1)
    mirrored, lefts = set(), set()
    for step in range(20):
        crop = photos[step][0].numpy().astype(int)
        steps_x, steps_y = np.diff(crop[:, :, 0], axis=1), np.diff(crop[:, :, 1], axis=0)
        # 64 … 160 pixels hold what 150 held: neighbours are 150 / 160 … 150 / 64 apart, but for rounding.
        assert 0.9 <= abs(steps_x.mean()) <= 2.4
        assert 0.9 <= steps_y.mean() <= 2.4  # never upside down
        assert (crop[:, :, 2] == 77).all()
        mirrored.add(bool(steps_x.mean() < 0))
        lefts.add(int(crop[:, :, 0].min()))
    assert mirrored == {False, True}
    assert len(lefts) > 3


GOOD = noise_picture(64, 64, 3)
KINDS: dict[str, Callable[[], bytes]] = {
    "grey": lambda: png(GOOD[:, :, 0]),
    "16 bits": lambda: png(GOOD[:, :, ::-1].astype(np.uint16) * 257),
    "16 bits grey": lambda: png(GOOD[:, :, 0].astype(np.uint16) * 257),
    "alpha": lambda: png(np.dstack([GOOD[:, :, ::-1], np.full((64, 64), 128, np.uint8)])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_picture_becomes_8_bit_rgb(kind: str, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(KINDS[kind]())
    expected = np.repeat(GOOD[:, :, :1], 3, axis=2) if "grey" in kind else GOOD
    found = read_rgb(tmp_path / "photo.png")
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    assert photos_of(tmp_path)[0].shape == (2, 64, 64, 3)


def cut_off() -> bytes:
    content = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return content[: len(content) // 2] + bytes(10)


BAD = {
    "empty.png": (b"", "cannot be read"),
    "words.jpg": (b"not a picture", "cannot be read"),
    "damaged.png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "cannot be read"),
    "tiny.png": (png(noise_picture(31, 200, 0)), "too small"),
}


def test_what_is_no_usable_photo_is_skipped_with_one_line_each(
    folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("not even looked at")
    photos = photos_of(folder)
    with caplog.at_level(logging.WARNING):
        for step in range(40):
            assert photos[step].shape == (2, 64, 64, 3)
    assert sorted(record.getMessage() for record in caplog.records) == sorted(
        f"skipped {folder / name}: {reason}" for name, (_, reason) in BAD.items()
    )
    assert capfd.readouterr().err == ""  # nor do the decoders write there themselves


def test_half_a_crop_is_large_enough(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["small.png"], size_hw=(32, 32))
    assert photos_of(tmp_path)[0].shape == (2, 64, 64, 3)


def test_photos_in_folders_of_folders_are_found(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a" / "b", ["deep.PNG"])
    assert [photo.path.name for photo in photos_of(tmp_path).photos] == ["deep.PNG"]


def tar_of(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    """A tar file of regular members in this order."""
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("whole_folder", [True, False], ids=["a folder of it", "the tar file itself"])
def test_photos_in_a_tar_file_give_the_batches_that_the_same_files_give(
    whole_folder: bool, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "shards").mkdir()
    members = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    shard = tar_of(tmp_path / "shards" / "0.tar", members | {"notes.txt": b"words"})
    found, expected = photos_of(shard.parent if whole_folder else shard), photos_of(folder)
    assert len(found.photos) == 4
    for step in range(5):
        assert torch.equal(found[step], expected[step])


def test_files_and_shards_stand_in_one_order(folder: Path) -> None:
    tar_of(folder / "b.tar", {"z.png": png(GOOD), "y.png": png(GOOD)})
    assert [photo.member or photo.path.name for photo in photos_of(folder).photos] == [
        *("a.png", "b.jpg"),
        *("z.png", "y.png"),
        *("c.webp", "d.bmp"),
    ]


def test_members_of_hostile_names_are_photos_like_any_other_and_nothing_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shards = tmp_path / "a" / "shards"
    shards.mkdir(parents=True)
    names = ["../../up.png", "/etc/root.png", "two\nlines\x1b[2J.png", "x" * 300 + ".png"]
    tar_of(shards / "0.tar", {name: png(GOOD) for name in names} | {"bad\n.png": b"no picture"})
    photos = photos_of(tmp_path)
    with caplog.at_level(logging.WARNING):
        for step in range(9):
            assert photos[step].shape == (2, 64, 64, 3)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.isprintable()
    assert line == f"skipped {shards / '0.tar'}, 'bad\\n.png': cannot be read"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "shards", "0.tar"]


def test_what_is_no_plain_member_is_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("link.png")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        tar.addfile(tarfile.TarInfo("empty.png"))
    with pytest.raises(RecipeError, match=r"no photos in .*0.tar: set content_folder"):
        photos_of(tmp_path / "0.tar")


def test_a_shard_that_is_cut_off_is_named(tmp_path: Path) -> None:
    shard = tar_of(tmp_path / "0.tar", {f"{n}.png": png(GOOD) for n in range(4)})
    shard.write_bytes(shard.read_bytes()[: 2 * 512 + 2 * len(png(GOOD))])  # in the middle of the second
    with pytest.raises(RecipeError, match=r"cannot read the photos in .*0.tar: .*; copy it again"):
        photos_of(tmp_path)


def spoiled_header(content: bytes, size: bytes) -> bytes:
    """A tar file whose second member claims a size: field of 12 bytes at 124, checksum of 8 at 148."""
    start = 512 + -(-len(png(GOOD)) // 512) * 512
    header = bytearray(content[start : start + 512])
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return content[:start] + bytes(header) + content[start + 512 :]


@pytest.mark.parametrize(
    "size",
    [b"\xff" * 12, b"\xff" * 10 + b"\xf0\x00", b"\x80" + b"\x7f" * 11, b"77777777777\0", b"words\0" * 2],
)
def test_a_size_that_cannot_be_neither_hangs_nor_fills_the_memory(size: bytes, tmp_path: Path) -> None:
    shard = tar_of(tmp_path / "0.tar", {f"{n}.png": png(GOOD) for n in range(3)})
    shard.write_bytes(spoiled_header(shard.read_bytes(), size))
    with suppress(RecipeError):  # which of the two depends on the version of Python
        assert [photo.member for photo in photos_of(tmp_path).photos] == ["0.png"]


@pytest.mark.parametrize(
    ("name", "says"), [("a.tar", "cannot read the photos in"), ("a.tar.gz", "unpack .gz")]
)
def test_what_is_no_tar_file_is_named(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no archive" * 100)
    with pytest.raises(RecipeError, match=says) as caught:
        photos_of(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_folder_without_a_usable_photo_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no folder of photos at .*set content_folder"):
        photos_of(tmp_path / "none")
    with pytest.raises(RecipeError, match="no photos in"):
        photos_of(tmp_path)
    for name, (content, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match="photos in a row could not be used; the last was") as caught:
        photos_of(tmp_path)[0]
    assert "\n" not in str(caught.value)


def test_a_painting_is_scaled_to_its_short_side(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["wide.png"], size_hw=(40, 100))
    assert load_style_image(tmp_path / "wide.png", 80).shape == (1, 3, 80, 200)
    assert load_style_image(tmp_path / "wide.png", 32).shape == (1, 3, 32, 80)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.png", "cannot read the painting .*none.png"),
        ("words.jpg", "cannot read the painting .*words.jpg"),
        (".", "cannot read the painting"),
        ("nul\0.png", "cannot read the painting"),
        ("tiny.png", "tiny.png is only 200x31 pixels"),
    ],
)
def test_a_painting_that_cannot_be_used_is_named(name: str, says: str, tmp_path: Path) -> None:
    for bad, (content, _) in BAD.items():
        (tmp_path / bad).write_bytes(content)
    with pytest.raises(RecipeError, match=says):
        load_style_image(tmp_path / name, 64)


@pytest.mark.parametrize("size_hw", [(64, 64), (50, 99), (99, 50), (3000, 33)])
def test_the_short_side_is_exact(size_hw: tuple[int, int]) -> None:
    scaled = resize_short_side(np.zeros((*size_hw, 3), np.uint8), 64)
    assert min(scaled.shape[:2]) == 64
    ratio = min(max(size_hw) / min(size_hw), 16)  # of a ribbon, the middle
    assert max(scaled.shape[:2]) == pytest.approx(64 * ratio, abs=1)


def test_images_and_tensors_are_each_others_inverse() -> None:
    image = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)
    tensor = to_tensor(torch.from_numpy(image[None]))
    assert (tensor.shape, tensor.dtype) == ((1, 3, 16, 16), torch.float32)
    assert (tensor.min().item(), tensor.max().item()) == (0, 1)
    np.testing.assert_array_equal(to_image(tensor[0]), image)


def test_a_tensor_is_clipped_and_rounded() -> None:
    tensor = torch.tensor([-1.0, 0.5 / 255 + 1e-4, 2.0]).reshape(3, 1, 1)
    assert to_image(tensor).tolist() == [[[0, 1, 255]]]
