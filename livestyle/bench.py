"""Measures livestyle on this machine: stages, rates, memory, start-up, and how far from the limit it is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from livestyle import __version__
from livestyle.bench_case import make_clip, measure_case, measure_roof
from livestyle.engines import Device
from livestyle.errors import DeviceError
from livestyle.library import find_model
from livestyle.machine import describe_machine
from livestyle.own_process import Task, answers_of, own_python

# What is measured unless told: every engine that someone may have without asking for it.
USUAL_DEVICES = (Device.CUDA, Device.OPENVINO, Device.ONNX_CPU)
USUAL_SIZES = (360, 720, 1080)
SMALLEST, LARGEST = 64, 2160  # pixels of height
_ASPECT = 16 / 9
# Seconds that the parts take about, for the progress bar; a case also has its two passes.
_CLIP, _ROOF, _CASE, _FIRST = 1.5, 3.0, 2.0, 1.5
_LONGEST_START = 120.0  # seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """done: part of the whole, 0 to 1. doing: what is measured now."""

    done: float
    doing: str


@dataclass(frozen=True, slots=True)
class BenchReport:
    """figures: machine, and for each device its rates and its sizes, as `livestyle bench --json` has them."""

    figures: dict[str, Any]


def width_of(height: int) -> int:
    """Of a 16:9 picture, even."""
    return round(height * _ASPECT / 2) * 2


def bench(
    model: str,
    devices: Sequence[Device] | None = None,
    sizes: Sequence[int] = USUAL_SIZES,
    seconds: float = 2.0,
    threads: int | None = None,
) -> Generator[Progress | BenchReport]:
    """Measure each device at each size; the report comes last.

    devices: None for those of the usual ones that run here; one that is named must run, else DeviceError.
    sizes: heights in pixels. seconds: of each of the two passes of a case. threads: of the network on a CPU.
    """
    find_model(model)  # refused now
    run = _Bench(model, tuple(sizes), seconds, len(devices or USUAL_DEVICES), threads)
    rows, skipped = [], []
    with TemporaryDirectory(prefix="livestyle-bench-") as folder:
        run.folder = Path(folder)
        for height in sizes:
            yield from run.clip(height)
        for number, device in enumerate(devices or USUAL_DEVICES):
            try:
                yield from run.device(device)
            except DeviceError as error:
                if devices:
                    raise
                skipped.append({"device": device.value, "why": str(error)})
                run.leave_out(number)
            if run.row["sizes"]:  # what was measured before an error counts
                rows.append(run.row)
    yield BenchReport(
        {
            "livestyle": __version__,
            "machine": describe_machine(),
            "model": model,
            "seconds": seconds,
            "threads": threads,
            "devices": rows,
            "skipped": skipped,
        }
    )


class _Bench:
    """The work in its order, and how much of it is done."""

    def __init__(
        self, model: str, sizes: Sequence[int], seconds: float, devices: int, threads: int | None
    ) -> None:
        self.folder = Path()
        self.row: dict[str, Any] = {}
        self._model = model
        self._sizes = sizes
        self._seconds = seconds
        self._threads = threads
        self._case = 2 * seconds + _CASE
        self._of_device = _ROOF + len(sizes) * (self._case + _FIRST)
        self._total = len(sizes) * _CLIP + devices * self._of_device
        self._done = 0.0  # seconds of work, as estimated
        self._result: Any = None

    def clip(self, height: int) -> Iterator[Progress]:
        clip, picture = self._clip(height), self._picture(height)
        size = {"width": width_of(height), "height": height}
        yield from self._part(_CLIP, f"clip {height}", make_clip, path=clip, picture=picture, **size)

    def device(self, device: Device) -> Iterator[Progress]:
        """Fills `row`."""
        self.row = {"device": device.value, "engine": "", "rates": {}, "sizes": []}
        yield from self._part(_ROOF, f"{device} limit", measure_roof, device=device.value)
        rates = self.row["rates"] = self._result
        for height in self._sizes:
            paths = {"clip": self._clip(height), "output": str(self.folder / "painted.mp4")}
            options = {"model": self._model, "device": device.value, "seconds": self._seconds, "rates": rates}
            options["threads"] = self._threads
            yield from self._part(self._case, f"{device} {height}", measure_case, **paths, **options)
            case = self._result
            yield self._progress(f"{device} {height} start")
            case["first_picture_s"] = self._first_picture(device, height)
            self._done += _FIRST
            self.row["engine"] = case.pop("engine")
            self.row["sizes"].append(case)

    def leave_out(self, number: int) -> None:
        """What is not done of a device will not be."""
        self._done = len(self._sizes) * _CLIP + (number + 1) * self._of_device

    def _part(self, weight: float, doing: str, task: Task, **arguments: Any) -> Iterator[Progress]:
        yield self._progress(doing)
        for answer in answers_of(task, **arguments):
            if "result" in answer:
                self._result = answer["result"]
            else:
                yield self._progress(doing, answer["done"] * weight)
        self._done += weight

    def _progress(self, doing: str, more: float = 0.0) -> Progress:
        return Progress(min(1.0, (self._done + more) / self._total), doing)

    def _first_picture(self, device: Device, height: int) -> float:
        """Seconds from the command to a painted picture in its file, in a process as a user starts it."""
        options = ["--device", device.value, "--model", self._model, "--overwrite"]
        if self._threads is not None:
            options += ["--threads", str(self._threads)]
        output = str(self.folder / "painted.png")
        command, environment = own_python("-m", "livestyle", "image", self._picture(height), output, *options)
        began = time.perf_counter()
        try:
            subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_LONGEST_START,
                start_new_session=True,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{device} paints no picture within {_LONGEST_START:.0f} s") from None
        except subprocess.CalledProcessError as error:
            reason = " ".join(error.stderr.splitlines()[-1:]).removeprefix("error: ")
            raise DeviceError(f"{device} paints no picture of {height} lines: {reason}") from error
        return time.perf_counter() - began

    def _clip(self, height: int) -> str:
        return str(self.folder / f"{height}.mp4")

    def _picture(self, height: int) -> str:
        return str(self.folder / f"{height}.png")
