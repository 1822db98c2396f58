"""The program in one loop: frames come in, a stylizer paints each one, frames go out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace

import cv2
import numpy as np

from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.smoothing import EmaSmoother
from livestyle.take import Look


def stylize_frames(
    frames: Iterable[Frame], stylize: Callable[[Image, MixVector], Image], look_at: Callable[[float], Look]
) -> Generator[Frame]:
    """Each frame painted in the look of its own time; index and timestamp stay, `content` is what it was.

    stylize: (image, style_mix) -> image of the same size. look_at: timestamp in seconds -> Look, such as
    Take.at. When this is closed, or fails, the iterator over `frames` is closed too.
    """
    iterator = iter(frames)
    smoother = EmaSmoother()
    content: Image | None = None
    try:
        for frame in iterator:
            look = look_at(frame.timestamp)
            if content is None or not look.frozen:
                content = frame.image
            painted = stylize(content, look.style_mix)
            if look.own_colours:
                painted = keep_colours(painted, content)
            if look.smooth:
                painted = smoother(painted, content, frame.timestamp)
            else:
                smoother.reset()
            yield replace(frame, image=painted, content=content)
    finally:
        close = getattr(iterator, "close", None)  # not every iterator is a generator
        if close is not None:
            close()


def keep_colours(painted: Image, content: Image) -> Image:
    """The painting's brightness with the photo's colours (Gatys et al. 2016, arXiv:1606.05897, section 3.1).

    Unlike the paper, in Y'CbCr, which OpenCV converts fastest. Shapes: (H, W, 3) twice -> (H, W, 3).
    """
    ycc = cv2.cvtColor(content, cv2.COLOR_RGB2YCrCb)
    cv2.mixChannels([cv2.cvtColor(painted, cv2.COLOR_RGB2YCrCb)], [ycc], [0, 0])
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB), np.uint8)
