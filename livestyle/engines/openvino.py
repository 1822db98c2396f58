"""A model on OpenVINO, the faster of the two engines for a CPU."""

from __future__ import annotations

import io
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from livestyle.engines.contract import (
    FLOAT,
    UINT8,
    FrameBatch,
    GraphValue,
    MixVector,
    check_signature,
    check_threads,
    failed_on,
    reason_of,
    try_out,
)
from livestyle.errors import DeviceError
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file

# A network compiled for one size takes half the time of one compiled for any, and compiling takes as long as
# a few frames (0.13 to 0.26 s on two shared cores of an AMD EPYC). Two: upright and turned pictures of one
# camera. More would hold the memory of sizes that do not come again, 0.7 GB for 12 megapixels.
_KEPT_SIZES = 2

_KINDS = {"u8": UINT8, "f32": FLOAT}


class OpenVinoEngine:
    """A model on the CPU with OpenVINO, in bfloat16 where the processor computes with it, else in float32.

    threads: CPU threads for one frame; None leaves it to OpenVINO, which takes one for each core.
    The first frame of a size compiles the network for it; the last two sizes are kept.
    Raises ModelError for a file that is no livestyle model, DeviceError where OpenVINO cannot run it.
    """

    name: str
    manifest_json: str

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        check_threads(threads)
        runtime = _import_runtime()
        model = read_model_file(path)
        manifest = Manifest.from_json(model.manifest_json, where=f"the manifest of {path}")
        self.manifest_json = model.manifest_json
        self._lock = threading.Lock()  # of the requests, and of running one
        self._compiling = threading.Lock()  # held without the other one
        self._requests: dict[tuple[int, int], Any] = {}  # (H, W) -> an inference request, oldest first
        try:
            self._core = _core()
            precision = _precision(runtime, self._core)
            self.name = f"OpenVINO CPU ({precision})"
            self._options: dict[str, Any] = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": precision,
            }
            if threads is not None:
                self._options["INFERENCE_NUM_THREADS"] = threads
            # By name, because read_model would try every format it knows, and only ONNX has been looked into.
            frontend = runtime.frontend.FrontEndManager().load_by_framework("onnx")
            file = frontend.load(io.BytesIO(model.content))
            self._graph = frontend.convert(file)
            # The file's inputs: the converted graph has lost those that nothing reads.
            inputs = [
                _value(place, file.get_element_type(place), file.get_partial_shape(place))
                for place in file.get_inputs()
            ]
            outputs = [
                _value(port, port.get_element_type(), port.get_partial_shape())
                for port in self._graph.outputs
            ]
        except Exception as error:
            raise _cannot_run(path, error) from error
        check_signature(inputs, outputs, path, len(manifest.styles))
        try_out(self._trial(path), path, len(manifest.styles))

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        try:
            return self._run(frame, style_mix)
        except Exception as error:
            raise DeviceError(failed_on(self.name, frame, error)) from error

    def _run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        size_hw = frame.shape[1], frame.shape[2]
        self._make_ready(size_hw)
        with self._lock:
            # Out of the dictionary while it runs: one that failed does not come back. Other threads may have
            # needed its place by now.
            request = self._requests.pop(size_hw, None) or self._compile(size_hw)
            # The inputs are read where they lie. The output is copied (0.03 ms at 640x480), since the request
            # writes the next one to the same place.
            outputs = request.infer({"frame": frame, "style_mix": style_mix}, share_inputs=True)
            self._requests[size_hw] = request
        stylized: FrameBatch = outputs["stylized"]
        return stylized

    def _make_ready(self, size_hw: tuple[int, int]) -> None:
        """Compile for a size that is new, while other threads go on painting theirs."""
        if size_hw in self._requests:
            return
        with self._compiling:
            with self._lock:
                if size_hw in self._requests:
                    return
                while len(self._requests) >= _KEPT_SIZES:  # first, so that three never share the memory
                    self._requests.pop(next(iter(self._requests)))
            request = self._compile(size_hw)
            with self._lock:
                self._requests[size_hw] = request

    def _compile(self, size_hw: tuple[int, int]) -> Any:
        graph = self._graph.clone()
        graph.reshape({"frame": [1, *size_hw, 3]})
        return self._core.compile_model(graph, "CPU", self._options).create_infer_request()

    def _trial(self, path: Path) -> Any:
        def run(frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
            try:
                return self._run(frame, style_mix)
            except Exception as error:
                raise _cannot_run(path, error) from error

        return run


def _cannot_run(path: Path, error: Exception) -> DeviceError:
    # Whether the model is broken, or only too new for this engine, ONNX Runtime tells.
    return DeviceError(f"OpenVINO cannot run {path.name}: {reason_of(error)}; try `--device onnx-cpu`")


def _import_runtime() -> Any:
    # Merely importing openvino writes an identifier of the user into the home folder and sends it with the
    # event "import" to Google Analytics, by its package openvino_telemetry, unless that is missing.
    if "openvino" not in sys.modules:
        modules: dict[str, Any] = sys.modules
        modules["openvino_telemetry"] = None  # how Python notes a module that is not to be found
    try:
        import openvino  # 0.1 s that `livestyle --help` need not wait for
        import openvino.frontend
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise DeviceError(_broken(reason_of(error))) from error
        raise DeviceError(
            "OpenVINO is not installed; `pip install openvino` brings it, `--device cpu` does without"
        ) from error
    except (ImportError, OSError) as error:
        raise DeviceError(_broken(reason_of(error))) from error
    # An uninstalled package can leave folders behind, which Python imports as an empty one.
    if not hasattr(openvino, "Core"):
        raise DeviceError(_broken("the installed package is incomplete"))
    return openvino


def _broken(reason: str) -> str:
    return (
        f"OpenVINO does not load: {reason}; `pip install --force-reinstall openvino` repairs it, "
        "`--device onnx-cpu` does without"
    )


@lru_cache(maxsize=1)
def _core() -> Any:
    """The one that all engines share, kept until the process ends.

    Each gives the thread that makes it a signal stack, and brings back the one before when it goes. Of two
    that go in the order they came, the second brings back the first one's, whose memory is gone by then: the
    next signal, a Ctrl-C or the end of a child, is a segmentation fault (seen with OpenVINO 2026.4, Linux).
    """
    return _import_runtime().Core()


def _precision(runtime: Any, core: Any) -> str:
    """bf16 or f32, for a CPU as OpenVINO knows it."""
    # Arm's default is float16, which was not tried: instance normalization needs the range of a float32.
    default = core.get_property("CPU", "INFERENCE_PRECISION_HINT")
    return "bf16" if default == runtime.Type.bf16 else "f32"


def _value(named: Any, kind: Any, shape: Any) -> GraphValue:
    kind = kind.get_type_name()
    return GraphValue(
        ", ".join(sorted(named.get_names())),
        _KINDS.get(kind, f"tensor({kind})"),
        [size.get_length() if size.is_static else "any" for size in shape],
    )
