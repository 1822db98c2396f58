"""A model file with one more style: the same graph, one more row in each of its tables of styles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from livestyle.engines import open_engine
from livestyle.errors import ModelError, RecipeError, SinkError
from livestyle.frame import Image
from livestyle.library import SUFFIX
from livestyle.manifest import METADATA_KEY, Manifest, Style
from livestyle.model_file import read_model_file
from livestyle.training.export import MAX_MEAN_DIFFERENCE, compare
from livestyle.training.network import TransformNet, folded_with_upsampling
from livestyle.training.recipe import Recipe, StyleRecipe, parse_recipe
from livestyle.training.start import WEIGHT_PREFIX, folded_convs, is_style_row, read_weights
from livestyle.training.state import build_network
from livestyle.whole_file import WholeFile


@dataclass(frozen=True)
class BaseModel:
    """A model file that styles can be added to, and the network that its graph is."""

    path: Path
    content: bytes
    manifest: Manifest
    recipe: Recipe
    network: TransformNet


@dataclass(frozen=True)
class Change:
    """How far the older styles are from the base's, in grey levels: 0 unless layers were unlocked."""

    mean: float
    worst: int


def open_base(path: Path) -> BaseModel:
    """The model at `path` as the network that its own recipe describes. Raises ModelError."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ModelError('adding a style needs onnx: pip install "livestyle[train]"') from error
    file = read_model_file(path)
    manifest = Manifest.from_json(file.manifest_json, where=f"the manifest of {path}")
    try:
        recipe = parse_recipe(manifest.recipe, where="its recipe")
    except RecipeError as error:
        raise ModelError(f"{path} cannot learn a style: {error}; name another model with --to") from error
    if [style.name for style in recipe.styles] != [style.name for style in manifest.styles[1:]]:
        raise ModelError(
            f"{path} cannot learn a style: its recipe names other styles than it has; "
            "name another model with --to"
        )
    weights, _ = read_weights(path)
    network = build_network(recipe)
    for key, own in network.state_dict().items():
        given = weights.get(key)
        if given is None or given.shape != own.shape or not bool(given.isfinite().all()):
            raise ModelError(
                f"{path} cannot learn a style: it is not the network that its recipe describes (see {key}); "
                "name another model with --to"
            )
        own.copy_(given)
    return BaseModel(path, file.content, manifest, recipe, network.eval())


def check_outputs(path: Path, overwrite: bool) -> Path:
    """Refuse now what could not be written after the training; gives the preview's path. Raises SinkError."""
    if path.suffix != SUFFIX:
        raise SinkError(f"cannot write {path}: a model's name ends in {SUFFIX}; name it {path.name}{SUFFIX}")
    preview = path.with_suffix(".png")
    for output in (path, preview):
        WholeFile(output, overwrite).probe()
    return preview


def recipe_with(base: BaseModel, style: StyleRecipe, note: str = "") -> Recipe:
    """The base's recipe and one more [[styles]] table under a comment, `note`.

    Raises RecipeError for a style that a manifest or a recipe cannot hold, or whose name is taken.
    """
    try:
        Style(style.name, style.title, style.artist, style.year, style.licence, style.source)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{error}; change it with --name, --title and the like") from error
    if style.name in [taken.name for taken in base.manifest.styles]:
        raise RecipeError(f"{base.path} has a style called {style.name} already: give --name another")
    told = {spec.name: getattr(style, spec.name) for spec in fields(style)}
    told = {spec.name: told[spec.name] for spec in fields(style) if told[spec.name] != spec.default}
    lines = ["", *([f"# {note}"] if note else []), "[[styles]]"]
    lines += [f"{key} = {_toml(value)}" for key, value in told.items()]
    text = base.recipe.text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"
    recipe = parse_recipe(text, where=f"the recipe in {base.path} with {style.name}")
    if recipe != replace(base.recipe, styles=(*base.recipe.styles, style)):
        raise RecipeError(f"the recipe in {base.path} cannot take one more [[styles]] table at its end")
    return recipe


def blended_rows(base: BaseModel, mixes: Tensor) -> dict[str, Tensor]:
    """The base's weights with other rows of styles: each a mix of its own. Shapes: mixes (m, n_styles)."""
    return {
        key: mixes @ value if is_style_row(key) else value for key, value in base.network.state_dict().items()
    }


def grown(base: BaseModel, trained: TransformNet) -> TransformNet:
    """The base's network with the last row of `trained` as one more, and the convolutions of `trained`."""
    network = build_network(replace(base.recipe, styles=(*base.recipe.styles, base.recipe.styles[0])))
    tables = base.network.state_dict()
    row = {key: value.detach().cpu() for key, value in trained.state_dict().items()}
    network.load_state_dict(
        {
            key: torch.cat([tables[key], value[-1:]]) if is_style_row(key) else value
            for key, value in row.items()
        }
    )
    return network.eval()


def write_grown(
    base: BaseModel,
    network: TransformNet,
    style: StyleRecipe,
    path: Path,
    photos: Sequence[Image],
    *,
    figures: Mapping[str, Any],
    unlocked: bool = False,
    overwrite: bool = False,
) -> Change:
    """Write the base's graph with the weights of `network`, unless it is not what it should be on `photos`.

    The graph is the base's own, node for node, so that its other styles stay to the bit; what another version
    of torch would export for the same network may round otherwise.
    figures: of the new style, for the manifest. unlocked: the last layers were trained too.
    Raises ModelError, RecipeError, SinkError; then nothing is written.
    """
    file = WholeFile(path, overwrite)
    content = _content(base, network, _manifest(base, style, figures, unlocked=unlocked))
    turns = [photos[i % len(photos)] for i in range(network.n_styles)]
    with file as partial:
        partial.write_bytes(content)
        found = compare(network, partial, turns)
        change = _change(base, partial, photos[0])
        if found.mean > MAX_MEAN_DIFFERENCE or (change.worst and not unlocked):
            raise RecipeError(
                f"{path} was not written: it differs from torch by {found.mean:.2f} grey levels on average, "
                f"its older styles from {base.path} by up to {change.worst}; please report this with "
                "your versions of torch and onnxruntime"
            )
    return change


def _content(base: BaseModel, network: TransformNet, manifest: Manifest) -> bytes:
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(base.content)
    before, after = base.network.state_dict(), network.state_dict()
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    places = {key: stored[WEIGHT_PREFIX + key] for key in after if WEIGHT_PREFIX + key in stored}
    folded = {f"{name}.weight": stored[conv.input[1]] for name, conv in folded_convs(model.graph, places)}
    for key, tensor in (places | folded).items():
        if not torch.equal(before[key], after[key]):  # the file keeps its own bytes of the rest
            value = folded_with_upsampling(after[key]) if key in folded else after[key]
            own = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(value.numpy().astype(own.dtype), tensor.name))
    for value in model.graph.input:
        if value.name == "style_mix":
            value.type.tensor_type.shape.dim[0].dim_value = network.n_styles
    # Notes on the shapes in between, some with the old number of styles; engines find them themselves.
    del model.graph.value_info[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    return bytes(model.SerializeToString())


def _manifest(base: BaseModel, style: StyleRecipe, figures: Mapping[str, Any], *, unlocked: bool) -> Manifest:
    others = "changed by it, for the last layers were trained too" if unlocked else "as they were before"
    note = f"Added by `livestyle add-style`; the styles above are {others}."
    recipe = recipe_with(base, style, note)
    quality = (
        {} if unlocked else dict(base.manifest.quality)
    )  # of styles that are no longer what was measured
    added = quality.get("added")
    quality["added"] = {**(added if isinstance(added, Mapping) else {}), style.name: dict(figures)}
    try:
        return replace(
            base.manifest,
            styles=(
                *base.manifest.styles,
                Style(style.name, style.title, style.artist, style.year, style.licence, style.source),
            ),
            recipe=recipe.text,
            quality=quality,
        )
    except (TypeError, ValueError) as error:
        raise ModelError(f"{base.path} cannot take one more style: {error}") from error


def _change(base: BaseModel, grown_path: Path, photo: Image) -> Change:
    """Every older style of the base, painted by both files."""
    engines = [open_engine(path, "onnx-cpu") for path in (base.path, grown_path)]
    differences = []
    for row in np.eye(len(base.manifest.styles), dtype=np.float32):
        before = engines[0].run(photo[None], row).astype(np.int16)
        after = engines[1].run(photo[None], np.append(row, np.float32(0)))
        differences.append(np.abs(before - after))
    return Change(
        mean=float(np.mean([d.mean() for d in differences])), worst=int(max(d.max() for d in differences))
    )


def _toml(value: str | float) -> str:
    # A JSON text is a TOML text, but for one character that TOML wants written out.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
