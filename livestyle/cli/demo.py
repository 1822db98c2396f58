"""livestyle demo: every style on the film that came along."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path
from typing import Annotated

import typer

from livestyle.cli.options import DeviceName, Model, Overwrite, Threads, say
from livestyle.engines import Device
from livestyle.terminal import StopSignal, with_progress

_NO_WINDOW = "livestyle-demo"  # the video's name, and a number where that is taken


def demo(
    output: Annotated[
        Path | None,
        typer.Argument(metavar="[OUT]", help="Write the tour into this video instead of showing it."),
    ] = None,
    model: Model = "painters",
    device: DeviceName = Device.AUTO,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Go through all styles on a film that came along: in a window, or without a display as a video.

    In the window all keys of `livestyle webcam` work, h shows them. Whoever chooses a
    style ends the tour; a goes on with it.

    Example: livestyle demo
    """
    from livestyle.sinks import display_problem

    problem = display_problem() if output is None else None
    if problem is not None:
        names = (Path(f"{_NO_WINDOW}{number or ''}.mp4") for number in count())
        output = next(name for name in names if overwrite or not name.exists())
        say(f"{problem}; the tour is written into {output}")
    if output is None:
        _show(model, device, threads)
    else:
        _write(output, model, device, threads, overwrite)


def _show(model: str, device: Device, threads: int | None) -> None:
    from livestyle.controls import Desk
    from livestyle.library import demo_film
    from livestyle.live import play
    from livestyle.saver import Saver
    from livestyle.sinks import WindowSink
    from livestyle.smoothing import SMOOTHING
    from livestyle.sources import LoopedFileSource
    from livestyle.stylizer import open_stylizer
    from livestyle.take import Cue, Take
    from livestyle.tour import FADE, SECONDS

    stop = StopSignal()
    with ExitStack() as stack:
        source = stack.enter_context(LoopedFileSource(demo_film()))
        stylizer = open_stylizer(model, device, threads=threads)
        n_styles = len(stylizer.manifest.styles)
        original = (1.0, *(n_styles - 1) * (0.0,))
        take = Take([Cue(0.0, original, smooth=SMOOTHING["light"])])
        desk = Desk(take, fade=FADE, auto_every=SECONDS, auto_fade=FADE)
        desk.press("a")
        saver = stack.enter_context(Saver(source.info, Path()))
        view = stack.enter_context(WindowSink("livestyle", source.info))
        say(f"painting on {stylizer.engine.name}; h shows the keys, q ends")
        with stop:
            play(source, stylizer, take, desk, saver, window=view, stopped=lambda: stop.asked)


def _write(output: Path, model: str, device: Device, threads: int | None, overwrite: bool) -> None:
    from livestyle.buffering import WhenFull, buffered
    from livestyle.library import demo_film
    from livestyle.pipeline import stylize_film
    from livestyle.smoothing import SMOOTHING
    from livestyle.stylizer import BrushStylizer, open_stylizer
    from livestyle.tour import tour, tour_length
    from livestyle.video_sink import VideoFileSink
    from livestyle.video_source import VideoFileSource, looped

    with VideoFileSource(demo_film()) as film:
        info = film.info
    sink = VideoFileSink(output, info, overwrite=overwrite)  # before the model: it refuses what is there
    stylizer = open_stylizer(model, device, threads=threads)
    n_styles = len(stylizer.manifest.styles)
    seconds = tour_length(n_styles)
    info = replace(info, frame_count=round(seconds * info.fps))
    began, frames = time.perf_counter(), 0
    with sink:
        say(f"painting on {stylizer.engine.name}")
        film_time = takewhile(lambda frame: frame.timestamp < seconds, looped(demo_film()))
        read = buffered(film_time, size=4, when_full=WhenFull.WAIT)
        painted = stylize_film(read, BrushStylizer(stylizer), tour(n_styles, SMOOTHING["light"]).at)
        for frame in with_progress(painted, info, seconds):
            sink.write(frame)
            frames += 1
    took = time.perf_counter() - began
    print(
        f"{output}: {frames} frames of {info.width}x{info.height} in {took:.1f} s ({frames / took:.1f} fps)"
    )
