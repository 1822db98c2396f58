from __future__ import annotations

from pathlib import Path

import pytest

from livestyle.batch import plan_pictures
from livestyle.errors import SinkError, SourceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "in"
    photos.mkdir()
    for name in ("2.jpg", "10.png"):
        (photos / name).write_bytes(b"x")
    return photos


def test_a_folder_goes_into_a_folder_in_natural_order(folder: Path, tmp_path: Path) -> None:
    jobs = plan_pictures([folder], tmp_path / "out", overwrite=False)
    assert [(job.source.name, job.output) for job in jobs] == [
        ("2.jpg", tmp_path / "out" / "2.jpg"),
        ("10.png", tmp_path / "out" / "10.png"),
    ]


def test_one_picture_into_an_existing_folder_keeps_its_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    jobs = plan_pictures([folder / "2.jpg"], tmp_path / "out", overwrite=False)
    assert [job.output for job in jobs] == [tmp_path / "out" / "2.jpg"]


def test_two_pictures_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "2.jpg").write_bytes(b"y")
    with pytest.raises(SinkError, match="would both be written"):
        plan_pictures([folder, other / "2.jpg"], tmp_path / "out", overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_picture_is_never_painted_over_itself(folder: Path, overwrite: bool) -> None:
    with pytest.raises(SinkError, match="over itself"):
        plan_pictures([folder], folder, overwrite=overwrite)


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        plan_pictures([tmp_path / "gone.png"], tmp_path / "out.png", overwrite=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no pictures"):
        plan_pictures([tmp_path / "empty"], tmp_path / "out", overwrite=False)


def test_an_existing_output_is_found_before_any_work(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "10.png").write_bytes(b"old")
    with pytest.raises(SinkError, match="exists"):
        plan_pictures([folder], out, overwrite=False)
    assert len(plan_pictures([folder], out, overwrite=True)) == 2
