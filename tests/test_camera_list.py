from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import cv2
import pytest
from fake_cameras import BROKEN, Clock, bgr

from livestyle.camera_list import CameraInfo, named_cameras, probe_cameras

MJPG = int.from_bytes(b"MJPG", "little")


class FakeWebcam:
    """Gives 640x480 at 30 fps; asked for MJPG it can 1280x720 at 60 too, and takes the nearest it knows."""

    def __init__(self, grabs: list[Any]) -> None:
        self.released = 0
        self._grabs = iter(grabs)
        self._asked = {
            cv2.CAP_PROP_FRAME_WIDTH: 640.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
            cv2.CAP_PROP_FPS: 30.0,
        }

    def grab(self) -> bool:
        grabbed = next(self._grabs, False)
        if isinstance(grabbed, cv2.error):
            raise grabbed
        return bool(grabbed)

    def retrieve(self) -> tuple[bool, Any]:
        return True, bgr(0)

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803
        self._asked[propId] = value
        return True

    def get(self, propId: int, /) -> float:  # noqa: N803
        packed = self._asked.get(cv2.CAP_PROP_FOURCC) == MJPG
        large = packed and self._asked[cv2.CAP_PROP_FRAME_WIDTH] >= 1280
        return {
            cv2.CAP_PROP_FRAME_WIDTH: 1280.0 if large else 640.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 720.0 if large else 480.0,
            cv2.CAP_PROP_FPS: min(self._asked[cv2.CAP_PROP_FPS], 60.0 if packed else 30.0),
        }[propId]

    def release(self) -> None:
        self.released += 1


def test_cameras_come_by_number_with_their_modes_and_are_closed() -> None:
    clock = Clock()
    webcams: dict[int, FakeWebcam | None] = {
        0: FakeWebcam([False, BROKEN, True]),  # it may take a while to wake up
        2: FakeWebcam([]),
        10: None,
    }
    cameras = [CameraInfo(10, "Gone"), CameraInfo(2, "Busy", "/dev/video2"), CameraInfo(0, "Good")]
    found = probe_cameras(cameras, lambda index: webcams[index], sleep=clock.sleep)
    assert found == [
        CameraInfo(0, "Good", "", ((640, 480, 30.0), (640, 480, 60.0), (1280, 720, 60.0))),
        CameraInfo(2, "Busy", "/dev/video2", (), "in use"),
        CameraInfo(10, "Gone", "", (), "in use"),
    ]
    assert [webcam.released for webcam in webcams.values() if webcam] == [1, 1]


def test_a_camera_that_tells_no_rate_has_modes_without() -> None:
    class Silent(FakeWebcam):
        def get(self, propId: int, /) -> float:  # noqa: N803
            return -1.0 if propId == cv2.CAP_PROP_FPS else super().get(propId)

    (camera,) = probe_cameras([CameraInfo(0, "A")], lambda _: Silent([True]))
    assert camera.modes == ((640, 480, 0.0), (1280, 720, 0.0))


def test_a_device_that_this_user_may_not_open_says_so() -> None:
    # nobody may read and write what is not there either
    (camera,) = probe_cameras([CameraInfo(0, "A", "/dev/videonone")], lambda _: None)
    assert camera.problem == "no permission"


@pytest.mark.parametrize("helper", [None, ModuleType("cv2_enumerate_cameras")], ids=["none", "broken"])
def test_without_its_helper_the_list_is_made_by_trying(
    helper: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", helper)
    webcams = {1: FakeWebcam([]), 3: FakeWebcam([])}
    assert named_cameras(webcams.get) == [CameraInfo(1, "camera 1"), CameraInfo(3, "camera 3")]
    assert [webcam.released for webcam in webcams.values()] == [1, 1]
