from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import DOTS, PHOTO, WAVES, noise_picture, tensor, write_weights

from livestyle.errors import RecipeError
from livestyle.training import optimize_gram
from livestyle.training.features import LossNetwork, slim_vgg19
from livestyle.training.losses import gram_matrix
from livestyle.training.optimize_descent import descend
from livestyle.training.optimize_loss import BALANCE, GatysLoss
from livestyle.training.optimize_masks import match_regions
from livestyle.training.recipe import STYLE_LAYERS


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> LossNetwork:
    return slim_vgg19(write_weights(tmp_path_factory.mktemp("weights") / "slim.pt"))


def test_the_loss_is_what_its_formula_says(network: LossNetwork) -> None:
    photo, painting, picture = tensor(PHOTO), tensor(DOTS), tensor(noise_picture(48, 64, 9))
    regions, _ = match_regions(None, [None], [1.0])
    loss = GatysLoss(network, photo, [painting], regions, strength=0.5, tv_weight=0.25)
    total, style, content = loss(picture)
    layers = [*STYLE_LAYERS, "relu4_2"]
    p, c, s = (network(image, layers) for image in (picture, photo, painting))

    def distance(maps: dict[str, torch.Tensor]) -> float:
        sums = 0.0
        for layer in STYLE_LAYERS:
            ours, theirs = (f[layer][0].flatten(1).double() for f in (maps, s))
            gram, target = (f @ f.T / f.shape[1] for f in (ours, theirs))
            sums += float((gram - target).square().sum() / target.square().sum())
        return sums / 5

    # All pairs of places, one by one.
    ours, theirs = (f["relu4_2"][0].flatten(1).T for f in (c, s))
    apart = np.mean([[float((a - b).square().mean()) for b in theirs] for a in ours])
    expected_content = float((p["relu4_2"] - c["relu4_2"]).square().mean()) / apart
    x = picture[0]
    variation = float(x.diff(dim=1).abs().mean() + x.diff(dim=2).abs().mean())
    assert float(style) == pytest.approx(distance(p) / distance(c), rel=1e-4)
    assert float(content) == pytest.approx(expected_content, rel=1e-4)
    expected = float(content) + BALANCE * 0.5 * float(style) + 0.25 * variation
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_the_gram_of_a_map_in_strips_is_that_of_the_whole_map(
    network: LossNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimize_gram, "STRIP", 1000)  # does not divide 48 * 64
    bare, head = optimize_gram.without_largest_head(network)
    assert head is not None
    slope = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(0))  # of no symmetric loss
    found = []
    for strips in (True, False):
        picture = tensor(PHOTO).requires_grad_()
        if strips:
            gram = optimize_gram.head_gram(bare(picture, ["relu1_1"])["relu1_1"], head)
        else:
            maps = network(picture, ["relu1_1"])["relu1_1"].flatten(2)
            gram = maps @ maps.transpose(1, 2) / maps.shape[2]
        found += [gram, *torch.autograd.grad((slope * gram).sum(), picture)]
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[3])
    same, none = optimize_gram.without_largest_head(bare)
    assert (same, none) == (bare, None)


def test_shares_add_up_to_one_painting(network: LossNetwork) -> None:
    regions, _ = match_regions(None, [None, None], [2.1, 0.9])
    loss = GatysLoss(network, tensor(PHOTO), [tensor(DOTS), tensor(WAVES)], regions)
    for layer in STYLE_LAYERS:
        dots, waves = (gram_matrix(network(tensor(image), [layer])[layer]) for image in (DOTS, WAVES))
        torch.testing.assert_close(loss.grams[0][layer], 0.7 * dots + 0.3 * waves)
    one = GatysLoss(network, tensor(PHOTO), [tensor(DOTS)], match_regions(None, [None], [1.0])[0])
    twice = GatysLoss(network, tensor(PHOTO), 2 * [tensor(DOTS)], regions)
    for first, second in zip(one(tensor(PHOTO) / 2), twice(tensor(PHOTO) / 2), strict=True):
        assert float(second) == pytest.approx(float(first), rel=1e-4)


def test_the_loss_never_rises_and_the_bottom_of_a_bowl_is_found() -> None:
    """Clipped at 1 in one pixel, where the bottom is outside."""
    bottom = torch.tensor([0.2, 0.7, 1.4]).reshape(1, 3, 1, 1)
    curvature = torch.tensor([1.0, 300.0, 9.0]).reshape(1, 3, 1, 1)

    def bowl(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        loss = (curvature * (picture - bottom).square()).sum()
        return loss, loss, loss

    steps = list(descend(bowl, torch.full((1, 3, 1, 1), 0.5), 30))
    losses = [step.loss for step in steps]
    assert losses == sorted(losses, reverse=True)
    torch.testing.assert_close(steps[-1].picture, bottom.clamp(0, 1), atol=1e-3, rtol=0)


def test_a_step_that_goes_too_far_is_taken_back_and_shortened() -> None:
    """A ravine: the straight slope says nothing of the wall behind it."""

    def wall(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        loss = (picture - 0.5).sum() + 1e6 * (0.499 - picture).clamp(min=0).sum()
        return loss, loss, loss

    steps = list(descend(wall, torch.full((1, 3, 2, 2), 0.5), 12))
    assert torch.equal(steps[1].picture, steps[0].picture)  # 0.49 is behind the wall
    assert steps[-1].loss < steps[0].loss
    assert float(steps[-1].picture.min()) > 0.4989


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    network = slim_vgg19(write_weights(tmp_path / "slim.pt"))
    regions, _ = match_regions(None, [None], [1.0])
    steps = descend(GatysLoss(network, tensor(PHOTO), [tensor(DOTS)], regions), tensor(PHOTO), 9)
    assert len(list(itertools.islice(steps, 2))) == 2
    network.convs.get_parameter("conv2_1.bias").fill_(math.nan)
    with pytest.raises(RecipeError, match="not finite at iteration 2: try a smaller --strength"):
        next(steps)
