"""The nouns that every stage shares: Image, Frame, VideoInfo, FrameSource, FrameSink."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

# (H, W, 3) uint8 RGB in [0, 255], C-contiguous. BGR exists only on the lines that call cv2.
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    index: position in the source's stream from 0; a gap means dropped frames.
    timestamp: seconds from the source's own clock, never decreasing within one stream.
    content: the picture that was painted, on a stylized frame; None before the stylizer.
    """

    image: Image
    index: int
    timestamp: float
    content: Image | None = None


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a source knows before its first frame.

    width, height: pixels, as shown (rotation applied). fps: average frames per second, never rounded.
    frame_count: None where the container does not say or the stream has no end.
    """

    width: int
    height: int
    fps: float
    frame_count: int | None = None


class FrameSource(Protocol):
    """Frames in order; iterate once. Raises SourceError. Closes once, also when not run to its end."""

    info: VideoInfo

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __iter__(self) -> Iterator[Frame]: ...


class FrameSink(Protocol):
    """Takes frames in order. `closed` turns true when whoever watches has ended it. Raises SinkError."""

    @property
    def closed(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def write(self, frame: Frame) -> None: ...


def check_image(image: Image) -> Image:
    """Refuse what is not an Image: TypeError for the dtype, ValueError for the shape."""
    if image.dtype != np.uint8:
        raise TypeError(f"an Image is uint8, not {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"an Image has shape (H, W, 3), not {image.shape}")
    return image
