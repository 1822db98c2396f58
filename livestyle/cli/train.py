"""livestyle train, export and add-style: what makes models."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livestyle.cli.options import AsJson, Overwrite, need_torch, say
from livestyle.errors import LivestyleError
from livestyle.library import photos_folder
from livestyle.terminal import StopSignal, progress_bar

if TYPE_CHECKING:
    from livestyle.training.add_style import Fractions, NewStyle
    from livestyle.training.train import TrainStep


def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file, such as models/painters.toml.")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of photos or tar files, or one tar file, instead of the recipe's."),
    ] = None,
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
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also draw curves for TensorBoard, in the run's folder.")
    ] = False,
) -> None:
    """Train a network on paintings. Needs pip install "livestyle[train]".

    Ctrl-C saves a checkpoint and stops; --resume goes on as if nothing had happened. On several GPUs:
    torchrun --nproc-per-node=N -m livestyle train RECIPE; each takes its part of the recipe's batch.
    """
    need_torch()
    from livestyle.training.ranks import open_ranks
    from livestyle.training.recipe import load_recipe
    from livestyle.training.run import CHECKPOINT, open_curves, open_run, run_training

    plan = load_recipe(recipe).with_paths(photos=photos, paintings=paintings, loss_network=loss_network)
    folder = run or Path("runs") / plan.name
    stop = StopSignal(hang_up=True)
    with open_ranks(device) as ranks:
        first = ranks.rank == 0  # the others keep silent
        state = open_run(plan, folder, resume=resume, device=device)
        curves = open_curves(folder) if tensorboard and first else None
        if first:
            where = f"{ranks.count} x {state.device.type}" if ranks.count > 1 else state.device.type
            say(f"training {plan.name} on {where}, step {state.step} of {plan.steps}; see {folder}")
        saved = -1
        with progress_bar("step/s") as bar, stop:
            task = bar.add_task("training", total=plan.steps, completed=state.step, visible=first)
            for step in run_training(
                state,
                folder,
                save_every=60 * save_every,
                stopped=lambda: stop.asked,
                workers=workers,
                ranks=ranks,
                curves=curves,
            ):
                style = sum(step.style_fractions.values()) / len(step.style_fractions)
                content = sum(step.content_fractions.values()) / len(step.content_fractions)
                bar.update(task, completed=step.step, description=f"style {style:.3f} content {content:.3f}")
                if state.saved_step != saved:  # the first rank alone saves
                    saved = state.saved_step
                    bar.console.print(_fractions(step))
        if curves is not None:
            curves.close()
    if first:
        print(folder / CHECKPOINT)
    if state.step < plan.steps:
        if first:
            say(f"stopped at step {state.step}; --resume goes on")
        raise typer.Exit(130)


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint that `livestyle train` saved.")],
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx")],
    photos: Annotated[
        Path | None, typer.Option(help="Photos to compare with torch on [seven that come with livestyle].")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a checkpoint into an ONNX model. Needs pip install "livestyle[train]".

    The model runs on real photos beside torch first, and is not written if they differ.
    """
    need_torch()
    import torch

    from livestyle.training.export import export_onnx
    from livestyle.training.run import photos_in
    from livestyle.training.state import TrainState

    state = TrainState.load(checkpoint, torch.device("cpu"))
    folder = photos or photos_folder()  # not the one that the checkpoint names: it may be a stranger's
    found = export_onnx(state.average, state.recipe, output, photos_in(folder, 16), overwrite=overwrite)
    print(
        f"{output}: {found.mean:.3f} grey levels from torch on average, {found.worst:.0f} at worst, "
        f"over {found.pictures} photos"
    )


def add_style(
    painting: Annotated[Path, typer.Argument(help="A picture of 32x32 pixels and more.")],
    to: Annotated[str, typer.Option(help="A built-in model's name, or an ONNX file.")] = "painters",
    out: Annotated[Path | None, typer.Option(help="The new model [MODEL+NAME.onnx, in this folder].")] = None,
    name: Annotated[str | None, typer.Option(help="What --style will take [from the file's name].")] = None,
    title: Annotated[str | None, typer.Option(help="Of the work [from the name].")] = None,
    artist: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    year: Annotated[str | None, typer.Option(help="When it was made.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the picture, such as 'public domain'.")] = None,
    source: Annotated[str, typer.Option(help="Where the picture is from.")] = "",
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos to learn on [seven that come with livestyle].")
    ] = None,
    loss_network: Annotated[str, typer.Option(help="vgg16, vgg19, or a weights file.")] = "vgg19",
    paintings: Annotated[
        Path | None, typer.Option(help="Folder of the model's own paintings, to compare with.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, max=10_000, help="End after so many [8, without --steps].")
    ] = None,
    style_size: Annotated[
        int | None, typer.Option(min=32, max=2048, help="Short side of the painting: smaller, finer strokes.")
    ] = None,
    unlock: Annotated[
        bool, typer.Option("--unlock", help="Train the last layers too: the other styles change.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Teach a model one more painting. Needs pip install "livestyle[train]".

    The model stays as it is: a new file has one style more, and paints its other styles the same to the bit.
    Title, artist, year and licence are asked for at a terminal. Ctrl-C stops, and nothing is written.

    Example: livestyle add-style painting.jpg
    """
    need_torch()
    from livestyle.library import find_model, photos_folder
    from livestyle.training import add_style as room
    from livestyle.training.grown_model import check_outputs, open_base
    from livestyle.training.recipe import StyleRecipe
    from livestyle.training.run import torch_device

    room.check_painting(painting)
    base = open_base(find_model(to))
    slug = re.sub("[^a-z0-9]+", "_", painting.stem.lower()).strip("_")[:64] if name is None else name
    asking = sys.stdin.isatty() and not as_json
    style = StyleRecipe(
        name=slug,
        image=painting.name,
        title=_told("title", title, slug.replace("_", " ").title(), asking=asking),
        artist=_told("artist", artist, "", asking=asking),
        year=_told("year", year, "", asking=asking),
        licence=_told("licence", licence, "", asking=asking),
        source=source,
        style_size=style_size or 0,
    )
    target = Path(f"{base.path.stem}+{slug}.onnx") if out is None else out
    if unlock and target.resolve() == base.path.resolve():
        raise LivestyleError(f"--unlock changes the other styles of {target}: give --out another name")
    preview = check_outputs(target, overwrite)
    photos = photos or photos_folder()
    new = room.NewStyle(
        base, style, painting, photos, loss_network, device=torch_device(device), unlock=unlock
    )
    others = new.measure_base(paintings) if paintings else {}
    say(f"teaching {slug} to {base.path.name} on {new.state.device.type}, beginning with {new.begun_with}")

    started = time.monotonic()
    _learn(new, steps, 8.0 if steps is None and minutes is None else minutes)
    result = _write_style(new, target, preview, others, overwrite)
    result["seconds"] = round(time.monotonic() - started, 1)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    print(
        f"{target}: style {result['number']} is {slug}; style left {result['style_fraction']:.3f}, "
        f"content left {result['content_fraction']:.3f} after {new.step} steps; see {preview}"
    )
    if others:
        own = result["base"]
        say(
            f"the {own['styles']} other styles have {own['style_fraction']:.3f} and "
            f"{own['content_fraction']:.3f} on average"
        )
    if unlock:
        say(
            f"the last layers were trained too: the other styles of {target} are "
            f"{result['others_moved']:.1f} grey levels from {base.path.name} on average"
        )
    if result["weak"]:
        more = "" if unlock else ", or --unlock (the last layers too; the other styles change)"
        say(
            f"{slug} is weak: {new.recipe.style_target:g} was asked for; "
            f"try more --minutes, a smaller --style-size{more}"
        )


def _learn(new: NewStyle, steps: int | None, minutes: float | None) -> None:
    from livestyle.training.add_style import add_style as learn

    stop = StopSignal()
    with progress_bar("%/s") as bar, stop:
        task = bar.add_task("learning", total=100)
        for step in learn(new, steps=steps, minutes=minutes):
            now = step.fractions
            doing = f"step {step.step} style {now.style:.3f} content {now.content:.3f}"
            bar.update(task, completed=100 * step.progress, description=doing)
            if stop.asked:
                break
    if stop.asked:
        say(f"stopped at step {new.step}; nothing was written")
        raise typer.Exit(130)


def _write_style(
    new: NewStyle, target: Path, preview: Path, others: dict[str, Fractions], overwrite: bool
) -> dict[str, Any]:
    """Measure, write model and preview, and say what came out."""
    from livestyle.pictures import write_picture
    from livestyle.training.add_style import is_weak
    from livestyle.training.grown_model import write_grown

    found = new.measure()
    figures = {
        "style_fraction": round(found.style, 3),
        "content_fraction": round(found.content, 3),
        "steps": new.step,
    }
    change = write_grown(
        new.base,
        new.grown(),
        new.style,
        target,
        new.held_out_photos(4),
        figures=figures,
        unlocked=new.unlock,
        overwrite=overwrite,
    )
    write_picture(preview, new.preview(), overwrite=overwrite)
    return {
        "model": str(target),
        "preview": str(preview),
        "name": new.style.name,
        "number": len(new.base.manifest.styles),
        **figures,
        "asked": new.recipe.style_target,
        "weak": is_weak(new, found),
        "base": _mean(others),
        "begun_with": new.begun_with,
        "device": new.state.device.type,
        "unlocked": new.unlock,
        "others_moved": round(change.mean, 3),
    }


def _mean(others: dict[str, Fractions]) -> dict[str, float] | None:
    if not others:
        return None
    return {
        "styles": len(others),
        "style_fraction": round(fmean(other.style for other in others.values()), 3),
        "content_fraction": round(fmean(other.content for other in others.values()), 3),
    }


def _told(what: str, given: str | None, otherwise: str, *, asking: bool) -> str:
    """What the option says; without it what is typed, where somebody can."""
    if given is not None or not asking:
        return otherwise if given is None else given
    answer: str = typer.prompt(what.capitalize(), default=otherwise, err=True)
    return answer.strip()


def _fractions(step: TrainStep) -> str:
    rows = [
        f"{name} {step.style_fractions[name]:.2f}/{step.content_fractions[name]:.2f}"
        for name in step.style_fractions
    ]
    return f"step {step.step}, style/content left: " + ", ".join(rows)
