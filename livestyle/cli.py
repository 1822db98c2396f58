"""The command line. The only module that prints and exits: results to stdout, all else to stderr."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from livestyle import __version__
from livestyle.engines import Device
from livestyle.errors import LivestyleError, SinkError, SourceError
from livestyle.terminal import Stopped, StopSignal, progress_bar, raise_stopped, with_progress

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # markup would swallow "[train]" in help texts
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Turn a webcam, videos or pictures into living paintings.",
)

Style = Annotated[str, typer.Option(help="A number, a name, or a mix: 3, starry_night, 3:0.7,5:0.3.")]
Strength = Annotated[float, typer.Option(min=0, max=1.5, help="0 is the original, 1 the style.")]
Model = Annotated[str, typer.Option(help="A built-in model's name, or the path of an ONNX file.")]
DeviceName = Annotated[Device, typer.Option("--device", help="What the network runs on.")]
Threads = Annotated[int | None, typer.Option(min=1, max=256, help="CPU threads of the network.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def video(
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
    threads: Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Paint a video: same size, timestamps, sound and subtitles.

    Example: livestyle video in.mp4 out.mp4 --style starry_night
    """
    from livestyle.buffering import WhenFull, buffered
    from livestyle.mix import parse_mix, with_strength
    from livestyle.pipeline import stylize_frames
    from livestyle.stylizer import open_stylizer
    from livestyle.video_sink import VideoFileSink
    from livestyle.video_source import VideoFileSource

    began = time.perf_counter()
    with VideoFileSource(source, start=start, end=end, height=height) as frames:
        stylizer = open_stylizer(model, device, threads=threads)
        mix = with_strength(parse_mix(style, stylizer.manifest), strength)
        with VideoFileSink(
            output, frames.info, template=frames, quality=quality, overwrite=overwrite
        ) as sink:
            _say(f"painting on {stylizer.engine.name}")
            read = buffered(frames, size=4, when_full=WhenFull.WAIT)
            count = 0
            for frame in with_progress(
                stylize_frames(read, stylizer, lambda _: mix), frames.info, frames.duration
            ):
                sink.write(frame)
                count += 1
            if end is None and not start:
                _refuse_cut_off(source, count, frames.info.frame_count)
    seconds = time.perf_counter() - began
    result = {
        "output": str(output),
        "frames": count,
        "width": frames.info.width,
        "height": frames.info.height,
        "seconds": round(seconds, 3),
        "fps": round(count / seconds, 2),
        "device": stylizer.engine.name,
    }
    line = "{output}: {frames} frames of {width}x{height} in {seconds:.1f} s ({fps:.1f} fps) on {device}"
    print(json.dumps(result) if as_json else line.format(**result))


@app.command()
def image(
    paths: Annotated[
        list[Path], typer.Argument(metavar="IN... OUT", help="Pictures or folders; then where to.")
    ],
    style: Style = "1",
    strength: Strength = 1.0,
    model: Model = "painters",
    device: DeviceName = Device.AUTO,
    threads: Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Paint one picture into a file, or many into a folder, where they keep their names.

    Example: livestyle image holiday/ painted/ --style 3
    """
    from livestyle.batch import plan_pictures
    from livestyle.mix import parse_mix, with_strength
    from livestyle.pictures import read_picture, write_picture
    from livestyle.stylizer import open_stylizer

    if len(paths) < 2:
        raise SourceError("name at least one picture and where it goes: livestyle image in.jpg out.jpg")
    jobs = plan_pictures(paths[:-1], paths[-1], overwrite=overwrite)
    stylizer = open_stylizer(model, device, threads=threads)
    mix = with_strength(parse_mix(style, stylizer.manifest), strength)
    failed = []
    with progress_bar() as bar:
        for job in bar.track(jobs, description="painting"):
            try:
                picture, alpha = read_picture(job.source)
                write_picture(job.output, stylizer(picture, mix), alpha, overwrite=overwrite)
            except SourceError as error:  # one broken picture must not cost the other thousand
                if len(jobs) == 1:
                    raise
                failed.append(str(job.source))
                _say(f"error: {error}")
    painted = [str(job.output) for job in jobs if str(job.source) not in failed]
    if as_json:
        print(json.dumps({"painted": painted, "failed": failed, "device": stylizer.engine.name}))
    else:
        print(painted[0] if len(jobs) == 1 else f"{len(painted)} pictures in {paths[-1]}")
    if failed:
        raise typer.Exit(1)


@app.command()
def styles(
    model: Model = "painters",
    sheet: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="PHOTO SHEET", help="Paint PHOTO in every style into one picture SHEET."),
    ] = None,
    device: DeviceName = Device.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """List the styles of a model.

    Example: livestyle styles --sheet me.jpg sheet.png
    """
    from livestyle.library import find_model, load_manifest

    if sheet is not None:
        from livestyle.pictures import check_picture_path, read_picture, write_picture
        from livestyle.sheet import arrange_sheet, paint_styles
        from livestyle.stylizer import open_stylizer

        check_picture_path(sheet[1], overwrite=overwrite)
        if sheet[1].exists() and sheet[0].exists() and sheet[1].samefile(sheet[0]):
            raise SinkError(f"{sheet[0]} would be replaced by its own sheet; name another output")
        photo, _ = read_picture(sheet[0])
        stylizer = open_stylizer(model, device)
        rows = stylizer.manifest.styles
        with progress_bar() as bar:
            pictures = list(bar.track(paint_styles(photo, stylizer), total=len(rows), description="painting"))
        captions = [f"{n}  {row.title}" for n, row in enumerate(rows)]
        write_picture(sheet[1], arrange_sheet(pictures, captions), overwrite=overwrite)
        print(sheet[1])
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


@app.command()
def webcam(
    style: Style = "1",
    camera: Annotated[
        str, typer.Option(help="A camera's number, a URL, or a video that plays in a loop.")
    ] = "0",
    strength: Strength = 1.0,
    fade: Annotated[float, typer.Option(min=0, help="Seconds from one style to the next.")] = 1.0,
    model: Model = "painters",
    device: DeviceName = Device.AUTO,
    threads: Threads = None,
) -> None:
    """See yourself painted. Digits choose the style; q or Esc ends.

    Example: livestyle webcam --style 3 --camera clip.mp4
    """
    from livestyle.live import play
    from livestyle.mix import parse_mix
    from livestyle.sinks import WindowSink
    from livestyle.sources import open_camera
    from livestyle.stylizer import open_stylizer

    stylizer = open_stylizer(model, device, threads=threads)
    mix = parse_mix(style, stylizer.manifest)
    with open_camera(camera) as source, WindowSink("livestyle", source.info) as window:
        _say(f"painting on {stylizer.engine.name}; 1-9 choose the style, q ends")
        play(source, window, stylizer, mix, strength=strength, fade=fade)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file, such as models/painters.toml.")],
    photos: Annotated[Path | None, typer.Option(help="Folder of photos, instead of the recipe's.")] = None,
    paintings: Annotated[
        Path | None, typer.Option(help="Folder of paintings, instead of the recipe's.")
    ] = None,
    loss_network: Annotated[str | None, typer.Option(help="vgg16, vgg19, or a weights file.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder for checkpoint, log and preview [runs/NAME].")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's checkpoint.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    save_every: Annotated[float, typer.Option(min=0.1, help="Minutes between checkpoints.")] = 3.0,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that read photos.")] = 0,
) -> None:
    """Train a network on paintings. Needs pip install 'livestyle[train]'.

    Ctrl-C saves a checkpoint and stops; --resume goes on as if nothing had happened.
    """
    _need_torch()
    from livestyle.training.recipe import load_recipe
    from livestyle.training.run import CHECKPOINT, open_run, run_training

    plan = load_recipe(recipe).with_paths(photos=photos, paintings=paintings, loss_network=loss_network)
    folder = run or Path("runs") / plan.name
    stop = StopSignal()
    state = open_run(plan, folder, resume=resume, device=device)
    _say(f"training {plan.name} on {state.device.type}, step {state.step} of {plan.steps}; see {folder}")
    saved = -1
    with progress_bar("step/s") as bar, stop:
        task = bar.add_task("training", total=plan.steps, completed=state.step)
        for step in run_training(
            state, folder, save_every=60 * save_every, stopped=lambda: stop.asked, workers=workers
        ):
            style = sum(step.style_fractions.values()) / len(step.style_fractions)
            content = sum(step.content_fractions.values()) / len(step.content_fractions)
            bar.update(task, completed=step.step, description=f"style {style:.3f} content {content:.3f}")
            if state.saved_step != saved:
                saved = state.saved_step
                bar.console.print(_fractions(step.step, step.style_fractions, step.content_fractions))
    print(folder / CHECKPOINT)
    if stop.asked:
        _say(f"stopped at step {state.step}; --resume goes on")
        raise typer.Exit(130)


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint that `livestyle train` saved.")],
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx")],
    photos: Annotated[Path | None, typer.Option(help="Photos to compare with torch on.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a checkpoint into an ONNX model. Needs pip install 'livestyle[train]'.

    The model runs on real photos beside torch first, and is not written if they differ.
    """
    _need_torch()
    import torch

    from livestyle.training.export import export_onnx
    from livestyle.training.run import photos_in
    from livestyle.training.state import TrainState

    state = TrainState.load(checkpoint, torch.device("cpu"))
    folder = photos or state.recipe.path(state.recipe.content_folder)
    found = export_onnx(state.average, state.recipe, output, photos_in(folder, 16), overwrite=overwrite)
    print(
        f"{output}: {found.mean:.3f} grey levels from torch on average, {found.worst:.0f} at worst, "
        f"over {found.pictures} photos"
    )


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show:
        print(f"livestyle {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command. An error is one line on stderr and exit status 1, Ctrl-C is 130."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), raise_stopped)
    try:
        app(standalone_mode=True)
    except LivestyleError as error:
        _say(f"error: {error}")
    except Stopped:
        _say("stopped")
        sys.exit(130)
    sys.exit(1)


def _refuse_cut_off(source: Path, count: int, expected: int | None) -> None:
    # A tenth, because edit lists and damaged pieces hide some frames of a file that is whole.
    if expected is not None and count < 0.9 * expected:
        raise SourceError(
            f"{source} is cut off: only {count} of {expected} frames can be read; "
            "`--end SECONDS` paints what is there"
        )


def _fractions(step: int, style: dict[str, float], content: dict[str, float]) -> str:
    rows = [f"{name} {style[name]:.2f}/{content[name]:.2f}" for name in style]
    return f"step {step}, style/content left: " + ", ".join(rows)


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise LivestyleError("training needs torch: pip install 'livestyle[train]'")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
