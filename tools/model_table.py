"""Prints the tables of models/README.md from what the model files say about themselves.

    python tools/model_table.py [MODEL...] [--json]       all models of the library unless named

A table a model, a row a style. The figures are there where `tools/quality.py --write-manifest` put them:
style and content fraction (0 is perfect, 1 is nothing done, and another photo), grid score (1 is no grid).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from livestyle.errors import LivestyleError
from livestyle.library import find_model, list_models, load_manifest
from livestyle.manifest import Manifest

TEXTS = ("number", "name", "title", "artist", "year", "licence", "source")
# Columns of figures, as the manifest's quality names them, and how many decimals they are shown with.
FIGURES = {"style_fraction": 3, "content_fraction": 3, "grid_score": 2}


def rows(manifest: Manifest) -> list[dict[str, Any]]:
    """A style each, in the order of the network's rows; figures that were not measured are None."""
    measured = manifest.quality.get("styles")
    found: list[dict[str, Any]] = []
    for number, style in enumerate(manifest.styles):
        figures = measured.get(style.name) if isinstance(measured, Mapping) else None
        figures = figures if isinstance(figures, Mapping) else {}
        texts = {key: getattr(style, key) for key in TEXTS[1:]}
        values = {key: figures.get(key) for key in (*FIGURES, "difference")}
        found.append({"number": number, **texts, **values})
    return found


def summaries(manifest: Manifest) -> list[dict[str, Any]]:
    """The mean and the worst style, where they were measured."""
    found = []
    for which in ("mean", "worst"):
        values = {}
        for key in FIGURES:
            both = manifest.quality.get(key)
            values[key] = both.get(which) if isinstance(both, Mapping) else None
        if any(value is not None for value in values.values()):
            found.append({"number": "", "name": which, **values})
    return found


def markdown(manifest: Manifest) -> str:
    """The rows as a table; without columns of figures where nothing was measured."""
    every = [*rows(manifest), *summaries(manifest)]
    columns = [*TEXTS, *(key for key in FIGURES if any(row.get(key) is not None for row in every))]
    heads = [key.replace("_", " ") for key in columns]
    lines = [_line(heads), _line(["---:" if key in FIGURES else "---" for key in columns])]
    lines += [_line([_cell(key, row.get(key)) for key in columns]) for row in every]
    original = rows(manifest)[0]["difference"]
    if original is not None:
        photos = manifest.quality.get("photos", "")
        lines += [
            "",
            f"`original` is {original} grey levels from the photo on average, over {photos} photos.",
        ]
    return "\n".join(lines)


def _cell(key: str, value: object) -> str:
    if key in FIGURES and isinstance(value, int | float):
        return f"{value:.{FIGURES[key]}f}"
    if key == "name" and value:
        return f"`{value}`" if value not in ("mean", "worst") else f"**{value}**"
    # Text from a model file: it may hold what Markdown takes for a new cell.
    return "" if value is None else str(value).replace("\\", "\\\\").replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="names, or .onnx files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        manifests = [load_manifest(find_model(model)) for model in options.models or list_models()]
    except LivestyleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({each.name: rows(each) for each in manifests}, ensure_ascii=False, indent=2))
    else:
        print("\n\n".join(f"## {each.name} {each.version}\n\n{markdown(each)}" for each in manifests))
    return 0


if __name__ == "__main__":
    sys.exit(main())
