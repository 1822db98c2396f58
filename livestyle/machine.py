"""What this machine is: its processor, and how much of it livestyle may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # there is one on Linux only
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name") and ":" in line]
    return next(iter(names), "") or platform.processor() or platform.machine() or "unknown processor"


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> str:
    """Processor, cores and system, as a part of one line."""
    cores = usable_cores()
    return f"{processor_name()}, {cores} core{'' if cores == 1 else 's'}, {platform.system()}"


def peak_memory_mb() -> float | None:
    """The most memory that this process has had at once so far, MB (10⁶ bytes); None where nothing tells it.

    Resident memory, as getrusage reports it.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if platform.system() == "Darwin" else peak * 1024 / 1e6
