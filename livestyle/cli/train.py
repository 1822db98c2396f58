"""livestyle train and export: what makes models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli.options import Overwrite, say
from livestyle.errors import LivestyleError
from livestyle.terminal import StopSignal, progress_bar

if TYPE_CHECKING:
    from livestyle.training.train import TrainStep


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
    say(f"training {plan.name} on {state.device.type}, step {state.step} of {plan.steps}; see {folder}")
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
                bar.console.print(_fractions(step))
    print(folder / CHECKPOINT)
    if stop.asked:
        say(f"stopped at step {state.step}; --resume goes on")
        raise typer.Exit(130)


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


def _fractions(step: TrainStep) -> str:
    rows = [
        f"{name} {step.style_fractions[name]:.2f}/{step.content_fractions[name]:.2f}"
        for name in step.style_fractions
    ]
    return f"step {step.step}, style/content left: " + ", ".join(rows)


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise LivestyleError("training needs torch: pip install 'livestyle[train]'")
