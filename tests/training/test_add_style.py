from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from commands import written
from tiny_runs import STYLES, tiny_network, write_pictures
from tiny_world import PHOTO, STRIPES, N, files_in

from livestyle.engines import open_engine
from livestyle.errors import ModelError, RecipeError, SinkError
from livestyle.library import load_manifest
from livestyle.manifest import METADATA_KEY, Manifest
from livestyle.training.add_style import STEPS, Fractions, NewStyle, add_style, is_weak
from livestyle.training.grown_model import blended_rows, open_base, recipe_with, write_grown
from livestyle.training.recipe import parse_recipe
from livestyle.training.start import is_style_row, read_weights

pytestmark = pytest.mark.slow  # the export of the base takes seconds
CPU = torch.device("cpu")


def new_style(world: Path, **changes: Any) -> NewStyle:
    files = {"painting": world / "stripes.png", "photos": world / "photos"}
    arguments: dict[str, Any] = {"style": STRIPES} | files | changes
    base = open_base(world / "base.onnx")
    return NewStyle(base, loss_network=str(world / "slim.pt"), device=CPU, **arguments)


def rows_of(path: Path) -> dict[str, torch.Tensor]:
    return {key: value for key, value in read_weights(path)[0].items() if is_style_row(key)}


def test_folded_convs_are_read_back(world: Path) -> None:
    network = tiny_network(N)
    stored = {tensor.name for tensor in onnx.load(world / "base.onnx").graph.initializer}
    folded = {"expand.0.conv.weight", "expand.1.conv.weight", "last.weight"}
    assert not {f"network.{name}" for name in folded} & stored  # with the upsampling before them
    weights, names = read_weights(world / "base.onnx")
    assert names == ["original", *STYLES]
    assert set(weights) == set(network.state_dict())
    for key, value in network.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=0, atol=1e-7 if key in folded else 0)


def test_a_style_is_added_and_the_others_stay_to_the_bit(world: Path, tmp_path: Path) -> None:
    new = new_style(world)
    before = new.measure()
    steps = list(add_style(new, steps=40))
    assert [step.step for step in steps] == list(range(1, 41))
    assert [step.progress for step in steps] == pytest.approx([n / 40 for n in range(1, 41)])
    after = new.measure()
    assert after.style < 0.97 * before.style  # random weights are a poor teacher

    out = tmp_path / "out.onnx"
    photos, figures = new.held_out_photos(3), {"style_fraction": 0.5}
    change = write_grown(new.base, new.grown(), STRIPES, out, photos, figures=figures)
    assert (change.mean, change.worst) == (0, 0)
    assert files_in(tmp_path) == {"out.onnx"}  # nothing partial
    onnx.checker.check_model(onnx.load(out), full_check=True)
    old, grown = rows_of(world / "base.onnx"), rows_of(out)
    assert all(torch.equal(grown[key][:N], value) for key, value in old.items())
    assert any(not torch.equal(grown[key][N], value[1:].mean(0)) for key, value in old.items())
    mixes = [*np.eye(N), [0, 0.7, 0.3, 0], [0.1, 0.2, 0.3, 0.4], [-0.5, 0, 1.5, 0]]
    for device in ("onnx-cpu", "openvino"):
        first, second = (open_engine(path, device, threads=1) for path in (world / "base.onnx", out))
        for mix in np.asarray(mixes, np.float32):
            painted = second.run(PHOTO[None], np.append(mix, np.float32(0)))
            assert np.array_equal(painted, first.run(PHOTO[None], mix)), (device, mix)
    with torch.no_grad():
        tensor = torch.from_numpy(PHOTO).permute(2, 0, 1)[None] / 255
        expected = 255 * new.grown()(tensor, torch.eye(N + 1)[None, N])[0].permute(1, 2, 0).numpy()
    found = open_engine(out, "onnx-cpu").run(PHOTO[None], np.eye(N + 1, dtype=np.float32)[N])[0]
    assert np.abs(found - expected.clip(0, 255)).max() < 1


def test_the_new_file_says_what_it_holds_and_nothing_of_where_it_was_made(
    world: Path, tmp_path: Path
) -> None:
    style = replace(STRIPES, title='Stripes "of" \\ Ünsinn', year="1999", style_size=48)
    new = new_style(world, style=style)
    out = tmp_path / "out.onnx"
    write_grown(new.base, new.grown(), style, out, [PHOTO], figures={"style_fraction": 0.25, "steps": 3})
    old, manifest = load_manifest(world / "base.onnx"), load_manifest(out)
    assert manifest.styles[:N] == old.styles
    added = manifest.styles[N]
    assert (added.name, added.title, added.year) == ("stripes", 'Stripes "of" \\ Ünsinn', "1999")
    assert (added.artist, added.licence) == ("Nobody", "public domain")
    assert (manifest.name, manifest.version, manifest.size_multiple) == (old.name, old.version, 8)
    assert manifest.quality == {"added": {"stripes": {"style_fraction": 0.25, "steps": 3}}}
    assert manifest.recipe.startswith(old.recipe)
    assert "add-style" in manifest.recipe[len(old.recipe) :]
    assert parse_recipe(manifest.recipe).styles == (*parse_recipe(old.recipe).styles, style)
    assert str(tmp_path).encode() not in out.read_bytes()
    assert str(world).encode() not in out.read_bytes()
    # What was grown can be grown again, by a style of another name.
    again = open_base(out)
    assert again.network.n_styles == N + 1
    with pytest.raises(RecipeError, match="has a style called stripes already: give --name another"):
        recipe_with(again, style)


def test_only_the_new_row_learns(world: Path) -> None:
    new = new_style(world)
    before = {key: value.clone() for key, value in new.state.network.state_dict().items()}
    list(add_style(new, steps=5))
    for key, value in new.state.network.state_dict().items():
        if is_style_row(key):
            assert torch.equal(value[0], before[key][0])  # "original"
            assert not torch.equal(value[1], before[key][1])
        else:
            assert torch.equal(value, before[key])


def test_the_row_begins_with_the_best_of_the_styles_and_their_mean(world: Path) -> None:
    new = new_style(world)
    names = ["original", *STYLES]
    rows = {name: torch.eye(N)[k] for k, name in enumerate(names)}
    rows["mean of all"] = torch.tensor([0, 1 / 3, 1 / 3, 1 / 3])
    chosen = blended_rows(new.base, torch.stack([rows["original"], rows[new.begun_with]]))
    for key, value in new.state.network.state_dict().items():
        torch.testing.assert_close(value, chosen[key])
    own = {key: value for key, value in new.base.network.state_dict().items() if is_style_row(key)}
    mean = blended_rows(new.base, rows["mean of all"][None])
    for key, value in own.items():
        torch.testing.assert_close(mean[key][0], value[1:].mean(0))


def test_a_training_by_the_clock_ends_with_it_and_its_step_size_falls_to_nothing(world: Path) -> None:
    new, now = new_style(world), iter(range(0, 1000, 12))
    steps = list(add_style(new, minutes=1, clock=lambda: float(next(now))))
    assert [step.progress for step in steps] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert new.state.step == int(0.8 * STEPS)  # what the recipe's ramps and dice went by
    new, now = new_style(world), iter(range(0, 1000, 12))
    ended = list(add_style(new, steps=2, minutes=1, clock=lambda: float(next(now))))
    assert [step.progress for step in ended] == [0.5, 1.0]  # whichever comes first
    with pytest.raises(ValueError, match="steps or minutes"):
        next(add_style(new))


def test_unlocking_trains_the_last_layers_and_says_so(world: Path, tmp_path: Path) -> None:
    new = new_style(world, unlock=True)
    list(add_style(new, steps=6))
    before, after = new.base.network.state_dict(), new.grown().state_dict()
    changed = {key for key, value in before.items() if not torch.equal(after[key][: len(value)], value)}
    assert changed == {"expand.0.conv.weight", "expand.1.conv.weight", "head.conv.weight"}
    out = tmp_path / "out.onnx"
    with pytest.raises(RecipeError, match="was not written: it differs"):
        write_grown(new.base, new.grown(), STRIPES, out, [PHOTO], figures={})
    assert not files_in(tmp_path)
    change = write_grown(new.base, new.grown(), STRIPES, out, [PHOTO], figures={}, unlocked=True)
    assert change.worst >= 1
    stored, _ = read_weights(out)
    for key, value in new.grown().state_dict().items():
        torch.testing.assert_close(stored[key], value, rtol=0, atol=1e-6, msg=key)
    assert "the styles above are changed by it" in load_manifest(out).recipe


def test_the_base_is_measured_where_its_paintings_are(world: Path, tmp_path: Path) -> None:
    new = new_style(world)
    write_pictures(tmp_path, ["waves.png"], size_hw=(72, 64))
    found = new.measure_base(tmp_path)
    assert list(found) == ["waves"]
    assert all(value.style > 0 and value.content > 0 for value in found.values())
    with pytest.raises(RecipeError, match=r"none of the paintings of .* such as dots.png: give --paintings"):
        new.measure_base(world / "photos")
    assert is_weak(new, replace(found["waves"], style=0.23))  # the recipe asks for 0.15
    assert not is_weak(new, replace(found["waves"], style=0.22))


def test_a_new_style_is_steered_and_may_be_weak_where_the_recipe_steers_none(world: Path) -> None:
    base = open_base(world / "base.onnx")
    by_hand = parse_recipe("style_target = 0.0\n" + base.recipe.text, folder=base.recipe.folder)
    new = NewStyle(
        replace(base, recipe=by_hand),
        STRIPES,
        world / "stripes.png",
        world / "photos",
        str(world / "slim.pt"),
        device=CPU,
    )
    assert is_weak(new, Fractions(style=0.23, content=0.4))
    assert not is_weak(new, Fractions(style=0.22, content=0.4))


def test_a_loss_that_is_not_finite_ends_the_training(world: Path, tmp_path: Path) -> None:
    new = new_style(world)
    with torch.no_grad():
        next(new.objective.loss_network.convs["conv1_1"].parameters()).fill_(1e30)
    with pytest.raises(RecipeError, match="not finite at step 1, and nothing was written") as caught:
        next(add_style(new, steps=3))
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_its_recipe_is_refused(world: Path, tmp_path: Path) -> None:
    model = onnx.load(world / "base.onnx")
    manifest = load_manifest(world / "base.onnx")

    def spoiled(name: str, changed: Manifest) -> Path:
        onnx.helper.set_model_props(model, {METADATA_KEY: changed.to_json()})
        return written(tmp_path / name, bytes(model.SerializeToString()))

    wider = replace(manifest, recipe=manifest.recipe.replace("[4, 6, 8]", "[4, 6, 10]"))
    with pytest.raises(ModelError, match=r"is not the network that its recipe describes \(see "):
        open_base(spoiled("wider.onnx", wider))
    other = replace(manifest, recipe=manifest.recipe.replace('"waves"', '"surf"'))
    with pytest.raises(ModelError, match="its recipe names other styles than it has"):
        open_base(spoiled("other.onnx", other))
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    weights["network.head.conv.weight"].raw_data = b"\xff" * len(weights["network.head.conv.weight"].raw_data)
    with pytest.raises(ModelError, match=r"see head.conv.weight"):
        open_base(spoiled("broken.onnx", manifest))


def test_a_painting_of_one_colour_is_learned_too(world: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "plain.png"), np.full((64, 64, 3), 90, np.uint8))
    new = new_style(world, painting=tmp_path / "plain.png", style=replace(STRIPES, image="plain.png"))
    assert all(np.isfinite(step.loss) for step in add_style(new, steps=3))


def test_an_output_that_appears_meanwhile_is_kept(world: Path, tmp_path: Path) -> None:
    new = new_style(world)
    out = written(tmp_path / "out.onnx", b"somebody's")
    with pytest.raises(SinkError, match="--overwrite"):
        write_grown(new.base, new.grown(), STRIPES, out, [PHOTO], figures={})
    assert out.read_bytes() == b"somebody's"
