"""A training run as a file: everything that it depends on, in TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from livestyle.errors import RecipeError
from livestyle.manifest import ORIGINAL, Manifest, Style
from livestyle.training.features import CONVS_PER_BLOCK, HALF, Pooling
from livestyle.training.network import Stem, Upsampling
from livestyle.training.style_losses import StyleLoss

T = TypeVar("T")
MAX_RECIPE_BYTES = 1_000_000
_MOST_DOTS = 200
MOST_STEPS = 10_000_000
_NEXT_STEP = "name a TOML file, such as a copy of models/painters.toml"
# What style fractions are measured on. A recipe asks for all but the last unless it says otherwise: relu5_1
# wants large shapes, which small networks paint as patches of one colour (models/README.md).
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

STYLE_TARGET = 0.15


@dataclass(frozen=True)
class StyleRecipe:
    """A painting to learn. `image` is a path, relative to the recipe's `style_folder`."""

    name: str
    image: str
    title: str
    artist: str = ""
    year: str = ""
    licence: str = ""
    source: str = ""
    style_size: int = 0  # pixels, in place of the recipe's: larger for paintings of small dots; 0 keeps it
    weight: float = 1.0  # multiplies the recipe's style_weight and divides its style_target, for this style
    own_colours: bool = False  # only the brightness is painted; the colours stay the photo's


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, for how long. Relative paths count from the recipe's own folder.

    Loss weights multiply *fractions remaining* (losses.py), so that the same numbers serve any painting.
    """

    name: str
    content_folder: str
    style_folder: str
    loss_network: str  # vgg16, vgg19, or a weights file
    styles: tuple[StyleRecipe, ...]
    version: str = "1"
    licence: str = "MIT"
    start_from: str = ""  # a model whose weights are the beginning; its styles of the same name keep theirs

    widths: tuple[int, ...] = (16, 32)
    head_width: int = 8
    n_residual: int = 5
    stem: Stem = "space_to_depth"
    upsampling: Upsampling = "smooth"

    steps: int = 10_000
    batch: int = 4
    crop: int = 256  # pixels; a multiple of 8
    style_size: int = 448  # short side of the painting in pixels: smaller means finer strokes
    learning_rate: float = 2e-3
    style_learning_rate: float = 8e-3  # of gamma and beta: each sees only its own style's samples
    seed: int = 0

    pooling: Pooling = "max"
    content_layer: str = "relu3_1"
    style_layers: tuple[str, ...] = STYLE_LAYERS[:4]
    style_loss: StyleLoss = "gram_covariance"  # what of these layers is the style
    content_weight: float = 12.0
    style_weight: float = 50.0
    style_target: float = STYLE_TARGET  # style fraction that weights are steered towards; 0 turns it off
    patch_weight: float = 0.0  # of 3x3 patches that resemble one of the painting's: structure; 0: off
    structure_weight: float = 0.0  # of eyes, letters and edges that stay where the photo has them; 0: off
    skin_weight: float = 0.0  # so many times more content, structure and evenness on skin, and smoothness
    abstraction: int = 0  # pixels: what is smaller, and no face, is left out of the content; 0 keeps all
    tv_weight: float = 0.1
    grid_weight: float = 5.0
    even_weight: float = 100.0  # against soft patches of the palette on even walls and skies
    palette_weight: float = 1.0  # asks for all of the painting's colours, not for the mean one
    stability_weight: float = 30.0  # of holding still while the scene moves or the sensor is noisy; 0: off
    light_share: float = 0.0  # of the samples that coloured lamps light, as on a stage; skin is known before
    strength_share: float = 0.04  # of the samples that show a style at part of its strength, else the photo

    text: str = field(default="", compare=False)  # the file, verbatim
    folder: Path = field(default=Path(), compare=False)

    @property
    def loss_network_name(self) -> str:
        """vgg16, vgg19, or the weights file's path."""
        name = self.loss_network
        return name if name in CONVS_PER_BLOCK else str(self.path(name))

    def with_paths(
        self, *, photos: Path | None = None, paintings: Path | None = None, loss_network: str | None = None
    ) -> Recipe:
        """This recipe on other data; paths count from the current folder. None keeps the recipe's own."""
        if loss_network is not None and loss_network not in CONVS_PER_BLOCK:
            loss_network = str(_expanded(loss_network).resolve())
        return replace(
            self,
            content_folder=self.content_folder if photos is None else str(photos.resolve()),
            style_folder=self.style_folder if paintings is None else str(paintings.resolve()),
            loss_network=loss_network or self.loss_network,
        )

    def size_of(self, style: StyleRecipe) -> int:
        """Short side of its painting in pixels."""
        return style.style_size or self.style_size

    def path(self, name: str) -> Path:
        """Where a path in the recipe points: relative ones count from the recipe's folder."""
        return self.folder / _expanded(name)


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe. Raises RecipeError with the key that is wrong."""
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(f"{path} is too large to be a recipe; {_NEXT_STEP}")
        text = path.read_text(encoding="utf-8")
        return parse_recipe(text, folder=path.parent, where=str(path))
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe {path}: {error.strerror or error}; {_NEXT_STEP}"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not a recipe: it is not text; {_NEXT_STEP}") from error


def parse_recipe(text: str, *, folder: Path = Path(), where: str = "recipe") -> Recipe:
    """The recipe in `text`. Raises RecipeError."""
    # tomllib keeps every beginning of a dotted key: 50,000 parts in a line take gigabytes.
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise RecipeError(f"{where} has a line with more than {_MOST_DOTS} dots; {_NEXT_STEP}")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not valid, or a number or nesting that Python gives up on
        raise RecipeError(f"{where} is not valid TOML: {error}; mend it there, or {_NEXT_STEP}") from error
    rows = table.pop("styles", None)
    if not isinstance(rows, list) or not rows:
        raise RecipeError(f"{where} names no styles: add a [[styles]] table with name, image and title")
    try:
        styles = tuple(_fill(StyleRecipe, row, f"{where}: style {n}") for n, row in enumerate(rows, 1))
        recipe = _fill(Recipe, table, where, styles=styles, text=text, folder=folder)
        manifest_of(recipe, size_multiple=1)  # or hours of training would end in a refusal
        _check(recipe, where)
    except (ValueError, OverflowError) as error:  # a number with thousands of digits, or the manifest's own
        raise RecipeError(f"{where}: {error}") from error
    return recipe


def manifest_of(recipe: Recipe, size_multiple: int) -> Manifest:
    """What the model file will say about itself. Raises ValueError for what a manifest cannot hold."""
    original = Style(name=ORIGINAL, title="Original", artist="", year="", licence="")
    styles = [
        Style(name=s.name, title=s.title, artist=s.artist, year=s.year, licence=s.licence, source=s.source)
        for s in recipe.styles
    ]
    return Manifest(
        name=recipe.name,
        version=recipe.version,
        styles=(original, *styles),
        size_multiple=size_multiple,
        licence=recipe.licence,
        recipe=recipe.text,
        quality={},
    )


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise RecipeError(f"{name} begins with a home folder that nobody has here") from error


def _fill(kind: type[T], table: object, where: str, **given: Any) -> T:
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where} is not a table of keys")
    known = {f.name: f for f in fields(kind) if f.name not in (*given, "text", "folder")}  # type: ignore[arg-type]
    if unknown := set(table) - set(known):
        raise RecipeError(
            f"{where}: unknown key {sorted(map(str, unknown))[0]!r}; known are {', '.join(known)}"
        )
    values = dict(given)
    for key, spec in known.items():
        if key in table:
            values[key] = _typed(table[key], str(spec.type), f"{where}: {key}")
        elif spec.default is MISSING:
            raise RecipeError(f"{where}: {key} is missing")
    return kind(**values)


def _typed(value: object, kind: str, where: str) -> object:
    """`value` as the field's type, which dataclasses keep as text."""
    if choices := _CHOICES.get(kind):
        if value not in choices:
            raise RecipeError(f"{where} must be one of {', '.join(choices)}, not {value!r}")
        return value
    if kind.startswith("tuple"):
        inner = int if "int" in kind else str
        if isinstance(value, list) and all(type(item) is inner for item in value):
            return tuple(value)
        raise RecipeError(f"{where} must be a list of {inner.__name__}, not {value!r}")
    if kind == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != kind:
        raise RecipeError(f"{where} must be {kind}, not {value!r}")
    return value


_CHOICES: dict[str, tuple[str, ...]] = {
    "Stem": get_args(Stem),
    "Upsampling": get_args(Upsampling),
    "Pooling": get_args(Pooling),
    "StyleLoss": get_args(StyleLoss),
}

# Bounds that keep a stranger's recipe from asking for more than a machine has.
_BOUNDS: dict[str, tuple[float, float]] = {
    "n_residual": (0, 16),
    "head_width": (1, 512),
    "steps": (1, MOST_STEPS),
    "batch": (1, 1024),
    "crop": (64, 1024),
    "style_size": (32, 2048),
    "seed": (0, 2**32 - 1),
    "learning_rate": (1e-8, 1.0),
    "style_learning_rate": (1e-8, 1.0),
    "content_weight": (0, 1e6),
    "style_weight": (0, 1e6),
    "style_target": (0, 1),
    "patch_weight": (0, 1e6),
    "structure_weight": (0, 1e6),
    "skin_weight": (0, 1e3),
    "abstraction": (0, 31),
    "tv_weight": (0, 1e6),
    "grid_weight": (0, 1e6),
    "even_weight": (0, 1e6),
    "palette_weight": (0, 1e6),
    "stability_weight": (0, 1e6),
    "light_share": (0, 1),
    "strength_share": (0, 0.9),
}


def _check(recipe: Recipe, where: str) -> None:
    for key, (low, high) in _BOUNDS.items():
        value = getattr(recipe, key)
        if not low <= value <= high:  # also false for nan
            raise RecipeError(f"{where}: {key} must lie in {low:g} … {high:g}, not {value}")
    if not 2 <= len(recipe.widths) <= 4 or not all(1 <= w <= 512 for w in recipe.widths):
        raise RecipeError(
            f"{where}: widths must be two to four numbers in 1 … 512, not {list(recipe.widths)}"
        )
    multiple = 2 ** len(recipe.widths)  # what any stem's network halves, and the grid loss's 8
    if recipe.crop % max(8, multiple):
        raise RecipeError(f"{where}: crop must be a multiple of {max(8, multiple)}, not {recipe.crop}")
    if not recipe.style_layers:
        raise RecipeError(f"{where}: style_layers must name at least one layer")
    low, high = _BOUNDS["style_size"]
    if any(layer.endswith(HALF) for layer in recipe.style_layers):
        low *= 2  # or nothing would be left of the deepest maps
    for style in recipe.styles:
        size = recipe.size_of(style)
        if not low <= size <= high:
            raise RecipeError(
                f"{where}: style_size of {style.name} must lie in {low:g} … {high:g}, not {size}"
            )
        if not 0.01 <= style.weight <= 100:  # also for nan
            raise RecipeError(f"{where}: weight of {style.name} must lie in 0.01 … 100, not {style.weight}")
        if Path(style.image).is_absolute() or ".." in Path(style.image).parts:
            raise RecipeError(
                f"{where}: the image of {style.name} must lie inside style_folder, not {style.image}"
            )
