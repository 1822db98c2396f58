"""The program in one loop: frames come in, a stylizer paints each one, frames go out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np

from livestyle.flicker import FlickerMeter
from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.smoothing import FlowSmoother
from livestyle.take import Look


def stylize_frames(
    frames: Iterable[Frame],
    stylize: Callable[[Image, MixVector], Image],
    look_at: Callable[[float], Look],
    *,
    meter: FlickerMeter | None = None,
    finished: Callable[[float], None] | None = None,
) -> Generator[Frame]:
    """Each frame painted in the look of its own time; index and timestamp stay, `content` is what it was.

    stylize: (image, style_mix) -> image of the same size. look_at: timestamp in seconds -> Look, such as
    Take.at. meter: told of every frame. finished: told of every frame how many seconds of work it was, as
    PacedStylizer.finished wants it; waiting for the frame, or for whoever takes it, does not count. When this
    is closed, or fails, the iterator over `frames` is closed too. The camera's motion is found in a thread,
    while this one waits for the network; the thread is there from the first frame that needs it to the end.
    """
    iterator = iter(frames)
    smoother = FlowSmoother(0.0)
    before: Look | None = None
    content: Image | None = None
    beside: ThreadPoolExecutor | None = None
    try:
        for frame in iterator:
            began = time.perf_counter()
            look = look_at(frame.timestamp)
            if content is None or not look.frozen:
                content = frame.image
            if look.smooth or meter is not None:
                beside = beside or ThreadPoolExecutor(1, "livestyle motion")
                smoother.strength = look.smooth
                begun = beside.submit(smoother.begin, content, frame.timestamp)
                painted = _paint(content, stylize, look)
                begun.result()
                shown = smoother.finish(painted, _mix_change(before, look))
                if meter is not None:
                    meter(painted, shown, smoother.motion)
            else:
                smoother.reset()
                shown = _paint(content, stylize, look)
            before = look
            if finished is not None:
                finished(time.perf_counter() - began)
            yield replace(frame, image=shown, content=content)
    finally:
        if beside is not None:
            beside.shutdown()
        close = getattr(iterator, "close", None)  # not every iterator is a generator
        if close is not None:
            close()


def _paint(content: Image, stylize: Callable[[Image, MixVector], Image], look: Look) -> Image:
    painted = stylize(content, look.style_mix)
    return keep_colours(painted, content) if look.own_colours else painted


def _mix_change(before: Look | None, look: Look) -> float:
    """How far the look moved: 1 is from one style to another, or from own colours to the painting's."""
    if before is None or before.own_colours != look.own_colours:
        return 1.0
    return float(np.abs(look.style_mix - before.style_mix).sum()) / 2


def keep_colours(painted: Image, content: Image) -> Image:
    """The painting's brightness with the photo's colours (Gatys et al. 2016, arXiv:1606.05897, section 3.1).

    Unlike the paper, in Y'CbCr, which OpenCV converts fastest. Shapes: (H, W, 3) twice -> (H, W, 3).
    """
    ycc = cv2.cvtColor(content, cv2.COLOR_RGB2YCrCb)
    cv2.mixChannels([cv2.cvtColor(painted, cv2.COLOR_RGB2YCrCb)], [ycc], [0, 0])
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB), np.uint8)
