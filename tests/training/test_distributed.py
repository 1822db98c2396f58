"""Trainings in processes of their own: several that share one, and one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import tiny_recipe

from livestyle.errors import RecipeError
from livestyle.training.ranks import Ranks
from livestyle.training.recipe import Recipe
from livestyle.training.run import CHECKPOINT, LOG, PREVIEW, open_run
from livestyle.training.state import TrainState
from livestyle.training.train import train

CPU = torch.device("cpu")
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="torchrun and signals are another thing there"
)


def torchrun(recipe: Recipe, folder: Path, *words: str, processes: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # Without the two dashes, torchrun takes --run for one of its own options, cut short.
    train_command = ["-m", "--", "livestyle", "train", str(recipe.folder / "tiny.toml")]
    return subprocess.Popen(
        [*command, *train_command, "--run", str(folder), "--device", "cpu", *words],
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gradients(state: TrainState) -> torch.Tensor:
    """Adam's running mean of every gradient, after clipping."""
    return torch.cat([memory["exp_avg"].flatten() for memory in state.optimizer.state.values()])


def test_two_processes_take_the_steps_that_one_takes(tmp_path: Path) -> None:
    """From one checkpoint on: Adam makes whole steps of roundings, so that long runs part in any case."""
    # Small weights, so that gradients are too small to be clipped, which would hide their scale.
    losses = ("style", "content", "patch", "grid", "palette", "stability")
    changes: dict[str, Any] = {"strength_share": 0.4, "style_target": 0.5, "seed": 3}
    changes |= {f"{loss}_weight": 0.02 for loss in losses}
    recipe = tiny_recipe(tmp_path, batch=4, steps=26, n_residual=0, **changes)
    alone, folder = TrainState(recipe, CPU), tmp_path / "run"
    steps = train(alone)
    list(islice(steps, 24))
    alone.save(folder / CHECKPOINT)
    before = TrainState.load(folder / CHECKPOINT, CPU)
    list(steps)  # two more, the first of which steers
    with torchrun(recipe, folder, "--resume") as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == f"{folder / CHECKPOINT}\n"  # the first process alone speaks
    assert [line for line in err.splitlines() if line.startswith("training ")] == [
        f"training tiny on 2 x cpu, step 24 of 26; see {folder}"
    ]
    assert sorted(path.name for path in folder.iterdir()) == [CHECKPOINT, LOG, PREVIEW]
    shared = TrainState.load(folder / CHECKPOINT, CPU)
    assert shared.step == alone.step == 26
    assert torch.equal(shared.style_weights, alone.style_weights)
    for name in ("style_fractions", "content_fractions"):
        torch.testing.assert_close(getattr(shared, name), getattr(alone, name), rtol=1e-5, atol=1e-6)
    moved = gradients(alone) - gradients(before)
    assert moved.norm() > 0
    assert (gradients(shared) - gradients(alone)).norm() < 1e-4 * moved.norm()
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(shared.network.state_dict()[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_processes_after_the_same_step(number: signal.Signals, tmp_path: Path) -> None:
    recipe, folder = tiny_recipe(tmp_path, batch=2, steps=100_000, n_residual=0), tmp_path / "run"
    with torchrun(recipe, folder) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if (folder / LOG).exists() and (folder / LOG).stat().st_size:  # fifty steps
                break
            time.sleep(0.1)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert out == f"{folder / CHECKPOINT}\n"
    state = TrainState.load(folder / CHECKPOINT, CPU)
    assert f"stopped at step {state.step}; --resume goes on" in err
    assert 0 < state.step < 100_000


def test_a_batch_that_cannot_be_shared_is_named() -> None:
    assert [Ranks(rank, 2).place(6) for rank in (0, 1)] == [slice(0, 3), slice(3, 6)]
    with pytest.raises(RecipeError, match="a batch of 4 cannot be shared by 3 processes: set batch"):
        Ranks(0, 3).place(4)


# Saves after every step, and says so.
ENDLESS = """
import sys
from pathlib import Path
import torch
from livestyle.training.recipe import load_recipe
from livestyle.training.run import open_run, run_training
torch.set_num_threads(int(sys.argv[3]))
folder = Path(sys.argv[2])
state = open_run(load_recipe(Path(sys.argv[1])), folder, resume=False, device="cpu")
for step in run_training(state, folder, save_every=-1, stopped=lambda: False):
    print(step.step, flush=True)
"""


def test_a_run_that_was_killed_outright_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    recipe, folder = tiny_recipe(tmp_path, steps=12, batch=3), tmp_path / "run"
    # As many threads as here, or sums would have another order.
    threads = str(torch.get_num_threads())
    command = [sys.executable, "-c", ENDLESS, str(tmp_path / "tiny.toml"), str(folder), threads]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 4:
                process.kill()  # SIGKILL, wherever it is in the fifth step
                break
    assert process.returncode == -signal.SIGKILL
    whole = TrainState(recipe, CPU)
    expected = list(train(whole))
    state = open_run(recipe, folder, resume=True, device="cpu")
    begin = state.step
    assert 4 <= begin < 12
    assert list(train(state)) == expected[begin:]  # to the bit
    for name, value in whole.network.state_dict().items():
        assert torch.equal(state.network.state_dict()[name], value), name
