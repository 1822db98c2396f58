from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from judging import CPU, Painted, judged, random_picture
from tiny_runs import HEAD_CHANNELS, styles_with, tiny_recipe, write_weights

from livestyle.training.dataset import ContentImages
from livestyle.training.features import slim_vgg19
from livestyle.training.losses import (
    gram_matrix,
)
from livestyle.training.objective import Objective, Shown, clipped, lattice_of, ramp
from livestyle.training.paintings import (
    Paintings,
    measure_baselines,
    painting_of,
    painting_patches,
    patch_distances,
    style_grams,
)
from livestyle.training.recipe import MOST_STEPS
from livestyle.training.state import TrainState


def test_what_is_clipped_is_seen_so_and_still_has_a_gradient() -> None:
    image = torch.tensor([-0.5, 0.25, 1.5], requires_grad=True)
    seen = clipped(image)
    assert seen.tolist() == [0, 0.25, 1]
    (gradient,) = torch.autograd.grad(seen.sum(), image)
    assert gradient.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("progress", "share"), [(0.0, 0.0), (0.25, 0.0), (0.375, 0.5), (0.5, 1.0), (1.0, 1.0)]
)
def test_a_weight_grows_along_a_ramp(progress: float, share: float) -> None:
    assert ramp(progress, 0.25, 0.5) == pytest.approx(share)


def test_the_original_has_a_row_in_front_of_the_paintings(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    grams = style_grams(recipe, slim_vgg19(write_weights(tmp_path / "w.pt")), CPU)
    assert [gram.shape for gram in grams.values()] == [(4, 2, c, c) for c in HEAD_CHANNELS[:4]]
    for gram in grams.values():
        assert torch.equal(gram[0], torch.zeros_like(gram[0]))
        assert not torch.allclose(gram[1], gram[2])


class WatchedPhotos(ContentImages):
    """Keeps which steps were asked for."""

    asked: list[int]

    def __getitem__(self, step: int) -> torch.Tensor:
        self.asked.append(step)
        return super().__getitem__(step)


def test_the_baselines_come_from_crops_that_training_does_not_see(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    photos = WatchedPhotos(tmp_path / "photos", batch=2, crop=64, steps=recipe.steps, seed=0)
    photos.asked = []
    network = slim_vgg19(tmp_path / "slim.pt")
    style, content = measure_baselines(recipe, network, photos, style_grams(recipe, network, CPU))
    assert photos.asked == list(range(MOST_STEPS, MOST_STEPS + 8))
    assert (style.shape, content.shape) == ((4, len(recipe.style_layers), 2), ())
    assert (style[0] == 1).all()  # row 0 has no painting, and is divided by nothing
    assert (style[1:] >= 0.24 * style[1:].mean((1, 2), keepdim=True)).all()
    assert len(set(style[1].flatten().tolist())) > 1  # each layer and part has its own
    assert content > 0


def test_a_painting_has_no_patch_loss_in_its_own_style_and_one_in_another(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    network = slim_vgg19(tmp_path / "slim.pt")
    patches = painting_patches(recipe, network, CPU)
    assert {layer: tensor.shape for layer, tensor in patches.items()} == {
        "relu3_1": (4, 512, 9 * HEAD_CHANNELS[2]),
        "relu4_1": (4, 512, 9 * HEAD_CHANNELS[3]),
    }
    # 18x16 and 9x8 cells hold fewer than 512 patches: all of them are known.
    features = network(painting_of(recipe, recipe.styles[0]), patches)
    assert patch_distances(features, patches, torch.tensor([1]), 0).item() == pytest.approx(0, abs=1e-9)
    assert patch_distances(features, patches, torch.tensor([2]), 0).item() > 0.01


def test_the_painting_of_such_a_style_is_grey(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, styles=styles_with(own_colours=True))
    first, second = (painting_of(recipe, style) for style in recipe.styles[:2])
    assert torch.equal(first[:, 0], first[:, 2])
    assert not torch.equal(second[:, 0], second[:, 2])


def test_the_loss_network_looks_at_every_lattice_whatever_the_steps_between(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    every = {(0, 0), (0, 1), (1, 0), (1, 1)}
    for between in (1, 4, 25_000):  # add-style passes through the recipe's steps in leaps
        assert {lattice_of(recipe, between * step) for step in range(40)} == every


def test_a_styles_weight_multiplies_its_style_loss_alone(tmp_path: Path) -> None:
    image, photo = random_picture(0), random_picture(1)
    options: dict[str, Any] = {"stability_weight": 0, "style_weight": 7}
    recipes = (tiny_recipe(tmp_path, styles=styles_with(weight=weight), **options) for weight in (1, 3))
    once, thrice = (judged(recipe, image, photo) for recipe in recipes)
    torch.testing.assert_close(thrice.total - once.total, 2 * 7 * once.style)
    assert torch.equal(thrice.style, once.style)


def test_part_of_the_strength_asks_for_a_statistic_between_the_photos_and_the_paintings(
    tmp_path: Path,
) -> None:
    recipe, photo = tiny_recipe(tmp_path, stability_weight=0, style_loss="gram"), random_picture(1)
    network = slim_vgg19(tmp_path / "slim.pt")
    features = network(photo, recipe.style_layers, lattice_of(recipe, 5))
    kept = style_grams(recipe, network, CPU)
    photos = ContentImages(tmp_path / "photos", batch=2, crop=64, steps=recipe.steps, seed=0)
    baselines = measure_baselines(recipe, network, photos, kept)[0][1, :, 0]
    pairs = [(gram_matrix(features[layer])[0], grams[1, 0]) for layer, grams in kept.items()]
    whole = judged(recipe, photo, photo)
    for strength in (0.0, 0.25, 0.5, 1.0):
        found = judged(recipe, photo, photo, strength=strength)
        # The photo itself: strength * (painting - photo) away from a target that is as much of the painting.
        by_hand = [
            sum(
                ((s * (b - a)).norm() / (a + s * (b - a)).norm()) ** 2 / baseline
                for (a, b), baseline in zip(pairs, baselines, strict=True)
            )
            for s in (strength, 1.0)
        ]
        torch.testing.assert_close(found.style / whole.style, (by_hand[0] / by_hand[1])[None])
        assert found.total.isfinite().all()


def test_patches_are_weighed_as_a_fraction_of_the_untouched_photos(tmp_path: Path) -> None:
    image, photo = random_picture(0), random_picture(1)
    recipes = (tiny_recipe(tmp_path, stability_weight=0, patch_weight=weight) for weight in (0, 1, 5))
    losses = [judged(recipe, image, photo).total for recipe in recipes]
    assert losses[1] > losses[0]
    torch.testing.assert_close(losses[2] - losses[0], 5 * (losses[1] - losses[0]), rtol=1e-4, atol=1e-4)


def test_a_network_that_can_paint_is_asked_for_style_and_calm_from_the_first_step(tmp_path: Path) -> None:
    recipe, photo = tiny_recipe(tmp_path, stability_weight=50), random_picture(1)
    image = random_picture(0)
    network = slim_vgg19(tmp_path / "slim.pt")
    photos = ContentImages(tmp_path / "photos", batch=2, crop=64, steps=recipe.steps, seed=0)
    paintings = Paintings.measured(recipe, network, photos, CPU)
    state = TrainState(recipe, CPU)
    state.network = Painted(image)
    shown = Shown(torch.tensor([1]), torch.tensor([0]), torch.tensor([1.0]))
    from_nothing, from_model = (
        Objective(network, paintings, from_nothing=nothing).of(state, photo, slice(0, 1), shown)
        for nothing in (True, False)
    )
    # The picture that is painted does not move with the scene: some of the difference is its flicker.
    assert float(from_model.total - from_nothing.total) > recipe.style_weight * float(from_model.style)
    torch.testing.assert_close(from_model.style, from_nothing.style)


def test_a_longer_run_is_measured_by_the_same_photos(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    network = slim_vgg19(tmp_path / "slim.pt")
    found = []
    for steps in (6, 60):
        photos = ContentImages(tmp_path / "photos", batch=2, crop=64, steps=steps, seed=0)
        found.append(Paintings.measured(replace(recipe, steps=steps), network, photos, CPU))
    assert found[0].content_baseline == found[1].content_baseline
    assert torch.equal(found[0].style_baseline, found[1].style_baseline)
