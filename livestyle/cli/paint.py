"""livestyle video, image and styles: what paints files."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli.options import (
    BRUSH_HELP,
    SMOOTH_HELP,
    AsJson,
    Brush,
    DeviceName,
    Model,
    Overwrite,
    Strength,
    Style,
    Threads,
    UsageError,
    known_brush,
    say,
    smoothing_of,
)
from livestyle.engines import Device
from livestyle.errors import DeviceError, SinkError, SourceError
from livestyle.terminal import progress_bar, with_progress

if TYPE_CHECKING:
    from livestyle.frame import Image
    from livestyle.mix import MixVector
    from livestyle.pictures import Alpha
    from livestyle.stylizer import BrushStylizer

# Each may be too large for the device, which painted a small picture when it was opened; so many in a row
# are its own fault.
_MOST_LOST = 3


def video(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="The video to paint.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A .mp4, .mkv, .mov or .webm file.")],
    style: Style = "1",
    strength: Strength = 1.0,
    model: Model = "painters",
    device: DeviceName = Device.AUTO,
    height: Annotated[int | None, typer.Option(min=16, help="Scale down to this height, pixels.")] = None,
    quality: Annotated[int, typer.Option(min=0, max=100, help="Of the encoding.")] = 75,
    start: Annotated[float, typer.Option(min=0, help="Begin here, seconds.")] = 0.0,
    end: Annotated[float | None, typer.Option(min=0, help="End here, seconds.")] = None,
    take: Annotated[
        str | None,
        typer.Option(metavar="FILE|TEXT", help="Styles over time, in place of --style and --strength."),
    ] = None,
    smooth: Annotated[
        str | None,
        typer.Option(
            metavar="off|light|strong|0…1", help=f"{SMOOTH_HELP} [default: light, or what a take says]"
        ),
    ] = None,
    brush: Annotated[
        float | None,
        typer.Option(callback=known_brush, help=f"{BRUSH_HELP} [default: 1, or what a take says]"),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="A wider brush, and motion followed less closely.")
    ] = False,
    threads: Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Paint a video: same size, timestamps, sound and subtitles.

    Example: livestyle video in.mp4 out.mp4 --style starry_night
    """
    from livestyle.buffering import WhenFull, buffered
    from livestyle.flicker import FlickerMeter
    from livestyle.flow import FILM, LIVE
    from livestyle.governor import brush_scale, fast_scale
    from livestyle.mix import parse_mix
    from livestyle.pipeline import stylize_film
    from livestyle.stylizer import BrushStylizer, open_stylizer
    from livestyle.take import Cue, Take
    from livestyle.take_file import read_take
    from livestyle.video_sink import VideoFileSink
    from livestyle.video_source import VideoFileSource

    began = time.perf_counter()
    if take is not None:
        for name in ("style", "strength"):
            given = context.get_parameter_source(name)
            if given is not None and given.name == "COMMANDLINE":
                raise UsageError(f"--take says the style and its strength at every time; leave --{name} away")
    calm = smoothing_of("light" if smooth is None else smooth)
    meter = FlickerMeter() if as_json else None
    with VideoFileSource(source, start=start, end=end, height=height) as frames:
        # Both before the model, which takes a while: they refuse what cannot be read or written.
        sink = VideoFileSink(output, frames.info, template=frames, quality=quality, overwrite=overwrite)
        stylizer = open_stylizer(model, device, threads=threads)
        if take is None:
            shares = tuple(parse_mix(style, stylizer.manifest).astype(float).tolist())
            played = Take([Cue(0.0, shares, strength=strength, smooth=calm, brush=brush or 1.0)])
        else:
            played = read_take(take, stylizer.manifest, smooth=calm)
            if smooth is not None:
                played = Take(replace(cue, smooth=calm) for cue in played.cues)
            if brush is not None:
                played = Take(replace(cue, brush=brush) for cue in played.cues)
        with sink:
            say(f"painting on {stylizer.engine.name}")
            read = buffered(frames, size=4, when_full=WhenFull.WAIT)
            painter = BrushStylizer(stylizer, fast_scale if fast else brush_scale)
            detail = LIVE if fast else FILM
            painted = stylize_film(read, painter, played.following(start), detail=detail, meter=meter)
            count = 0
            for frame in with_progress(painted, frames.info, frames.duration):
                sink.write(frame)
                count += 1
            frames.refuse_cut_off(count)
    if take is not None and played.unplayed:
        say(f"{_counted(played.unplayed, 'cue')} of the take came after the end of {source}")
    seconds = time.perf_counter() - began
    if meter is not None:
        flicker = meter.overall
        result = {
            "output": str(output),
            "frames": count,
            "width": frames.info.width,
            "height": frames.info.height,
            "seconds": round(seconds, 3),
            "fps": round(count / seconds, 2),
            "scale": round(painter.mean_scale, 3),
            "flicker": None if flicker is None else round(flicker.shown, 4),
            "flicker_removed": None
            if flicker is None or flicker.removed is None
            else round(flicker.removed, 3),
            "device": stylizer.engine.name,
        }
        print(json.dumps(result))
    else:
        print(
            f"{output}: {_counted(count, 'frame')} of {frames.info.width}x{frames.info.height} "
            f"in {seconds:.1f} s ({count / seconds:.1f} fps) on {stylizer.engine.name}"
        )


def image(
    paths: Annotated[
        list[Path], typer.Argument(metavar="IN... OUT", help="Pictures or folders; then where to.")
    ],
    style: Style = "1",
    strength: Strength = 1.0,
    brush: Brush = 1.0,
    model: Model = "painters",
    device: DeviceName = Device.AUTO,
    threads: Threads = None,
    overwrite: Overwrite = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave outputs that exist, and paint the rest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Paint one picture into a file, or many into a folder, where they keep their names.

    Example: livestyle image holiday/ painted/ --style 3
    """
    from livestyle.batch import plan_pictures
    from livestyle.mix import parse_mix, with_strength
    from livestyle.pictures import write_picture
    from livestyle.stylizer import BrushStylizer, open_stylizer

    if len(paths) < 2:
        raise UsageError("a picture and where it goes are needed: livestyle image in.jpg out.jpg")
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    plan = plan_pictures(paths[:-1], paths[-1], overwrite=overwrite, skip_existing=skip_existing)
    if plan.left_out:
        say(plan.left_out)
    painted: list[str] = []
    failed: list[str] = []
    lost = 0  # by the device, in a row
    with plan.outputs_ready():  # before the model, which takes a while
        stylizer = open_stylizer(model, device, threads=threads)
        mix = with_strength(parse_mix(style, stylizer.manifest), strength)
        painter = BrushStylizer(stylizer)
        say(f"painting on {stylizer.engine.name}")
        with progress_bar() as bar:
            for job in bar.track(plan.jobs, description="painting"):
                try:
                    stylized, alpha = _paint(job.source, painter, mix, brush)
                except (SourceError, DeviceError) as error:
                    # One that is broken, or too large for the device, must not cost the other thousand.
                    lost += isinstance(error, DeviceError)
                    if plan.folder is None:
                        raise
                    if lost == _MOST_LOST:
                        raise DeviceError(f"gave up after {lost} pictures in a row: {error}") from error
                    failed.append(str(job.source))
                    say(f"error: {error}")
                    continue
                lost = 0
                write_picture(job.output, stylized, alpha, overwrite=overwrite)
                painted.append(str(job.output))
    if as_json:
        kept = [str(path) for path in plan.kept]
        result = {"painted": painted, "failed": failed, "kept": kept, "device": stylizer.engine.name}
        print(json.dumps(result))
    elif plan.folder is None:
        print(paths[-1])
    else:
        others = {"failed": len(failed), "kept": len(plan.kept)}
        counts = [f"{count} {what}" for what, count in others.items() if count]
        where = f" in {plan.folder}" if painted or plan.kept else ""
        print(", ".join([f"{_counted(len(painted), 'picture')}{where}", *counts]))
    if failed:
        raise typer.Exit(1)


def _paint(source: Path, painter: BrushStylizer, mix: MixVector, brush: float) -> tuple[Image, Alpha | None]:
    from livestyle.pictures import read_picture

    picture, alpha = read_picture(source)
    try:
        return painter(picture, mix, brush), alpha
    except DeviceError as error:
        raise DeviceError(f"cannot paint {source}: {error}") from error


def _open(picture: Path) -> None:
    """In whatever shows pictures here."""
    if typer.launch(str(picture)) != 0:
        raise SinkError(f"nothing here opens pictures; look at {picture} yourself")


def styles(
    model: Model = "painters",
    sheet: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="PHOTO SHEET", help="Paint PHOTO in every style into one picture SHEET."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--open", help="Show that SHEET, or without it the one that came along.")
    ] = False,
    device: DeviceName = Device.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """List the styles of a model.

    Example: livestyle styles --sheet me.jpg sheet.png
    """
    from livestyle.library import find_model, load_manifest, models_folder

    if sheet is not None:
        from livestyle.pictures import check_picture_path, read_picture, write_picture
        from livestyle.sheet import arrange_sheet, paint_styles
        from livestyle.stylizer import open_stylizer
        from livestyle.whole_file import WholeFile

        if sheet[1].exists() and sheet[0].exists() and sheet[1].samefile(sheet[0]):
            raise SinkError(f"{sheet[0]} would be replaced by its own sheet; name another output")
        check_picture_path(sheet[1], overwrite=overwrite)
        WholeFile(sheet[1], overwrite).probe()  # before the model, which takes a while
        photo, _ = read_picture(sheet[0])
        stylizer = open_stylizer(model, device)
        say(f"painting on {stylizer.engine.name}")
        rows = stylizer.manifest.styles
        with progress_bar() as bar:
            pictures = list(bar.track(paint_styles(photo, stylizer), total=len(rows), description="painting"))
        captions = [f"{n}  {row.title}" for n, row in enumerate(rows)]
        write_picture(sheet[1], arrange_sheet(pictures, captions), overwrite=overwrite)
        print(sheet[1])
        if show:
            _open(sheet[1])
        return
    if show:
        if model != "painters":
            raise SinkError(f"no sheet of {model} came along; paint one: add --sheet PHOTO SHEET")
        _open(models_folder() / "sheet.jpg")
        return
    rows = load_manifest(find_model(model)).styles
    if as_json:
        keys = ("name", "title", "artist", "year", "licence")
        print(
            json.dumps(
                [{"number": n} | {k: getattr(s, k) for k in keys} for n, s in enumerate(rows)], indent=1
            )
        )
        return
    for n, row in enumerate(rows):
        by = ", ".join(filter(None, (row.artist, row.year)))
        print(f"{n:>3}  {row.name:<24} {row.title:<36} {by}".rstrip())


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
