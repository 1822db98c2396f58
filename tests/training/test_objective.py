from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import HEAD_CHANNELS, styles_with, tiny_recipe, write_weights

from livestyle.training.abstraction import abstracted
from livestyle.training.dataset import ContentImages
from livestyle.training.features import slim_vgg19
from livestyle.training.losses import (
    chroma_distance,
    contrast_distance,
    gram_matrix,
    skin,
    structure_distance,
    unevenness,
)
from livestyle.training.motion import coloured_light, grey
from livestyle.training.network import TransformNet
from livestyle.training.objective import SKIN_CONTRAST, Objective, Shown, StepLoss, clipped, lattice_of, ramp
from livestyle.training.paintings import (
    Paintings,
    measure_baselines,
    painting_of,
    painting_patches,
    patch_distances,
    style_grams,
)
from livestyle.training.recipe import MOST_STEPS, Recipe
from livestyle.training.state import TrainState

CPU = torch.device("cpu")


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


class Painted(TransformNet):
    """A network that has painted already: always the picture that it is given."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__(4, widths=(4, 6, 8), n_residual=0)
        self.image = image

    def forward(self, image: torch.Tensor, style_mix: torch.Tensor) -> torch.Tensor:
        return self.image


def judged(
    recipe: Recipe,
    image: torch.Tensor,
    photo: torch.Tensor,
    *,
    step: int = 5,
    row: int = 1,
    strength: float = 1.0,
) -> StepLoss:
    """What the recipe's losses say of a picture painted of a photo in the style of a row."""
    network = slim_vgg19(recipe.folder / "slim.pt")
    photos = ContentImages(recipe.folder / "photos", batch=2, crop=64, steps=recipe.steps, seed=0)
    state = TrainState(recipe, CPU)
    state.network, state.step = Painted(image), step
    shown = Shown(torch.tensor([row]), torch.tensor([0]), torch.tensor([strength]))
    objective = Objective(network, Paintings.measured(recipe, network, photos, CPU))
    return objective.of(state, photo, slice(0, 1), shown)


def random_picture(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_a_style_that_keeps_the_photos_colours_is_judged_by_its_brightness(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, stability_weight=0, styles=styles_with(own_colours=True))
    image, photo = random_picture(0), random_picture(1)
    drab = grey(image).expand(1, 3, -1, -1)
    coloured, colourless = judged(recipe, image, photo), judged(recipe, drab, photo)
    torch.testing.assert_close(coloured.style, colourless.style)
    # The content says which colours are right, and by how much these two differ.
    by_hand = chroma_distance(image, photo) - chroma_distance(drab, photo)
    torch.testing.assert_close(coloured.content - colourless.content, by_hand, atol=1e-5, rtol=1e-5)
    # The other styles are asked for the painting's colours.
    assert judged(recipe, image, photo, row=2).style != judged(recipe, drab, photo, row=2).style


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


def test_the_photos_structure_is_weighed_as_the_recipe_says(tmp_path: Path) -> None:
    image, photo = random_picture(0), random_picture(1)
    recipes = (tiny_recipe(tmp_path, stability_weight=0, structure_weight=weight) for weight in (0, 5))
    losses = [judged(recipe, image, photo).total for recipe in recipes]
    expected = 5 * structure_distance(clipped(image), photo)
    assert expected > 1
    torch.testing.assert_close(losses[1] - losses[0], expected, rtol=1e-3, atol=1e-3)


def test_faces_are_asked_for_more_content_structure_and_evenness_and_smoothness(tmp_path: Path) -> None:
    image = random_picture(0)
    photo = torch.tensor([0.8, 0.6, 0.5])[None, :, None, None] * (0.9 + 0.1 * random_picture(1)[:, :1])
    weights = {"content_weight": 7, "structure_weight": 5, "even_weight": 3, "stability_weight": 0}
    plain, cared = (
        judged(tiny_recipe(tmp_path, skin_weight=weight, **weights), image, photo) for weight in (0, 2)
    )
    seen = clipped(image)
    even, structure = unevenness(seen, photo), structure_distance(seen, photo)
    rough = SKIN_CONTRAST * contrast_distance(seen, photo, torch.ones_like(photo[:, :1]))  # all of it is skin
    expected = 2 * (7 * plain.content + 5 * structure + 3 * even + rough)
    torch.testing.assert_close(cared.total - plain.total, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(cared.content, plain.content)  # a fraction is one of all places


def test_what_a_painter_leaves_out_is_no_content(tmp_path: Path) -> None:
    photo = 0.4 + 0.1 * random_picture(1)
    assert float(skin(photo).mean()) < 0.1
    flat = abstracted(photo, 3, skin(photo))
    assert float((flat - photo).abs().mean()) > 0.01
    recipe = tiny_recipe(tmp_path, stability_weight=0, even_weight=0, structure_weight=5, abstraction=3)
    kept, traced = (judged(recipe, image, photo) for image in (flat, photo))
    assert float(kept.content) == pytest.approx(0, abs=1e-6)
    assert float(traced.content) > 0.001
    plain = [judged(replace(recipe, structure_weight=0), image, photo) for image in (flat, photo)]
    structure = [float(a.total - b.total) for a, b in zip((kept, traced), plain, strict=True)]
    expected = [float(5 * structure_distance(image, flat)) for image in (flat, photo)]
    assert structure == pytest.approx(expected, abs=0.01)


def test_half_of_a_style_leaves_out_half_as_much(tmp_path: Path) -> None:
    photo = 0.4 + 0.1 * random_picture(1)
    flat = abstracted(photo, 3, skin(photo))
    recipe = tiny_recipe(tmp_path, stability_weight=0, abstraction=3)
    half = judged(recipe, (photo + flat) / 2, photo, strength=0.5)
    assert float(half.content) == pytest.approx(0, abs=1e-6)


def test_beyond_its_strength_a_style_is_asked_for_as_it_is_and_the_photo_is_let_go_of(tmp_path: Path) -> None:
    photo = torch.tensor([0.8, 0.6, 0.5])[None, :, None, None] * (0.9 + 0.1 * random_picture(1)[:, :1])
    image = random_picture(0)
    of_photo = {"content_weight": 7, "structure_weight": 5, "skin_weight": 2}
    without = dict.fromkeys(of_photo, 0)
    recipes = [
        tiny_recipe(tmp_path, stability_weight=0, even_weight=0, **each) for each in (without, of_photo)
    ]

    def asked(strength: float) -> tuple[StepLoss, float]:
        plain, held = (judged(recipe, image, photo, strength=strength) for recipe in recipes)
        return plain, float(held.total - plain.total)

    whole, at_whole = asked(1.0)
    bold, at_bold = asked(1.5)
    between, at_between = asked(1.25)
    torch.testing.assert_close(bold.total, whole.total)  # style, palette, grid and range do not change
    torch.testing.assert_close(between.style, whole.style)
    assert at_whole > 5
    assert [at_bold / at_whole, at_between / at_whole] == pytest.approx([0.2, 0.6], rel=1e-3)


def test_beyond_its_strength_a_style_is_no_negative_of_the_photo(tmp_path: Path) -> None:
    shown = Shown(torch.tensor([2]), torch.tensor([0]), torch.tensor([1.5]))
    torch.testing.assert_close(shown.mix(4), torch.tensor([[-0.5, 0, 1.5, 0]]))  # with_strength's
    assert shown.share.tolist() == [1]


def test_by_coloured_light_faces_are_still_known_and_the_lit_photo_is_what_is_kept(tmp_path: Path) -> None:
    photo = torch.tensor([0.8, 0.6, 0.5])[None, :, None, None] * (0.9 + 0.1 * random_picture(1)[:, :1])
    recipe = tiny_recipe(
        tmp_path,
        stability_weight=0,
        even_weight=0,
        light_share=1,
        structure_weight=5,
        skin_weight=2,
        content_weight=7,
    )
    lamps = torch.Generator().manual_seed(recipe.seed * 32452843 + 5)  # judged's step
    lit = coloured_light(photo, 1.0, lamps)
    assert float(skin(lit).mean()) < 0.8 < float(skin(photo).min())
    kept, changed = (judged(recipe, image, photo) for image in (lit, photo))
    assert float(kept.content) == pytest.approx(0, abs=1e-6)
    assert float(changed.content) > 0.01
    careless = judged(replace(recipe, skin_weight=0), photo, photo)
    fainter = SKIN_CONTRAST * contrast_distance(photo, lit, skin(photo))
    expected = 2 * (7 * changed.content + 5 * structure_distance(photo, lit) + fainter)
    torch.testing.assert_close(changed.total - careless.total, expected, rtol=1e-3, atol=1e-3)


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


def test_what_holds_on_to_the_photo_waits_until_there_is_a_painting(tmp_path: Path) -> None:
    none = {"stability_weight": 0, "even_weight": 0, "style_weight": 0, "palette_weight": 0}
    held = {"structure_weight": 5, "even_weight": 9}
    image = random_picture(0)
    photo = torch.tensor([0.8, 0.6, 0.5])[None, :, None, None] * (0.9 + 0.1 * random_picture(1)[:, :1])
    plain, careful = (tiny_recipe(tmp_path, steps=100, **(none | more)) for more in ({}, held))
    faces = replace(careful, skin_weight=3)

    def asked(recipe: Recipe, step: int) -> float:
        totals = [judged(each, image, photo, step=step).total for each in (recipe, plain)]
        return float(totals[0] - totals[1])

    assert asked(faces, 0) == asked(faces, 20) == 0
    assert asked(careful, 40) > 5
    assert asked(careful, 30) == pytest.approx(asked(careful, 40) / 2, rel=0.01)
    assert asked(careful, 99) == pytest.approx(asked(careful, 40), rel=0.01)
    assert asked(faces, 40) > asked(careful, 40) + 5


def test_a_longer_run_is_measured_by_the_same_photos(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    network = slim_vgg19(tmp_path / "slim.pt")
    found = []
    for steps in (6, 60):
        photos = ContentImages(tmp_path / "photos", batch=2, crop=64, steps=steps, seed=0)
        found.append(Paintings.measured(replace(recipe, steps=steps), network, photos, CPU))
    assert found[0].content_baseline == found[1].content_baseline
    assert torch.equal(found[0].style_baseline, found[1].style_baseline)
