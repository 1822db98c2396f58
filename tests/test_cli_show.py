"""livestyle webcam with a camera and a window that are stand-ins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Run
from fake_show import FakeCamera, FakeWindow

from livestyle.controls import Desk
from livestyle.errors import SourceError
from livestyle.frame import Frame


class Camera(FakeCamera):
    """Unplugged after three pictures, for good."""

    def __init__(self) -> None:
        super().__init__(3, error=SourceError("unplugged"))


class Window(FakeWindow):
    def __init__(self, *_: object) -> None:
        super().__init__()

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only camera of this machine."""
    monkeypatch.setattr("livestyle.sources.open_camera", lambda spec, **wishes: Camera())
    monkeypatch.setattr("livestyle.sinks.WindowSink", Window)


@pytest.mark.parametrize(
    ("spec", "words", "mirrored"),
    [
        ("0", [], True),
        ("LINK", [], True),
        ("LINK", ["--no-mirror"], False),
        ("screen", [], False),
        ("screen", ["--mirror"], True),
    ],
)
def test_cameras_are_mirrored_under_every_name_unless_told_otherwise(
    spec: str,
    words: list[str],
    mirrored: bool,
    run: Run,
    tiny_model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desks: list[Desk] = []

    class KeptDesk(Desk):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            desks.append(self)

    monkeypatch.setattr("livestyle.controls.Desk", KeptDesk)
    link = tmp_path / "usb-stage-camera-index0"
    link.symlink_to("/dev/video987")
    run("webcam", "--camera", link if spec == "LINK" else spec, *words, "--model", tiny_model_path)
    assert [desk.mirror for desk in desks] == [mirrored]


def test_the_take_is_kept_when_an_error_ends_the_show(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    take = tmp_path / "take.json"
    status, _, stderr = run("webcam", "--save-take", take, "--style", "negative", "--model", tiny_model_path)
    assert (status, stderr.splitlines()[-1]) == (1, "error: unplugged")
    assert [cue["mix"] for cue in json.loads(take.read_text())["cues"]] == [{"negative": 1.0}]


def test_a_take_that_cannot_be_kept_is_told_too(
    run: Run, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = tmp_path / "take.json"

    def unplug(self: Camera) -> list[Frame]:
        take.write_text("somebody else's")
        raise SourceError("unplugged")

    monkeypatch.setattr(Camera, "__iter__", unplug)
    status, _, stderr = run("webcam", "--save-take", take, "--model", tiny_model_path)
    assert status == 1
    assert stderr.splitlines()[-2:] == [
        f"error: {take} exists; --overwrite replaces it",
        "error: unplugged",
    ]
    assert take.read_text() == "somebody else's"
