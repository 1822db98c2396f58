"""Shows frames as a camera that video calls can choose."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from livestyle.errors import SinkError
from livestyle.frame import Frame, VideoInfo, check_image

if TYPE_CHECKING:
    import pyvirtualcam

_DRIVERS = {
    # exclusive_caps: browsers list only cameras that can do nothing but record.
    "linux": "`sudo apt install v4l2loopback-dkms && "
    "sudo modprobe v4l2loopback exclusive_caps=1 card_label=livestyle` makes one",
}
_OBS = "install OBS Studio and start its virtual camera once"


class VirtualCameraSink:
    """Sends frames to a virtual camera's driver: v4l2loopback on Linux, OBS Studio's elsewhere.

    Programs that show a camera want pictures at a steady rate, info.fps: feed it through a WriteBehind that
    repeats them. device: the camera's name, once it is open.

    Drivers store colour for two pixels at once, so sizes are even: the last column or row of an odd picture
    is left out. Raises SinkError.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._width, self._height = info.width // 2 * 2, info.height // 2 * 2
        self._camera: pyvirtualcam.Camera | None = None
        self.device = ""

    @property
    def closed(self) -> bool:
        return False  # it cannot know who looks

    def __enter__(self) -> Self:
        try:
            import pyvirtualcam
        except ImportError as error:
            raise SinkError(
                f'cannot open a virtual camera: {_one_line(error)}; pip install "livestyle[virtual-camera]"'
            ) from error
        with _driver_errors():
            self._camera = pyvirtualcam.Camera(self._width, self._height, self._info.fps)
            self.device = self._camera.device
        return self

    def write(self, frame: Frame) -> None:
        if self._camera is None:
            raise ValueError("the sink is not open")
        if check_image(frame.image).shape[:2] != (self._info.height, self._info.width):
            raise ValueError(f"a frame of shape {frame.image.shape} came for {self._info}")
        with _driver_errors():
            self._camera.send(frame.image[: self._height, : self._width])

    def __exit__(self, *_: object) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


@contextmanager
def _driver_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what pyvirtualcam raises, a line for every kind of driver
        step = _DRIVERS.get(sys.platform, _OBS)
        # Its names for drivers and devices are no help: the step is what is looked for.
        raise SinkError(f"no virtual camera: {step} ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
