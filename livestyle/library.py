"""Finds the models that came with livestyle, by name, and any other by its path."""

from __future__ import annotations

from pathlib import Path

from livestyle.errors import ModelError
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file

SUFFIX = ".onnx"


def models_folder(package: Path = Path(__file__).parent) -> Path:
    """Where the models lie: inside the installed package, or beside it in a checkout."""
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def photos_folder() -> Path:
    """A few photos of people and things, for a training that was given none: enough for `add-style`."""
    return models_folder() / "photos"


def demo_film() -> Path:
    """Six seconds of people and things, 640x360."""
    return models_folder() / "clip.mp4"


def list_models(folder: Path | None = None) -> list[str]:
    """Names of the models in the folder, sorted. folder: models_folder() unless told."""
    folder = models_folder() if folder is None else folder
    try:
        return sorted(path.stem for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file())
    except OSError:
        return []


def find_model(model: str | Path, folder: Path | None = None) -> Path:
    """The file of a model: a name like "painters", or a path (it has a folder or ends in .onnx).

    A name is only compared with the names that exist, so it never leads out of the folder.
    """
    text = str(model)
    path = Path(text)
    names = list_models(folder)
    if text in names:
        return (models_folder() if folder is None else folder) / f"{text}{SUFFIX}"
    try:
        if path.is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        exists = False
    if exists:
        raise ModelError(
            f"{path} is not a file; give the path of an {SUFFIX} file, or one of: {_listed(names)}"
        )
    raise ModelError(
        f"there is no model {_shown(text)}; give the path of an {SUFFIX} file, or one of: {_listed(names)}"
    )


def load_manifest(path: Path) -> Manifest:
    """What a model file says about itself, without an engine. Raises ModelError."""
    return Manifest.from_json(read_model_file(path).manifest_json, where=f"the manifest of {path}")


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "(no models are installed)"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:197]}...")
