from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tiny_runs import STYLES, noise_picture, recipe_text, tiny_network

from livestyle.engines import OnnxRuntimeEngine, open_engine
from livestyle.errors import RecipeError, SinkError
from livestyle.frame import Image
from livestyle.library import load_manifest
from livestyle.manifest import Manifest
from livestyle.model_file import read_model_file
from livestyle.training.export import MAX_MEAN_DIFFERENCE, FrameGraph, compare, export_onnx
from livestyle.training.network import Stem, TransformNet
from livestyle.training.recipe import Recipe, parse_recipe

pytestmark = pytest.mark.slow  # every export takes seconds

N_STYLES = 1 + len(STYLES)
PHOTOS = [noise_picture(96, 80, seed) for seed in range(N_STYLES)]


def recipe_of(**changes: Any) -> Recipe:
    return parse_recipe(recipe_text(**changes))


class Drifting(TransformNet):
    """A network whose exported graph is not what it computes: a tenth darker."""

    def forward(self, image: torch.Tensor, style_mix: torch.Tensor) -> torch.Tensor:
        stylized: torch.Tensor = super().forward(image, style_mix)
        return stylized if torch.compiler.is_exporting() else stylized - 0.1


@pytest.fixture(scope="module")
def networks() -> dict[Stem, TransformNet]:
    return {
        "space_to_depth": tiny_network(N_STYLES),
        "plain": tiny_network(N_STYLES, stem="plain", upsampling="pixel_shuffle", n_residual=0),
    }


@pytest.fixture(scope="module")
def models(networks: dict[Stem, TransformNet], tmp_path_factory: pytest.TempPathFactory) -> dict[Stem, Path]:
    """The networks as files; exporting takes seconds."""
    folder = tmp_path_factory.mktemp("models")
    for stem, network in networks.items():
        found = export_onnx(network, recipe_of(), folder / f"{stem}.onnx", PHOTOS)
        assert (found.pictures, found.mean < 0.1, found.worst <= 1) == (N_STYLES, True, True)
        assert [path.name for path in folder.glob(f"*{stem}*")] == [f"{stem}.onnx"]  # nothing partial
    return {stem: folder / f"{stem}.onnx" for stem in networks}


@pytest.mark.parametrize("stem", ["space_to_depth", "plain"])
def test_the_graph_is_the_network_at_any_size(
    stem: Stem, networks: dict[Stem, TransformNet], models: dict[Stem, Path]
) -> None:
    network, engine = networks[stem], open_engine(models[stem], "onnx-cpu", threads=1)
    multiple, random = network.size_multiple, np.random.default_rng(0)
    mixes = [*np.eye(N_STYLES), [0.25, 0.25, 0.25, 0.25], [-0.5, 1.5, 0, 0], [0.3, 0.7, 0, 0]]
    sizes = [(4, 4), (5, 7), (7, 5), (9, 11), (13, 4), (8, 8), (23, 17)]
    for mix, (rows, columns) in zip(mixes, sizes, strict=True):
        image = noise_picture(rows * multiple, columns * multiple, int(random.integers(1000)))
        style_mix = np.asarray(mix, np.float32)
        with torch.no_grad():
            tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
            expected = 255 * network(tensor, torch.from_numpy(style_mix)[None])[0].permute(1, 2, 0).numpy()
        stylized = engine.run(image[None], style_mix)[0]
        assert (stylized.shape, stylized.dtype) == (image.shape, np.uint8)
        # Half a grey level is rounding; two engines may round differently.
        assert np.abs(stylized - expected.clip(0, 255)).max() < 1.0
        assert stylized.std() > 0


def test_the_graph_takes_what_every_runtime_has(models: dict[Stem, Path]) -> None:
    for path in models.values():
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
        assert not model.functions
        assert {node.domain for node in model.graph.node} == {""}
        assert not {node.op_type for node in model.graph.node} & {"Loop", "If", "Scan"}
        inputs = {value.name: value.type.tensor_type for value in model.graph.input}
        assert list(inputs) == ["frame", "style_mix"]
        dims = [dim.dim_value or dim.dim_param for dim in inputs["frame"].shape.dim]
        assert (dims[0], dims[3]) == (1, 3)
        assert all(isinstance(dim, str) for dim in dims[1:3])  # any height and width
        assert [dim.dim_value for dim in inputs["style_mix"].shape.dim] == [N_STYLES]
        assert [value.name for value in model.graph.output] == ["stylized"]


def test_the_manifest_says_what_the_recipe_said(models: dict[Stem, Path]) -> None:
    for stem, path in models.items():
        manifest = load_manifest(path)
        assert manifest == Manifest.from_json(read_model_file(path).manifest_json)
        assert (manifest.name, manifest.version, manifest.licence) == ("tiny", "1", "MIT")
        assert [style.name for style in manifest.styles] == ["original", *STYLES]
        assert [style.title for style in manifest.styles] == ["Original", "Dots", "Waves", "Night"]
        assert manifest.size_multiple == {"space_to_depth": 8, "plain": 4}[stem]
        assert manifest.recipe == recipe_text()
        assert parse_recipe(manifest.recipe).styles == recipe_of().styles


def test_the_file_says_nothing_of_where_it_was_made(models: dict[Stem, Path]) -> None:
    for path in models.values():
        content = path.read_bytes()
        for folder in (Path.cwd(), Path.home(), Path(torch.__file__).parent):
            assert str(folder).encode() not in content


def test_a_graph_that_differs_from_torch_is_not_written(tmp_path: Path) -> None:
    network = Drifting(N_STYLES, widths=(4, 6, 8), head_width=4, n_residual=0).eval()
    path = tmp_path / "drifting.onnx"
    path.write_bytes(b"the model that was there")
    with pytest.raises(
        RecipeError, match=r"was not written: the graph differs from torch by 2\d\.\d\d grey"
    ) as caught:
        export_onnx(network, recipe_of(), path, [np.full((64, 64, 3), 128, np.uint8)], overwrite=True)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"the model that was there"
    assert list(tmp_path.iterdir()) == [path]


class Unexportable(TransformNet):
    """A network whose forward pass fails the test: what is refused must be refused before any work."""

    def forward(self, image: torch.Tensor, style_mix: torch.Tensor) -> torch.Tensor:
        raise AssertionError("export went further than it should")


@pytest.mark.parametrize(
    ("name", "photos", "error", "says"),
    [
        ("there.onnx", PHOTOS, SinkError, "there.onnx exists; --overwrite replaces it"),
        ("none/model.onnx", PHOTOS, SinkError, "no folder .*none; make it first"),
        ("model.onnx", [], RecipeError, "no photo to compare the export on: give --photos"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    name: str, photos: list[Image], error: type[Exception], says: str, tmp_path: Path
) -> None:
    (tmp_path / "there.onnx").write_bytes(b"mine")
    with pytest.raises(error, match=says) as caught:
        export_onnx(Unexportable(N_STYLES), recipe_of(), tmp_path / name, photos)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"went further|export"):  # torch's exporter wraps it in its own
        export_onnx(Unexportable(N_STYLES), recipe_of(), tmp_path / "model.onnx", PHOTOS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(96, 80), (101, 83), (33, 95)])
def test_photos_of_any_size_are_compared(
    shape: tuple[int, int], networks: dict[Stem, TransformNet], models: dict[Stem, Path]
) -> None:
    found = compare(networks["plain"], models["plain"], [noise_picture(*shape, seed=5)])
    assert found.mean <= found.worst <= 1


def test_a_comparison_tells_two_networks_apart(models: dict[Stem, Path]) -> None:
    other = tiny_network(N_STYLES)
    with torch.no_grad():
        other.state_dict()["last.bias"].add_(0.1)
    found = compare(other, models["space_to_depth"], PHOTOS)
    assert found.mean > MAX_MEAN_DIFFERENCE
    assert found.pictures == len(PHOTOS)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 1.5])
def test_any_strength_gives_a_picture(strength: float, models: dict[Stem, Path]) -> None:
    engine = OnnxRuntimeEngine(models["space_to_depth"], "cpu", threads=1)
    mix = np.zeros(N_STYLES, np.float32)
    mix[0], mix[2] = 1 - strength, strength
    stylized = engine.run(noise_picture(40, 48, 1)[None], mix)
    assert stylized.std() > 5  # neither black nor white nor grey all over


def test_the_frame_graph_is_uint8_in_and_out_and_clips() -> None:
    network = tiny_network(2, n_residual=0)
    with torch.no_grad():
        network.last.weight.zero_()
        network.state_dict()["last.bias"].copy_(torch.tensor([-1.0, 0.5, 2.0]))
    frame = torch.zeros(1, 32, 40, 3, dtype=torch.uint8)
    stylized = FrameGraph(network)(frame, torch.tensor([0.0, 1.0]))
    assert (stylized.shape, stylized.dtype) == (frame.shape, torch.uint8)
    assert stylized[0, 0, 0].tolist() == [0, 128, 255]  # 127.5 rounds to even
