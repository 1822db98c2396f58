"""Sessions whose frames lie in the device's own memory, at places that do not change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np

from livestyle.engines.contract import FrameBatch, MixVector, reason_of
from livestyle.engines.providers import import_runtime
from livestyle.silence import native_stderr_silenced

# As in openvino.py: upright and turned pictures of one camera.
_KEPT_SIZES = 2

_log = logging.getLogger(__name__)


class Bound(Protocol):
    """A network that is ready for frames of one size."""

    def warm_up(self, frame: FrameBatch, style_mix: MixVector) -> None:
        """Run once and capture nothing: kernels are searched for, memory is taken."""
        ...

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch: ...


Open = Callable[[tuple[int, int], bool], Bound]


class BoundSession:
    """An ONNX Runtime session for frames of one size, bound to memory of its own on the device.

    What crosses the bus is the uint8 frame, the mix, and the uint8 painting. Addresses stay, as a CUDA graph
    wants it. memory: where the frames lie, "cuda" or "cpu". One thread at a time.

    Shapes: frame (1, H, W, 3) uint8, style_mix (n_styles,) float32 -> (1, H, W, 3) uint8; others are a
    ValueError or a TypeError, before anything is copied.
    """

    def __init__(self, session: Any, size_hw: tuple[int, int], n_styles: int, *, memory: str) -> None:
        runtime = import_runtime()

        def value(shape: tuple[int, ...], kind: type[np.generic]) -> Any:
            return runtime.OrtValue.ortvalue_from_shape_and_type(list(shape), kind, memory, 0)

        self._session = session
        self._shapes = {"frame": (1, *size_hw, 3), "style_mix": (n_styles,)}
        self._inputs = {"frame": value(self._shapes["frame"], np.uint8)}
        self._inputs["style_mix"] = value(self._shapes["style_mix"], np.float32)
        self._stylized = value(self._shapes["frame"], np.uint8)
        self._binding = session.io_binding()
        for name, place in self._inputs.items():
            self._binding.bind_ortvalue_input(name, place)
        self._binding.bind_ortvalue_output("stylized", self._stylized)
        self._without_capture = runtime.RunOptions()
        self._without_capture.add_run_config_entry("gpu_graph_id", "-1")

    def warm_up(self, frame: FrameBatch, style_mix: MixVector) -> None:
        with native_stderr_silenced():
            self._run(frame, style_mix, self._without_capture)

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        self._run(frame, style_mix, None)
        stylized: FrameBatch = self._stylized.numpy()
        # From a GPU it is a copy; in the CPU's memory it is the very place that the next frame is painted to.
        return stylized if stylized.flags.owndata else stylized.copy()

    def _run(self, frame: FrameBatch, style_mix: MixVector, options: Any) -> None:
        # ONNX Runtime compares the number of values, not the shape, and copies whatever the type is.
        for name, shape, kind, wanted in (
            ("frame", frame.shape, frame.dtype, np.uint8),
            ("style_mix", style_mix.shape, style_mix.dtype, np.float32),
        ):
            if shape != self._shapes[name]:
                raise ValueError(f"{name} is of shape {shape}, not {self._shapes[name]}")
            if kind != wanted:
                raise TypeError(f"{name} is {kind}, not {np.dtype(wanted)}")
        self._inputs["frame"].update_inplace(frame)
        self._inputs["style_mix"].update_inplace(style_mix)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding, options)
        self._binding.synchronize_outputs()


class BoundSessions:
    """A session for each of the last two frame sizes, for any number of threads.

    open_session: makes one for (H, W), that captures a CUDA graph or does not. captures: whether to ask for
    graphs; where they are refused, the same is done without, from then on.

    ONNX Runtime captures a graph for each thread, and while it captures, no memory may be taken or copied
    by any other thread of the process (cudaStreamCaptureModeGlobal). So a thread's first frame of a size is
    painted alone, while no session is opened; all others only take turns.
    """

    def __init__(self, open_session: Open, *, captures: bool = False) -> None:
        self._open_session = open_session
        self._captures = captures
        self._lock = threading.Lock()  # of the sessions, and of running one
        self._opening = threading.Lock()  # taken before the other one
        self._sessions: dict[tuple[int, int], Bound] = {}  # (H, W) -> least recently used first
        self._threads = threading.local()

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        """Raises what the session raises."""
        size_hw = frame.shape[1], frame.shape[2]
        with self._lock:
            bound = self._sessions.get(size_hw)
            if bound is not None and bound in self._known_here():
                return self._use(size_hw, bound, frame, style_mix)
        with self._opening:
            if self._captures:
                try:
                    return self._run_first(size_hw, frame, style_mix, captures=True)
                except Exception as error:  # noqa: BLE001 - whatever it is, the other way shows it again
                    refused = reason_of(error)  # the error itself would keep the session and its memory
                painted = self._run_first(size_hw, frame, style_mix, captures=False)
                self._captures = False
                with self._lock:  # a session that captures would fail in the next thread
                    self._sessions = {size_hw: self._sessions[size_hw]}
                _log.info("painting without CUDA graphs: %s", refused)
                return painted
            return self._run_first(size_hw, frame, style_mix, captures=False)

    def _run_first(
        self, size_hw: tuple[int, int], frame: FrameBatch, style_mix: MixVector, *, captures: bool
    ) -> FrameBatch:
        """A thread's first frame of a size, with `_opening` held."""
        with self._lock:  # while a session runs, it is not in there
            bound = self._sessions.get(size_hw)
        if bound is None:
            with self._lock:
                while len(self._sessions) >= _KEPT_SIZES:  # first, so that three never share the memory
                    self._sessions.pop(next(iter(self._sessions)))
            # Other threads go on painting theirs during the search for the fastest kernels.
            bound = self._open_session(size_hw, captures)
            bound.warm_up(frame, style_mix)
        with self._lock:
            painted = self._use(size_hw, bound, frame, style_mix)
            self._known_here().add(bound)
        return painted

    def _use(
        self, size_hw: tuple[int, int], bound: Bound, frame: FrameBatch, style_mix: MixVector
    ) -> FrameBatch:
        # Out of the dictionary while it runs: one that failed does not come back.
        self._sessions.pop(size_hw, None)
        painted = bound.run(frame, style_mix)
        self._sessions[size_hw] = bound
        return painted

    def _known_here(self) -> WeakSet[Bound]:
        """The sessions that this thread has painted with."""
        if not hasattr(self._threads, "known"):
            self._threads.known = WeakSet()
        known: WeakSet[Bound] = self._threads.known
        return known
