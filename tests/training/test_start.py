from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import tiny_model
from tiny_runs import STYLES, noise_picture, tiny_network, tiny_recipe

from livestyle.errors import ModelError, RecipeError
from livestyle.library import find_model, load_manifest
from livestyle.manifest import METADATA_KEY, Manifest, Style
from livestyle.stylizer import open_stylizer
from livestyle.training.network import TransformNet
from livestyle.training.start import start_from
from livestyle.training.state import TrainState

CPU = torch.device("cpu")


def model_file(path: Path, network: TransformNet, names: list[str]) -> Path:
    """A file that holds the network's weights as an exported model does, and no graph to run."""
    import onnx

    tensors = [
        onnx.numpy_helper.from_array(value.numpy(), f"network.{key}")
        for key, value in network.state_dict().items()
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph([], "weights", [], [], tensors))
    styles = tuple(Style(name, name.title(), "", "", "") for name in names)
    manifest = Manifest("tiny", "1", styles, size_multiple=8, licence="MIT", recipe="", quality={})
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    path.write_bytes(model.SerializeToString())
    return path


def test_the_shipped_model_is_read_back_as_the_network_that_it_is() -> None:
    path = find_model("painters")
    names = [style.name for style in load_manifest(path).styles]
    network = TransformNet(len(names))
    start_from(network, names, path)
    image = noise_picture(64, 72, 3)
    mix = np.eye(len(names), dtype=np.float32)[3]
    with torch.no_grad():
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        expected = 255 * network(tensor, torch.from_numpy(mix)[None])[0].permute(1, 2, 0).numpy()
    difference = np.abs(open_stylizer("painters", "onnx-cpu")(image, mix) - expected.clip(0, 255))
    assert difference.max() <= 1


def test_styles_are_found_by_name_and_new_ones_begin_with_the_mean_of_the_styles(tmp_path: Path) -> None:
    given = tiny_network(3)
    path = model_file(tmp_path / "old.onnx", given, ["original", "a", "b"])
    network = tiny_network(4)
    start_from(network, ["original", "b", "new", "a"], path)
    for name, value in network.state_dict().items():
        old = given.state_dict()[name]
        if name.endswith(("gamma", "beta")):
            torch.testing.assert_close(value, torch.stack([old[0], old[2], (old[1] + old[2]) / 2, old[1]]))
        else:
            assert torch.equal(value, old)


def test_a_training_begins_with_the_model_that_its_recipe_names(tmp_path: Path) -> None:
    given = tiny_network(1 + len(STYLES))
    model_file(tmp_path / "old.onnx", given, ["original", *STYLES])
    recipe = tiny_recipe(tmp_path, start_from="old.onnx")
    state = TrainState(recipe, CPU)
    for network in (state.network, state.average):
        assert all(torch.equal(value, given.state_dict()[key]) for key, value in network.state_dict().items())
    state.save(tmp_path / "run" / "checkpoint.pt")
    (tmp_path / "old.onnx").unlink()
    # A checkpoint has weights of its own, and asks for no other file.
    resumed = TrainState.load(tmp_path / "run" / "checkpoint.pt", CPU, recipe)
    assert resumed.recipe.start_from == "old.onnx"


@pytest.mark.parametrize("larger", [{"widths": (6, 8, 12)}, {"head_width": 8}, {"n_residual": 3}])
def test_a_larger_network_begins_by_painting_what_the_model_paints(
    tmp_path: Path, larger: dict[str, Any]
) -> None:
    torch.manual_seed(7)
    given = tiny_network(3)
    path = model_file(tmp_path / "old.onnx", given, ["original", "a", "b"])
    network = tiny_network(3, **larger)
    start_from(network, ["original", "a", "b"], path)
    image, mix = torch.rand(1, 3, 32, 48), torch.tensor([[0.0, 0.3, 0.7]])
    painted = network(image, mix)
    torch.testing.assert_close(painted, given(image, mix), atol=1e-5, rtol=1e-4)
    # What is new can be learned: some of its weights have a gradient, and after a step all of them.
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        network(image, mix).square().mean().backward()
        optimizer.step()
    for key, value in network.named_parameters():
        assert value.grad is not None, key
        if value.dim() == 4:
            assert bool((value.grad.abs().amax((2, 3)) > 0).all()), key


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = model_file(tmp_path / "old.onnx", tiny_network(3), ["original", "a", "b"])
    # The last two would hold what is there, and paint something else: a step, or a block, would be left out.
    for other in ({"widths": (4, 6, 6)}, {"widths": (4, 6)}, {"widths": (6, 8)}, {"n_residual": 0}):
        with pytest.raises(ModelError, match="another shape at"):
            start_from(tiny_network(3, **other), ["original", "a", "b"], path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ModelError, match="broken"):
        start_from(tiny_network(3), ["original", "a", "b"], broken)
    with pytest.raises(ModelError, match="another shape"):  # a model, but of another kind of network
        start_from(tiny_network(3), ["original", "a", "b"], tiny_model(tmp_path / "foreign.onnx"))


def test_a_recipe_whose_beginning_is_missing_says_what_to_change(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, start_from="gone.onnx")
    with pytest.raises(RecipeError, match=r"gone\.onnx, which the recipe's start_from names: .* delete that"):
        TrainState(recipe, torch.device("cpu"))


def test_without_onnx_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"needs onnx: pip install"):
        start_from(tiny_network(3), ["original", "a", "b"], find_model("painters"))
