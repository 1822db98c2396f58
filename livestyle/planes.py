"""A picture as brightness and colours, taken apart, moved along a flow and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.flow import Motion
from livestyle.frame import Image

Plane = npt.NDArray[np.uint8]  # (H, W)


class Planes(NamedTuple):
    """A picture as it is smoothed: brightness (H, W), Cr and Cb (H / 2, W / 2), rounded up."""

    brightness: Plane
    cr: Plane
    cb: Plane


class PlaneMemory:
    """Takes pictures of one size apart and together, and moves them, in the same memory each time.

    New memory for every picture would cost more than the arithmetic. So planes() may be written to until it
    is called twice more, and move() until it is called again.
    """

    def __init__(self, height: int, width: int) -> None:
        self.size_hw = height, width
        self._half_hw = half = -(-height // 2), -(-width // 2)
        self._picture = np.empty((height, width, 3), np.uint8)
        self._channels = [np.empty((height, width), np.uint8) for _ in range(2)]
        # Of this picture, of the one before, and of that one moved, which happens while it is still needed.
        *self._turns, self._moved = (
            Planes(np.empty((height, width), np.uint8), np.empty(half, np.uint8), np.empty(half, np.uint8))
            for _ in range(3)
        )
        self._flow = np.empty(half, np.float32), np.empty(half, np.float32)
        self._parts: Sequence[cv2.typing.MatLike] | None = None  # x and y of the motion
        self._doubled = DoubledPlane(height, width)

    def planes(self, picture: Image) -> Planes:
        """Shape: (H, W, 3), of this memory's size."""
        self._turns.reverse()
        brightness, *colours = self._turns[0]
        cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb, dst=self._picture)
        cv2.split(self._picture, [brightness, *self._channels])
        for channel, colour in zip(self._channels, colours, strict=True):
            cv2.resize(channel, colour.shape[::-1], dst=colour, interpolation=cv2.INTER_AREA)
        return self._turns[0]

    def picture(self, planes: Planes) -> Image:
        """The other way round. Shape: (H, W, 3), the caller's own."""
        brightness, *colours = planes
        for channel, colour in zip(self._channels, colours, strict=True):
            cv2.resize(colour, channel.shape[::-1], dst=channel, interpolation=cv2.INTER_LINEAR)
        cv2.merge([brightness, *self._channels], dst=self._picture)
        return np.asarray(cv2.cvtColor(self._picture, cv2.COLOR_YCrCb2RGB), np.uint8)

    def fitted(self, planes: Planes) -> Planes:
        """Planes of another size, at this one."""
        return Planes(
            *(
                np.asarray(cv2.resize(plane, moved.shape[::-1]), np.uint8)
                for plane, moved in zip(planes, self._moved, strict=True)
            )
        )

    def move(self, planes: Planes, motion: Motion) -> Planes:
        """new(p) = old(p + flow(p)), the flow enlarged to the planes."""
        brightness, *colours = planes
        moved, *moved_colours = self._moved
        self._parts = parts = cv2.split(motion.flow, self._parts)
        self._doubled.move(brightness, parts, moved)
        height, width = self._half_hw
        scales = width / motion.size_hw[1], height / motion.size_hw[0]
        for part, scale, fitted in zip(parts, scales, self._flow, strict=True):
            cv2.resize(part, (width, height), dst=fitted, interpolation=cv2.INTER_LINEAR)
            fitted *= scale
        for colour, there in zip(colours, moved_colours, strict=True):  # two channels at once take longer
            # A map of differences saves a pass over the picture.
            kernel = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
            cv2.remap(colour, *self._flow, kernel, dst=there, borderMode=cv2.BORDER_REPLICATE)
        return self._moved


# What lies half way between pixels, by four of them, as cv2's bicubic kernel has it: sharper than a cubic's
# -2 and 18, since a bilinear one blurs what lies between these and the pixels themselves. -4 and 20 kept
# more, and a steady pan of half a pixel rang louder with each picture, until all was stripes.
_BETWEEN = np.array([-3, 19, 19, -3], np.float32) / 32


class DoubledPlane:
    """Moves a plane about as a bicubic kernel does, in three fifths of the time: bilinear, of twice the size.

    Its even pixels are those of the plane, so that what moves by whole pixels stays as sharp as it is.
    """

    def __init__(self, height: int, width: int) -> None:
        rows, columns = np.mgrid[0 : 2 * height : 2, 0 : 2 * width : 2].astype(np.float32)
        self._pixels = columns, rows  # where the plane's are
        self._places = np.empty_like(columns), np.empty_like(rows)
        self._between = np.empty((height, width), np.uint8)
        self._wide = np.empty((height, width, 2), np.uint8)
        self._below = np.empty((height, 2 * width), np.uint8)
        self._whole = np.empty((height, 2, 2 * width), np.uint8)

    def move(self, plane: Plane, flow: Sequence[cv2.typing.MatLike], moved: Plane) -> None:
        """moved(p) = plane(p + flow(p)), the flow enlarged. Shapes: plane, moved (H, W), x and y (h, w)."""
        height, width = plane.shape
        edge = cv2.BORDER_REPLICATE
        cv2.filter2D(plane, -1, _BETWEEN[None], dst=self._between, anchor=(1, 0), borderType=edge)
        cv2.merge([plane, self._between], dst=self._wide)
        wide = self._wide.reshape(height, 2 * width)
        cv2.filter2D(wide, -1, _BETWEEN[:, None], dst=self._below, anchor=(0, 1), borderType=edge)
        self._whole[:, 0], self._whole[:, 1] = wide, self._below
        # Between the last pixels and what is outside there is nothing but those.
        self._whole[:, :, -1], self._whole[-1, 1] = self._whole[:, :, -2], self._whole[-1, 0]
        scales = 2 * width / flow[0].shape[1], 2 * height / flow[0].shape[0]
        for part, scale, pixels, places in zip(flow, scales, self._pixels, self._places, strict=True):
            cv2.resize(part, (width, height), dst=places, interpolation=cv2.INTER_LINEAR)
            cv2.scaleAdd(places, scale, pixels, dst=places)
        whole = self._whole.reshape(2 * height, 2 * width)
        cv2.remap(whole, *self._places, cv2.INTER_LINEAR, dst=moved, borderMode=edge)
