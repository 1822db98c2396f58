"""A network on an NVIDIA GPU, by CUDA or TensorRT: in float16 where that paints the same picture."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from livestyle.engines.bound_session import BoundSession, BoundSessions
from livestyle.engines.contract import Device, FrameBatch, MixVector, reason_of
from livestyle.engines.engine_cache import tensorrt_options
from livestyle.engines.half_precision import halved
from livestyle.engines.providers import (
    PROVIDERS,
    create_session,
    import_runtime,
    operators_beside,
    providers_for,
)

Paint = Callable[[FrameBatch, MixVector], FrameBatch]

# Grey levels, the mean over a picture in the worst style, that float16 may be away from float32; more than
# that is no rounding but a number too large for it.
_TOLERATED = 1.0
_TRIAL_SIZE = 64  # the contract's
# TensorRT computes norms in float16 too, whose sums grow with the picture.
_TENSORRT_TRIAL_SIZE = 512

_log = logging.getLogger(__name__)


class NvidiaNetwork:
    """The network of a model file on CUDA or TensorRT, with its frames in the GPU's memory.

    device: ONNX_CPU takes the same way on the CPU, where it can be tested. open_sizes: what the graph calls
    height and width. paint: the same network in float32 elsewhere, which float16 is held against.
    name: with the precision, and with the number of operators that did not get to the GPU.
    Raises what ONNX Runtime raises where the device cannot run the network.
    """

    name: str

    def __init__(
        self, content: bytes, device: Device, *, open_sizes: Sequence[object], n_styles: int, paint: Paint
    ) -> None:
        self._device = device
        self._open_sizes = open_sizes
        self._n_styles = n_styles
        self._beside: list[str] = []
        self._sessions, precision = self._choose(content, paint)
        beside = f", {len(self._beside)} operators not on the GPU" if self._beside else ""
        self.name = f"{PROVIDERS[device].name} ({precision}{beside})"
        if self._beside:
            _log.info("not on the GPU: %s", ", ".join(self._beside))

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        """As an Engine runs, but raises what ONNX Runtime raises."""
        return self._sessions.run(frame, style_mix)

    def _choose(self, content: bytes, paint: Paint) -> tuple[BoundSessions, str]:
        """The sessions of the precision that is taken, tried out, and what to call it."""
        called = "f32"
        try:
            # TensorRT makes its own float16 of a float32 network.
            half = content if self._device is Device.TENSORRT else halved(content)
            sessions = self._bound(half, "fp16")
            worst = self._worst_difference(sessions, paint)
            if worst <= _TOLERATED:
                return sessions, "fp16"
            _log.info("float16 is %.1f grey levels from float32, which is taken", worst)
        except ImportError:
            called = "f32, without the onnx package"
        except Exception as error:  # noqa: BLE001 - what is the device's fault comes again in float32
            _log.info("float16 does not run: %s", reason_of(error))
        sessions = self._bound(content, "f32")
        self._worst_difference(sessions, paint)
        return sessions, called

    def _worst_difference(self, sessions: BoundSessions, paint: Paint) -> float:
        size = _TENSORRT_TRIAL_SIZE if self._device is Device.TENSORRT else _TRIAL_SIZE
        return _worst_difference(sessions.run, paint, self._n_styles, size)

    def _bound(self, content: bytes, precision: str) -> BoundSessions:
        # TensorRT runs few and large kernels: to start them costs little.
        return BoundSessions(partial(self._open, content, precision), captures=self._device is Device.CUDA)

    def _open(self, content: bytes, precision: str, size_hw: tuple[int, int], captures: bool) -> BoundSession:
        first, *others = providers_for(self._device)
        options = first.options | self._options(content, precision, size_hw, captures)
        sizes = zip(self._open_sizes, size_hw, strict=True)
        session = create_session(
            content,
            [replace(first, options=options), *others],
            sizes={name: size for name, size in sizes if isinstance(name, str)},
        )
        on_gpu = [first, *(each for each in others if each is not PROVIDERS[Device.ONNX_CPU])]
        self._beside = operators_beside(session, on_gpu)
        memory = "cpu" if self._device is Device.ONNX_CPU else "cuda"
        return BoundSession(session, size_hw, self._n_styles, memory=memory)

    def _options(
        self, content: bytes, precision: str, size_hw: tuple[int, int], captures: bool
    ) -> dict[str, str]:
        """Of the first provider, for one session."""
        if self._device is Device.TENSORRT:
            return tensorrt_options(content, size_hw, precision, import_runtime().__version__)
        return {"enable_cuda_graph": "1"} if captures else {}


def _worst_difference(paint: Paint, reference: Paint, n_styles: int, size: int) -> float:
    """Mean grey levels between two networks on noise of size x size, in the style where it is largest."""
    frame = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    mixes = np.eye(n_styles, dtype=np.float32)
    return max(float(np.abs(paint(frame, mix).astype(int) - reference(frame, mix)).mean()) for mix in mixes)
