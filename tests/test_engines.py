from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import tiny_manifest, tiny_model, tiny_model_proto, tiny_stylized

from livestyle.engines import Device, OnnxRuntimeEngine, open_engine, why_not
from livestyle.errors import DeviceError, ModelError
from livestyle.manifest import METADATA_KEY

CPU_ENGINES = ["openvino", "onnx-cpu"]
ALL_PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
Load = Callable[[str], Any]


def written(path: Path, spoil: Callable[[Any], object], *, manifest_json: str | None = None) -> Path:
    """tiny_model with something changed in its graph."""
    model = tiny_model_proto()
    spoil(model)
    model.metadata_props.add(key=METADATA_KEY, value=manifest_json or tiny_manifest().to_json())
    path.write_bytes(model.SerializeToString())
    return path


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


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
        ("auto", r"CUDA|OpenVINO CPU \((bf16|f32)\)"),
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


@pytest.mark.device
def test_cuda_gives_what_the_cpu_gives(tiny_model_path: Path) -> None:
    try:
        engine = OnnxRuntimeEngine(tiny_model_path, "cuda")
    except DeviceError as error:
        pytest.skip(str(error))
    frame = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    style_mix = np.array([0.5, 0.25, 0.25], np.float32)
    difference = engine.run(frame, style_mix).astype(int) - tiny_stylized(frame, style_mix)
    assert np.abs(difference).max() <= 1


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


def no_graph_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 1  # float


def fixed_size(model: Any) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[1].dim_value = 64


def two_colours(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 4


def another_input(model: Any) -> None:
    model.graph.input.add().CopyFrom(model.graph.input[1])
    model.graph.input[2].name = "strength"


def renamed_output(model: Any) -> None:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "picture"


def half_size(model: Any) -> None:
    from onnx import helper

    pool = helper.make_node("MaxPool", ["planes"], ["small"], kernel_shape=[2, 2], strides=[2, 2])
    model.graph.node.insert(2, pool)
    model.graph.node[3].input[0] = "small"


def no_such_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Paint"


def no_such_edge(model: Any) -> None:
    model.graph.node[1].input[0] = "nowhere"


def endless_memory(model: Any) -> None:
    from onnx import helper, numpy_helper

    # 64 TiB of zeros, summed and added to the picture
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**44], np.int64), "much"))
    rounding = next(index for index, node in enumerate(model.graph.node) if node.op_type == "Round")
    model.graph.node[rounding].input[0] = "more"
    for node in (
        helper.make_node("Add", ["shifted", "sum"], ["more"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("ConstantOfShape", ["much"], ["zeros"]),
    ):
        model.graph.node.insert(rounding, node)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (no_graph_input, "frame is tensor.float. of shape"),
        (
            fixed_size,
            r"frame is tensor.uint8. of shape \[1, 64, '(width|any)', 3\], not .* \[1, any, any, 3\]",
        ),
        (two_colours, r"not .* \[1, any, any, 3\]"),
        (another_input, "its inputs are not frame and style_mix"),
        (renamed_output, "its outputs are not stylized"),
        (half_size, "does not keep its size"),
        (no_such_operator, "is broken"),
        (no_such_edge, "is broken"),
        (endless_memory, "is broken"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "onnx-cpu"])
def test_a_graph_that_is_no_style_network_is_a_model_error(
    device: str, spoil: Callable[[Any], object], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        open_engine(written(tmp_path / "x.onnx", spoil), device, threads=1)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400 + len(str(tmp_path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_a_manifest_with_other_styles_than_the_graph_is_refused(device: str, tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "x.onnx", 3, manifest_json=tiny_manifest(4).to_json())
    with pytest.raises(ModelError, match=r"style_mix is tensor\(float\) of shape \[3\], not .* \[4\]"):
        open_engine(path, device)


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_a_foreign_manifest_is_refused_with_its_path(device: str, tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "x.onnx", manifest_json="{}")
    with pytest.raises(ModelError, match=r"the manifest of .*x\.onnx is not valid"):
        open_engine(path, device)


@pytest.mark.parametrize("device", CPU_ENGINES)
def test_a_model_cannot_read_a_file_from_the_working_folder(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ONNX Runtime alone would: from bytes too, it takes the working folder for the model's.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(24))

    def name_a_file(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        tensor.external_data.add(key="location", value="secret.bin")

    with pytest.raises(ModelError, match="names other files"):
        open_engine(written(tmp_path / "x.onnx", name_a_file), device)


@pytest.mark.parametrize(
    ("threads", "device"), [(0, "onnx-cpu"), (0, "openvino"), (-1, "cpu"), (1, "abacus")]
)
def test_a_callers_mistake_is_a_value_error(tiny_model_path: Path, threads: int, device: str) -> None:
    with pytest.raises(ValueError, match=r"threads|abacus"):
        open_engine(tiny_model_path, device, threads=threads)


@pytest.mark.parametrize("device", ["auto", "openvino"])
def test_onnx_runtime_is_one_device_that_it_has(device: str, tiny_model_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no device {device}; open_engine chooses"):
        OnnxRuntimeEngine(tiny_model_path, device)


class Driver:
    """NVIDIA's driver library, as far as the probe asks it."""

    def __init__(self, status: int = 0, count: int = 1) -> None:
        self.status = status
        self.count = count

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - NVIDIA's name
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 - NVIDIA's name
        count._obj.value = self.count
        return 0


def machine(driver: Driver | None, missing: str = "nothing") -> Load:
    """A loader of libraries as it would be on a machine with that driver and without that library."""

    def load(name: str) -> Any:
        if name in ("libcuda.so.1", "nvcuda.dll"):
            if driver is None:
                raise OSError(f"{name}: cannot open shared object file")
            return driver
        if missing in name:
            raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")
        return object()

    return load


@pytest.mark.parametrize(
    ("device", "load", "says"),
    [
        (Device.ONNX_CPU, machine(None), None),
        (Device.CUDA, machine(Driver()), None),
        (Device.TENSORRT, machine(Driver()), None),
        (Device.CUDA, machine(None), "no NVIDIA driver"),
        (Device.CUDA, machine(Driver(status=100)), "no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it"),
        (Device.CUDA, machine(Driver(count=0)), "no NVIDIA GPU"),
        (Device.CUDA, machine(Driver(status=999)), "cuInit returns 999"),
        (Device.CUDA, machine(Driver(), "providers_cuda"), "providers_cuda.* libcublasLt.so.13: cannot open"),
        (Device.CUDA, machine(Driver(), "cudnn"), "cudnn.* does not load"),
        (Device.TENSORRT, machine(Driver(), "tensorrt"), "needs NVIDIA's TensorRT 10"),
    ],
)
def test_the_probe_says_why_a_device_cannot_run(
    device: Device, load: Load, says: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reason = why_not(device, ALL_PROVIDERS, tmp_path, load)
    assert capfd.readouterr() == ("", "")
    if says is None:
        assert reason is None
        return
    assert reason is not None
    assert re.search(says, reason)
    assert "`pip install 'livestyle[cuda]'`" in reason
    assert reason.isprintable()


def test_the_probe_names_the_runtime_that_lacks_a_device(tmp_path: Path) -> None:
    reason = why_not(Device.CUDA, ["CPUExecutionProvider"], tmp_path, machine(Driver()))
    assert reason is not None
    assert "built without it" in reason
    for device, platform, system in (
        (Device.COREML, "darwin", "macOS"),
        (Device.DIRECTML, "win32", "Windows"),
    ):
        reason = why_not(device, ["CPUExecutionProvider"], tmp_path)
        assert reason is not None
        assert ("without it" if sys.platform == platform else f"on {system} only") in reason


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_hidden_gpu_is_an_error_when_asked_for_and_no_noise_when_not(
    device: str, tiny_model_path: Path
) -> None:
    code = """
import sys
from pathlib import Path
from livestyle.engines import open_engine
from livestyle.errors import DeviceError
try:
    open_engine(Path(sys.argv[1]), sys.argv[2])
except DeviceError as error:
    print(error)
print(open_engine(Path(sys.argv[1])).name)
assert "torch" not in sys.modules and "onnx" not in sys.modules
"""
    ended = run_python(code, tiny_model_path, device, CUDA_VISIBLE_DEVICES="")
    assert ended.stderr == ""
    error, auto = ended.stdout.splitlines()
    assert "cannot run here" in error
    assert "pip install 'livestyle[cuda]'" in error or sys.platform == "darwin"
    assert auto.startswith("OpenVINO CPU (")


@pytest.mark.parametrize("content", ["", "raise ImportError('libstdc++ is too old')"])
def test_a_broken_onnxruntime_says_how_to_repair_it(
    content: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(content)
    code = """
import sys
from pathlib import Path
from livestyle.engines import open_engine
from livestyle.errors import DeviceError
try:
    open_engine(Path(sys.argv[1]), "onnx-cpu")
except DeviceError as error:
    print(error)
print(open_engine(Path(sys.argv[1]), "auto").name)
"""
    ended = run_python(code, tiny_model_path, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert ended.stderr == ""
    error, auto = ended.stdout.splitlines()
    assert "--force-reinstall livestyle` repairs it" in error
    assert auto.startswith("OpenVINO CPU (")  # one of the two is enough


def test_the_engines_cost_no_runtime_at_import() -> None:
    code = "import sys, livestyle.stylizer; print({'onnxruntime', 'openvino'} & sys.modules.keys())"
    assert run_python(code).stdout == "set()\n"


def test_onnx_runtime_is_told_to_report_nothing(tiny_model_path: Path) -> None:
    script = (
        "import os, sys\n"
        "os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "from livestyle.engines import OnnxRuntimeEngine\n"
        "from pathlib import Path\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "OnnxRuntimeEngine(Path(sys.argv[1]))\n"
        "sys.exit(41 if os.environ.get('ORT_DISABLE_TELEMETRY') == '1' else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tiny_model_path)], check=False)
    assert done.returncode == 41
