from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import index_of, write_clip
from fake_cameras import bgr

from livestyle import camera_backends
from livestyle.camera import CameraSource
from livestyle.camera_backends import LocalCamera, NetworkCamera, why_closed, wish
from livestyle.errors import SourceError
from livestyle.frame import VideoInfo

MJPG = int.from_bytes(b"MJPG", "little")
FOURCC, WIDTH, HEIGHT, FPS = (
    cv2.CAP_PROP_FOURCC,
    cv2.CAP_PROP_FRAME_WIDTH,
    cv2.CAP_PROP_FRAME_HEIGHT,
    cv2.CAP_PROP_FPS,
)
has_avdevice = bool(re.search(r"avdevice:\s+YES", cv2.getBuildInformation()))
needs_avdevice = pytest.mark.skipif(not has_avdevice, reason="this OpenCV has no test pictures")


class Asked:
    """A camera that keeps what it is asked for."""

    def __init__(self) -> None:
        self.wishes: list[tuple[int, float]] = []

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803
        self.wishes.append((propId, value))
        return True


@pytest.mark.parametrize(
    ("size", "fps", "expected"),
    [
        (None, None, []),
        ((640, 480), None, [(WIDTH, 640), (HEIGHT, 480)]),
        ((1280, 720), None, [(FOURCC, MJPG), (WIDTH, 1280), (HEIGHT, 720)]),
        ((640, 480), 60.0, [(FOURCC, MJPG), (WIDTH, 640), (HEIGHT, 480), (FPS, 60)]),
        (None, 30.0, [(FPS, 30)]),
    ],
)
def test_wishes_come_in_the_order_that_drivers_want(
    size: tuple[int, int] | None, fps: float | None, expected: list[tuple[int, float]]
) -> None:
    asked = Asked()
    wish(asked, size, fps, platform="linux")
    assert asked.wishes == expected
    # DirectShow forgets the kind of pictures when it is asked for anything after it.
    there = Asked()
    wish(there, size, fps, platform="win32")
    assert sorted(there.wishes) == sorted(expected)
    assert FOURCC not in [prop for prop, _ in there.wishes[:-1]]


def test_a_camera_that_took_its_number_is_not_the_one_that_was_unplugged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera, names = LocalCamera(0), iter([{0: "usb-a", 1: "usb-b"}, {0: "usb-b"}, {}, {0: "usb-a"}])
    opened: list[int] = []

    class Opened(Asked):
        def __init__(self, index: int) -> None:
            super().__init__()
            opened.append(index)

    monkeypatch.setattr(camera_backends, "camera_paths", lambda: next(names))
    monkeypatch.setattr(camera_backends, "open_capture", lambda index, *_: Opened(index))
    camera.open()
    with pytest.raises(SourceError, match="camera 0 is another one now; plug it in again"):
        camera.open()
    camera.open()  # nothing tells: then the number is all there is
    camera.open()
    assert opened == [0, 0, 0]


@pytest.mark.parametrize(("platform", "fps"), [("darwin", [30.0]), ("linux", [])])
def test_a_mac_is_asked_for_the_usual_rate(
    platform: str, fps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked()
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(camera_backends, "camera_paths", dict)
    monkeypatch.setattr(camera_backends, "open_capture", lambda *_: asked)
    LocalCamera(0).open()
    assert [value for prop, value in asked.wishes if prop == FPS] == fps


@pytest.mark.parametrize(
    ("size", "fps", "sentence"),
    [
        (None, None, None),
        ((640, 480), 30.0, None),
        ((1280, 720), None, "camera 2 gives 640x480 at 29.97 fps, not 1280x720"),
        ((640, 480), 60.0, "camera 2 gives 640x480 at 29.97 fps, not 640x480 at 60 fps"),
        (None, 60.0, "camera 2 gives 640x480 at 29.97 fps, not 60 fps"),
    ],
)
def test_a_camera_that_gives_something_else_is_told(
    size: tuple[int, int] | None, fps: float | None, sentence: str | None
) -> None:
    assert LocalCamera(2, size, fps).missed(VideoInfo(640, 480, 30000 / 1001)) == sentence


@pytest.mark.parametrize(
    ("platform", "there", "may", "words"),
    [
        ("linux", False, True, "there is no such camera. `livestyle webcam --list`"),
        ("linux", True, False, "you may not use .*video3: `sudo usermod -aG video"),
        ("linux", True, True, "another program uses it"),
        ("darwin", False, True, r"Privacy & Security, Camera\. If macOS asks now, allow it and start again"),
        ("win32", False, True, "Settings, Privacy & security, Camera does not let desktop apps"),
    ],
)
def test_it_is_said_why_a_camera_does_not_open(
    platform: str, there: bool, may: bool, words: str, tmp_path: Path
) -> None:
    if there:
        (tmp_path / "video3").touch()
    reason = why_closed(3, platform=platform, folder=tmp_path, may=lambda *_: may)
    assert re.search(words, reason)
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://admin:hunter2@10.0.0.5:554/live?token=1#x", "rtsp://10.0.0.5:554/live"),
        ("http://stage.local/cam.mjpg", "http://stage.local/cam.mjpg"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234"),
        ("http://stage.local/@left", "http://stage.local/@left"),
        ("http://[nonsense", "http://[nonsense"),
    ],
)
def test_a_stream_is_shown_without_its_password(url: str, name: str) -> None:
    assert NetworkCamera(url).name == name


def test_a_camera_that_is_not_there_is_one_sentence() -> None:
    """In a process of its own: it must not say anything else either, nor leave anything behind."""
    code = (
        "import os\n"
        "from livestyle.errors import SourceError\n"
        "from livestyle.sources import open_camera\n"
        "before = dict(os.environ)\n"
        "for spec in ('99', 'http://127.0.0.1:9/none.mjpg', 'http://me:secret@127.0.0.1:9/none.mjpg'):\n"
        "    try:\n"
        "        open_camera(spec)\n"
        "    except SourceError as error:\n"
        "        print(error)\n"
        "assert dict(os.environ) == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, third = done.stdout.splitlines()
    assert first.startswith("cannot open camera 99: there is no such camera")
    assert "`livestyle webcam --list`" in first
    assert second.startswith("cannot open http://127.0.0.1:9/none.mjpg: nothing answers there")
    assert third == second
    assert done.stderr == ""


@needs_avdevice
def test_a_stream_is_read_like_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    # lavfi draws a test picture; FFmpeg inside OpenCV takes it for a stream
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "input_format;lavfi")
    with CameraSource(NetworkCamera("color=red:size=64x48:rate=25")) as source:
        frames = list(islice(source, 3))
    assert (source.info.width, source.info.height, source.info.fps) == (64, 48, 25.0)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert np.abs(frames[0].image[24, 32].astype(int) - (255, 0, 0)).max() <= 3


class Stream(BaseHTTPRequestHandler):
    """Motion JPEG as network cameras send it: three pictures, and the connection ends."""

    connections = 0

    def do_GET(self) -> None:
        first = 3 * type(self).connections
        type(self).connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for index in range(first, first + 3):
            jpeg = cv2.imencode(".jpg", bgr(index))[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A web server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_stream_that_ends_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    Stream.connections = 0
    with served(Stream) as url:
        # On a clock that runs fifty times faster, so that the rests take no time.
        source = CameraSource(
            NetworkCamera(f"{url}/camera.mjpg"),
            clock=lambda: 50 * time.monotonic(),
            sleep=lambda seconds: time.sleep(seconds / 50),
        )
        with source:
            frames = list(islice(source, 7))
    assert [index_of(frame.image) for frame in frames] == list(range(7))
    assert [frame.index for frame in frames] == list(range(7))
    assert Stream.connections == 3
    assert f"{url}/camera.mjpg gives no pictures" in caplog.messages[0]


class WebServer(Stream):
    """Sends a video file, all at once."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)


def test_a_video_on_a_web_server_plays_at_its_own_pace(tmp_path: Path) -> None:
    WebServer.content = write_clip(tmp_path / "a.mkv").read_bytes()
    with served(WebServer) as url, CameraSource(NetworkCamera(f"{url}/a.mkv")) as source:
        began = time.monotonic()
        frames = list(islice(source, 5))
    assert time.monotonic() - began >= 0.15  # four steps of 0.04 s
    assert [index_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4]


def test_no_further_thread_of_the_decoder_holds_pictures_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_THREADS", "4")  # what OpenCV would do on four cores
    capture = NetworkCamera(str(write_clip(tmp_path / "h264.mp4"))).open()
    assert capture.get(cv2.CAP_PROP_N_THREADS) == 1
    capture.release()


def test_a_text_is_no_stream(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SourceError, match="nothing answers there, or it is no video"):
        NetworkCamera(f"http://127.0.0.1:{port}/").open()
    assert "OPENCV_FFMPEG_LOGLEVEL" not in os.environ
