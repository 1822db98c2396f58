"""The program in one loop: frames come in, a stylizer paints each one, frames go out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np

from livestyle.flicker import FlickerMeter
from livestyle.flow import FILM, LIVE, FlowDetail
from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.smoothing import FlowSmoother
from livestyle.take import Look
from livestyle.upsampling import shrink

_AHEAD = 2  # frames: one that is painted, and one so that the network need not wait for anybody


class Painter(Protocol):
    """Who paints: BrushStylizer, or PacedStylizer. The painting is smoothed as small as it is made."""

    def paint(self, image: Image, style_mix: MixVector, brush: float, /) -> Image: ...
    def enlarge(self, painted: Image, image: Image, /) -> Image: ...


def stylize_frames(
    frames: Iterable[Frame],
    painter: Painter,
    look_at: Callable[[float], Look],
    *,
    meter: FlickerMeter | None = None,
    finished: Callable[[float], None] | None = None,
) -> Generator[Frame]:
    """Each frame painted in the look of its own time; index and timestamp stay, `content` is what it was.

    look_at: timestamp in seconds -> Look, such as Take.at. meter: told of every frame. finished: told of
    every frame how many seconds of work it was, as PacedStylizer.finished wants it; waiting for the frame, or
    for whoever takes it, does not count. When this is closed, or fails, the iterator over `frames` is closed
    too. The camera's motion is found in a thread, while this one waits for the network; the thread is there
    from the first frame to the end.
    """
    calm = _Calm(LIVE, meter)
    with ThreadPoolExecutor(1, "livestyle motion") as beside, _closing(iter(frames)) as iterator:
        content: Image | None = None
        for frame in iterator:
            began = time.perf_counter()
            look = look_at(frame.timestamp)
            if content is None or not look.frozen:
                content = frame.image
            begun = beside.submit(calm.begin, content, frame.timestamp, look)
            painted = _paint(content, painter, look)
            begun.result()
            shown = painter.enlarge(calm.finish(painted, look), content)
            if finished is not None:
                finished(time.perf_counter() - began)
            yield replace(frame, image=shown, content=content)


def stylize_film(
    frames: Iterable[Frame],
    painter: Painter,
    look_at: Callable[[float], Look],
    *,
    detail: FlowDetail = FILM,
    meter: FlickerMeter | None = None,
) -> Generator[Frame]:
    """As stylize_frames, for frames that need not be waited for: more of them a second, each of them later.

    A thread paints the next frames while another smooths and enlarges the last, and whoever takes it writes
    it. detail: how closely motion is followed, where a look is smoothed.
    """
    calm = _Calm(detail, meter)

    def smoothed(frame: Frame, content: Image, look: Look, painted: Future[Image]) -> Frame:
        calm.begin(content, frame.timestamp, look)
        shown = painter.enlarge(calm.finish(painted.result(), look), content)
        return replace(frame, image=shown, content=content)

    painting = ThreadPoolExecutor(1, "livestyle network")
    smoothing = ThreadPoolExecutor(1, "livestyle smoothing")
    with _closing(iter(frames)) as iterator:
        try:
            coming: deque[Future[Frame]] = deque()
            content: Image | None = None
            for frame in iterator:
                look = look_at(frame.timestamp)
                if content is None or not look.frozen:
                    content = frame.image
                painted = painting.submit(_paint, content, painter, look)
                coming.append(smoothing.submit(smoothed, frame, content, look, painted))
                if len(coming) > _AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            # After Ctrl-C nobody waits for what is not begun.
            painting.shutdown(cancel_futures=True)
            smoothing.shutdown(cancel_futures=True)


class _Calm:
    """Smooths what is painted as each look wants it, and tells the meter."""

    def __init__(self, detail: FlowDetail, meter: FlickerMeter | None) -> None:
        self._smoother = FlowSmoother(0.0, detail)
        self._meter = meter
        self._before: Look | None = None

    def begin(self, content: Image, timestamp: float, look: Look) -> None:
        if look.smooth or self._meter is not None:
            self._smoother.strength = look.smooth
            self._smoother.begin(content, timestamp)
        else:
            self._smoother.reset()

    def finish(self, painted: Image, look: Look) -> Image:
        shown = painted
        if look.smooth or self._meter is not None:
            shown = self._smoother.finish(painted, _mix_change(self._before, look))
            if self._meter is not None:
                self._meter(painted, shown, self._smoother.motion)
        self._before = look
        return shown


@contextmanager
def _closing(iterator: Iterator[Frame]) -> Iterator[Iterator[Frame]]:
    try:
        yield iterator
    finally:
        close = getattr(iterator, "close", None)  # not every iterator is a generator
        if close is not None:
            close()


def _paint(content: Image, painter: Painter, look: Look) -> Image:
    painted = painter.paint(content, look.style_mix, look.brush)
    if not look.own_colours:
        return painted
    same_size = painted.shape == content.shape
    return keep_colours(painted, content if same_size else shrink(content, painted.shape[:2]))


def _mix_change(before: Look | None, look: Look) -> float:
    """How far the look moved: 1 is to another style or brush, or from own colours to the painting's."""
    if before is None or (before.own_colours, before.brush) != (look.own_colours, look.brush):
        return 1.0
    return float(np.abs(look.style_mix - before.style_mix).sum()) / 2


def keep_colours(painted: Image, content: Image) -> Image:
    """The painting's brightness with the photo's colours (Gatys et al. 2016, arXiv:1606.05897, section 3.1).

    Unlike the paper, in Y'CbCr, which OpenCV converts fastest. Shapes: (H, W, 3) twice -> (H, W, 3).
    """
    ycc = cv2.cvtColor(content, cv2.COLOR_RGB2YCrCb)
    cv2.mixChannels([cv2.cvtColor(painted, cv2.COLOR_RGB2YCrCb)], [ycc], [0, 0])
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB), np.uint8)
