from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from clips import picture
from threads import wait_until

from livestyle.buffering import WriteBehind
from livestyle.errors import SinkError
from livestyle.frame import Frame, Image, VideoInfo
from livestyle.virtual_camera import VirtualCameraSink

INFO = VideoInfo(64, 48, 30.0)


class Driver:
    """A backend of pyvirtualcam that keeps what it is given."""

    opened: ClassVar[list[Driver]] = []
    broken: ClassVar[str] = ""

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        if self.broken:
            raise RuntimeError(self.broken)
        self.size, self.fps = (width, height), fps
        self.fourcc = fourcc.to_bytes(4, "little")
        self.pictures: list[Image] = []
        self.closings = 0
        self.unplugged = False
        Driver.opened.append(self)

    def send(self, frame: Image) -> None:
        if self.unplugged:
            raise RuntimeError("Stream does not exist.")
        width, height = self.size
        self.pictures.append(frame.reshape(height, width, 3).copy())

    def close(self) -> None:
        self.closings += 1

    def device(self) -> str:
        return "Fake Camera"

    def native_fourcc(self) -> None: ...


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Driver]]:
    """The only driver of this machine."""
    pyvirtualcam: Any = pytest.importorskip("pyvirtualcam")
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    pyvirtualcam.register_backend("fake", Driver)
    yield Driver
    Driver.opened, Driver.broken = [], ""


def test_frames_come_to_the_driver_as_they_are(driver: type[Driver]) -> None:
    images = [picture(index) for index in range(3)]
    with VirtualCameraSink(INFO) as sink:
        for index, image in enumerate(images):
            sink.write(Frame(image, index, index / 25))
        assert sink.device == "Fake Camera"
        assert not sink.closed
    (opened,) = driver.opened
    assert (opened.size, opened.fps, opened.fourcc) == ((64, 48), 30.0, b"raw ")  # libyuv's name of RGB
    assert np.array_equal(opened.pictures, images)
    assert opened.closings == 1


@pytest.mark.parametrize(("width", "height"), [(65, 48), (64, 49), (65, 49)])
def test_the_last_column_and_row_of_odd_sizes_are_left_out(
    driver: type[Driver], width: int, height: int
) -> None:
    image = picture(0, width, height)
    with VirtualCameraSink(VideoInfo(width, height, 30.0)) as sink:
        sink.write(Frame(image, 0, 0.0))
    assert driver.opened[0].size == (64, 48)
    assert np.array_equal(driver.opened[0].pictures, [image[:48, :64]])


def test_it_is_fed_at_a_steady_rate_from_one_frame(driver: type[Driver]) -> None:
    with WriteBehind(VirtualCameraSink(INFO), 1, repeat=100.0) as sink:
        sink.write(Frame(picture(3), 0, 0.0))
        wait_until(lambda: len(driver.opened[0].pictures) >= 5)
    assert {image.tobytes() for image in driver.opened[0].pictures} == {picture(3).tobytes()}
    assert driver.opened[0].closings == 1


@pytest.mark.parametrize(
    ("platform", "step"),
    [
        ("linux", "sudo modprobe v4l2loopback exclusive_caps=1 card_label=livestyle"),
        ("win32", "install OBS Studio and start its virtual camera once"),
        ("darwin", "install OBS Studio and start its virtual camera once"),
    ],
)
def test_a_missing_driver_is_one_line_with_its_words_and_the_next_step(
    driver: type[Driver], monkeypatch: pytest.MonkeyPatch, platform: str, step: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    driver.broken = "no device found.\nDid you install it?"
    with pytest.raises(SinkError) as raised, VirtualCameraSink(INFO):
        pass
    message = str(raised.value)
    assert message.endswith("('fake' backend: no device found. Did you install it?)")
    assert step in message
    assert "\n" not in message


def test_a_driver_that_goes_away_is_told(driver: type[Driver]) -> None:
    with VirtualCameraSink(INFO) as sink:
        sink.write(Frame(picture(0), 0, 0.0))
        driver.opened[0].unplugged = True
        with pytest.raises(SinkError, match="Stream does not exist"):
            sink.write(Frame(picture(1), 1, 0.04))
    assert driver.opened[0].closings == 1


def test_a_missing_package_is_one_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)  # how Python notes that there is no such module
    with pytest.raises(SinkError) as raised, VirtualCameraSink(INFO):
        pass
    assert str(raised.value).endswith('pip install "livestyle[virtual-camera]"')
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("image", "error"),
    [(np.zeros((48, 65, 3), np.uint8), ValueError), (np.zeros((48, 64, 3), np.float32), TypeError)],
)
def test_a_frame_of_another_shape_is_refused(
    driver: type[Driver], image: Image, error: type[Exception]
) -> None:
    with VirtualCameraSink(INFO) as sink, pytest.raises(error):
        sink.write(Frame(image, 0, 0.0))


def test_nothing_can_be_written_before_it_is_open() -> None:
    with pytest.raises(ValueError, match="not open"):
        VirtualCameraSink(INFO).write(Frame(picture(0), 0, 0.0))
