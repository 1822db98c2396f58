"""What of the photo a painted picture is asked to keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from judging import judged, random_picture
from tiny_runs import styles_with, tiny_recipe

from livestyle.training.abstraction import abstracted
from livestyle.training.losses import (
    chroma_distance,
    contrast_distance,
    skin,
    structure_distance,
    unevenness,
)
from livestyle.training.motion import coloured_light, grey
from livestyle.training.objective import SKIN_CONTRAST, clipped
from livestyle.training.recipe import Recipe


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
