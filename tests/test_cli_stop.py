"""Ctrl-C, at every moment of a command's life, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import Run

from livestyle.terminal import Stopped, StopSignal, raise_stopped

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")


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


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _long_clip(tmp_path_factory.mktemp("clips") / "long.mp4")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_leaves_no_file(
    number: signal.Signals, long_clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-m", "livestyle", "video", str(long_clip), str(folder / "out.mp4")]
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


@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
def test_stopping_is_one_word_from_the_first_moment_on(
    delay: float, long_clip: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    """Seconds after main() hears of stops: while typer, cv2, av and onnxruntime are imported, and beyond."""
    code = (
        "import os, sys\nfrom livestyle import cli\nhear = cli._on_stop\n"
        "def told(handler):\n    hear(handler)\n    cli._on_stop = hear\n    os.write(1, b'up')\n"
        "cli._on_stop = told\nsys.argv[0] = 'livestyle'\ncli.main()"
    )
    words = ["video", str(long_clip), str(tmp_path / "out.mp4"), "--model", str(tiny_model_path)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"up"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    lines = [line for line in stderr.decode().splitlines() if not line.startswith("painting on ")]
    assert (process.returncode, lines) == (130, ["stopped"])
    assert list(tmp_path.iterdir()) == []


def _import_and_stop(folder: Path, signals: int) -> subprocess.CompletedProcess[str]:
    """Import a module that gets signals while it loads and swallows what they raise, as cv2 does."""
    (folder / "swallows.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        f"    for _ in range({signals}):\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)\n"
        "    print('loaded', flush=True)\n"
        "except BaseException as error:\n"
        "    print('swallowed', type(error).__name__, flush=True)\n"
    )
    code = (
        "import signal, sys, time; from livestyle.terminal import raise_stopped, Stopped\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "signal.signal(signal.SIGINT, raise_stopped)\n"
        "try:\n    import swallows; time.sleep(30)\n"
        "except Stopped: print('stopped', flush=True)"
    )
    command = [sys.executable, "-B", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_an_import_is_never_stopped_in_the_middle(tmp_path: Path) -> None:
    done = _import_and_stop(tmp_path, signals=1)
    assert (done.stdout.split(), done.stderr) == (["loaded", "stopped"], "")


def test_a_second_signal_does_not_wait_for_the_import(tmp_path: Path) -> None:
    assert "swallowed Stopped" in _import_and_stop(tmp_path, signals=2).stdout


def test_outside_of_an_import_a_signal_raises_at_once() -> None:
    with pytest.raises(Stopped):
        raise_stopped(signal.SIGINT, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_is_ignored_from_the_start_stays_so(number: signal.Signals, run: Run) -> None:
    """nohup ignores SIGHUP for a command, and a shell SIGINT for one that runs behind it."""
    signal.signal(number, signal.SIG_IGN)  # `run` puts it back
    assert run("--version")[0] == 0
    assert signal.getsignal(number) is signal.SIG_IGN
    with StopSignal():
        assert signal.getsignal(number) is signal.SIG_IGN
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_closed_terminal_is_asked_for_by_what_has_something_to_save() -> None:
    stop, before = StopSignal(hang_up=True), signal.getsignal(signal.SIGHUP)
    with stop:
        signal.raise_signal(signal.SIGHUP)
    assert stop.asked
    assert signal.getsignal(signal.SIGHUP) == before
    with StopSignal():
        assert signal.getsignal(signal.SIGHUP) == before
