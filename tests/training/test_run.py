from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import STYLES, noise_picture, tiny_network, tiny_recipe, write_pictures

from livestyle.errors import DeviceError, RecipeError, SinkError
from livestyle.pictures import read_picture
from livestyle.training import run as training_run
from livestyle.training.run import (
    CHECKPOINT,
    LOG,
    LOG_EVERY,
    PREVIEW,
    open_curves,
    open_run,
    paint_all,
    photos_in,
    run_training,
    torch_device,
)
from livestyle.training.state import TrainState
from livestyle.training.train import TrainStep

CPU = torch.device("cpu")


def never() -> bool:
    return False


def after(count: int) -> Callable[[], bool]:
    """A stop signal that is set when it is asked for the count-th time."""
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= count


def run(state: TrainState, folder: Path, **changes: Any) -> list[TrainStep]:
    options: dict[str, Any] = {"save_every": math.inf, "stopped": never}
    return list(run_training(state, folder, **(options | changes)))


def assert_same_networks(one: TrainState, other: TrainState) -> None:
    for a, b in ((one.network, other.network), (one.average, other.average)):
        for name, value in a.state_dict().items():
            assert torch.equal(value, b.state_dict()[name]), name


def test_a_run_leaves_checkpoint_log_and_preview(tmp_path: Path) -> None:
    recipe, folder = tiny_recipe(tmp_path, steps=LOG_EVERY + 2), tmp_path / "runs" / "tiny"
    state = open_run(recipe, folder, resume=False, device="cpu")
    steps = run(state, folder)
    assert [step.step for step in steps] == list(range(1, LOG_EVERY + 3))
    assert sorted(path.name for path in folder.iterdir()) == [CHECKPOINT, LOG, PREVIEW]  # nothing partial
    assert TrainState.load(folder / CHECKPOINT, CPU).step == LOG_EVERY + 2
    (line,) = (folder / LOG).read_text().splitlines()
    logged = json.loads(line)
    assert (logged["step"], logged["loss"]) == (LOG_EVERY, steps[LOG_EVERY - 1].loss)
    assert list(logged["style_fractions"]) == list(STYLES)
    preview, _ = read_picture(folder / PREVIEW)
    assert preview.shape == (3 * 256, 4 * 256, 3)  # three photos; the original and three styles


def test_a_stop_is_answered_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    state = open_run(tiny_recipe(tmp_path), tmp_path / "run", resume=False, device="cpu")
    assert [step.step for step in run(state, tmp_path / "run", stopped=after(2))] == [1, 2]
    assert state.saved_step == 2
    assert TrainState.load(tmp_path / "run" / CHECKPOINT, CPU).step == 2
    assert not (tmp_path / "run" / PREVIEW).exists()  # which would take its time


def test_a_run_that_was_stopped_and_resumed_is_the_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    whole = open_run(recipe, tmp_path / "whole", resume=False, device="cpu")
    expected = run(whole, tmp_path / "whole")

    steps = run(
        open_run(recipe, tmp_path / "run", resume=False, device="cpu"), tmp_path / "run", stopped=after(2)
    )
    for stop in (after(1), never):
        state = open_run(recipe, tmp_path / "run", resume=True, device="cpu")
        steps += run(state, tmp_path / "run", stopped=stop)
    assert steps == expected
    assert_same_networks(state, whole)
    assert (tmp_path / "run" / PREVIEW).read_bytes() == (tmp_path / "whole" / PREVIEW).read_bytes()


def test_a_finished_run_goes_on_when_its_recipe_is_prolonged(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(open_run(tiny_recipe(tmp_path, steps=2), folder, resume=False, device="cpu"), folder)
    again = open_run(tiny_recipe(tmp_path, steps=2), folder, resume=True, device="cpu")
    assert run(again, folder) == []
    longer = open_run(tiny_recipe(tmp_path, steps=5), folder, resume=True, device="cpu")
    assert [step.step for step in run(longer, folder)] == [3, 4, 5]
    assert TrainState.load(folder / CHECKPOINT, CPU).recipe.steps == 5


def test_checkpoints_are_saved_when_it_is_time(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, steps=3)
    state = open_run(recipe, tmp_path / "run", resume=False, device="cpu")
    saved = [state.saved_step for _ in run_training(state, tmp_path / "run", save_every=-1, stopped=never)]
    assert saved == [1, 2, 3]
    other = open_run(recipe, tmp_path / "other", resume=False, device="cpu")
    saved = [other.saved_step for _ in run_training(other, tmp_path / "other", save_every=1e6, stopped=never)]
    assert saved == [-1, -1, 3]


def test_a_run_is_never_trained_over(tmp_path: Path) -> None:
    recipe, folder = tiny_recipe(tmp_path, steps=1), tmp_path / "run"
    run(open_run(recipe, folder, resume=False, device="cpu"), folder)
    with pytest.raises(RecipeError, match="exists: add --resume to go on"):
        open_run(recipe, folder, resume=False, device="cpu")


def test_there_must_be_a_checkpoint_to_resume(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no checkpoint at .*checkpoint.pt"):
        open_run(tiny_recipe(tmp_path), tmp_path / "run", resume=True, device="cpu")


def test_an_unwritable_run_folder_is_refused_before_the_first_step(tmp_path: Path) -> None:
    state = TrainState(tiny_recipe(tmp_path), CPU)
    for folder in (tmp_path / "tiny.toml", tmp_path / "tiny.toml" / "run"):
        with pytest.raises(RecipeError, match="cannot write") as caught:
            run(state, folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert state.step == 0


def test_what_cannot_be_written_on_the_way_is_a_warning_and_at_the_end_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, folder = tiny_recipe(tmp_path, steps=LOG_EVERY, n_residual=0), tmp_path / "run"

    def full(path: Path, *_: object, **__: object) -> None:
        raise SinkError(f"cannot write {path}: No space left on device")

    def full_log(path: Path, text: str) -> None:
        if text:
            full(path)

    monkeypatch.setattr(training_run, "write_picture", full)
    monkeypatch.setattr(training_run, "_append", full_log)
    run(TrainState(recipe, CPU), folder)
    told = [record.getMessage() for record in caplog.records]
    assert [Path(line.split(": ")[0]).name for line in told] == [LOG, PREVIEW]
    assert TrainState.load(folder / CHECKPOINT, CPU).step == LOG_EVERY
    monkeypatch.setattr(TrainState, "save", lambda _state, path: full(path))
    caplog.clear()
    state = TrainState(recipe, CPU)
    with pytest.raises(SinkError, match=r"checkpoint\.pt: No space left"):
        list(run_training(state, folder, save_every=-1, stopped=never))
    assert state.step == LOG_EVERY  # only the last one is an error
    assert sum(CHECKPOINT in record.getMessage() for record in caplog.records) == LOG_EVERY - 1


@pytest.mark.parametrize("name", [CHECKPOINT, LOG, PREVIEW])
@pytest.mark.parametrize("resume", [True, False])
def test_a_run_folder_with_links_is_refused(name: str, resume: bool, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "thesis.pdf").write_text("mine")
    (tmp_path / "run" / name).symlink_to(tmp_path / "thesis.pdf")
    with pytest.raises(RecipeError, match=f"{name} is a link"):
        open_run(tiny_recipe(tmp_path), tmp_path / "run", resume=resume, device="cpu")


def test_a_loss_that_is_not_finite_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    recipe, folder = tiny_recipe(tmp_path), tmp_path / "run"
    state = open_run(recipe, folder, resume=False, device="cpu")
    steps = run_training(state, folder, save_every=-1, stopped=never)
    next(steps)
    with torch.no_grad():
        state.network.last.weight.fill_(math.nan)
    with pytest.raises(RecipeError, match="not finite at step 2"):
        next(steps)
    assert open_run(recipe, folder, resume=True, device="cpu").step == 1


def test_a_bad_photo_is_named_once_in_a_whole_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = tiny_recipe(tmp_path, steps=8)
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"not a picture")
    with caplog.at_level(logging.WARNING):
        run(TrainState(recipe, CPU), tmp_path / "run", stopped=after(8))
    assert [record.getMessage() for record in caplog.records] == [
        f"skipped {tmp_path / 'photos' / 'bad.jpg'}: cannot be read"
    ]


class Drawn:
    """Keeps what is drawn."""

    def __init__(self) -> None:
        self.points: dict[str, tuple[float, int]] = {}

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.points[tag] = (scalar_value, global_step)

    def close(self) -> None:
        pass


def test_curves_show_every_number_of_the_log(tmp_path: Path) -> None:
    state, curves = TrainState(tiny_recipe(tmp_path, steps=LOG_EVERY + 1, n_residual=0), CPU), Drawn()
    step = run(state, tmp_path / "run", curves=curves)[LOG_EVERY - 1]
    assert curves.points == {
        "loss": (step.loss, LOG_EVERY),
        **{f"style/{name}": (fraction, LOG_EVERY) for name, fraction in step.style_fractions.items()},
        **{f"content/{name}": (fraction, LOG_EVERY) for name, fraction in step.content_fractions.items()},
    }


def test_without_tensorboard_curves_say_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not installed
    with pytest.raises(RecipeError, match=r'pip install "livestyle\[train,tensorboard\]"'):
        open_curves(tmp_path)


def test_painting_all_puts_the_rows_side_by_side() -> None:
    network, photo = tiny_network(), noise_picture(32, 40, 0)
    sheet = paint_all(network, photo)
    assert sheet.shape == (32, 3 * 40, 3)
    with torch.no_grad():
        image = torch.from_numpy(photo / 255).float().permute(2, 0, 1)[None]
        third = network(image, torch.tensor([[0.0, 0.0, 1.0]]))[0].permute(1, 2, 0).numpy()
    expected = np.clip(third * 255, 0, 255)
    assert np.abs(sheet[:, 80:] - expected).max() <= 0.5 + 1e-3


def test_photos_are_the_first_readable_ones_at_one_short_side(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "b", ["1.png", "2.jpg"], size_hw=(30, 60))
    write_pictures(tmp_path / "c", ["3.png"], size_hw=(90, 60))
    (tmp_path / "a.txt").write_text("no picture")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (tmp_path / "a_empty.png").write_bytes(b"")
    assert [photo.shape for photo in photos_in(tmp_path, 5, 40)] == [(40, 80, 3), (40, 80, 3), (60, 40, 3)]
    assert len(photos_in(tmp_path, 1, 40)) == 1
    assert capfd.readouterr().err == ""
    with pytest.raises(RecipeError, match=r"no folder of photos at .*none: give --photos"):
        photos_in(tmp_path / "none", 1)


def test_training_runs_on_auto_cpu_or_cuda() -> None:
    assert torch_device("cpu").type == "cpu"
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DeviceError, match="auto, cpu or cuda, not tpu"):
        torch_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device: type --device cpu"):
            torch_device("cuda")


@pytest.mark.device
def test_cuda_trains_and_resumes(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    recipe, folder = tiny_recipe(tmp_path, strength_share=0.5), tmp_path / "run"
    steps = run(open_run(recipe, folder, resume=False, device="cuda"), folder, stopped=after(3))
    state = open_run(recipe, folder, resume=True, device="cuda")
    steps += run(state, folder)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(step.loss) for step in steps)
    assert next(state.network.parameters()).is_cuda
