"""livestyle bench, as people type it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from commands import Run, is_one_error

from livestyle.bench import BenchReport, Progress, bench, width_of
from livestyle.engines import Device

# A device that no system but one has, and not this one.
FOREIGN = "directml" if sys.platform == "darwin" else "coreml"
STAGES = ["read", "network", "smoothing", "compose", "write"]


@pytest.mark.slow
def test_every_figure_is_there_as_json(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    status, stdout, stderr = run(
        *("bench", "--sizes", "64,96", "--devices", "onnx-cpu", "--seconds", "0.2", "--json")
    )
    assert (status, stderr) == (0, "")
    (device,) = json.loads(stdout)["devices"]
    assert (device["device"], device["engine"]) == ("onnx-cpu", "ONNX Runtime CPU")
    small, large = device["sizes"]
    assert [(size["width"], size["height"]) for size in (small, large)] == [(114, 64), (170, 96)]
    for size in (small, large):
        assert list(size["stages"]) == STAGES
        assert all(0 < times["p50_ms"] <= times["p95_ms"] for times in size["stages"].values())
        assert size["fps"] > 0
        assert size["frames"] >= 5
        assert size["timed_frames"] >= 5
        assert size["peak_memory_mb"] is None or size["peak_memory_mb"] > 50
        assert size["first_picture_s"] > 0.1
        roof = size["roofline"]
        # The limit is the work over the rate, and the network's share of it the limit over its time.
        compute = roof["gmac"] * 1e12 / device["rates"]["macs_per_second"]
        memory = roof["mb"] * 1e9 / device["rates"]["bytes_per_second"]
        assert roof["limit_ms"] == pytest.approx(max(compute, memory), rel=0.01)
        share = roof["limit_ms"] / size["stages"]["network"]["p50_ms"]
        assert roof["of_limit"] == pytest.approx(share, rel=0.01)
    # 116x64 and 172x96 pixels, as the network sees them
    work = large["roofline"]["gmac"] / small["roofline"]["gmac"]
    assert work == pytest.approx(172 * 96 / (116 * 64), rel=0.01)
    assert list(tmp_path.glob("livestyle*")) == []


@pytest.mark.slow
def test_a_table_is_for_people_and_a_foreign_network_has_no_limit(run: Run, tiny_model_path: Path) -> None:
    status, stdout, _ = run(
        *("bench", "--sizes", "64", "--devices", "onnx-cpu", "--seconds", "0.1", "--model", tiny_model_path)
    )
    assert status == 0
    assert re.search(r"ONNX Runtime CPU: computes \S+ GMAC/s, copies \S+ GB/s", stdout)
    assert re.search(r"114x64 .*MB +\d+\.\d s", stdout)
    assert "limit unknown" in stdout


def test_a_device_that_is_named_must_run(run: Run, tiny_model_path: Path) -> None:
    status, stdout, stderr = run(
        *("bench", "--sizes", "64", "--devices", FOREIGN, "--model", tiny_model_path)
    )
    assert (status, stdout) == (1, "")
    assert is_one_error(stderr)


def test_a_usual_device_that_does_not_run_is_left_out(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestyle.bench.USUAL_DEVICES", (Device(FOREIGN),))
    *steps, report = bench(str(tiny_model_path), sizes=[64], seconds=0.1)
    assert isinstance(report, BenchReport)
    assert report.figures["devices"] == []
    ((skipped),) = report.figures["skipped"]
    assert skipped["device"] == FOREIGN
    done = [step.done for step in steps if isinstance(step, Progress)]
    assert done == sorted(done)
    assert done[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--sizes", "360,,720"), "'' is no height from 64 to 2160"),
        (("--sizes", "63"), "'63' is no height"),
        (("--sizes", "2161"), "'2161' is no height"),
        (("--sizes", "640x360"), "'640x360' is no height"),
        (("--devices", "gpu"), "'gpu' is none of auto, cpu"),
        (("--seconds", "0"), "--seconds"),
    ],
)
def test_what_cannot_be_measured_is_refused(run: Run, arguments: tuple[str, ...], says: str) -> None:
    status, _, stderr = run("bench", *arguments)
    assert status == 2
    assert is_one_error(stderr)
    assert says in stderr


def test_a_model_that_is_not_there_is_refused_at_once(run: Run) -> None:
    status, _, stderr = run("bench", "--model", "nowhere.onnx")
    assert status == 1
    assert is_one_error(stderr)


def test_pictures_are_16_to_9_and_even() -> None:
    assert [width_of(height) for height in (360, 480, 720, 1080, 2160)] == [640, 854, 1280, 1920, 3840]
