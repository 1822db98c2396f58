"""A training run in a folder: checkpoint, log and preview, saved every few minutes and when stopped."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from livestyle.errors import DeviceError, LivestyleError, RecipeError
from livestyle.frame import Image
from livestyle.pictures import write_picture
from livestyle.training.dataset import resize_short_side, to_image, to_tensor
from livestyle.training.network import TransformNet
from livestyle.training.photos import find_photos
from livestyle.training.ranks import Ranks
from livestyle.training.recipe import Recipe
from livestyle.training.state import TrainState
from livestyle.training.train import ALONE, TrainStep, train

CHECKPOINT = "checkpoint.pt"
PREVIEW = "preview.png"
LOG = "log.jsonl"
CURVES = "tensorboard"  # a folder
LOG_EVERY = 50  # steps
PREVIEW_PHOTOS, PREVIEW_SIZE = 3, 256

_log = logging.getLogger(__name__)


class Curves(Protocol):
    """What TensorBoard's writer does."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object: ...

    def close(self) -> object: ...


def open_run(recipe: Recipe, folder: Path, *, resume: bool, device: str) -> TrainState:
    """The run's state: fresh, or from its checkpoint. Raises RecipeError, DeviceError.

    A folder that already holds a run is never trained over without `resume`.
    """
    checkpoint = folder / CHECKPOINT
    for name in (CHECKPOINT, LOG, PREVIEW):  # of a stranger's run, it would be written through
        if (folder / name).is_symlink():
            raise RecipeError(f"{folder / name} is a link: put the file itself there, or delete it")
    if resume:
        return TrainState.load(checkpoint, torch_device(device), recipe)
    if checkpoint.exists():
        raise RecipeError(f"{checkpoint} exists: add --resume to go on, or --run FOLDER to start another")
    return TrainState(recipe, torch_device(device))


def run_training(
    state: TrainState,
    folder: Path,
    *,
    save_every: float,
    stopped: Callable[[], bool],
    workers: int = 0,
    ranks: Ranks = ALONE,
    curves: Curves | None = None,
) -> Iterator[TrainStep]:
    """Train, and keep the folder up to date: every `save_every` seconds, when stopped, and at the end.

    `stopped` is asked after every step, so that a checkpoint is never taken in the middle of one. Of several
    ranks the first alone writes, and all end after the same step when one is stopped.
    """
    writes = ranks.rank == 0
    if writes:
        _append(folder / LOG, "")  # an unwritable folder is refused before the first step
    saved = time.monotonic()
    photos: list[Image] = []
    for step in train(state, workers=workers, ranks=ranks):
        if writes and step.step % LOG_EVERY == 0:
            with _warned():
                _append(folder / LOG, json.dumps(asdict(step)) + "\n")
            if curves is not None:
                draw(curves, step)
        asked = ranks.any(stopped(), state.device)
        last = asked or step.step >= state.recipe.steps
        if writes and (last or time.monotonic() - saved > save_every):
            with nullcontext() if last else _warned():
                state.save(folder / CHECKPOINT)
            if not asked:  # who stops a training does not wait for a picture
                with _warned():
                    photos = photos or preview_photos(state)
                    write_picture(folder / PREVIEW, preview(state, photos), overwrite=True)
            saved = time.monotonic()
        if last:
            ranks.any(False, state.device)  # torchrun ends all when one leaves: not before all is saved
        yield step
        if last:
            return


def open_curves(folder: Path) -> Curves:
    """A writer of TensorBoard's logs in the run's folder. Raises RecipeError without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RecipeError(
            '--tensorboard needs TensorBoard: pip install "livestyle[train,tensorboard]"'
        ) from error
    try:
        writer: Curves = SummaryWriter(str(folder / CURVES))
    except OSError as error:
        raise RecipeError(f"cannot write {folder / CURVES}: {error.strerror or error}") from error
    return writer


def draw(curves: Curves, step: TrainStep) -> None:
    """Add a step's loss and fractions to the curves."""
    curves.add_scalar("loss", step.loss, step.step)
    for kind, fractions in (("style", step.style_fractions), ("content", step.content_fractions)):
        for name, fraction in fractions.items():
            curves.add_scalar(f"{kind}/{name}", fraction, step.step)


def _append(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RecipeError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _warned() -> Iterator[None]:
    """What cannot be written now is a warning: a full disk or an open picture is no reason to end a night."""
    try:
        yield
    except LivestyleError as error:
        _log.warning("%s", error)


def preview_photos(state: TrainState) -> list[Image]:
    """The photos of `preview`."""
    return photos_in(state.recipe.path(state.recipe.content_folder), PREVIEW_PHOTOS, PREVIEW_SIZE)


def preview(state: TrainState, photos: Sequence[Image]) -> Image:
    """Every style (columns, "original" first) on a few photos (rows), by the averaged weights."""
    rows = [paint_all(state.average, photo[:PREVIEW_SIZE, :PREVIEW_SIZE]) for photo in photos]
    return np.ascontiguousarray(np.vstack(rows))


def paint_all(network: TransformNet, photo: Image) -> Image:
    """One photo in every style, side by side. H and W must be multiples of the network's size multiple."""
    device = next(network.parameters()).device
    image = to_tensor(torch.from_numpy(np.ascontiguousarray(photo[None])).to(device))
    with torch.no_grad():
        mixes = torch.eye(network.n_styles, device=device)
        return np.ascontiguousarray(np.hstack([to_image(network(image, mix[None])[0]) for mix in mixes]))


def photos_in(folder: Path, count: int, short_side: int = 384) -> list[Image]:
    """The first `count` readable photos below a folder or in a tar file, scaled to one short side."""
    if not folder.exists():
        raise RecipeError(f"no folder of photos at {folder}: give --photos FOLDER")
    photos: list[Image] = []
    for place in find_photos(folder):
        if len(photos) == count:
            break
        if (photo := place.read()) is not None:
            photos.append(resize_short_side(photo, short_side))
    return photos


def torch_device(name: str) -> torch.device:
    """ "auto" takes CUDA where there is one. Raises DeviceError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "torch finds no CUDA device: type --device cpu, or install a driver and torch for CUDA"
        )
    if name not in ("cpu", "cuda"):
        raise DeviceError(f"training runs on auto, cpu or cuda, not {name}")
    return torch.device(name)
