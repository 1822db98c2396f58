from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fakes import tiny_manifest, tiny_model_proto, tiny_stylized

from livestyle.engines import OpenVinoEngine, open_engine
from livestyle.engines.contract import reason_of
from livestyle.engines.openvino import _KEPT_SIZES
from livestyle.errors import DeviceError, ModelError
from livestyle.frame import Image
from livestyle.library import load_manifest, models_folder
from livestyle.manifest import METADATA_KEY
from livestyle.pictures import read_picture

PAINTERS = models_folder() / "painters.onnx"
Pictures = dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]

# A package that says when it is imported, in place of the one that sends.
SPY = "import pathlib, sys\npathlib.Path(sys.argv[2]).write_text('imported')\nraise ImportError"


def run_python(
    code: str, *arguments: object, before: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code with the modules in the folder `before` found first."""
    search = os.pathsep.join([str(before), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": search, **environment},
    )


def photo() -> Image:
    picture, _ = read_picture(Path(__file__).parent / "data" / "astronaut.jpg")
    height, width = (size // 8 * 8 for size in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, :width])


def mix_of(*weights: tuple[int, float]) -> npt.NDArray[np.float32]:
    mix = np.zeros(len(load_manifest(PAINTERS).styles), np.float32)
    for style, weight in weights:
        mix[style] = weight
    return mix


@pytest.fixture(scope="module")
def painted() -> Pictures:
    """Some pictures and styles, by OpenVINO and by ONNX Runtime in float32."""
    openvino, runtime = OpenVinoEngine(PAINTERS), open_engine(PAINTERS, "onnx-cpu")
    noise = np.random.default_rng(0).integers(0, 256, (200, 264, 3), dtype=np.uint8)
    tasks = {
        "photo, original": (photo(), mix_of((0, 1))),
        "photo, starry_night": (photo(), mix_of((1, 1))),
        "photo, great_wave at 130 %": (photo(), mix_of((0, -0.3), (2, 1.3))),
        "photo, three styles": (photo(), mix_of((0, 0.2), (5, 0.3), (9, 0.5))),
        "noise, composition_vii": (noise, mix_of((4, 1))),
        "noise, engraving": (noise, mix_of((24, 1))),
    }
    return {
        name: (openvino.run(image[None], mix), runtime.run(image[None], mix))
        for name, (image, mix) in tasks.items()
    }


def test_openvino_paints_what_onnx_runtime_paints(painted: Pictures) -> None:
    for name, (ours, theirs) in painted.items():
        assert theirs.std() > 10, name  # a picture, not a plain colour
        assert np.abs(ours.astype(int) - theirs).mean() < 1, name


def test_the_comparison_tells_two_styles_apart(painted: Pictures) -> None:
    ours, theirs = painted["photo, starry_night"][0], painted["photo, three styles"][1]
    assert np.abs(ours.astype(int) - theirs).mean() > 5


def test_a_size_that_comes_again_gives_the_same_picture(tiny_model_path: Path) -> None:
    engine = OpenVinoEngine(tiny_model_path, threads=1)
    negative = np.array([0, 1, 0], np.float32)
    sizes = [(32, 40), (40, 32), (64, 64), (32, 40), (48, 56), (40, 32)]
    for seed, size in enumerate(sizes):
        frame = np.random.default_rng(seed).integers(0, 256, (1, *size, 3), dtype=np.uint8)
        np.testing.assert_array_equal(engine.run(frame, negative), tiny_stylized(frame, negative))
        assert len(engine._requests) <= _KEPT_SIZES
    assert list(engine._requests) == sizes[-_KEPT_SIZES:]


ENGINES_THAT_GO = """
import faulthandler, gc, signal, subprocess, sys
from pathlib import Path
from livestyle.engines import OpenVinoEngine
faulthandler.enable()
first = OpenVinoEngine(Path(sys.argv[1]))
second = OpenVinoEngine(Path(sys.argv[1]))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGCHLD, lambda *_: print("heard"))
subprocess.run([sys.executable, "-c", ""])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_signals_are_heard_after_engines_went_in_the_order_they_came(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    ended = run_python(ENGINES_THAT_GO, tiny_model_path, before=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "heard\n"), ended.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_takes_as_many_threads_as_told(threads: int, tiny_model_path: Path) -> None:
    engine = OpenVinoEngine(tiny_model_path, threads=threads)
    (request,) = engine._requests.values()
    assert request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == threads


def test_bfloat16_is_used_where_the_processor_has_it_only(tiny_model_path: Path) -> None:
    engine = OpenVinoEngine(tiny_model_path)
    (request,) = engine._requests.values()
    precision = request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").get_type_name()
    assert engine.name == f"OpenVINO CPU ({precision})"
    flags = Path("/proc/cpuinfo")
    if flags.exists() and "avx512_bf16" in flags.read_text():
        assert precision == "bf16"


def test_importing_openvino_sends_and_writes_nothing(tiny_model_path: Path, tmp_path: Path) -> None:
    spies, home = tmp_path / "spies", tmp_path / "home"
    spies.mkdir()
    home.mkdir()
    (spies / "openvino_telemetry.py").write_text(SPY)
    code = """
import sys
from pathlib import Path
from livestyle.engines import open_engine
print(open_engine(Path(sys.argv[1]), "openvino").name)
import openvino.tools.ovc
"""
    at_home = {"HOME": str(home), "LOCALAPPDATA": str(home), "CI": ""}
    ended = run_python(code, tiny_model_path, tmp_path / "told", before=spies, **at_home)
    assert ended.stderr == ""
    assert ended.stdout.startswith("OpenVINO CPU (")
    assert not (tmp_path / "told").exists()
    assert list(home.iterdir()) == []
    # the spy is heard where nothing is done against it
    run_python("import openvino", tiny_model_path, tmp_path / "told", before=spies, **at_home)
    assert (tmp_path / "told").exists()


WITHOUT = """
import logging, sys
from pathlib import Path
from livestyle.engines import open_engine
from livestyle.errors import DeviceError
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
print(open_engine(Path(sys.argv[1]), "cpu").name)
try:
    open_engine(Path(sys.argv[1]), "openvino")
except DeviceError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "raise ModuleNotFoundError(\"No module named 'openvino'\", name='openvino')",
            "OpenVINO is not installed; `pip install openvino` brings it, `--device cpu` does without",
        ),
        (
            "raise ModuleNotFoundError(\"No module named 'numpy.x'\", name='numpy.x')",
            "OpenVINO does not load",
        ),
        ("raise ImportError('GLIBC_2.99 not found')", "OpenVINO does not load: GLIBC_2.99 not found; `pip"),
        ("raise OSError('cannot enable executable stack')", "OpenVINO does not load: cannot enable"),
    ],
)
def test_without_openvino_onnx_runtime_paints_and_says_so_in_the_log(
    content: str, says: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "openvino.py").write_text(content)
    ended = run_python(WITHOUT, tiny_model_path, before=tmp_path)
    assert ended.stderr == ""
    log, name, error = ended.stdout.splitlines()
    assert name == "ONNX Runtime CPU"
    assert error.startswith(says)
    assert log == f"INFO {error}"


def test_an_incomplete_openvino_says_how_to_repair_it(tiny_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "openvino" / "frontend").mkdir(parents=True)
    for folder in (tmp_path / "openvino", tmp_path / "openvino" / "frontend"):
        (folder / "__init__.py").touch()
    ended = run_python(WITHOUT, tiny_model_path, before=tmp_path)
    assert "incomplete; `pip install --force-reinstall openvino` repairs it" in ended.stdout


def no_such_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Paint"


def no_such_edge(model: Any) -> None:
    model.graph.node[1].input[0] = "nowhere"


def wrong_weights(model: Any) -> None:
    model.graph.initializer[0].raw_data = b"short"


@pytest.mark.parametrize("spoil", [no_such_operator, no_such_edge, wrong_weights])
def test_what_openvino_cannot_run_is_one_line_that_names_the_other_engine(
    spoil: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model_proto()
    spoil(model)
    model.metadata_props.add(key=METADATA_KEY, value=tiny_manifest().to_json())
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(
        DeviceError, match=r"^OpenVINO cannot run x\.onnx: .*; try `--device onnx-cpu`$"
    ) as caught:
        OpenVinoEngine(path)
    assert str(caught.value).isprintable()
    assert "src/" not in str(caught.value)[:60]
    assert capfd.readouterr() == ("", "")


def test_a_model_that_onnx_runtime_alone_takes_runs_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from onnx import helper

    def odd_operator(model: Any) -> None:
        # It changes nothing, and OpenVINO has no Det.
        node = helper.make_node
        for each in (
            node("Det", ["square"], ["number"]),
            node("Constant", [], ["square"], value=helper.make_tensor("s", 1, [2, 2], [1.0, 0.0, 0.0, 1.0])),
        ):
            model.graph.node.insert(0, each)
        rounding = next(index for index, each in enumerate(model.graph.node) if each.op_type == "Round")
        model.graph.node[rounding].input[0] = "same"
        model.graph.node.insert(rounding, node("Mul", ["shifted", "number"], ["same"]))

    model = tiny_model_proto()
    odd_operator(model)
    model.metadata_props.add(key=METADATA_KEY, value=tiny_manifest().to_json())
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with caplog.at_level(logging.INFO):
        engine = open_engine(path, "cpu")
    assert engine.name == "ONNX Runtime CPU"
    assert "OpenVINO cannot run x.onnx" in caplog.text
    frame = np.full((1, 32, 32, 3), 9, np.uint8)
    np.testing.assert_array_equal(engine.run(frame, np.array([1, 0, 0], np.float32)), frame)


def test_a_graph_of_another_size_is_a_model_error(tmp_path: Path) -> None:
    from onnx import helper

    model = tiny_model_proto()
    pool = helper.make_node("MaxPool", ["planes"], ["small"], kernel_shape=[2, 2], strides=[2, 2])
    model.graph.node.insert(2, pool)
    model.graph.node[3].input[0] = "small"
    model.metadata_props.add(key=METADATA_KEY, value=tiny_manifest().to_json())
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="a frame does not keep its size"):
        OpenVinoEngine(path)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "Exception from src/cpp/core.cpp:105:\nException from src/x/parser.cpp:41:\nIt broke.\n\n",
            "It broke.",
        ),
        ("Check 'a(b, 'c')' failed at src/core/y.hpp:26:\nShapes differ.", "Shapes differ."),
        ("", "RuntimeError"),
    ],
)
def test_the_reason_is_without_lines_of_the_engines_source(said: str, line: str) -> None:
    assert reason_of(RuntimeError(said)) == line
