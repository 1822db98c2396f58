"""tools/quality.py: what it measures, prints and writes."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from fakes import FakeEngine, tiny_manifest, tiny_model
from scripts import tool

from livestyle.library import load_manifest
from livestyle.manifest import Manifest
from livestyle.stylizer import Stylizer

RANDOM = np.random.default_rng(0)

RECIPE = """name = "tiny"
content_folder = "photos"
style_folder = "paintings"
loss_network = "slim.pt"
style_size = 64
[[styles]]
name = "negative"
image = "a.png"
title = "A"
[[styles]]
name = "grey_40"
image = "b.png"
title = "B"
"""


def tiled(amplitude: float, period: int) -> npt.NDArray[np.uint8]:
    """Grey noise of standard deviation 4 with a stripe every `period` columns."""
    picture = 128.5 + 4 * np.random.default_rng(0).standard_normal((200, 240, 1)) + np.zeros(3)
    picture[:, ::period] += amplitude
    return picture.astype(np.uint8)


@pytest.fixture
def measures() -> ModuleType:
    pytest.importorskip("torch")
    return tool("measures")


@pytest.fixture
def quality() -> ModuleType:
    pytest.importorskip("torch")
    return tool("quality")


def test_a_picture_without_a_grid_scores_one(measures: ModuleType) -> None:
    assert 0.7 < measures.grid_score(tiled(0, 4)) < 1.6
    assert measures.grid_score(np.full((100, 100, 3), 77, np.uint8)) == pytest.approx(1)


@pytest.mark.parametrize("period", [2, 4])
def test_a_printed_grid_scores_by_its_power(period: int, measures: ModuleType) -> None:
    # A stripe of a every p columns has the amplitude a / p at its period; under a Hann window w of n values
    # its power is (a / p)² (sum w)² = (a / p)² n² / 4, that of noise s² sum w² = s² 3 n / 8. Differences
    # change both alike. Here n = 236, the multiple of 4 in the 239 differences of 240 columns.
    expected = 1 + (12 / period) ** 2 * 236 * 2 / 3 / 4**2
    picture = tiled(12, period)
    assert measures.grid_score(picture) == pytest.approx(expected, rel=0.1)
    turned = np.ascontiguousarray(picture.swapaxes(0, 1))
    assert measures.grid_score(turned) == pytest.approx(measures.grid_score(picture))


def test_a_stripe_every_three_pixels_is_no_grid_of_the_network(measures: ModuleType) -> None:
    assert measures.grid_score(tiled(12, 3)) < 1.8


def test_a_grid_score_needs_a_picture_of_some_size(measures: ModuleType) -> None:
    with pytest.raises(ValueError, match="81 pixels"):
        measures.grid_score(np.zeros((80, 200, 3), np.uint8))


def pixels_as_features(image: Any, layers: Any) -> dict[str, Any]:
    """A loss network whose every feature map is the picture itself."""
    return dict.fromkeys(layers, image)


def readings(measures: ModuleType, photos: list[Any], paintings: list[Any], engine: FakeEngine) -> Any:
    import torch

    from livestyle.training.dataset import to_tensor

    stylizer = Stylizer(engine, engine.manifest)
    grams = [
        measures.grams_of(pixels_as_features, to_tensor(torch.from_numpy(painting)[None]))
        for painting in paintings
    ]
    return [measures.paint_and_read(photo, stylizer, grams, pixels_as_features)[0] for photo in photos]


def test_fractions_are_zero_for_the_goal_and_one_for_nothing(
    measures: ModuleType, quality: ModuleType
) -> None:
    class Painter(FakeEngine):
        """Row 1 gives the painting whatever comes in, row 2 leaves the photo as it is."""

        def run(self, frame: npt.NDArray[np.uint8], style_mix: npt.NDArray[np.float32]) -> Any:
            return painting[None] if style_mix[1] else frame

    painting, *photos = RANDOM.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    photos = [np.asarray(photo // (2 + n), np.uint8) for n, photo in enumerate(photos)]
    given = readings(measures, photos, [painting, painting], Painter())
    figures = quality.summary(tiny_manifest(), given, ["a", "b"], 1.0)["styles"]
    assert figures["original"]["difference"] == 0
    assert figures["negative"]["style_fraction"] == pytest.approx(0, abs=1e-6)
    assert figures["grey_40"]["style_fraction"] == 1
    assert figures["grey_40"]["content_fraction"] == 0


def test_a_content_fraction_of_one_is_another_photo(measures: ModuleType) -> None:
    photos = RANDOM.integers(0, 256, (3, 384, 384, 3), dtype=np.uint8)
    pairs = [(0, 1), (0, 2), (1, 2)]
    by_pairs = np.mean([((photos[a] / 255.0 - photos[b] / 255.0) ** 2).mean() for a, b in pairs])
    assert measures.distance_of_photos(pixels_as_features, photos) == pytest.approx(by_pairs, rel=1e-5)


def test_a_style_fraction_is_a_ratio_of_means_and_a_grid_score_a_mean(quality: ModuleType) -> None:
    reading = tool("measures").Reading
    none = reading(grid=1.0, difference=2.0)
    first = reading(grid=1.0, difference=0.0, style=1.0, unpainted=2.0, content=3.0)
    second = reading(grid=2.0, difference=0.0, style=2.0, unpainted=10.0, content=5.0)
    result = quality.summary(tiny_manifest(2), [[none, first], [none, second]], ["a.jpg", "b.jpg"], 8.0)
    assert result["styles"]["negative"] == {
        "style_fraction": 0.25,  # (1 + 2) / (2 + 10)
        "content_fraction": 0.5,  # (3 + 5) / 2 / 8
        "grid_score": 1.5,
        "worst_grid_score": 2.0,
        "worst_grid_photo": "b.jpg",
    }
    assert result["grid_score"] == {"mean": 1.25, "worst": 1.5}
    assert [row["met"] for row in quality.targets(result)] == [False, True, False, True, True, True]
    assert "style fraction, mean            0.250 <= 0.15  NOT MET" in quality.table(result)


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """A model, photos, paintings and a loss network with random weights."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    tiny_model(tmp_path / "tiny.onnx", manifest_json=tiny_manifest(recipe=RECIPE).to_json())
    for folder, names in (("photos", "pq"), ("paintings", "ab")):
        (tmp_path / folder).mkdir()
        for name in names:
            noise = RANDOM.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), cv2.resize(noise, (96, 96)))
    state: dict[str, Any] = {"input.weight": torch.eye(3)[:, :, None, None], "input.bias": torch.zeros(3)}
    width = 3
    for block, convs in enumerate((2, 2, 4, 4, 1), 1):
        for number in range(1, convs + 1):
            state[f"conv{block}_{number}.weight"] = torch.rand(4, width, 3, 3) / 9  # no dead channel
            state[f"conv{block}_{number}.bias"] = torch.zeros(4)
            width = 4
        state[f"aux{block}_1.weight"], state[f"aux{block}_1.bias"] = torch.rand(4, 4, 1, 1), torch.zeros(4)
    torch.save(state, tmp_path / "slim.pt")
    return tmp_path


def measured(quality: ModuleType, studio: Path, *more: str) -> int:
    folders = ["--photos", str(studio / "photos"), "--paintings", str(studio / "paintings")]
    network = ["--loss-network", str(studio / "slim.pt"), "--threads", "1"]
    status: int = quality.main([str(studio / "tiny.onnx"), *folders, *network, *more])
    return status


def test_a_model_is_measured_and_told_so(quality: ModuleType, studio: Path, capsys: Any) -> None:
    path = studio / "tiny.onnx"
    before: Manifest = load_manifest(path)
    options = ["--json", "--write-manifest", "--sheet-folder", str(studio / "sheets")]
    assert measured(quality, studio, *options) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["styles"]["original"]["difference"] == 0  # tiny_model's row 0 is exact
    assert result["photos"] == 2
    after = load_manifest(path)
    assert after.quality["styles"] == result["styles"]
    assert (after.styles, after.recipe) == (before.styles, before.recipe)
    # photo, original, negative and grey in two columns, each 384 wide and under a label
    assert cv2.imread(str(studio / "sheets" / "p.png")).shape == (2 * (384 + 28), 2 * 384, 3)  # type: ignore[union-attr]
    assert sorted(each.name for each in studio.iterdir()) == [
        "paintings",
        "photos",
        "sheets",
        "slim.pt",
        "tiny.onnx",
    ]


def test_a_model_that_changed_meanwhile_keeps_its_manifest(quality: ModuleType, studio: Path) -> None:
    path = studio / "tiny.onnx"
    content = path.read_bytes()
    with pytest.raises(quality.ModelError, match="changed while it was measured"):
        quality.write_quality(path, {"photos": 1}, "another hash")
    assert path.read_bytes() == content


def test_a_painting_that_is_missing_is_one_line(quality: ModuleType, studio: Path, capsys: Any) -> None:
    (studio / "paintings" / "b.png").unlink()
    assert measured(quality, studio) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot read the painting ")
    assert error.count("\n") == 1


def test_a_sample_is_spread_over_the_photos(quality: ModuleType) -> None:
    paths = [Path(str(n)) for n in range(7)]
    assert quality.spread(paths, 3) == [paths[0], paths[3], paths[6]]
    assert quality.spread(paths, None) == quality.spread(paths, 99) == paths
