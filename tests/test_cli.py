"""What holds for every command: help, options, errors. In this process, as the console script calls it."""

from __future__ import annotations

import errno
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from commands import COMMANDS, Run, is_one_error, written
from fakes import tiny_model
from typer.testing import CliRunner

from livestyle import __version__
from livestyle.cli.app import app
from livestyle.cli.options import error_line
from livestyle.errors import SinkError
from livestyle.terminal import OneLine, printable

# An engine of another system.
ELSEWHERE = "directml" if sys.platform == "darwin" else "coreml"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--style 99", "there is no style 99"),
        ("--style negativ", "negative"),
        ("--style 1:x", "share"),
        ("--style ,", "a style is missing; type a number, a name"),
        ("--model nowhere", "there is no model"),
        ("--model FOREIGN", "is not a livestyle model"),
        (f"--device {ELSEWHERE}", "cannot run here: it exists on"),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_nothing(
    run: Run, options: str, says: str, clip: Path, tmp_path: Path, tiny_model_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    foreign = tiny_model_path.read_bytes().replace(b"livestyle", b"somethink")
    file = written(tmp_path / "foreign.onnx", foreign)
    words = [str(file) if word == "FOREIGN" else word for word in options.split()]
    model = [] if "--model" in words else ["--model", tiny_model_path]
    status, _, stderr = run("video", clip, folder / "out.mp4", *model, *words)
    assert (status, is_one_error(stderr)) == (1, True), stderr
    assert says in stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("video in.mp4 out.mp4 --device abacus", "--device"),
        ("video in.mp4 out.mp4 --strength 2", "--strength"),
        ("image in.jpg out.png --strength 80", "0.8 is 80 %"),
        ("video in.mp4 out.mp4 --height x", "--height"),
        ("video in.mp4 out.mp4 --nonsense", "no such option: --nonsense (`livestyle video --help`"),
        ("video in.mp4 out.mp4 --styl 3", "--style"),
        ("video in.mp4", "missing argument 'OUT' (`livestyle video --help`"),
        ("video a b c", "extra argument"),
        ("styles --sheet only_one", "--sheet"),
        ("image in.png", "livestyle image in.jpg out.jpg"),
        ("image in.png out.png --overwrite --skip-existing", "exclude each other"),
        ("paint in.mp4", "no such command 'paint'"),
        ("--nonsense", "no such option: --nonsense"),
    ],
)
def test_a_wrong_usage_is_one_line_and_exit_status_2(words: str, says: str, run: Run) -> None:
    status, stdout, stderr = run(*words.split())
    assert (status, stdout, is_one_error(stderr)) == (2, "", True), stderr
    assert says in stderr
    assert "--help` shows" in stderr


def test_livestyle_alone_shows_its_help(run: Run) -> None:
    status, stdout, stderr = run()
    assert (status, stdout) == (2, "")
    assert stderr.startswith("Usage: livestyle")
    assert all(command in stderr for command in COMMANDS)


def test_version_is_a_result(run: Run) -> None:
    assert run("--version") == (0, f"livestyle {__version__}\n", "")


def test_an_input_that_ends_is_exit_status_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_: Path) -> Path:
        raise EOFError

    monkeypatch.setattr("livestyle.library.find_model", end)
    status, stdout, stderr = run("styles")
    assert (status, stdout, stderr.split()) == (1, "", ["stopped"])


def test_help_and_version_answer_without_the_heavy_parts() -> None:
    for words in (["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, words
    code = (
        "import sys; from livestyle.cli import main; sys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'onnxruntime', 'av', 'cv2', 'rich.progress'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr


def test_the_commands_keep_their_order() -> None:
    callbacks = [command.callback for command in app.registered_commands]
    names = tuple(call.__name__.replace("_", "-") for call in callbacks if call)
    assert names == COMMANDS


@pytest.mark.parametrize("content", [None, b"just words", b"\xff\xfe\x00"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "FILE"], "such as a copy of models/painters.toml"),
        (["export", "FILE", "out.onnx"], "give the checkpoint.pt of another run"),
    ],
)
def test_training_says_which_file_it_wants(
    words: list[str], says: str, content: bytes | None, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if content is not None:
        written(path, content)
    status, _, stderr = run(*(str(path) if word == "FILE" else word for word in words))
    assert (status, is_one_error(stderr)) == (1, True)
    assert str(path) in stderr
    assert says in stderr


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.ENOSPC, "; make room, or name another disk"),
        (errno.EDQUOT, "; make room, or name another disk"),
        (errno.EFBIG, "; name another disk"),
        (errno.EIO, ""),
    ],
)
def test_a_disk_that_takes_no_more_has_a_next_step_once(number: int, step: str) -> None:
    for text in ("cannot write out.mp4: full", f"cannot write out.mp4: full{step}"):
        error = SinkError(text)
        error.__cause__ = OSError(number, "full")
        assert error_line(error) == f"error: cannot write out.mp4: full{step}"


def test_webcam_without_a_screen_says_so(
    run: Run, clip: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems always have a screen")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    status, _, stderr = run("webcam", "--camera", clip, "--model", tiny_model_path)
    assert (status, is_one_error(stderr)) == (1, True), stderr
    assert "DISPLAY" in stderr or "display" in stderr


def test_styles_lists_numbers_names_and_titles(run: Run, tiny_model_path: Path) -> None:
    status, stdout, _ = run("styles", "--model", tiny_model_path)
    assert status == 0
    assert [line.split()[:2] for line in stdout.splitlines()] == [
        ["0", "original"],
        ["1", "negative"],
        ["2", "grey_40"],
    ]
    status, stdout, _ = run("styles", "--model", tiny_model_path, "--json")
    assert [row["number"] for row in json.loads(stdout)] == [0, 1, 2]


def test_models_of_any_number_of_styles_are_listed(run: Run, tmp_path: Path) -> None:
    status, stdout, _ = run("styles", "--model", tiny_model(tmp_path / "m.onnx", 8))
    assert status == 0
    assert len(stdout.splitlines()) == 8


@pytest.mark.parametrize(
    "words", [["train", "a.toml"], ["export", "a.pt", "a.onnx"], ["optimize", "a.jpg", "b.jpg", "c.png"]]
)
def test_without_torch_a_command_says_how_to_get_it(
    words: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestyle.cli.options.find_spec", lambda _: None)
    assert run(*words) == (1, "", 'error: this command needs torch: pip install "livestyle[train]"\n')


def test_what_the_system_says_of_a_name_is_one_line(run: Run) -> None:
    status, stdout, stderr = run("webcam", "--no-window", "--record", "x.mp4", "--camera", "long" * 100)
    assert (status, stdout, stderr.count("\n")) == (1, "", 1)
    assert "long" in stderr


def test_a_terminal_is_told_letters_only() -> None:
    assert printable("\x1b]0;mine\x07 of\nLéger") == "\\x1b]0;mine\\x07 of\\nLéger"
    record = logging.LogRecord("x", logging.WARNING, "", 0, "track \x1b[2J", None, None)
    assert OneLine("%(message)s").format(record) == "track \\x1b[2J"
