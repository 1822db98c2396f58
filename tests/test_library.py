from __future__ import annotations

from pathlib import Path

import pytest
from fakes import tiny_manifest, tiny_model

from livestyle.errors import ModelError
from livestyle.library import find_model, list_models, load_manifest, models_folder


@pytest.fixture
def folder(tmp_path: Path, tiny_model_path: Path) -> Path:
    """Two models and what else lies about."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("painters.onnx", "engravers.onnx", "README.md", "painters.toml"):
        (folder / name).write_bytes(tiny_model_path.read_bytes())
    (folder / "folder.onnx").mkdir()
    (tmp_path / "outside.onnx").write_bytes(tiny_model_path.read_bytes())
    return folder


def test_an_installed_package_has_its_models_inside(tmp_path: Path) -> None:
    (tmp_path / "livestyle" / "models").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    assert models_folder(tmp_path / "livestyle") == tmp_path / "livestyle" / "models"


def test_a_checkout_has_its_models_beside_the_package(tmp_path: Path) -> None:
    (tmp_path / "livestyle").mkdir()
    assert models_folder(tmp_path / "livestyle") == tmp_path / "models"


def test_the_models_are_listed_by_name(folder: Path) -> None:
    assert list_models(folder) == ["engravers", "painters"]


def test_no_folder_means_no_models(tmp_path: Path) -> None:
    assert list_models(tmp_path / "absent") == []


def test_a_model_is_found_by_name(folder: Path) -> None:
    assert find_model("painters", folder) == folder / "painters.onnx"


def test_a_model_is_found_by_path(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "outside.onnx", folder / "README.md"):
        assert find_model(path, folder) == path
        assert find_model(str(path), folder) == path


@pytest.mark.parametrize(
    "name",
    [
        "sculptors",
        "../outside",
        "./painters",
        "painters/",
        "folder",
        "README",
        "",
        "a\0b",
        "x" * 5000,
        "*",
        "~",
    ],
)
def test_what_is_no_model_is_answered_with_what_there_is(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(ModelError, match="engravers, painters") as caught:
        find_model(name, folder)
    assert str(caught.value).isprintable()


def test_a_library_without_models_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no models are installed"):
        find_model("painters", tmp_path)


def test_a_manifest_is_read_without_an_engine(folder: Path) -> None:
    assert load_manifest(folder / "painters.onnx") == tiny_manifest()


def test_a_wrong_manifest_is_named_by_its_file(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "wrong.onnx", manifest_json='{"format": 1}')
    with pytest.raises(ModelError, match=r"the manifest of .*wrong\.onnx is not valid: it lacks licence"):
        load_manifest(path)
