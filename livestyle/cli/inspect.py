"""livestyle doctor and bench: what works on this machine, and how fast."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated, Any

import typer

from livestyle.cli.options import AsJson, Model, Threads, say
from livestyle.engines import Device
from livestyle.terminal import progress_bar


def doctor(
    model: Model = "painters",
    cameras: Annotated[
        bool, typer.Option("--cameras/--no-cameras", help="Open each camera for a moment.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what really runs, and what to type where something is missing.

    The exit status is 0 where videos can be painted and written here, else 1.

    Example: livestyle doctor
    """
    from livestyle.doctor import State, examine, why_not_ready

    findings = []
    for finding in examine(model, cameras=cameras):
        findings.append(finding)
        if not as_json:
            print(f"{finding.state:<8} {finding.topic:<14} {finding.what}", flush=True)
            if finding.mend and finding.state is not State.OK:
                print(f"{'':8} {'':14} -> {finding.mend}", flush=True)
    missing = why_not_ready(findings)
    if as_json:
        rows = [finding.as_json() for finding in findings]
        print(json.dumps({"ready": missing is None, "findings": rows}, indent=1))
    elif missing is None:
        print("livestyle can paint videos here")
    else:
        print(f"livestyle cannot paint videos here: {missing}")
    if missing is not None:
        raise typer.Exit(1)


def bench(
    model: Model = "painters",
    devices: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Of --device elsewhere. [default: cuda, openvino and onnx-cpu]"),
    ] = None,
    sizes: Annotated[
        str, typer.Option(metavar="A,B", help="Heights from 64 to 2160, of 16:9 pictures.")
    ] = "360,720,1080",
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Of each measurement.")] = 2.0,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure each stage on each device, and how far from the machine's limit it is.

    With its usual sizes it takes about a minute. Nothing else should run meanwhile.

    Example: livestyle bench --sizes 720 --devices openvino
    """
    from livestyle.bench import BenchReport
    from livestyle.bench import bench as measure

    chosen = None if devices is None else [_device(name) for name in _parts(devices)]
    heights = [_height(text) for text in _parts(sizes)]
    with progress_bar("%/s") as bar, closing(measure(model, chosen, heights, seconds, threads)) as steps:
        task = bar.add_task("bench", total=100)
        for step in steps:
            if isinstance(step, BenchReport):
                figures = step.figures
            else:
                bar.update(task, completed=100 * step.done, description=step.doing)
    if as_json:
        print(json.dumps(_rounded(figures), indent=1))
        return
    for line in _table(figures):
        print(line)
    for left_out in figures["skipped"]:
        say(f"{left_out['device']} was left out: {left_out['why']}")


def _parts(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def _device(name: str) -> Device:
    known = [device.value for device in Device]
    if name not in known:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--devices")
    return Device(name)


def _height(text: str) -> int:
    from livestyle.bench import LARGEST, SMALLEST

    if not text.isdecimal() or not SMALLEST <= int(text) <= LARGEST:
        raise typer.BadParameter(
            f"{text!r} is no height from {SMALLEST} to {LARGEST}; write them like 360,720",
            param_hint="--sizes",
        )
    return int(text)


_STAGES = ("read", "network", "smoothing", "compose", "write")


def _table(figures: dict[str, Any]) -> Iterator[str]:
    yield f"{figures['machine']}; livestyle {figures['livestyle']}, {figures['model']}"
    for row in figures["devices"]:
        yield ""
        rates = row["rates"]
        copies = rates["bytes_per_second"]
        memory = "" if copies is None else f", copies {copies / 1e9:.3g} GB/s"
        yield f"{row['engine']}: computes {rates['macs_per_second'] / 1e9:.3g} GMAC/s{memory}"
        yield _line("ms, p50 p95", [*_STAGES, "frames", "fps", "overhead", "memory", "first"])
        for size in row["sizes"]:
            cells = [_pair(size["stages"][name]) for name in _STAGES]
            peak = size["peak_memory_mb"]
            memory = "-" if peak is None else f"{peak:.0f} MB"
            cells += [
                f"{size['timed_frames']}",
                f"{size['fps']:.1f}",
                f"{size['overhead']:.2f}",
                memory,
                f"{size['first_picture_s']:.1f} s",
            ]
            yield _line(f"{size['width']}x{size['height']}", cells)
        for size in row["sizes"]:
            yield _limit(size)
    if figures["devices"]:
        yield ""
        yield "The stages were run one by one; fps is of all at once, as in `livestyle video`."
        yield "overhead: a frame's time at that fps, over the slowest stage's alone."
        yield "memory: the most at once. first: from the command `livestyle image` to its painting."


def _limit(size: dict[str, Any]) -> str:
    name, roof = f"{size['width']}x{size['height']}", size["roofline"]
    if roof is None:
        return f"{name:<12} limit unknown: the network has operators that are not counted"
    return (
        f"{name:<12} {roof['gmac']:.3g} GMAC, {roof['mb']:.3g} MB: the limit is {roof['limit_ms']:.3g} ms "
        f"({roof['bound']}); the network reaches {roof['of_limit']:.0%} of it"
    )


def _line(first: str, cells: Iterable[str]) -> str:
    return f"{first:<12}" + "".join(f"{cell:>11}" for cell in cells)


def _pair(times: dict[str, float]) -> str:
    return " ".join(f"{times[key]:.3g}" if times[key] < 100 else f"{times[key]:.0f}" for key in times)


def _rounded(value: Any) -> Any:
    """Four figures of each number: more were not measured."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value
