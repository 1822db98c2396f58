from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from locked import REFUSED, locked_folder

from livestyle import whole_file
from livestyle.errors import SinkError
from livestyle.whole_file import WholeFile, is_same_file


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "out.mp4", overwrite=False)
    partial = file.begin()
    partial.write_text("whole")
    assert partial.name.startswith(".out.partial-")
    assert partial.suffix == ".mp4"
    assert not (tmp_path / "out.mp4").exists()
    file.complete()
    file.abandon()  # too late to matter
    assert (tmp_path / "out.mp4").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [tmp_path / "out.mp4"]


def test_what_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "out.mp4", overwrite=False)
    file.abandon()
    file.begin()
    file.abandon()
    file.abandon()
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_name_do_not_meet(tmp_path: Path) -> None:
    one, other = (WholeFile(tmp_path / "out.mp4", overwrite=True) for _ in range(2))
    assert one.begin() != other.begin()


def test_an_existing_file_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("old")
    with pytest.raises(SinkError, match=r"out\.mp4 exists; --overwrite replaces it"):
        WholeFile(out, overwrite=False)
    file = WholeFile(out, overwrite=True)
    file.begin().write_text("new")
    assert out.read_text() == "old"
    file.complete()
    assert out.read_text() == "new"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "out.mp4", overwrite=False)
    file.begin()
    (tmp_path / "out.mp4").write_text("somebody else's")
    with pytest.raises(SinkError, match="exists"):
        file.complete()
    file.abandon()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["somebody else's"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target.mp4", tmp_path / "link.mp4"
    link.symlink_to(target)
    if there:
        target.write_text("old")
    file = WholeFile(link, overwrite=True)
    partial = file.begin()
    partial.write_text("new")
    assert partial.parent == target.parent
    file.complete()
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="another kind of rights")
def test_the_usual_rights_are_given(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "out.mp4", overwrite=False)
    file.begin()
    file.complete()
    (tmp_path / "usual").touch()
    assert (tmp_path / "out.mp4").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/out.mp4", r"there is no folder .*missing; make it first"),
        ("folder.mp4", "it is a folder"),
        ("file/out.mp4", "there is no folder"),
        (f"{'long' * 100}.mp4", "too long"),
        ("null\0.mp4", "null"),
    ],
)
def test_where_no_file_can_be_is_told_at_once(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=words) as raised:
        WholeFile(tmp_path / name, overwrite=True).begin()
    assert "\n" not in str(raised.value)


def test_a_long_name_has_room_for_its_partial(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / f"{'é' * 120}.mp4", overwrite=False)  # 244 bytes; a name has 255
    file.begin()
    file.complete()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=rf"({REFUSED}); name a folder that you may write to"):
        WholeFile(locked_folder(tmp_path) / "out.mp4", overwrite=False).begin()


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices as files")
def test_a_device_is_no_file() -> None:
    with pytest.raises(SinkError, match="it is not a file"):
        WholeFile(Path("/dev/null"), overwrite=True)


def test_completing_before_beginning_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="begin"):
        WholeFile(tmp_path / "out.mp4", overwrite=False).complete()


def test_a_with_block_that_ends_well_makes_the_file(tmp_path: Path) -> None:
    with WholeFile(tmp_path / "x.bin", overwrite=False) as partial:
        partial.write_bytes(b"whole")
        assert not (tmp_path / "x.bin").exists()
    assert (tmp_path / "x.bin").read_bytes() == b"whole"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [RuntimeError("mine"), KeyboardInterrupt()])
def test_a_with_block_that_fails_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"old")

    def fail(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)), WholeFile(tmp_path / "x.bin", overwrite=True) as partial:
        fail(partial)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, r"cannot write .*x\.bin: No space left on device; make room"),
        (errno.EROFS, r"cannot write .*x\.bin: .*; name a folder that you may write to"),
        (errno.EIO, r"cannot write .*x\.bin: [^;]*$"),
    ],
)
def test_what_the_system_refuses_is_told_with_a_next_step(number: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=says), WholeFile(tmp_path / "x.bin", overwrite=False):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_during_a_with_block_is_kept(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="exists"), WholeFile(tmp_path / "x.bin", overwrite=False):
        (tmp_path / "x.bin").write_text("somebody else's")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["somebody else's"]


def test_a_probe_leaves_nothing_and_refuses_what_could_not_be_begun(tmp_path: Path) -> None:
    WholeFile(tmp_path / "film.mp4", overwrite=False).probe()
    assert list(tmp_path.iterdir()) == []
    file = WholeFile(tmp_path / "film.mp4", overwrite=False)
    tmp_path.rmdir()
    with pytest.raises(SinkError, match=r"film\.mp4"):
        file.probe()


def test_a_file_that_is_held_open_for_a_moment_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([True, True, False])
    replace = Path.replace

    def sometimes(path: Path, target: Path) -> Path:
        if next(refusals):
            raise PermissionError(errno.EACCES, "used by another process")
        return replace(path, target)

    monkeypatch.setattr(whole_file, "_PATIENCE", 60.0)
    monkeypatch.setattr(whole_file, "_PAUSE", 0.0)
    monkeypatch.setattr(Path, "replace", sometimes)
    with WholeFile(tmp_path / "film.mp4", overwrite=False) as partial:
        partial.write_text("painted")
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_the_work_of_hours_is_kept_where_its_name_is_not_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr(whole_file, "_PATIENCE", 0.0)
    monkeypatch.setattr(Path, "replace", refuse)
    with (
        pytest.raises(SinkError, match=r"cannot replace .*film\.mp4: used by .*; close what") as told,
        WholeFile(tmp_path / "film.mp4", overwrite=False) as partial,
    ):
        partial.write_text("painted")
    (kept,) = tmp_path.iterdir()
    assert kept.read_text() == "painted"
    assert str(told.value).endswith(str(kept))


def test_what_will_not_be_replaced_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.mp4").write_text("old")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(SinkError, match="used by another process"):
        WholeFile(tmp_path / "film.mp4", overwrite=True).probe()
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_what_is_still_open_is_removed_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = WholeFile(tmp_path / "film.mp4", overwrite=False)
    file.begin()
    unlink = Path.unlink

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr(Path, "unlink", refuse)
    file.abandon()
    monkeypatch.setattr(Path, "unlink", unlink)
    file.abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_one_file_has_many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    film = tmp_path / "film.mp4"
    film.write_text("film")
    (tmp_path / "soft.mp4").symlink_to(film)
    (tmp_path / "hard.mp4").hardlink_to(film)
    monkeypatch.chdir(tmp_path)
    for name in ("film.mp4", "a/../film.mp4", "soft.mp4", "hard.mp4"):
        assert is_same_file(Path(name), film)
    (tmp_path / "copy.mp4").write_text("film")
    for name in ("copy.mp4", "missing.mp4", "null\0.mp4"):
        assert not is_same_file(Path(name), film)
