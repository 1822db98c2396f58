"""The program in one loop: frames come in, a stylizer paints each one, frames go out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from livestyle.frame import Frame, Image

Mix = npt.NDArray[np.float32]


def stylize_frames(
    frames: Iterable[Frame], stylize: Callable[[Image, Mix], Image], mix_at: Callable[[float], Mix]
) -> Generator[Frame]:
    """Each frame painted in the mix of its own time; index and timestamp stay.

    stylize: (image, style mix) -> image of the same size. mix_at: timestamp in seconds -> style mix.
    When this is closed, or fails, the iterator over `frames` is closed too.
    """
    iterator = iter(frames)
    try:
        for frame in iterator:
            yield replace(frame, image=stylize(frame.image, mix_at(frame.timestamp)))
    finally:
        close = getattr(iterator, "close", None)  # not every iterator is a generator
        if close is not None:
            close()
