"""The live loop: a camera painted in a window and into any number of outputs, played with keys."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from livestyle.buffering import ReadAhead, WhenFull
from livestyle.controls import CONTROLS, Desk
from livestyle.errors import SinkError
from livestyle.flicker import FlickerMeter
from livestyle.frame import Frame, FrameSink, Image
from livestyle.governor import Governor, brush_scale, scales_for
from livestyle.overlay import Readout, compose_view, draw_notice, draw_overlay
from livestyle.pipeline import stylize_frames
from livestyle.saver import Saver
from livestyle.sources import LiveSource
from livestyle.stylizer import PacedStylizer, Stylizer
from livestyle.take import Take
from livestyle.timing import FpsMeter

_log = logging.getLogger(__name__)

# Of the camera's frames. With one, each frame that takes too long costs another; more would be seen as delay.
_WAITING = 2
_POLL = 0.010  # seconds between looks at the keys
_REDRAW = 0.25  # seconds between pictures while no new one comes: the words on them still change
_MESSAGE = 3.0  # seconds that a message stays
_DELAYS = 20_000  # kept for the report: ten minutes at 30 fps
_RECENT = 30  # frames whose delay is shown
_HELP = tuple((control.shown, control.help) for control in CONTROLS)


class Window(Protocol):
    """What the live loop asks of a window."""

    full_screen: bool

    @property
    def closed(self) -> bool: ...
    def show(self, image: Image) -> None: ...
    def poll_key(self, wait: float = 0.0) -> str | None: ...


@dataclass(frozen=True)
class LiveReport:
    """What happened.

    dropped: pictures of the camera that newer ones replaced before they were painted or shown. Delays: from
    the camera's picture to its painting on the screen, None without a frame. flicker: of what was shown, and
    the part of it that smoothing removed, as FlickerMeter has them. scale: mean part of width and height at
    which was painted; size_changes: how often it changed. failed: what could not be saved.
    """

    seconds: float
    frames: int
    dropped: int
    camera_fps: float
    network_fps: float
    screen_fps: float
    delay_p50_ms: float | None
    delay_p95_ms: float | None
    flicker: float | None
    flicker_removed: float | None
    scale: float
    size_changes: int
    saved: tuple[str, ...]
    failed: tuple[str, ...]


def play(
    source: LiveSource,
    stylizer: Stylizer,
    take: Take,
    desk: Desk,
    saver: Saver,
    *,
    window: Window | None,
    outputs: Sequence[FrameSink] = (),
    target_fps: float | None = None,
    seconds: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
    take_is_kept: bool = False,
) -> LiveReport:
    """Paint the newest picture again and again until the desk, the window, the source or `stopped` ends it.

    Three threads: the camera's, the network's, and this one, which shows, hears keys and feeds the outputs.
    Two frames of the camera wait at most, and one that is painted; a newer one takes the oldest one's place.
    outputs: open, and quick to write.
    target_fps: a rate to keep, None for the camera's; where the network is too slow for it, it paints smaller
    pictures, and they are brought back to full size. seconds: end after so many. take_is_kept: it goes on for
    the take alone. Raises SourceError when the source fails, SinkError when nothing is left to paint for.
    """
    camera, network, flicker = FpsMeter(), FpsMeter(), FlickerMeter()
    info = source.info
    governor = Governor(target_fps or info.fps, scales_for(info.height, info.width, desk.brush))
    with ExitStack() as stack:
        painter = stack.enter_context(PacedStylizer(stylizer, governor, desk.brush))
        show = _Show(source, stylizer, painter, desk, saver, window, outputs, flicker, take_is_kept)
        captured = stack.enter_context(
            ReadAhead(_counted(source, camera), _WAITING, WhenFull.DROP_OLDEST),
        )
        painting = stylize_frames(captured, painter, take.at, meter=flicker, finished=painter.finished)
        painted = stack.enter_context(ReadAhead(_counted(painting, network), 1, WhenFull.DROP_OLDEST))
        # First of all, or the network would wait for a picture of a camera that has none.
        stack.callback(captured.stop)
        beginning = time.perf_counter()
        while not (desk.ended or stopped() or show.closed):
            fresh = painted.take(_POLL)
            if fresh is None and painted.ended:
                break
            show.step(fresh)
            if seconds is not None and time.perf_counter() - beginning >= seconds:
                break
        elapsed = time.perf_counter() - beginning
    try:
        saver.stop()
    except SinkError as error:
        show.fail(error)
    overall = flicker.overall
    p50, p95 = np.percentile(show.delays, [50, 95]) * 1000 if show.delays else (None, None)
    return LiveReport(
        seconds=elapsed,
        frames=show.screen.count,
        dropped=show.dropped,
        camera_fps=camera.mean,
        network_fps=network.mean,
        screen_fps=show.screen.mean,
        delay_p50_ms=p50 if p50 is None else float(p50),
        delay_p95_ms=p95 if p95 is None else float(p95),
        flicker=None if overall is None else overall.shown,
        flicker_removed=None if overall is None else overall.removed,
        scale=painter.mean_scale,
        size_changes=painter.changes,
        saved=tuple(map(str, saver.saved)),
        failed=tuple(show.failed),
    )


def _counted(frames: Iterable[Frame], meter: FpsMeter) -> Iterator[Frame]:
    for frame in frames:
        meter.tick()
        yield frame


class _Show:
    """The main thread's side of the loop: what happens with every painted frame and every key."""

    def __init__(
        self,
        source: LiveSource,
        stylizer: Stylizer,
        painter: PacedStylizer,
        desk: Desk,
        saver: Saver,
        window: Window | None,
        outputs: Sequence[FrameSink],
        flicker: FlickerMeter,
        take_is_kept: bool,
    ) -> None:
        self.delays: deque[float] = deque(maxlen=_DELAYS)
        self.screen = FpsMeter()
        self.dropped = 0
        self.failed: list[str] = []
        self._source = source
        self._titles = [style.title for style in stylizer.manifest.styles]
        self._painter = painter
        self._desk = desk
        self._saver = saver
        self._window = window
        self._outputs = list(outputs)
        self._flicker = flicker
        self._take_is_kept = take_is_kept
        self._newest: Frame | None = None
        self._snapshots = desk.snapshots
        self._message, self._message_ends = "", 0.0
        self._shown_at = 0.0

    @property
    def closed(self) -> bool:
        return self._window is not None and self._window.closed

    def step(self, fresh: Frame | None) -> None:
        """Deal with a painted frame, if there is one, and with the keys."""
        if fresh is not None:
            if self._newest is not None:
                self.dropped += max(0, fresh.index - self._newest.index - 1)
            self._newest = fresh
            self._deliver(fresh)
        pressed = self._hear()
        self._keep()
        if self._newest is not None:
            self._desk.tick(self._newest.timestamp)
        if fresh is not None or pressed or time.perf_counter() - self._shown_at > _REDRAW:
            self._present()
        if fresh is not None:
            self.screen.tick()
            self.delays.append(self._source.now() - fresh.timestamp)

    def fail(self, error: SinkError) -> None:
        """Tell what is lost."""
        self.failed.append(str(error))
        self._say(str(error))
        _log.warning("%s", error)

    def _lose(self, error: SinkError) -> None:
        """An output or a recording is lost; the show goes on unless it was the last."""
        is_recording = self._saver.recorded is not None
        if self._window is None and not (self._outputs or is_recording or self._take_is_kept):
            raise error
        self.fail(error)

    def _deliver(self, frame: Frame) -> None:
        try:
            self._saver.write(frame)
        except SinkError as error:
            self._desk.recording = False
            self._lose(error)
        for output in list(self._outputs):
            try:
                output.write(frame)
            except SinkError as error:
                self._outputs.remove(output)
                self._lose(error)

    def _hear(self) -> bool:
        if self._window is None:
            return False
        pressed = False
        while (key := self._window.poll_key()) is not None:
            self._desk.press(key)
            pressed = True
        if pressed:
            self._window.full_screen = self._desk.full_screen
        return pressed

    def _keep(self) -> None:
        """Recordings and snapshots as the desk wants them."""
        try:
            if self._desk.recording and self._saver.recorded is None:
                self._saver.start()
            elif not self._desk.recording and self._saver.recorded is not None:
                path = self._saver.stop()
                if path is not None:
                    self._say(f"saved {path}")
            if self._desk.snapshots != self._snapshots and self._newest is not None:
                self._snapshots = self._desk.snapshots
                self._say(f"saved {self._saver.snapshot(self._newest)}")
        except SinkError as error:
            self._desk.recording = self._saver.recorded is not None
            self._snapshots = self._desk.snapshots
            self._lose(error)

    def _say(self, message: str) -> None:
        self._message, self._message_ends = message, time.perf_counter() + _MESSAGE

    def _present(self) -> None:
        if self._window is None or self._newest is None:
            return
        self._shown_at = time.perf_counter()
        content = self._newest.image if self._newest.content is None else self._newest.content
        view = compose_view(self._newest.image, content, self._desk.view, self._desk.mirror)
        readout = self._readout()
        if self._desk.overlay:
            view = draw_overlay(view, readout, _HELP if self._desk.help else ())
        else:
            view = draw_notice(view, readout)
        self._window.show(view)

    def _readout(self) -> Readout:
        desk, info = self._desk, self._source.info
        flicker = self._flicker.now
        recent = list(islice(reversed(self.delays), _RECENT))
        return Readout(
            shares=tuple((self._titles[row], share) for row, share in desk.shares()),
            strength=desk.strength,
            fps=self.screen.fps,
            delay_ms=float(np.median(recent)) * 1000 if recent else None,
            mode="mix" if desk.mixing else "solo",
            page=(desk.page + 1, desk.pages),
            switches=desk.switches,
            recording=self._saver.recorded,
            message=self._message if time.perf_counter() < self._message_ends else None,
            problem=self._source.problem,
            flicker=None if flicker is None else (flicker.shown, flicker.removed),
            scale=min(1.0, self._painter.scale / brush_scale(info.height, info.width, desk.brush)),
        )
