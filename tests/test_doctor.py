from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from commands import Run

from livestyle.doctor import Finding, State, camera_findings, judged, package_findings, why_not_ready

OWNERS = {
    "numpy": ["numpy"],
    "cv2": ["opencv-python"],
    "av": ["av"],
    "onnxruntime": ["onnxruntime-gpu"],
    "openvino": ["openvino"],
    "cv2_enumerate_cameras": ["cv2_enumerate_cameras"],
    "typer": ["typer"],
    "rich": ["rich"],
    "mss": ["mss"],
    "pyvirtualcam": ["pyvirtualcam"],
    "torch": ["torch"],
}


def _bad(owners: dict[str, list[str]]) -> list[Finding]:
    return [found for found in package_findings(owners, {}) if found.state is not State.OK]


def test_a_sound_installation_has_an_owner_for_each_module() -> None:
    assert _bad(OWNERS) == []
    what = [found.what for found in package_findings(OWNERS, {"opencv-python": "5.0", "tensorrt": "10.9"})]
    assert "cv2 is of opencv-python 5.0" in what
    assert "libraries for GPUs: tensorrt 10.9" in what


@pytest.mark.parametrize(
    ("module", "names", "mend"),
    [
        (
            "onnxruntime",
            ["onnxruntime_gpu", "onnxruntime", "onnxruntime"],
            "`pip uninstall -y onnxruntime onnxruntime-gpu`, then `pip install onnxruntime-gpu`",
        ),
        (
            "cv2",
            ["opencv-python-headless", "opencv-python"],
            "`pip uninstall -y opencv-python opencv-python-headless`, then `pip install opencv-python`",
        ),
    ],
)
def test_two_owners_of_one_module_are_a_problem(module: str, names: list[str], mend: str) -> None:
    (found,) = _bad(OWNERS | {module: names})
    assert (found.state, found.mend) == (State.PROBLEM, mend)


@pytest.mark.parametrize(
    ("module", "state", "mend"),
    [
        ("av", State.PROBLEM, "`pip install av` brings it"),
        ("openvino", State.NOTE, "`pip install openvino` brings it"),
        ("pyvirtualcam", State.NOTE, '`pip install "livestyle[virtual-camera]"` brings it'),
    ],
)
def test_what_is_missing_says_how_to_get_it(module: str, state: State, mend: str) -> None:
    (found,) = _bad({name: owners for name, owners in OWNERS.items() if name != module})
    assert (found.state, found.mend) == (state, mend)


@pytest.mark.parametrize(("glance", "state"), [([10, 21], State.OK), ([10, 40], State.NOTE)])
def test_an_engine_must_paint_what_the_first_one_paints(glance: list[float], state: State) -> None:
    trial = {"engine": "E", "version": "1", "width": 8, "height": 8, "ms": 2.5, "glance": glance}
    found = judged(trial, [10, 20])
    assert found.state is state
    assert found.what.startswith("E (1) painted 8x8 in 2.5 ms")


def test_each_camera_has_its_modes_or_its_reason() -> None:
    def camera(**more: Any) -> dict[str, Any]:
        return {"index": 0, "name": "A", "modes": [], "problem": None} | more

    cameras = [
        camera(modes=[(640, 480, 30.0), (1280, 720, 29.97)]),
        camera(problem="in use"),
        camera(problem="no permission"),
    ]
    good, used, forbidden = camera_findings(cameras)
    assert (good.state, good.what) == (State.OK, "0: A: 640x480 30 fps, 1280x720 29.97 fps")
    assert (used.state, used.mend) == (State.NOTE, "close the program that uses it")
    assert "usermod -aG video" in forbidden.mend
    (none,) = camera_findings([])
    assert "--camera FILE" in none.mend


@pytest.mark.parametrize(
    ("well", "missing"),
    [
        (["engine", "H.264"], None),
        (["H.264", "package", "model"], "no engine runs the network"),
        (["engine", "VP9"], "no H.264 can be written"),
        (["engine", "H.264", "broken model"], "the model cannot be used"),
    ],
)
def test_ready_is_who_can_paint_and_write(well: Sequence[str], missing: str | None) -> None:
    findings = [Finding(topic, State.OK, "") for topic in well]
    if "broken model" in well:
        findings.append(Finding("model", State.PROBLEM, ""))
    findings += [Finding("engine", State.NOTE, ""), Finding("H.264", State.PROBLEM, "")]
    assert why_not_ready(findings) == missing


def test_this_machine_is_examined_by_painting_and_writing(run: Run, tiny_model_path: Path) -> None:
    status, stdout, stderr = run("doctor", "--no-cameras", "--json", "--model", tiny_model_path)
    assert (status, stderr) == (0, "")
    told = json.loads(stdout)
    assert told["ready"] is True
    findings = told["findings"]
    engines = [found for found in findings if found["topic"] == "engine" and found["state"] == "ok"]
    assert any(
        "ONNX Runtime CPU" in found["what"] and "painted 640x384" in found["what"] for found in engines
    )
    assert any(found["what"] == "tiny 1 with 3 styles" for found in findings)
    assert all(found["mend"] for found in findings if found["state"] != "ok")
    assert str(Path.home()) + "/" not in stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there, a crash is another status")
def test_broken_libraries_are_findings_and_not_the_end(
    run: Run, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('libx264.so is missing')\n")
    (tmp_path / "openvino.py").write_text("import os\nos.abort()\n")
    monkeypatch.syspath_prepend(tmp_path)
    status, stdout, stderr = run("doctor", "--no-cameras", "--model", tiny_model_path)
    assert (status, stderr) == (1, "")
    lines = stdout.splitlines()
    assert lines[-1] == "livestyle cannot paint videos here: no H.264 can be written"
    ((crash, mend),) = (pair for pair in pairwise(lines) if "signal 6" in pair[0])
    assert crash.split()[:3] == ["note", "engine", "openvino:"]
    assert mend.split()[:2] == ["->", "`pip"]
    assert any("libx264.so is missing" in line and line.startswith("problem") for line in lines)
    assert any(line.startswith("ok") and "ONNX Runtime CPU" in line for line in lines)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "there is no model"),
        ("foreign", "is not a livestyle model"),
        ("broken", "is broken: "),  # only an engine notices
    ],
)
def test_what_is_wrong_with_a_model_is_told_once(
    kind: str, says: str, run: Run, tiny_model_path: Path, tmp_path: Path
) -> None:
    content = tiny_model_path.read_bytes()
    model = tmp_path / f"{kind}.onnx"
    if kind == "foreign":
        model.write_bytes(content.replace(b"livestyle", b"somethink"))
    if kind == "broken":
        model.write_bytes(content.replace(b"MatMul", b"MatMux"))
    status, stdout, _ = run("doctor", "--no-cameras", "--json", "--model", model)
    findings = [found for found in json.loads(stdout)["findings"] if found["topic"] in ("model", "engine")]
    (wrong,) = (found for found in findings if found["state"] != "ok")
    assert (status, wrong["topic"], wrong["state"]) == (1, "model", "problem")
    assert says in wrong["what"]
    assert wrong["mend"]
