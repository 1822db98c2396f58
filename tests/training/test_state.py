from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import STYLES, Executed, tiny_recipe
from torch import Tensor

from livestyle.errors import RecipeError, SinkError
from livestyle.training.recipe import Recipe
from livestyle.training.state import TrainState, build_network
from livestyle.training.torch_file import MAX_BYTES
from livestyle.training.train import TrainStep, train

CPU = torch.device("cpu")


def tensors_of(state: TrainState) -> dict[str, Tensor]:
    """Every number that a run carries, by name."""
    found = {
        "style_weights": state.style_weights,
        "style_fractions": state.style_fractions,
        "content_fractions": state.content_fractions,
    }
    found |= {f"network.{name}": value for name, value in state.network.state_dict().items()}
    found |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        found |= {f"adam.{number}.{name}": value for name, value in values.items()}
    return found


def assert_equal(one: TrainState, other: TrainState) -> None:
    assert one.step == other.step
    a, b = tensors_of(one), tensors_of(other)
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def steps_of(state: TrainState, count: int) -> list[TrainStep]:
    return list(islice(train(state), count))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint after two steps."""
    state = TrainState(tiny_recipe(tmp_path), CPU)
    steps_of(state, 2)
    state.save(tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def recipe_beside(path: Path, **changes: Any) -> Recipe:
    return tiny_recipe(path.parent, **changes)


def why(path: Path, recipe: Recipe | None = None) -> str:
    """What the refusal of a checkpoint says: one line that names the file."""
    with pytest.raises(RecipeError) as caught:
        TrainState.load(path, CPU, recipe)
    message = str(caught.value)
    assert message.isprintable()
    assert str(path) in message
    assert "train without --resume" in message
    return message


@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_a_resumed_run_is_the_uninterrupted_run_to_the_bit(stopped_after: int, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    whole = TrainState(recipe, CPU)
    expected = steps_of(whole, 6)

    first = TrainState(recipe, CPU)
    steps = steps_of(first, stopped_after)
    first.save(tmp_path / "c.pt")
    del first
    torch.manual_seed(999)  # another process has another random state
    second = TrainState.load(tmp_path / "c.pt", CPU, recipe)
    torch.rand(7)
    steps += steps_of(second, 6)
    assert steps == expected
    assert_equal(second, whole)


def test_a_resumed_run_keeps_the_weights_that_styles_were_steered_to(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, steps=30, n_residual=0)
    whole, first = TrainState(recipe, CPU), TrainState(recipe, CPU)
    steps_of(whole, 30)
    steps_of(first, 26)
    assert first.style_weights[1] != 1
    first.save(tmp_path / "c.pt")
    second = TrainState.load(tmp_path / "c.pt", CPU, recipe)
    steps_of(second, 4)
    assert_equal(second, whole)


def test_a_longer_recipe_prolongs_a_run(saved: Path) -> None:
    longer = recipe_beside(saved, steps=9, content_weight=7.0)
    state = TrainState.load(saved, CPU, longer)
    assert (state.step, state.recipe.steps) == (2, 9)
    assert [step.step for step in train(state)] == [3, 4, 5, 6, 7, 8, 9]
    state.save(saved)
    assert TrainState.load(saved, CPU).recipe.content_weight == 7.0


def test_a_checkpoint_that_still_measured_the_original_is_read_all_the_same(saved: Path) -> None:
    expected = TrainState.load(saved, CPU)
    values = torch.load(saved, weights_only=True)
    torch.save(values | {"original_error": torch.tensor(0.02)}, saved)  # as every one was written once
    state = TrainState.load(saved, CPU)
    assert_equal(state, expected)
    assert [step.step for step in train(state)] == [3, 4, 5, 6]


def test_a_checkpoint_alone_knows_its_recipe_and_where_its_data_lies(
    saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = recipe_beside(saved)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    state = TrainState.load(saved, CPU)
    assert state.recipe.text == recipe.text
    assert [style.name for style in state.recipe.styles] == list(STYLES)
    assert state.recipe.path(state.recipe.content_folder) == (saved.parent / "photos").resolve()
    assert state.recipe.loss_network_name == str((saved.parent / "slim.pt").resolve())
    assert next(train(state)).step == 3


def test_a_loss_network_by_name_stays_a_name(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, loss_network="vgg19")
    TrainState(recipe, CPU).save(tmp_path / "c.pt")
    assert TrainState.load(tmp_path / "c.pt", CPU).recipe.loss_network_name == "vgg19"


def test_a_checkpoint_is_written_whole(saved: Path) -> None:
    before = saved.read_bytes()
    state = TrainState.load(saved, CPU)
    steps_of(state, 1)
    state.save(saved)
    assert saved.read_bytes() != before
    assert (state.step, state.saved_step) == (3, 3)
    assert not list(saved.parent.glob(".*"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_checkpoint_for_which_there_is_no_room_leaves_the_last_one(saved: Path) -> None:
    import resource

    before = saved.read_bytes()
    state = TrainState.load(saved, CPU)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert len(before) > 50_000  # pytest itself writes less
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(SinkError, match=r"cannot write .*checkpoint.pt: File too large") as caught:
            state.save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value).isprintable()
    assert saved.read_bytes() == before
    assert state.saved_step == -1
    assert not list(saved.parent.glob(".*"))


def test_a_checkpoint_where_no_folder_can_be_is_an_error(tmp_path: Path) -> None:
    state = TrainState(tiny_recipe(tmp_path), CPU)
    for path in (tmp_path / "tiny.toml" / "c.pt", tmp_path / "photos"):
        with pytest.raises(SinkError, match="cannot write") as caught:
            state.save(path)
        assert str(caught.value).isprintable()
    assert not list(tmp_path.glob(".*"))


def test_a_run_whose_folder_was_removed_is_saved_all_the_same(tmp_path: Path) -> None:
    TrainState(tiny_recipe(tmp_path), CPU).save(tmp_path / "runs" / "mine" / "c.pt")
    assert TrainState.load(tmp_path / "runs" / "mine" / "c.pt", CPU).step == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": [4, 6, 10]},
        {"n_residual": 2},
        {"stem": "plain"},
        {"upsampling": "nearest"},
        {"head_width": 5},
        {"styles": [{"name": n, "image": f"{n}.png", "title": n} for n in STYLES[:2]]},
        {"styles": [{"name": n, "image": f"{n}.png", "title": n} for n in reversed(STYLES)]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_checkpoint_of_another_network_or_other_styles_is_refused(
    changes: dict[str, Any], saved: Path
) -> None:
    assert "belongs to another network or other styles" in why(saved, recipe_beside(saved, **changes))


@pytest.mark.parametrize(
    "content", [b"", b"words", b"PK\x03\x04 cut", bytes(1000), b"\x80\x02.", b"\x80\x04]q"]
)
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    assert "is not a checkpoint" in why(path)


def test_a_missing_or_enormous_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "there is no checkpoint at" in why(tmp_path / "none.pt")
    assert "there is no checkpoint at" in why(tmp_path)
    with (tmp_path / "large.pt").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: takes no room
    assert "too large to be a checkpoint" in why(tmp_path / "large.pt")


def test_a_truncated_checkpoint_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for share in (0.3, 0.9, 0.999):
        saved.write_bytes(content[: int(share * len(content))])
        assert "is not a checkpoint" in why(saved)


def test_a_hostile_checkpoint_is_not_executed(tmp_path: Path) -> None:
    path, proof = tmp_path / "c.pt", tmp_path / "executed"
    torch.save({"format": 1, "recipe": Executed(proof)}, path)
    assert "is not a checkpoint" in why(path)
    assert not proof.exists()


def spoiled(key: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: {**values, key: change(values[key])}


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: {k: v for k, v in values.items() if k != key}


def first_entry(table: dict[str, Any], value: Any) -> dict[str, Any]:
    return {**table, next(iter(table)): value}


def adam_with(name: str, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(adam: dict[str, Any]) -> dict[str, Any]:
        return {**adam, "state": first_entry(adam["state"], {**adam["state"][0], name: value})}

    return spoiled("optimizer", change)


SPOILED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda values: [values],
    "another format": spoiled("format", lambda _: 2),
    **{
        f"no {key}": without(key)
        for key in ("recipe", "paths", "step", "network", "optimizer", "style_weights")
    },
    "recipe is a number": spoiled("recipe", lambda _: 3),
    "recipe is no recipe": spoiled("recipe", lambda _: "words"),
    "recipe of another network": spoiled("recipe", lambda text: text.replace("[4, 6, 8]", "[4, 6, 10]")),
    "paths is a list": spoiled("paths", lambda _: []),
    "a path is missing": spoiled("paths", lambda paths: dict(list(paths.items())[1:])),
    "step is text": spoiled("step", lambda _: "two"),
    "step is infinite": spoiled("step", lambda _: float("inf")),
    "step is negative": spoiled("step", lambda _: -1),
    "step is a tensor": spoiled("step", lambda _: torch.zeros(3)),
    "network is empty": spoiled("network", lambda _: {}),
    "network is a number": spoiled("network", lambda _: 3),
    "a weight has another shape": spoiled("network", lambda table: first_entry(table, torch.zeros(2))),
    "a weight is text": spoiled("average", lambda table: first_entry(table, "text")),
    "a weight is not finite": spoiled("network", lambda table: {k: v + torch.nan for k, v in table.items()}),
    "optimizer is empty": spoiled("optimizer", lambda _: {}),
    "a moment has another shape": adam_with("exp_avg", torch.zeros(2)),
    "a moment is text": adam_with("exp_avg_sq", "text"),
    "a moment is missing": spoiled(
        "optimizer", lambda adam: {**adam, "state": first_entry(adam["state"], {})}
    ),
    "fractions of other styles": spoiled("style_fractions", lambda _: torch.ones(9)),
    "fractions are one number": spoiled("style_fractions", lambda _: torch.ones(())),
    "fractions are text": spoiled("content_fractions", lambda _: "text"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_spoiled_checkpoint_is_refused_in_one_line(kind: str, saved: Path) -> None:
    values = torch.load(saved, weights_only=True)
    torch.save(SPOILED[kind](values), saved)
    why(saved)


def test_a_checkpoint_with_a_spoiled_byte_never_gives_another_error(saved: Path) -> None:
    content = saved.read_bytes()
    random = torch.Generator().manual_seed(0)
    for place in torch.randint(len(content), (60,), generator=random).tolist():
        saved.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with suppress(RecipeError):  # or the byte did not matter
            TrainState.load(saved, CPU)


def test_a_new_run_starts_from_its_seed_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = TrainState(tiny_recipe(tmp_path), CPU)
    torch.manual_seed(2)
    assert_equal(one, TrainState(tiny_recipe(tmp_path), CPU))
    other = TrainState(tiny_recipe(tmp_path, seed=1), CPU)
    assert not torch.equal(one.network.last.weight, other.network.last.weight)
    assert torch.equal(one.network.last.weight, one.average.last.weight)


def test_the_recipe_shapes_the_network(tmp_path: Path) -> None:
    network = build_network(tiny_recipe(tmp_path, widths=[5, 7, 9], n_residual=2, stem="plain"))
    assert network.n_styles == 4
    assert network.size_multiple == 4
    shapes = [network.state_dict()[f"contract.{n}.conv.weight"].shape for n in range(3)]
    assert shapes == [(5, 3, 9, 9), (7, 5, 3, 3), (9, 7, 3, 3)]
    assert len(network.residual) == 2
