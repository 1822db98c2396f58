from __future__ import annotations

import os
from contextlib import suppress
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


def outputs(sources: list[Path], output: Path, **options: bool) -> list[str]:
    """The names that are written, in order, as the plan has them."""
    plan = plan_pictures(sources, output, **options)
    assert all(job.output.parent == (plan.folder or output.parent) for job in plan.jobs)
    return [job.output.name for job in plan.jobs]


def test_a_folder_goes_into_a_folder_in_natural_order(folder: Path, tmp_path: Path) -> None:
    plan = plan_pictures([folder], tmp_path / "out")
    assert [(job.source.name, job.output) for job in plan.jobs] == [
        ("2.jpg", tmp_path / "out" / "2.jpg"),
        ("10.png", tmp_path / "out" / "10.png"),
    ]
    assert (plan.folder, plan.kept, plan.left_out) == (tmp_path / "out", (), "")


def test_one_picture_into_an_existing_folder_keeps_its_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    plan = plan_pictures([folder / "2.jpg"], tmp_path / "out")
    assert [job.output for job in plan.jobs] == [tmp_path / "out" / "2.jpg"]


def test_one_picture_into_a_file_has_no_folder(folder: Path, tmp_path: Path) -> None:
    plan = plan_pictures([folder / "2.jpg"], tmp_path / "x.png")
    assert ([job.output for job in plan.jobs], plan.folder) == ([tmp_path / "x.png"], None)


def test_a_kind_that_is_only_read_becomes_a_png(folder: Path, tmp_path: Path) -> None:
    (folder / "dance.gif").write_bytes(b"x")
    (folder / "LOUD.JPG").write_bytes(b"x")
    assert outputs([folder], tmp_path / "out") == ["2.jpg", "10.png", "dance.png", "LOUD.JPG"]
    (folder / "dance.png").write_bytes(b"x")
    with pytest.raises(SinkError, match=r"dance\.gif and .*dance\.png would both"):
        outputs([folder], tmp_path / "out")


def test_two_pictures_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "2.jpg").write_bytes(b"y")
    with pytest.raises(SinkError, match="would both be written"):
        plan_pictures([folder, other / "2.jpg"], tmp_path / "out")


def test_a_picture_that_is_given_twice_is_painted_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    twice = [folder / "2.jpg", Path("in/2.jpg"), folder, tmp_path / "in" / "." / "10.png", Path("in")]
    assert outputs(twice, tmp_path / "out") == ["2.jpg", "10.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_painted_under_its_own_name(folder: Path, tmp_path: Path) -> None:
    (folder / "best.jpg").symlink_to(folder / "2.jpg")
    assert outputs([folder], tmp_path / "out") == ["2.jpg", "10.png", "best.jpg"]


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"skip_existing": True}])
def test_a_picture_is_never_painted_over_itself(folder: Path, options: dict[str, bool]) -> None:
    with pytest.raises(SinkError, match="over itself"):
        plan_pictures([folder], folder, **options)


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no picture or folder .*gone\.png; check the name"):
        plan_pictures([folder, tmp_path / "gone.png"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no pictures"):
        plan_pictures([folder, tmp_path / "empty"], tmp_path / "out")


def test_an_existing_output_is_found_before_any_work(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "10.png").write_bytes(b"old")
    with pytest.raises(
        SinkError, match=r"10\.png exists; --overwrite replaces it, --skip-existing keeps it and goes on"
    ):
        plan_pictures([folder], out)
    assert outputs([folder], out, overwrite=True) == ["2.jpg", "10.png"]
    plan = plan_pictures([folder], out, skip_existing=True)
    assert ([job.output for job in plan.jobs], plan.kept) == ([out / "2.jpg"], (out / "10.png",))


def test_one_existing_file_can_be_kept_too(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    out.write_bytes(b"old")
    with pytest.raises(SinkError, match=r"x\.png exists; --overwrite replaces it$"):
        plan_pictures([folder / "2.jpg"], out)
    plan = plan_pictures([folder / "2.jpg"], out, skip_existing=True)
    assert (plan.jobs, plan.kept) == ((), (out,))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.png", "is a picture's name.*; name one, such as .*out$"),
        ("out.GIF", "is a picture's name"),
        ("file", "is a file, .*; name one"),
        ("a/b/out", "there is no folder .*a/b; make it first"),
    ],
)
def test_many_pictures_go_into_a_folder(name: str, says: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for sources in ([folder], [folder / "2.jpg", folder / "10.png"], [folder / "2.jpg"] * 2):
        with pytest.raises(SinkError, match=says):
            plan_pictures(sources, tmp_path / name)
    (tmp_path / "real.png").mkdir()
    assert outputs([folder], tmp_path / "real.png") == ["2.jpg", "10.png"]


def test_one_picture_into_a_folder_that_is_not_there_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"no folder .*out; make it first, or name a picture: .*out\.png"):
        plan_pictures([folder / "2.jpg"], tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "folders", "says"),
    [
        ([".hidden", ".git/"], 0, ""),
        (["a.heic"], 0, "skipped 1 file that is no picture livestyle reads (.heic)"),
        (
            ["a.heic", "b.HEIC", "c.txt", "README"],
            2,
            "skipped 4 files that are no pictures livestyle reads (.heic, .txt, without a suffix), "
            "and 2 folders",
        ),
        ([], 1, "skipped 1 folder"),
    ],
)
def test_what_is_left_out_is_told(
    files: list[str], folders: int, says: str, folder: Path, tmp_path: Path
) -> None:
    for name in files:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
    for number in range(folders):
        (folder / f"folder {number}.png").mkdir()
    assert plan_pictures([folder], tmp_path / "out").left_out == says


def test_planning_writes_nothing(folder: Path, tmp_path: Path) -> None:
    plan_pictures([folder], tmp_path / "out")
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("there", "painted", "stays"), [(False, 0, False), (False, 1, True), (True, 0, True)]
)
def test_a_folder_stays_if_something_came_into_it(
    there: bool, painted: int, stays: bool, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    plan = plan_pictures([folder], out)
    with suppress(RuntimeError), plan.outputs_ready():
        assert out.is_dir()
        for number in range(painted):
            (out / f"{number}.png").touch()
        raise RuntimeError
    assert out.exists() == stays


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_that_cannot_be_made_is_a_sink_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    plan = plan_pictures([folder], tmp_path / "out")
    with (
        pytest.raises(SinkError, match=r"cannot make the folder .*out: .*; name another"),
        plan.outputs_ready(),
    ):
        pytest.fail("there is no such folder")


def test_a_name_that_is_too_long_is_one_line(folder: Path, tmp_path: Path) -> None:
    for sources, output in (([folder], "x" * 300), ([folder / ("x" * 300)], "out")):
        with pytest.raises(SinkError, match="too long; check the name"):
            plan_pictures(sources, tmp_path / output)
