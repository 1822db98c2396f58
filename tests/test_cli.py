"""The commands as people type them, in this process; signals and imports in one of their own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import read_back, write_clip
from fakes import tiny_model, tiny_stylized
from typer.testing import CliRunner

from livestyle.cli import app, main
from livestyle.pictures import read_picture

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Exit status, stdout and stderr of a command, called as the console script calls it."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["livestyle", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def one_line(stderr: str) -> bool:
    lines = [line for line in stderr.splitlines() if not line.startswith("painting on ")]
    return len(lines) == 1 and lines[0].startswith("error: ") and "Traceback" not in stderr


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "in.mp4")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


def test_video_paints_every_frame(run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    status, stdout, _ = run("video", clip, out, "--model", tiny_model_path, "--style", "negative", "--json")
    assert status == 0
    result = json.loads(stdout)
    assert (result["frames"], result["width"], result["height"], result["device"]) == (10, 64, 48, "CPU")
    before, after = read_back(clip), read_back(out)
    assert after.pts == before.pts
    difference = after.images[3].astype(int) - (255 - before.images[3].astype(int))
    assert np.abs(difference).mean() < 8  # two lossy encodings


def test_strength_zero_gives_the_video_back(
    run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    status, _, _ = run("video", clip, out, "--model", tiny_model_path, "--style", "1", "--strength", "0")
    assert status == 0
    assert np.abs(read_back(out).images[0].astype(int) - read_back(clip).images[0]).mean() < 5


BAD_INPUTS: dict[str, Callable[[Path], Path]] = {
    "missing file": lambda folder: folder / "missing.mp4",
    "folder": lambda folder: folder,
    "text named mp4": lambda folder: _write(folder / "text.mp4", b"hello\n" * 1000),
    "zero bytes": lambda folder: _write(folder / "empty.mp4", b""),
    "cut in half": lambda folder: _write(
        folder / "cut.mp4", (p := write_clip(folder / "whole.mp4")).read_bytes()[: p.stat().st_size // 2]
    ),
}


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_a_bad_input_is_one_line_and_leaves_nothing(
    run: Run, kind: str, tmp_path: Path, tiny_model_path: Path
) -> None:
    source = BAD_INPUTS[kind](tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    status, stdout, stderr = run("video", source, folder / "out.mp4", "--model", tiny_model_path)
    assert (status, stdout, one_line(stderr)) == (1, "", True), stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--style", "99"], "there is no style 99"),
        (["--style", "negativ"], "negative"),
        (["--style", "1:x"], "share"),
        (["--model", "nowhere"], "there is no model"),
        (["--model", "TEXT"], "model"),
        (["--device", "cuda"], "CUDA cannot run here"),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_nothing(
    run: Run, options: list[str], says: str, clip: Path, tmp_path: Path, tiny_model_path: Path
) -> None:
    if "cuda" in options and shutil.which("nvidia-smi"):
        pytest.skip("this machine has what the test expects to be missing")
    folder = tmp_path / "out"
    folder.mkdir()
    text = _write(tmp_path / "text.onnx", b"not a model")
    options = [str(text) if option == "TEXT" else option for option in options]
    model = [] if "--model" in options else ["--model", tiny_model_path]
    status, _, stderr = run("video", clip, folder / "out.mp4", *model, *options)
    assert (status, one_line(stderr)) == (1, True), stderr
    assert says in stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "options", [["--device", "abacus"], ["--strength", "2"], ["--height", "x"], ["--nonsense"]]
)
def test_a_wrong_usage_is_exit_status_2(options: list[str], run: Run, clip: Path, tmp_path: Path) -> None:
    status, _, stderr = run("video", clip, tmp_path / "out.mp4", *options)
    assert status == 2
    assert options[0] in stderr
    assert "Traceback" not in stderr


def test_a_video_that_is_cut_off_is_refused(run: Run, tiny_model_path: Path, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", pts=range(20), options={"movflags": "+faststart"})
    content = whole.read_bytes()
    # The index comes first, so that the file opens: only its pictures end early.
    cut = _write(tmp_path / "cut.mp4", content[: content.index(b"mdat") + 600])
    out = tmp_path / "out.mp4"
    status, _, stderr = run("video", cut, out, "--model", tiny_model_path)
    assert (status, one_line(stderr), out.exists()) == (1, True, False), stderr
    assert "of 20 frames" in stderr or "no " in stderr
    status, _, _ = run("video", whole, out, "--model", tiny_model_path)
    assert status == 0


def test_a_sheet_never_replaces_its_photo(run: Run, photo: Path, tiny_model_path: Path) -> None:
    before = photo.read_bytes()
    status, _, stderr = run("styles", "--model", tiny_model_path, "--sheet", photo, photo, "--overwrite")
    assert (status, one_line(stderr), photo.read_bytes()) == (1, True, before)


def test_an_existing_file_is_kept_unless_told(
    run: Run, clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    out = _write(tmp_path / "out.mp4", b"precious")
    status, _, stderr = run("video", clip, out, "--model", tiny_model_path)
    assert (status, one_line(stderr), out.read_bytes()) == (1, True, b"precious")
    status, _, _ = run("video", clip, out, "--model", tiny_model_path, "--overwrite")
    assert status == 0
    assert len(read_back(out).images) == 10


def _long_clip(path: Path) -> Path:
    """Two minutes of black: nobody has painted it before the signal comes."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height = 320, 240
        picture = av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8), "rgb24")
        for i in range(3000):
            picture.pts = i
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_leaves_no_file(number: signal.Signals, tiny_model_path: Path, tmp_path: Path) -> None:
    clip = _long_clip(tmp_path / "long.mp4")
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-m", "livestyle", "video", str(clip), str(folder / "out.mp4")]
    with subprocess.Popen(
        [*command, "--model", str(tiny_model_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 30
        while not list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(folder.iterdir()), "nothing was begun"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "stopped"
    assert "Traceback" not in stderr
    assert list(folder.iterdir()) == []


def test_one_picture_to_a_file(run: Run, photo: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    status, stdout, _ = run("image", photo, out, "--model", tiny_model_path, "--style", "0:0.5,1:0.5")
    assert (status, stdout.strip()) == (0, str(out))
    expected = tiny_stylized(read_picture(photo)[0], np.array([0.5, 0.5, 0], np.float32))
    assert np.abs(read_picture(out)[0].astype(int) - expected).max() <= 1


def test_a_folder_keeps_its_names_and_survives_a_broken_picture(
    run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "new" / "out"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(folder / name), np.full((33, 47, 3), 90, np.uint8))
    _write(folder / "broken.png", b"no picture")
    status, stdout, stderr = run("image", folder, out, "--model", tiny_model_path, "--style", "1", "--json")
    assert status == 1
    assert "broken.png" in stderr
    assert one_line(stderr)
    assert json.loads(stdout)["failed"] == [str(folder / "broken.png")]
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.jpg"]
    assert read_picture(out / "a.png")[0].shape == (33, 47, 3)


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


def test_the_sheet_shows_every_style(run: Run, photo: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    status, stdout, _ = run("styles", "--model", tiny_model_path, "--sheet", photo, out)
    assert (status, stdout.strip()) == (0, str(out))
    sheet, _ = read_picture(out)
    tiles = 3 * 360 * 504  # 40x56 at a height of 360
    assert tiles < sheet.shape[0] * sheet.shape[1] < 2.1 * tiles


def test_help_and_version_answer_without_the_heavy_parts() -> None:
    for words in (["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, words
    code = (
        "import sys; from livestyle.cli import main; sys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'onnxruntime', 'av', 'rich.progress'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr


COMMANDS = ("video", "image", "styles", "webcam", "train", "export")


def test_every_command_has_help() -> None:
    for command in COMMANDS:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    assert {command.name or command.callback.__name__ for command in app.registered_commands} == set(COMMANDS)  # type: ignore[union-attr]


def test_painting_a_video_loads_no_torch(clip: Path, tiny_model_path: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from livestyle.cli import main\n"
        f"sys.argv[1:] = {['video', str(clip), str(tmp_path / 'o.mp4'), '--model', str(tiny_model_path)]}\n"
        "try: main()\nexcept SystemExit as end: assert not end.code or end.code == 0, end.code\n"
        "EXTRA\n"
        "sys.exit(41 if 'torch' in sys.modules else 0)"
    )
    for extra, expected in (("", 0), ("import torch", 41)):  # the second: this test can fail
        out = tmp_path / "o.mp4"
        out.unlink(missing_ok=True)
        script = code.replace("EXTRA", extra)
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert result.returncode == expected, result.stderr


def test_a_full_disk_is_one_line_and_leaves_nothing(
    clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from livestyle.cli import main\n"
        f"sys.argv[1:] = {['video', str(clip), str(folder / 'o.mp4'), '--model', str(tiny_model_path)]}\n"
        "main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, one_line(result.stderr)) == (1, True), result.stderr
    assert list(folder.iterdir()) == []


def test_training_needs_a_recipe_that_exists(run: Run, tmp_path: Path) -> None:
    status, _, stderr = run("train", tmp_path / "nothing.toml")
    assert (status, one_line(stderr)) == (1, True)
    status, _, stderr = run("export", tmp_path / "nothing.pt", tmp_path / "out.onnx")
    assert (status, one_line(stderr)) == (1, True)


def test_webcam_without_a_screen_says_so(
    run: Run, clip: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems always have a screen")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    status, _, stderr = run("webcam", "--camera", clip, "--model", tiny_model_path)
    assert (status, one_line(stderr)) == (1, True), stderr
    assert "DISPLAY" in stderr or "display" in stderr


def test_models_of_any_number_of_styles_are_listed(run: Run, tmp_path: Path) -> None:
    status, stdout, _ = run("styles", "--model", tiny_model(tmp_path / "m.onnx", 8))
    assert status == 0
    assert len(stdout.splitlines()) == 8
