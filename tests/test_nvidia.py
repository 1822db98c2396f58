"""The way to an NVIDIA GPU, taken on ONNX Runtime's CPU provider; on a GPU where there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import helper
from test_half_precision import network

from livestyle.engines import Device, OnnxRuntimeEngine, why_not
from livestyle.engines.contract import FrameBatch, MixVector
from livestyle.engines.nvidia import NvidiaNetwork
from livestyle.engines.providers import PROVIDERS, create_session, operators_beside, providers_for
from livestyle.library import load_manifest, models_folder

PAINTERS = models_folder() / "painters.onnx"
STYLES = len(load_manifest(models_folder() / "painters.onnx").styles)


def painted(content: bytes, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
    session = create_session(content, providers_for(Device.ONNX_CPU), threads=1)
    (stylized,) = session.run(["stylized"], {"frame": frame, "style_mix": style_mix})
    result: FrameBatch = stylized
    return result


def on_cpu(
    content: bytes, n_styles: int = 2, open_sizes: tuple[str, str] = ("height", "width")
) -> NvidiaNetwork:
    return NvidiaNetwork(
        content,
        Device.ONNX_CPU,
        open_sizes=open_sizes,
        n_styles=n_styles,
        paint=lambda frame, mix: painted(content, frame, mix),
    )


def scaled(factor: float) -> bytes:
    """A network that multiplies by a factor and divides by it again.

    Between the two are operators that hold a float16 on the CPU too: without, nothing would be rounded.
    """
    eye = np.eye(3).reshape(3, 3, 1, 1)
    nodes = [
        helper.make_node("Conv", ["planes", "up"], ["large"]),
        helper.make_node("Split", ["large"], ["red", "green", "blue"], axis=1, num_outputs=3),
        helper.make_node("Concat", ["red", "green", "blue"], ["together"], axis=1),
        helper.make_node("Conv", ["together", "down"], ["small"]),
        helper.make_node("Round", ["small"], ["painted"]),
    ]
    return network(nodes, {"up": eye * factor, "down": eye / factor})


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def test_painters_is_painted_in_float16_at_every_size() -> None:
    content = PAINTERS.read_bytes()
    network = on_cpu(content, STYLES, ("4*h", "4*w"))
    assert network.name == "ONNX Runtime CPU (fp16)"
    mix = np.zeros(STYLES, np.float32)
    mix[[0, 2, -1]] = -0.3, 0.6, 0.7
    for size_hw in ((64, 96), (96, 64), (72, 72), (64, 96)):
        frame = noise(*size_hw)
        difference = np.abs(network.run(frame, mix).astype(int) - painted(content, frame, mix))
        assert 0 < difference.mean() < 1  # it is another precision


def test_a_network_that_float16_holds_is_painted_in_it() -> None:
    content, mix = scaled(2.0), np.array([1, 0], np.float32)
    network = on_cpu(content)
    assert network.name == "ONNX Runtime CPU (fp16)"
    np.testing.assert_array_equal(network.run(noise(16, 24), mix), noise(16, 24))


def test_a_network_beyond_float16_is_painted_in_float32(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    content, mix = scaled(2.0**12), np.array([1, 0], np.float32)
    network = on_cpu(content)
    assert network.name == "ONNX Runtime CPU (f32)"
    assert "grey levels from float32, which is taken" in caplog.messages[0]
    np.testing.assert_array_equal(network.run(noise(16, 24), mix), noise(16, 24))


def test_without_the_onnx_package_the_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    content, mix = scaled(2.0), np.array([1, 0], np.float32)
    monkeypatch.setitem(sys.modules, "onnx", None)
    network = on_cpu(content)
    assert network.name == "ONNX Runtime CPU (f32, without the onnx package)"
    np.testing.assert_array_equal(network.run(noise(16, 24), mix), noise(16, 24))


def test_a_network_that_runs_nowhere_raises_what_the_runtime_says() -> None:
    broken = network([helper.make_node("Paint", ["planes"], ["painted"])], {})
    with pytest.raises(Exception, match="Paint"):
        NvidiaNetwork(
            broken,
            Device.ONNX_CPU,
            open_sizes=("height", "width"),
            n_styles=2,
            paint=lambda frame, _mix: frame,
        )


def test_operators_that_do_not_get_to_the_gpu_are_named() -> None:
    session = create_session(scaled(2.0), providers_for(Device.ONNX_CPU))
    assert operators_beside(session, [PROVIDERS[Device.ONNX_CPU]]) == []
    beside = operators_beside(session, [PROVIDERS[Device.TENSORRT], PROVIDERS[Device.CUDA]])
    assert beside.count("Conv") == 2
    assert beside == sorted(beside)


@pytest.mark.device
@pytest.mark.parametrize("device", [Device.CUDA, Device.TENSORRT])
def test_a_gpu_paints_what_the_cpu_paints(device: Device) -> None:
    reason = why_not(device, onnxruntime.get_available_providers(), Path(onnxruntime.__file__).parent)
    if reason:  # what is there and does not run is a failure
        pytest.skip(reason)
    engine, reference = OnnxRuntimeEngine(PAINTERS, device), OnnxRuntimeEngine(PAINTERS)
    assert engine.name == f"{PROVIDERS[device].name} (fp16)"
    for size_hw in ((360, 640), (640, 360), (360, 640)):
        frame = noise(*size_hw)
        for mix in np.eye(STYLES, dtype=np.float32):
            difference = np.abs(engine.run(frame, mix).astype(int) - reference.run(frame, mix))
            assert difference.mean() < 1
