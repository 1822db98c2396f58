from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_runs import recipe_text, tiny_recipe

from livestyle.errors import RecipeError
from livestyle.training.recipe import STYLE_LAYERS, Recipe, StyleRecipe, load_recipe, parse_recipe

ROOT = Path(__file__).parent.parent.parent
ROW = {"name": "dots", "image": "dots.png", "title": "Dots"}


def why(text: str) -> str:
    """What the recipe's refusal says: always one line that names the file."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="tiny.toml")
    message = str(caught.value)
    assert message.isprintable()
    assert "tiny.toml" in message
    return message


def test_a_recipe_holds_what_its_file_says() -> None:
    text = recipe_text(
        seed=7, learning_rate=1, pooling="average", style_layers=["relu1_1"], styles=[ROW | {"year": "1889"}]
    )
    recipe = parse_recipe(text, folder=Path("where"))
    assert (recipe.name, recipe.seed, recipe.widths, recipe.style_layers) == (
        "tiny",
        7,
        (4, 6, 8),
        ("relu1_1",),
    )
    assert recipe.learning_rate == 1.0
    assert isinstance(recipe.learning_rate, float)
    assert recipe.styles == (StyleRecipe("dots", "dots.png", "Dots", year="1889"),)
    assert recipe.text == text
    assert recipe.path("photos") == Path("where/photos")


def test_what_a_recipe_leaves_out_has_a_default() -> None:
    recipe = parse_recipe(recipe_text(steps=None, batch=None, crop=None))
    assert (recipe.steps, recipe.batch, recipe.crop) == (10_000, 4, 256)
    assert recipe.style_layers == STYLE_LAYERS[:4]
    assert (recipe.style_loss, recipe.patch_weight) == ("gram_covariance", 0)
    assert recipe.strength_share == 0.04
    assert (recipe.styles[0].weight, recipe.styles[0].own_colours) == (1, False)


def test_a_short_recipe_asks_for_what_the_card_recommends() -> None:
    """models/README.md: no relu5_1, no copies of the raster, all of the palette."""
    recipe = parse_recipe(recipe_text())
    assert "relu5_1" not in recipe.style_layers
    assert recipe.upsampling == "smooth"
    assert (recipe.palette_weight, recipe.grid_weight, recipe.stability_weight) == (1, 5, 30)
    assert (recipe.learning_rate, recipe.style_learning_rate) == (2e-3, 8e-3)


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_recipe_is_valid(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.text == path.read_text(encoding="utf-8")
    assert all(style.title and style.artist and style.licence for style in recipe.styles)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("widht", [4, 6, 8], "unknown key 'widht'; known are name,"),
        ("text", "x", "unknown key 'text'"),  # a field, but not one to set
        ("folder", "/", "unknown key 'folder'"),
        ("name", None, "name is missing"),
        ("content_folder", None, "content_folder is missing"),
        ("loss_network", None, "loss_network is missing"),
        ("name", 3, "name must be str, not 3"),
        ("steps", 2.5, "steps must be int, not 2.5"),
        ("steps", True, "steps must be int, not True"),
        ("learning_rate", "fast", "learning_rate must be float, not 'fast'"),
        ("widths", 32, "widths must be a list of int"),
        ("widths", [16, 32.0, 64], "widths must be a list of int"),
        ("widths", [True, True, True], "widths must be a list of int"),
        ("style_layers", ["relu1_1", 2], "style_layers must be a list of str"),
        ("stem", "sideways", "stem must be one of plain, space_to_depth, not 'sideways'"),
        ("stem", ["plain"], "stem must be one of"),
        ("upsampling", "magic", "upsampling must be one of "),
        ("pooling", 2, "pooling must be one of max, average"),
        (
            "style_loss",
            "gran",
            "style_loss must be one of gram_covariance, gram, mean_std, sliced_wasserstein, not 'gran'",
        ),
        ("widths", [16], "widths must be two to four numbers"),
        ("widths", [4, 8, 16, 32, 64], "widths must be two to four numbers"),
        ("widths", [0, 32, 64], "widths must be two to four numbers in 1 … 512"),
        ("widths", [16, 32, 513], "widths must be two to four numbers in 1 … 512"),
        ("crop", 100, "crop must be a multiple of 8, not 100"),
        ("style_layers", [], "style_layers must name at least one layer"),
    ],
)
def test_a_wrong_key_or_value_is_named(key: str, value: Any, says: str) -> None:
    assert says in why(recipe_text(**{key: value}))


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("n_residual", 0, 16),
        ("head_width", 1, 512),
        ("steps", 1, 10_000_000),
        ("batch", 1, 1024),
        ("crop", 64, 1024),
        ("style_size", 32, 2048),
        ("abstraction", 0, 31),
        ("seed", 0, 2**32 - 1),
    ],
)
def test_whole_numbers_have_bounds(key: str, low: int, high: int) -> None:
    assert getattr(parse_recipe(recipe_text(**{key: low})), key) == low
    assert getattr(parse_recipe(recipe_text(**{key: high})), key) == high
    for value in (low - 1, high + 1):
        assert f"{key} must lie in" in why(recipe_text(**{key: value}))


def test_paintings_are_large_enough_for_maps_of_half_their_size() -> None:
    layers = ["relu1_1", "relu5_1/2"]
    assert parse_recipe(recipe_text(style_layers=layers, style_size=64)).style_layers == tuple(layers)
    assert "style_size of dots must lie in 64" in why(recipe_text(style_layers=layers, style_size=63))
    small = [{**ROW, "style_size": 63}]
    assert "style_size of dots must lie in 64" in why(recipe_text(style_layers=layers, styles=small))
    assert parse_recipe(recipe_text(style_size=32)).style_size == 32


RATES = ["learning_rate", "style_learning_rate"]
WEIGHTS = [
    "content_weight",
    "style_weight",
    "structure_weight",
    "skin_weight",
    "tv_weight",
    "grid_weight",
    "even_weight",
    "patch_weight",
]
SHARES = ["style_target", "light_share", "strength_share"]


@pytest.mark.parametrize("key", [*RATES, *WEIGHTS, *SHARES])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-0.1", "1e7"])
def test_what_is_not_a_sensible_number_is_refused(key: str, value: str) -> None:
    assert f"{key} must lie in" in why(f"{key} = {value}\n" + recipe_text())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no styles"),
        (
            "just words",
            "column 6); mend it there, or name a TOML file, such as a copy of models/painters.toml",
        ),
        ('name = "a"\nname = "b"', "is not valid TOML"),
        ("steps = " + 5000 * "9", "is not valid TOML"),  # more digits than Python reads
        ("steps = 0x" + 5000 * "f" + "\n" + recipe_text(steps=None), "digits"),  # ... than it prints
        ("tv_weight = 1" + 400 * "0" + "\n" + recipe_text(), "too large"),  # ... than a float holds
        ("x = " + 5000 * "[", "is not valid TOML"),
        (recipe_text(styles=[]), "names no styles: add a [[styles]] table"),
        ("styles = 3", "names no styles"),
        ("styles = [3]", "style 1 is not a table of keys"),
        (recipe_text(styles=[{"name": "dots", "image": "dots.png"}]), "style 1: title is missing"),
        (recipe_text(styles=[ROW, {**ROW, "strokes": 1}]), "style 2: unknown key 'strokes'"),
        (recipe_text(styles=[{**ROW, "year": 1889}]), "style 1: year must be str, not 1889"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, says: str) -> None:
    assert says in why(text)


@pytest.mark.parametrize("weight", ["nan", "inf", "0", "-1", "101"])
def test_a_style_has_a_sensible_weight(weight: str) -> None:
    text = recipe_text(styles=[ROW]) + f"weight = {weight}\n"
    assert "weight of dots must lie in 0.01 … 100" in why(text)


def test_a_style_may_have_its_own_size_weight_and_colours() -> None:
    row = ROW | {"style_size": 384, "weight": 2, "own_colours": True}
    (style,) = parse_recipe(recipe_text(styles=[row])).styles
    assert (style.style_size, style.weight, style.own_colours) == (384, 2.0, True)
    assert "style 1: own_colours must be bool, not 1" in why(recipe_text(styles=[ROW | {"own_colours": 1}]))


@pytest.mark.parametrize(
    "name", ["Dots", "two words", "../up", "été", "dots-2", "", "3", "original", "a" * 65]
)
def test_a_name_that_no_model_file_could_hold_is_refused_before_training(name: str) -> None:
    message = why(recipe_text(styles=[{**ROW, "name": name}]))
    assert "a style's name must be" in message or "two styles are called 'original'" in message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Tiny Painters"}, "the model's name must be"),
        ({"styles": [ROW, ROW]}, "two styles are called 'dots'"),
        ({"styles": [ROW | {"title": "a\nb"}]}, "title"),
        ({"styles": [ROW | {"artist": "A" * 201}]}, "artist"),
        ({"version": "1\t"}, "version"),
        ({"licence": "x" * 301}, "licence"),
        ({"styles": [ROW | {"name": f"s{n}"} for n in range(256)]}, "styles"),
    ],
)
def test_what_the_manifest_cannot_hold_is_refused_before_training(changes: dict[str, Any], says: str) -> None:
    assert says in why(recipe_text(**changes))


def test_a_recipe_longer_than_a_manifest_holds_is_refused_before_training() -> None:
    assert "100000" in why(recipe_text() + "# " + 100_000 * "x")


@pytest.mark.parametrize("image", ["../secret.png", "/etc/passwd", "a/../../b.png"])
def test_a_painting_outside_its_folder_is_refused(image: str) -> None:
    assert "the image of dots must lie inside style_folder" in why(
        recipe_text(styles=[{**ROW, "image": image}])
    )


def test_a_recipe_that_is_no_text_file_is_refused(tmp_path: Path) -> None:
    cases = {
        tmp_path / "none.toml": "cannot read the recipe",
        tmp_path: "cannot read the recipe",
        tmp_path / "binary.toml": "it is not text",
        tmp_path / "large.toml": "too large to be a recipe",
    }
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.toml").write_bytes(b"#" * 1_000_001)
    for path, says in cases.items():
        with pytest.raises(RecipeError, match=says) as caught:
            load_recipe(path)
        assert str(path) in str(caught.value)
        assert str(caught.value).endswith("; name a TOML file, such as a copy of models/painters.toml")
        assert "\n" not in str(caught.value)


def test_paths_on_the_command_line_count_from_here_and_those_in_the_recipe_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = parse_recipe(recipe_text(), folder=Path("there"))
    assert recipe.loss_network_name == str(Path("there/slim.pt"))
    other = recipe.with_paths(photos=Path("p"), loss_network="w.pt")
    assert other.path(other.content_folder) == tmp_path / "p"
    assert other.loss_network_name == str(tmp_path / "w.pt")
    assert other.path(other.style_folder) == Path("there/paintings")
    assert recipe.with_paths(loss_network="vgg16").loss_network_name == "vgg16"
    assert recipe.with_paths() == recipe


def test_a_home_that_is_nobodys_is_an_error() -> None:
    with pytest.raises(RecipeError, match="~nobody_at_all/photos"):
        Recipe("tiny", "photos", "paintings", "vgg16", ()).path("~nobody_at_all/photos")


def test_the_tiny_recipe_of_these_tests_is_valid(tmp_path: Path) -> None:
    assert tiny_recipe(tmp_path).path("photos").is_dir()
