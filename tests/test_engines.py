"""What every engine for a CPU promises."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fakes import tiny_manifest, tiny_stylized

from livestyle.engines import open_engine
from livestyle.errors import DeviceError

CPU_ENGINES = ["openvino", "onnx-cpu"]


@pytest.mark.parametrize("device", CPU_ENGINES)
@pytest.mark.parametrize("size", [(16, 24), (8, 8), (64, 1000), (488, 40)])
def test_an_engine_computes_what_its_graph_says(
    device: str, size: tuple[int, int], tiny_model_path: Path
) -> None:
    engine = open_engine(tiny_model_path, device, threads=1)
    frame = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    for mix in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.25, 0.25], [-0.5, 1.5, 0]):
        style_mix = np.array(mix, np.float32)
        stylized = engine.run(frame, style_mix)
        assert stylized.dtype == np.uint8
        np.testing.assert_array_equal(stylized, tiny_stylized(frame, style_mix))
    assert engine.manifest_json == tiny_manifest().to_json()


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("auto", r"CUDA \((fp16|f32.*)\)|OpenVINO CPU \((bf16|f32)\)"),
        ("cpu", r"OpenVINO CPU \((bf16|f32)\)"),
        ("openvino", r"OpenVINO CPU \((bf16|f32)\)"),
        ("onnx-cpu", "ONNX Runtime CPU"),
    ],
)
def test_an_engine_says_what_really_runs(device: str, name: str, tiny_model_path: Path) -> None:
    assert re.fullmatch(name, open_engine(tiny_model_path, device, threads=1).name)


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_what_an_engine_gave_is_not_written_again(device: str, tiny_model_path: Path) -> None:
    engine = open_engine(tiny_model_path, device, threads=1)
    original = np.array([1, 0, 0], np.float32)
    frame = np.full((1, 32, 32, 3), 10, np.uint8)
    first = engine.run(frame, original)
    frame[:] = 200  # a source may use its memory again
    second = engine.run(frame, original)
    assert first.max() == 10
    assert second.min() == 200
    first[:] = 0
    assert second.min() == 200


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_an_engine_takes_a_frame_that_may_not_be_written(device: str, tiny_model_path: Path) -> None:
    frame = np.full((1, 16, 16, 3), 10, np.uint8)
    frame.flags.writeable = False
    stylized = open_engine(tiny_model_path, device).run(frame, np.array([0, 1, 0], np.float32))
    assert stylized.min() == stylized.max() == 245


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_an_engine_may_be_called_by_any_thread(device: str, tiny_model_path: Path) -> None:
    engine = open_engine(tiny_model_path, device, threads=1)
    original = np.array([1, 0, 0], np.float32)

    def paint(grey: int) -> set[int]:
        size = 32 + 8 * (grey % 4)  # four sizes at once
        frame = np.full((1, size, size, 3), grey, np.uint8)
        return {int(value) for _ in range(10) for value in np.unique(engine.run(frame, original))}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(paint, range(8))) == [{grey} for grey in range(8)]


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_a_frame_that_the_network_cannot_take_is_a_device_error(
    device: str, tiny_model_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = open_engine(tiny_model_path, device, threads=1)
    original = np.array([1, 0, 0], np.float32)
    for frame, mix in (
        (np.zeros((1, 32, 33, 3), np.uint8), original),
        (np.zeros((1, 32, 40, 3), np.uint8), original[:2]),
        (np.zeros((2, 32, 40, 3), np.uint8), original),
        (np.zeros((1, 32, 40, 4), np.uint8), original),
    ):
        with pytest.raises(
            DeviceError, match=r"CPU.* failed on a frame of (33|40)x32: .*; try a smaller"
        ) as caught:
            engine.run(frame, mix)
        assert str(caught.value).isprintable()
    frame = np.full((1, 32, 32, 3), 7, np.uint8)
    np.testing.assert_array_equal(engine.run(frame, original), frame)  # it goes on
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("threads", "device"), [(0, "onnx-cpu"), (0, "openvino"), (-1, "cpu"), (1, "abacus")]
)
def test_a_callers_mistake_is_a_value_error(tiny_model_path: Path, threads: int, device: str) -> None:
    with pytest.raises(ValueError, match=r"threads|abacus"):
        open_engine(tiny_model_path, device, threads=threads)


def test_the_engines_cost_no_runtime_at_import() -> None:
    code = "import sys, livestyle.stylizer; sys.exit(bool({'onnxruntime', 'openvino'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
