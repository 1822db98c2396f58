from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import STYLES, noise_picture, recipe_text, styles_with, tensor, tiny_recipe

from livestyle.errors import RecipeError
from livestyle.training.recipe import Recipe, parse_recipe
from livestyle.training.state import TrainState
from livestyle.training.train import TrainStep, sample_styles, schedule, train

CPU = torch.device("cpu")


def recipe_of(n_styles: int, **changes: Any) -> Recipe:
    """A recipe whose files do not exist, for what only counts styles."""
    rows = [{"name": f"s{n}", "image": "x.png", "title": "X"} for n in range(n_styles)]
    return parse_recipe(recipe_text(styles=rows, **changes))


@pytest.mark.parametrize(("n_styles", "batch"), [(1, 2), (3, 2), (5, 4), (12, 4), (3, 8)])
def test_every_style_is_learned_equally_often(n_styles: int, batch: int) -> None:
    recipe = recipe_of(n_styles)
    rounds = n_styles * 6  # a multiple of n_styles samples, whatever the batch
    labels = [label for step in range(rounds) for label in sample_styles(recipe, step, batch)[0].tolist()]
    assert Counter(labels) == dict.fromkeys(range(1, n_styles + 1), 6 * batch)
    for start in range(0, len(labels), n_styles):  # and within every round of n_styles samples
        assert sorted(labels[start : start + n_styles]) == list(range(1, n_styles + 1))


def test_the_same_styles_do_not_always_meet() -> None:
    recipe = recipe_of(4)
    pairs = {tuple(sorted(sample_styles(recipe, step, 2)[0].tolist())) for step in range(100)}
    assert len(pairs) == 6  # all there are


def test_a_small_share_of_the_samples_shows_the_original_and_half_of_those_a_blend() -> None:
    recipe = recipe_of(3, identity_share=0.2)
    samples = [sample_styles(recipe, step, 4) for step in range(2500)]
    strengths = torch.cat([strength[others == 0] for _, others, strength in samples])
    assert strengths.min() == 0
    assert strengths.max() == 1
    original, painted = (strengths == 0).float().mean().item(), (strengths == 1).float().mean().item()
    # 10,000 samples without the 0.12 that mix two styles: three standard deviations are 0.01 and 0.013.
    assert len(strengths) == pytest.approx(8800, abs=100)
    assert original == pytest.approx(0.1 / 0.88, abs=0.01)
    assert painted == pytest.approx(0.68 / 0.88, abs=0.013)
    blended = strengths[(strengths > 0) & (strengths < 1)]
    assert blended.mean().item() == pytest.approx(0.5, abs=0.03)


def test_a_mix_is_of_two_different_styles_and_any_two_meet() -> None:
    pairs = set()
    for step in range(2000):
        labels, others, strengths = sample_styles(recipe_of(4), step, 2)
        for label, other, strength in zip(labels.tolist(), others.tolist(), strengths.tolist(), strict=True):
            if other:
                pairs.add((label, other))
                assert 0 < strength < 1
    assert pairs == {(a, b) for a in range(1, 5) for b in range(1, 5) if a != b}


def test_one_style_has_none_to_mix_with() -> None:
    assert not any(sample_styles(recipe_of(1), step, 4)[1].any() for step in range(100))


def test_styles_and_strengths_follow_from_seed_and_step() -> None:
    for step in (0, 7):
        again = sample_styles(recipe_of(3), step, 64), sample_styles(recipe_of(3, seed=1), step, 64)
        for now, same, other in zip(sample_styles(recipe_of(3), step, 64), *again, strict=True):
            assert torch.equal(now, same)
            assert not torch.equal(now, other)


def test_the_learning_rate_warms_up_and_falls_along_half_a_cosine() -> None:
    # 5 % of the way up from a tenth, then a cosine from 1 down to a hundredth.
    quarter = 0.01 + 0.99 * (2 + math.sqrt(2)) / 4
    points = {0: 0.1, 0.025: 0.55, 0.05: 1.0, 0.2875: quarter, 0.525: 0.505, 1: 0.01}
    for progress, share in points.items():
        assert schedule(progress) == pytest.approx(share)


def finite(step: TrainStep) -> bool:
    fractions = [*step.style_fractions.values(), *step.content_fractions.values()]
    return all(map(math.isfinite, [step.loss, step.original_error, *fractions]))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stem": "plain", "upsampling": "pixel_shuffle", "pooling": "average"},
        {"batch": 1, "identity_share": 0.9, "upsampling": "nearest"},
        {"n_residual": 0, "style_layers": ["relu2_1"], "content_layer": "relu2_2", "style_target": 0},
        {"style_loss": "mean_std", "identity_share": 0.9},
        {"style_loss": "sliced_wasserstein", "patch_weight": 2, "batch": 8, "identity_share": 0.5},
        {"styles": styles_with(own_colours=True), "patch_weight": 2, "batch": 8, "identity_share": 0.5},
    ],
    ids=["default", "plain stem", "mostly original", "few layers", "mean_std", "sliced", "own colours"],
)
def test_steps_are_counted_and_finite_and_change_the_network(changes: dict[str, Any], tmp_path: Path) -> None:
    state = TrainState(tiny_recipe(tmp_path, **changes), CPU)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    steps = list(islice(train(state), 3))
    assert [step.step for step in steps] == [1, 2, 3]
    assert state.step == 3
    assert all(map(finite, steps))
    assert list(steps[0].style_fractions) == list(STYLES)
    assert list(steps[0].content_fractions) == list(STYLES)
    after = state.network.state_dict()
    assert not torch.equal(after["last.weight"], before["last.weight"])
    assert not torch.equal(state.average.last.weight, after["last.weight"])  # the average lags behind


def test_training_learns(tmp_path: Path) -> None:
    # Without what keeps a network calm, which sixty steps cannot both obey and learn under.
    calm = {"grid_weight": 0.05, "colour_weight": 15, "correlation_weight": 3}
    rates = {"learning_rate": 2e-3, "style_learning_rate": 8e-3}
    state = TrainState(tiny_recipe(tmp_path, steps=60, identity_share=0.5, **calm, **rates), CPU)
    photo = tensor(noise_picture(64, 64, 99))
    original = torch.eye(4)[:1]
    with torch.no_grad():  # a new network gives the original back quite well: there would be little to learn
        for network in (state.network, state.average):
            network.last.weight.mul_(10)

    def distance() -> float:
        with torch.no_grad():
            return float((state.average(photo, original) - photo).abs().mean())

    before = distance()
    steps = list(train(state))
    # Not the loss: it depends on which samples happen to be painted.
    assert sum(steps[-1].style_fractions.values()) < 0.95 * sum(steps[0].style_fractions.values())
    assert distance() < 0.5 * before


def test_a_style_row_learns_from_its_own_samples_only(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, batch=1, identity_share=0)
    state = TrainState(recipe, CPU)
    labels = [sample_styles(recipe, step, 1)[0].item() for step in range(2)]
    gamma = state.network.state_dict()["contract.0.norm.gamma"]
    before = gamma.clone()
    list(islice(train(state), 2))
    changed = (gamma != before).any(1)
    assert changed.tolist() == [row in labels for row in range(4)]


def test_the_step_sizes_are_the_recipes_at_the_schedules_share(tmp_path: Path) -> None:
    state = TrainState(tiny_recipe(tmp_path, steps=40, learning_rate=1e-3, style_learning_rate=1e-2), CPU)
    rates = [[group["lr"] for group in state.optimizer.param_groups] for _ in islice(train(state), 3)]
    # Steps 0, 1 and 2 of 40, of which the first 2 warm up: 0.1, 0.55 and 1 of the peak.
    assert [rate for rate, _ in rates] == pytest.approx([1e-4, 5.5e-4, 1e-3])
    assert [rate for _, rate in rates] == pytest.approx([1e-3, 5.5e-3, 1e-2])


def test_each_styles_weight_is_steered_towards_the_target(tmp_path: Path) -> None:
    state = TrainState(tiny_recipe(tmp_path, steps=50, style_target=0.5), CPU)
    for step in islice(train(state), 24):
        assert state.style_weights.tolist() == [1, 1, 1, 1], step.step
        state.style_fractions.copy_(torch.tensor([1.0, 9.0, 0.0, 9.0]))
    next(train(state))  # the 25th
    assert state.style_weights[1:].tolist() == pytest.approx([1.05, 1 / 1.05, 1.05])
    state.style_weights.fill_(2.0)
    state.step = 49
    state.style_fractions.fill_(9)
    next(train(state))
    assert state.style_weights.tolist() == [2, 2, 2, 2]  # the limit


def test_a_style_of_ten_times_the_weight_is_asked_for_a_tenth_of_the_fraction(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, style_target=1, styles=styles_with(weight=10), steps=50)
    state = TrainState(recipe, CPU)
    state.step = 24
    state.style_fractions.fill_(0.5)  # of which one sample moves a twentieth
    next(train(state))
    assert state.style_weights[1:].tolist() == pytest.approx([1.05, 1 / 1.05, 1 / 1.05])


def test_the_running_fractions_forget_by_a_twentieth_a_sample(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, batch=1, identity_share=0, seed=1)  # whose first sample is no mix
    state = TrainState(recipe, CPU)
    row = int(sample_styles(recipe, 0, 1)[0].item())
    state.style_fractions.fill_(1000)
    next(train(state))
    assert 950 < state.style_fractions[row] < 960  # 0.95 of 1000, and a little of the new one
    assert [state.style_fractions[other].item() for other in range(4) if other != row] == [1000] * 3


def test_a_loss_that_is_not_finite_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    state = TrainState(tiny_recipe(tmp_path), CPU)
    steps = train(state)
    next(steps)
    with torch.no_grad():
        state.network.last.weight.fill_(math.nan)
    average = state.average.last.weight.clone()
    with pytest.raises(RecipeError, match="not finite at step 2: lower learning_rate") as caught:
        next(steps)
    assert "\n" not in str(caught.value)
    assert state.step == 1
    assert torch.equal(state.average.last.weight, average)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss_network": "none.pt"}, "no loss network at .*none.pt"),
        ({"loss_network": "paintings/dots.png"}, "dots.png is not a weights file"),
        ({"content_folder": "none"}, "no folder of photos at .*none"),
        ({"style_folder": "none"}, "cannot read the painting .*dots.png"),
        ({"content_layer": "relu9_1"}, "no layer relu9_1"),
        ({"style_layers": ["relu1_1", "relu1_7"]}, "no layer relu1_7"),
    ],
)
def test_what_a_recipe_points_to_in_vain_is_named(changes: dict[str, str], says: str, tmp_path: Path) -> None:
    state = TrainState(tiny_recipe(tmp_path, **changes), CPU)
    with pytest.raises(RecipeError, match=says) as caught:
        next(train(state))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_worker_processes_train_the_same_network(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)

    def trained(workers: int) -> Iterator[float]:
        return (step.loss for step in train(TrainState(recipe, CPU), workers=workers))

    assert list(trained(0)) == list(trained(2))


def test_holding_still_is_learned_where_the_recipe_asks_for_it(tmp_path: Path) -> None:
    """Two runs that differ in the stability loss only: the same until it begins, and not after."""
    recipes = [tiny_recipe(tmp_path, steps=8, stability_weight=weight) for weight in (0.0, 60.0)]
    runs = [TrainState(recipe, CPU) for recipe in recipes]
    losses = [[step.loss for step in train(state)] for state in runs]
    assert losses[0][:3] == losses[1][:3]  # it begins after a quarter of the steps, from nothing
    assert losses[1][3] > losses[0][3]
