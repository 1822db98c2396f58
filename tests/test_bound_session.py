"""Sessions bound to memory, on ONNX Runtime's CPU provider in place of CUDA."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest

from livestyle.engines.bound_session import BoundSession, BoundSessions
from livestyle.engines.contract import Device, FrameBatch, MixVector
from livestyle.engines.providers import create_session, providers_for
from livestyle.library import load_manifest, models_folder

CONTENT = (models_folder() / "painters.onnx").read_bytes()
STYLES = len(load_manifest(models_folder() / "painters.onnx").styles)
SIZES = [(64, 80), (96, 64), (64, 64), (80, 64)]
Size = tuple[int, int]


def frame_of(size_hw: Size, seed: int = 0) -> FrameBatch:
    return np.random.default_rng(seed).integers(0, 256, (1, *size_hw, 3), dtype=np.uint8)


def style(number: int) -> MixVector:
    mix = np.zeros(STYLES, np.float32)
    mix[number] = 1
    return mix


def open_bound(size_hw: Size, captures: bool = False) -> BoundSession:
    sizes = dict(zip(("4*h", "4*w"), size_hw, strict=True))
    session = create_session(CONTENT, providers_for(Device.ONNX_CPU), threads=1, sizes=sizes)
    assert session.get_inputs()[0].shape == [1, *size_hw, 3]  # the network knows its size
    return BoundSession(session, size_hw, STYLES, memory="cpu")


class Canvas:
    """A network that gives its frame, and notes what is done with it at the same time."""

    def __init__(self, easel: Easel) -> None:
        self.easel = easel
        self.threads: set[int] = set()

    def warm_up(self, frame: FrameBatch, style_mix: MixVector) -> None:
        self.easel.warmed += 1

    def run(self, frame: FrameBatch, style_mix: MixVector) -> FrameBatch:
        is_first = threading.get_ident() not in self.threads
        self.threads.add(threading.get_ident())
        with self.easel.alone("two frames at once"):
            time.sleep(0.0005)
            if is_first:
                with self.easel.alone("a first frame while a session is opened", of="opening"):
                    time.sleep(0.001)
        if frame.max() == 255:
            raise RuntimeError("too bright")
        return frame.copy()


class Easel:
    """Opens canvases, and knows whether they were to capture."""

    def __init__(self, *, refuses_capture: bool = False) -> None:
        self.opened: list[tuple[Size, bool]] = []
        self.warmed = 0
        self.wrong: set[str] = set()
        self.refuses_capture = refuses_capture
        self._locks = {"running": threading.Lock(), "opening": threading.Lock()}

    def open(self, size_hw: Size, captures: bool) -> Canvas:
        with self.alone("two sessions opened at once, or one during a first frame", of="opening"):
            time.sleep(0.001)
            self.opened.append((size_hw, captures))
        if captures and self.refuses_capture:
            raise RuntimeError("this session cannot use the CUDA Graph feature")
        return Canvas(self)

    def alone(self, otherwise: str, of: str = "running") -> Alone:
        return Alone(self, self._locks[of], otherwise)


class Alone:
    """Notes what is wrong where somebody else is in here already."""

    def __init__(self, easel: Easel, lock: threading.Lock, otherwise: str) -> None:
        self._easel, self._lock, self._otherwise = easel, lock, otherwise

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._easel.wrong.add(self._otherwise)
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_bound_memory_paints_what_the_session_alone_paints_to_the_bit() -> None:
    session = create_session(CONTENT, providers_for(Device.ONNX_CPU), threads=1)
    sessions = BoundSessions(open_bound)
    painted = []
    # Sizes change and come again, and so do the frame and the mix of one size.
    for seed, size_hw in enumerate([*SIZES, *SIZES[::-1], SIZES[0]]):
        frame, mix = frame_of(size_hw, seed), style(seed)
        (expected,) = session.run(["stylized"], {"frame": frame, "style_mix": mix})
        painted.append((sessions.run(frame, mix), expected))
    for ours, theirs in painted:  # later, since no frame may be written into an earlier one
        np.testing.assert_array_equal(ours, theirs)


def test_any_thread_may_paint_any_size() -> None:
    sessions = BoundSessions(open_bound)
    expected = {size_hw: open_bound(size_hw).run(frame_of(size_hw), style(3)) for size_hw in SIZES}

    def paint(number: int) -> None:
        for step in range(3):
            size_hw = SIZES[(number + step) % len(SIZES)]
            np.testing.assert_array_equal(sessions.run(frame_of(size_hw), style(3)), expected[size_hw])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(paint, range(4)))


@pytest.mark.parametrize(
    ("frame", "mix", "error"),
    [
        (np.zeros((2, 64, 64, 3), np.uint8), style(1), ValueError),
        (np.zeros((1, 64, 64, 4), np.uint8), style(1), ValueError),
        (np.zeros((1, 64, 64, 3), np.int8), style(1), TypeError),
        (np.zeros((1, 64, 64, 3), np.uint8), style(1)[1:], ValueError),
        (np.zeros((1, 64, 64, 3), np.uint8), style(1).astype(np.float64), TypeError),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_copied(
    frame: FrameBatch, mix: MixVector, error: type[Exception]
) -> None:
    sessions = BoundSessions(open_bound)
    before = sessions.run(frame_of((64, 64)), style(2))
    with pytest.raises(error, match=r"frame|style_mix"):
        sessions.run(frame, mix)
    np.testing.assert_array_equal(sessions.run(frame_of((64, 64)), style(2)), before)


def test_the_two_sizes_used_last_are_kept() -> None:
    easel = Easel()
    sessions = BoundSessions(easel.open)
    a, b, c = SIZES[:3]
    for size_hw in (a, b, a, a, c, a, c, b):
        sessions.run(np.zeros((1, *size_hw, 3), np.uint8), style(0))
    assert [size_hw for size_hw, _ in easel.opened] == [a, b, c, b]
    assert easel.warmed == 4


def test_a_session_whose_frame_failed_is_opened_anew() -> None:
    easel = Easel()
    sessions = BoundSessions(easel.open)
    dark, bright = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)
    sessions.run(dark, style(0))
    with pytest.raises(RuntimeError, match="too bright"):
        sessions.run(bright, style(0))
    np.testing.assert_array_equal(sessions.run(dark, style(0)), dark)
    assert len(easel.opened) == 2


def test_where_cuda_graphs_are_refused_it_paints_without(caplog: pytest.LogCaptureFixture) -> None:
    easel = Easel(refuses_capture=True)
    sessions = BoundSessions(easel.open, captures=True)
    caplog.set_level("INFO")
    for size_hw in SIZES[:2]:
        frame = np.full((1, *size_hw, 3), 7, np.uint8)
        np.testing.assert_array_equal(sessions.run(frame, style(0)), frame)
    assert easel.opened == [(SIZES[0], True), (SIZES[0], False), (SIZES[1], False)]
    assert caplog.messages == ["painting without CUDA graphs: this session cannot use the CUDA Graph feature"]


def test_a_refusal_later_on_replaces_the_sessions_that_capture() -> None:
    easel = Easel()
    sessions = BoundSessions(easel.open, captures=True)
    frames = [np.zeros((1, *size_hw, 3), np.uint8) for size_hw in SIZES[:2]]
    sessions.run(frames[0], style(0))
    easel.refuses_capture = True
    for frame in (frames[1], frames[0]):
        sessions.run(frame, style(0))
    assert easel.opened == [(SIZES[0], True), (SIZES[1], True), (SIZES[1], False), (SIZES[0], False)]


def test_a_bad_frame_does_not_cost_the_cuda_graphs() -> None:
    easel = Easel()
    sessions = BoundSessions(easel.open, captures=True)
    with pytest.raises(RuntimeError, match="too bright"):
        sessions.run(np.full((1, 8, 8, 3), 255, np.uint8), style(0))
    easel.opened.clear()
    sessions.run(np.zeros((1, 8, 8, 3), np.uint8), style(0))
    assert easel.opened == [((8, 8), True)]


def test_while_a_thread_captures_no_other_paints_or_opens() -> None:
    easel = Easel()
    sessions = BoundSessions(easel.open, captures=True)

    def paint(number: int) -> None:
        for step in range(20):
            size_hw = SIZES[(number + step // 5) % 3]
            sessions.run(np.zeros((1, *size_hw, 3), np.uint8), style(0))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(paint, range(4)))
    assert easel.wrong == set()
    assert len(easel.opened) > 3


def test_threads_that_come_later_share_the_session() -> None:
    easel = Easel()
    sessions = BoundSessions(easel.open)

    def paint(_: int) -> None:
        for _step in range(5):
            sessions.run(np.zeros((1, 8, 8, 3), np.uint8), style(0))

    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(paint, range(4)))
    assert len(easel.opened) == 1


def test_while_a_size_is_opened_a_thread_paints_what_it_knows_and_a_new_one_waits() -> None:
    easel = Easel()
    opening, may_open = threading.Event(), threading.Event()

    def open_slowly(size_hw: Size, captures: bool) -> Canvas:
        if size_hw == SIZES[1]:
            opening.set()
            assert may_open.wait(10)
        return easel.open(size_hw, captures)

    sessions = BoundSessions(open_slowly)
    known, new = (np.zeros((1, *size_hw, 3), np.uint8) for size_hw in SIZES[:2])
    sessions.run(known, style(0))
    with ThreadPoolExecutor(2) as pool:
        opener = pool.submit(sessions.run, new, style(0))
        assert opening.wait(10)
        sessions.run(known, style(0))  # it would wait for ever
        newcomer = pool.submit(sessions.run, known, style(0))
        assert not wait([newcomer], 0.1).done
        may_open.set()
        assert opener.result(10).shape == new.shape
        assert newcomer.result(10).shape == known.shape
