"""livestyle image, and the sheet of livestyle styles, as people type them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import Run, is_one_error, written
from fakes import FakeEngine, tiny_manifest, tiny_stylized
from locked import locked_folder

from livestyle.engines.contract import FrameBatch, MixVector
from livestyle.errors import DeviceError
from livestyle.pictures import read_picture
from livestyle.stylizer import Stylizer


@pytest.fixture
def holiday(tmp_path: Path) -> Path:
    """A folder: two pictures, one that is none, one of a kind that nobody reads, and a folder."""
    folder = tmp_path / "holiday"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(folder / name), np.full((33, 47, 3), 90, np.uint8))
    written(folder / "broken.png", b"no picture")
    written(folder / "phone.heic", b"\0")
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_painting(stderr: str) -> bool:
    """Whether the only line names the device; which engine runs depends on the machine."""
    return re.fullmatch(r"painting on [^\n]*CPU[^\n]*\n?", stderr) is not None


def test_one_picture_to_a_file(run: Run, photo: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    status, stdout, stderr = run("image", photo, out, "--model", tiny_model_path, "--style", "0:0.5,1:0.5")
    assert (status, stdout, is_painting(stderr)) == (0, f"{out}\n", True)
    expected = tiny_stylized(read_picture(photo)[0], np.array([0.5, 0.5, 0], np.float32))
    assert np.abs(read_picture(out)[0].astype(int) - expected).max() <= 1


def test_a_large_picture_is_painted_small_unless_its_brush_is_fine(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1440, 1440, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), pixels)
    common = ("--model", tiny_model_path, "--style", "1")
    painted = []
    for n, words in enumerate((("--brush", "0.25"), ())):
        assert run("image", tmp_path / "large.png", tmp_path / f"{n}.png", *common, *words)[0] == 0
        painted.append(read_picture(tmp_path / f"{n}.png")[0].astype(int))
    style = np.array([0, 1, 0], np.float32)
    expected = tiny_stylized(read_picture(tmp_path / "large.png")[0], style)
    assert np.abs(painted[0] - expected).max() <= 1
    assert painted[1].shape == painted[0].shape
    assert np.abs(painted[1] - painted[0]).mean() > 10


def test_a_folder_keeps_its_names_and_survives_a_broken_picture(
    run: Run, holiday: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, stdout, stderr = run("image", holiday, out, "--model", tiny_model_path, "--style", "1")
    assert (status, stdout) == (1, f"2 pictures in {out}, 1 failed\n")
    assert is_one_error(stderr)
    skipped, painting = stderr.splitlines()[:2]
    assert skipped == "skipped 1 file that is no picture livestyle reads (.heic), and 1 folder"
    assert is_painting(painting)
    assert "broken.png" in stderr.splitlines()[2]
    assert names_in(out) == ["a.png", "b.jpg"]
    assert read_picture(out / "a.png")[0].shape == (33, 47, 3)


def test_a_folder_that_was_begun_goes_on(
    run: Run, holiday: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    (holiday / "broken.png").unlink()
    out = tmp_path / "out"
    out.mkdir()
    written(out / "a.png", b"of the first run")
    command = ("image", holiday, out, "--model", tiny_model_path)
    status, stdout, stderr = run(*command)
    assert (status, stdout, is_one_error(stderr)) == (1, "", True)
    assert "--overwrite replaces it, --skip-existing keeps it and goes on" in stderr
    assert names_in(out) == ["a.png"]

    status, stdout, _ = run(*command, "--skip-existing")
    assert (status, stdout) == (0, f"1 picture in {out}, 1 kept\n")
    assert names_in(out) == ["a.png", "b.jpg"]
    assert (out / "a.png").read_bytes() == b"of the first run"

    status, stdout, _ = run(*command, "--skip-existing", "--json")
    kept = [str(out / "a.png"), str(out / "b.jpg")]
    told = json.loads(stdout)
    assert (status, "CPU" in told.pop("device")) == (0, True)
    assert told == {"painted": [], "failed": [], "kept": kept}
    status, stdout, _ = run(*command, "--overwrite")
    assert (status, stdout) == (0, f"2 pictures in {out}\n")
    assert read_picture(out / "a.png")[0].shape == (33, 47, 3)


class SmallEngine(FakeEngine):
    """Runs out of memory above 64 lines."""

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        if frame.shape[1] > 64:
            raise DeviceError(f"failed on {frame.shape[1]} lines")
        return super().run(frame, style_mix)


def heights(folder: Path, lines: list[int]) -> Path:
    folder.mkdir()
    for number, height in enumerate(lines):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((height, 40, 3), 90, np.uint8))
    return folder


def test_a_folder_survives_pictures_that_are_too_large_for_the_device(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "livestyle.stylizer.open_stylizer", lambda *_, **__: Stylizer(SmallEngine(), tiny_manifest())
    )
    photos, out = heights(tmp_path / "photos", [80, 80, 40, 80, 80, 40]), tmp_path / "out"
    written(photos / "2b.png", b"no picture")  # says nothing of the device
    status, stdout, stderr = run("image", photos, out)
    assert (status, stdout, names_in(out)) == (1, f"2 pictures in {out}, 5 failed\n", ["2.png", "5.png"])
    assert f"error: cannot paint {photos / '0.png'}: failed on 80 lines" in stderr.splitlines()

    status, _, stderr = run("image", photos, out, "--skip-existing")
    assert (status, stderr.splitlines()[-1]) == (
        1,
        f"error: gave up after 3 pictures in a row: cannot paint {photos / '3.png'}: failed on 80 lines",
    )
    assert str(photos / "4.png") not in stderr
    status, _, stderr = run("image", photos / "0.png", tmp_path / "0.png")
    assert (status, is_one_error(stderr), "gave up" in stderr) == (1, True, False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("missing.png out.png", "missing.png; check the name"),
        ("holiday out.png", "name one, such as"),
        ("holiday holiday/a.png", "is a file, and a folder or many pictures go into a folder; name one"),
        ("holiday deep/down/out", "make it first"),
        ("holiday/a.png deep/down/out.png", "make it first"),
        ("holiday/a.png out", "there is no folder"),
        ("holiday/a.png out.heic", "must end in one of .png"),
        ("holiday/a.png holiday/b.jpg", "--overwrite replaces it"),
        ("holiday/a.png holiday/a.png", "painted over itself"),
        ("holiday/broken.png out.png", "broken.png is no PNG"),
        ("holiday holiday", "painted over itself"),
        ("holiday/more out", "no pictures in the folder"),
        ("holiday/a.png holiday/b.jpg out --style 99", "there is no style 99"),
    ],
)
def test_a_wrong_place_is_one_line_and_leaves_nothing(
    words: str,
    says: str,
    run: Run,
    holiday: Path,
    tiny_model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = names_in(tmp_path), names_in(holiday)
    status, stdout, stderr = run("image", *words.split(), "--model", tiny_model_path)
    assert (status, stdout, is_one_error(stderr)) == (1, "", True), stderr
    assert says in stderr
    assert (names_in(tmp_path), names_in(holiday)) == before


def test_a_folder_into_which_nothing_came_is_not_left_behind(
    run: Run, holiday: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    both = (holiday / "broken.png", holiday / "phone.heic")
    status, stdout, stderr = run("image", *both, out, "--model", tiny_model_path)
    assert (status, stdout) == (1, "0 pictures, 2 failed\n")
    assert stderr.count("error: ") == 2
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["image", "PHOTO", "LOCKED/out.png"], "name a folder that you may write to"),
        (["image", "PHOTO", "PHOTO", "LOCKED"], "name a folder that you may write to"),
        (["image", "PHOTO", "PHOTO", "LOCKED/out"], "cannot make the folder"),
        (["styles", "--sheet", "PHOTO", "LOCKED/out.png"], "name a folder that you may write to"),
    ],
)
def test_where_nobody_may_write_is_told_before_the_model_is_opened(
    words: list[str], says: str, run: Run, photo: Path, tmp_path: Path
) -> None:
    places = {"PHOTO": str(photo), "LOCKED": str(locked_folder(tmp_path))}
    for name, place in places.items():
        words = [word.replace(name, place) for word in words]
    status, _, stderr = run(*words, "--model", "no such model")
    assert (status, is_one_error(stderr)) == (1, True)
    assert says in stderr


def test_a_folder_made_for_pictures_goes_when_the_model_is_not_there(
    run: Run, holiday: Path, tmp_path: Path
) -> None:
    status, _, stderr = run("image", holiday, tmp_path / "out", "--model", "no such model")
    assert (status, "there is no model" in stderr, (tmp_path / "out").exists()) == (1, True, False)


def test_the_sheet_shows_every_style(run: Run, photo: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    status, stdout, stderr = run("styles", "--model", tiny_model_path, "--sheet", photo, out)
    assert (status, stdout, is_painting(stderr)) == (0, f"{out}\n", True)
    sheet, _ = read_picture(out)
    tiles = 3 * 360 * 504  # 40x56 at a height of 360
    assert tiles < sheet.shape[0] * sheet.shape[1] < 2.1 * tiles


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_a_sheet_never_replaces_its_photo(
    options: list[str], run: Run, photo: Path, tiny_model_path: Path
) -> None:
    before = photo.read_bytes()
    status, _, stderr = run("styles", "--model", tiny_model_path, "--sheet", photo, photo, *options)
    assert (status, is_one_error(stderr), photo.read_bytes()) == (1, True, before)
    assert "name another output" in stderr


def test_a_sheet_is_shown_with_open(
    run: Run, tiny_model_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def launch(path: str) -> int:
        opened.append(Path(path))
        return status

    monkeypatch.setattr("typer.launch", launch)
    status, sheet = 0, photo.parent / "sheet.png"
    assert run("styles", "--open")[0] == 0
    assert run("styles", "--open", "--model", tiny_model_path, "--sheet", photo, sheet)[0] == 0
    assert [path.name for path in opened] == ["sheet.jpg", "sheet.png"]
    assert all(path.is_file() for path in opened)
    code, _, err = run("styles", "--open", "--model", tiny_model_path)
    assert code == 1
    assert "add --sheet PHOTO SHEET" in err
    status = 3
    code, _, err = run("styles", "--open")
    assert code == 1
    assert is_one_error(err)
    assert "nothing here opens pictures" in err
