"""Promises of the house as a whole: imports, models, README, the way to green tests."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from livestyle import __version__
from livestyle.cli.app import app
from livestyle.library import list_models, load_manifest, models_folder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARD = (ROOT / "models" / "README.md").read_text(encoding="utf-8")


def _loads(module: str, code: str) -> bool:
    script = f"import sys\n{code}\nsys.exit(41 if {module!r} in sys.modules else 0)"
    return subprocess.run([sys.executable, "-c", script], check=False).returncode == 41


@pytest.mark.parametrize("module", ["torch", "av", "onnxruntime"])
def test_import_livestyle_stays_light(module: str) -> None:
    assert not _loads(module, "import livestyle")
    assert _loads(module, f"import livestyle, {module}")  # the line above can fail


def test_import_livestyle_leaves_openvino_alone() -> None:
    assert not _loads("openvino", "import livestyle.cli.app")
    # A plain import of it sends usage data, so a stand-in shows that the line above can fail.
    assert _loads("openvino", "import sys; sys.modules['openvino'] = sys")


def test_cv2_is_loaded_before_av() -> None:
    # with av first, a window of cv2 hangs for ever on Linux
    order = "import livestyle.video_source, sys; assert 'cv2' in sys.modules; assert 'av' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", order], check=False).returncode == 0


def test_every_model_has_its_recipe_and_its_rows_on_the_card() -> None:
    assert "painters" in list_models()
    for name in list_models():
        manifest = load_manifest(models_folder() / f"{name}.onnx")
        assert manifest.name == name
        assert manifest.recipe == (ROOT / "models" / f"{name}.toml").read_text(encoding="utf-8")
        for style in manifest.styles[1:]:
            assert style.title in CARD
            assert style.licence
            assert style.artist


@pytest.mark.slow
def test_the_wheel_carries_models_and_no_tests(tmp_path: Path) -> None:
    # Without isolation: the build backend is a development dependency, and nothing is downloaded.
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("livestyle-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"livestyle/models/{name}.onnx" for name in list_models()} <= set(names)
    assert {name.split("/")[0] for name in names} == {"livestyle", f"livestyle-{__version__}.dist-info"}


def _commands() -> list[str]:
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [
        part.strip() for line in lines for part in line.split("&&") if part.strip().startswith("livestyle ")
    ]


def test_every_command_in_the_readme_parses() -> None:
    commands = _commands()
    assert len(commands) > 5
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        # --help is eager, so options and their values are read but nothing runs
        result = CliRunner().invoke(app, [words[0], "--help"])
        assert result.exit_code == 0, command
        known = set(re.findall(r"--[a-z-]+", result.stdout))
        assert {word for word in words if word.startswith("--")} <= known, command


def test_the_prose_of_the_readme_fits_a_screen() -> None:
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL).splitlines()
    assert [line for line in prose if len(line) > 120 and not line.startswith("|")] == []


def test_ci_runs_the_command_of_the_readme() -> None:
    line = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert "tools/check" in line
    assert line in README
