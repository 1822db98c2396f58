"""livestyle webcam: the instrument."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli.options import (
    AsJson,
    Brush,
    DeviceName,
    Model,
    Overwrite,
    Smooth,
    Strength,
    Style,
    Threads,
    error_line,
    say,
    smoothing_of,
)
from livestyle.engines import Device
from livestyle.errors import SinkError
from livestyle.terminal import StopSignal

if TYPE_CHECKING:
    from livestyle.live import LiveReport
    from livestyle.manifest import Manifest
    from livestyle.take import Take


def webcam(
    style: Style = "1",
    camera: Annotated[
        str, typer.Option(help="A camera's number, a URL, `screen`, or a video that plays in a loop.")
    ] = "0",
    list_all: Annotated[bool, typer.Option("--list", help="List the cameras and their modes.")] = False,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Ask the camera for this size, such as 1280x720.")
    ] = None,
    fps: Annotated[float | None, typer.Option(min=1, max=1000, help="Ask the camera for this rate.")] = None,
    target_fps: Annotated[
        float | None,
        typer.Option(min=1, max=1000, help="Keep this rate by painting smaller. [default: the camera's]"),
    ] = None,
    strength: Strength = 1.0,
    smooth: Smooth = "light",
    brush: Brush = 1.0,
    fade: Annotated[float, typer.Option(min=0, max=600, help="Seconds from one style to the next.")] = 1.0,
    mirror: Annotated[
        bool | None, typer.Option(help="The window as a mirror; outputs are not. [cameras: yes]")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Record from the start, into this file.")] = None,
    virtual_camera: Annotated[
        bool,
        typer.Option("--virtual-camera", help='Be a camera for calls. Needs "livestyle[virtual-camera]".'),
    ] = False,
    window: Annotated[bool, typer.Option("--window/--no-window", help="Show it; else Ctrl-C ends.")] = True,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after so long.")] = None,
    save_take: Annotated[
        Path | None,
        typer.Option(help="Write what was played into a .json file, for `livestyle video --take`."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the keys s and r put their files.")] = Path(),
    model: Model = "painters",
    device: DeviceName = Device.AUTO,
    threads: Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """See yourself painted, and play it with keys: h in the window shows them, q ends.

    Example: livestyle webcam --style 3 --camera clip.mp4
    """
    from livestyle.sources import LoopedFileSource, camera_number, open_camera

    if list_all:
        _list_cameras(as_json)
        return
    from livestyle.buffering import WriteBehind
    from livestyle.controls import Desk
    from livestyle.frame import FrameSink
    from livestyle.live import Window, play
    from livestyle.mix import parse_mix
    from livestyle.saver import Saver
    from livestyle.sinks import WindowSink
    from livestyle.stylizer import open_stylizer
    from livestyle.take import Cue, Take
    from livestyle.take_file import check_take_path
    from livestyle.whole_file import is_same_file

    if save_take is not None:
        check_take_path(save_take, overwrite=overwrite)
    if not (window or record or virtual_camera or save_take):
        raise SinkError(
            "with --no-window nobody would see it; add --record FILE, --virtual-camera or --save-take FILE"
        )
    if not folder.is_dir():
        raise SinkError(f"there is no folder {folder} for snapshots and recordings; make it first")
    wanted = _size(size)
    calm = smoothing_of(smooth)
    stop = StopSignal()
    with ExitStack() as stack:
        source = stack.enter_context(open_camera(camera, size=wanted, fps=fps))
        if record is not None and isinstance(source, LoopedFileSource) and is_same_file(record, source.path):
            raise SinkError(f"{record} is the film that plays; give the recording another name")
        stylizer = open_stylizer(model, device, threads=threads)
        shares = tuple(parse_mix(style, stylizer.manifest).astype(float).tolist())
        take = Take([Cue(0.0, shares, strength=strength, smooth=calm, brush=brush)])
        is_camera = camera_number(camera) is not None
        desk = Desk(take, fade=fade, mirror=is_camera if mirror is None else mirror)
        saver = stack.enter_context(Saver(source.info, folder, record_to=record, overwrite=overwrite))
        if record is not None:
            desk.recording = True
            saver.start()
        outputs: list[FrameSink] = []
        if virtual_camera:
            from livestyle.virtual_camera import VirtualCameraSink

            sink = VirtualCameraSink(source.info)
            outputs.append(stack.enter_context(WriteBehind(sink, 1, repeat=source.info.fps)))
            say(f"painting into the camera {sink.device}")
        view: Window | None = stack.enter_context(WindowSink("livestyle", source.info)) if window else None
        say(f"painting on {stylizer.engine.name}; " + ("h shows the keys" if window else "Ctrl-C ends"))
        keeping = _kept(save_take, take, stylizer.manifest, overwrite) if save_take else nullcontext()
        with stop, keeping:
            report = play(
                source,
                stylizer,
                take,
                desk,
                saver,
                window=view,
                outputs=outputs,
                target_fps=target_fps,
                seconds=seconds,
                stopped=lambda: stop.asked,
                take_is_kept=save_take is not None,
            )
    _tell(report, stylizer.engine.name, as_json)
    if report.failed:
        raise typer.Exit(1)


@contextmanager
def _kept(path: Path, take: Take, manifest: Manifest, overwrite: bool) -> Iterator[None]:
    """Write the take however the show in this block ends: nobody plays it again. Raises SinkError."""
    from livestyle.take_file import write_take

    try:
        yield
    except BaseException:
        try:
            write_take(path, take, manifest, overwrite=overwrite)
        except SinkError as error:
            say(error_line(error))  # what ended the show is the one to raise
        raise
    write_take(path, take, manifest, overwrite=overwrite)


def _tell(report: LiveReport, device: str, as_json: bool) -> None:
    if as_json:
        figures = {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(report).items()}
        print(json.dumps({**figures, "device": device}))
        return
    for path in report.saved:
        print(path)
    say(
        f"{report.frames} pictures in {report.seconds:.1f} s, {report.dropped} dropped; camera "
        f"{report.camera_fps:.1f}, network {report.network_fps:.1f}, screen {report.screen_fps:.1f} fps"
    )
    if report.size_changes:
        changes = "1 change" if report.size_changes == 1 else f"{report.size_changes} changes"
        say(f"painted at {report.scale:.0%} of the size on average, with {changes} to keep the rate")
    if report.delay_p50_ms is not None:
        say(f"camera to screen {report.delay_p50_ms:.0f} ms, 19 of 20 in {report.delay_p95_ms:.0f} ms")
    if report.flicker is not None:
        removed = "" if not report.flicker_removed else f", {report.flicker_removed:.0%} removed"
        say(f"flicker {report.flicker:.3f}{removed}")


def _list_cameras(as_json: bool) -> None:
    from livestyle.camera_list import list_cameras

    cameras = list_cameras()
    if as_json:
        print(json.dumps([asdict(camera) for camera in cameras], indent=1))
        return
    if not cameras:
        say("no camera is connected; `livestyle webcam --camera FILE` plays a video instead")
    for camera in cameras:
        modes = ", ".join(f"{width}x{height} {fps:.4g} fps" for width, height, fps in camera.modes)
        print(f"{camera.index:>3}  {camera.name:<32} {modes or camera.problem or 'gives no pictures'}")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{2,5})[xX](\d{2,5})", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no size; write it like 1280x720", param_hint="--size")
    return int(match[1]), int(match[2])
