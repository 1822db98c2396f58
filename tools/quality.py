"""Measures how a model paints: its style, what is left of the photo, and the grid that it prints.

    python tools/quality.py models/painters.onnx --photos FOLDER --paintings FOLDER --loss-network FILE
        [--json [OUT]] [--sheet-folder DIR [--sheets N]] [--limit N] [--write-manifest]

The pictures are painted by the ONNX file itself, as users get them, then judged. Needs livestyle[train].
Photos C are scaled to a short side of 384 pixels, paintings S to the recipe's style_size, or their own.

style fraction    mean_C [mean_l ‖G_l(T(C)) − G_l(S)‖² / ‖G_l(S)‖²] over the same with C in place of T(C);
                  G = Gram / (H W) of relu1_1, relu2_1, relu3_1, relu4_1, relu5_1. 1 = nothing done.
content fraction  mean_C ‖F(T(C)) − F(C)‖² over the mean of all pairs of different photos, which are resized
                  to 384x384 for that; F = relu3_1, a mean over its elements. 1 = another photo.
grid score        differences along rows, then columns, of the grey picture, cut to a multiple of 4; Hann
                  window; power spectrum, mean over lines; the bin at a period of 2 or 4 pixels over the
                  median of the bins 3 to 16 away on both sides (Hann leaks into the nearest); the largest of
                  the four numbers. 1 = no grid. Of 60 photos 57 have 1.0 to 1.4; a 4x4 tile with a standard
                  deviation of one grey level, repeated over ten of them, gives 13. Mean over photos, and
                  the worst photo.
original          row 0: mean absolute difference to the photo, in grey levels.

--json: JSON on stdout instead of the table, or into OUT.
--sheet-folder: PNG sheets at full size, each one photo with all its paintings.
--limit: only N photos, evenly spread. --write-manifest: puts the figures into the model's manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import torch
from measures import (
    PHOTO_SIZE,
    Reading,
    distance_of_photos,
    grams_of,
    measuring_parser,
    paint_and_read,
)

from livestyle.errors import LivestyleError, ModelError, SinkError
from livestyle.frame import Image
from livestyle.library import find_model, load_manifest
from livestyle.manifest import METADATA_KEY, Manifest
from livestyle.pictures import pictures_in, read_picture, write_picture
from livestyle.stylizer import open_stylizer
from livestyle.training.dataset import load_style_image, resize_short_side
from livestyle.training.features import slim_vgg19
from livestyle.training.recipe import parse_recipe
from livestyle.whole_file import WholeFile


def summary(
    manifest: Manifest, readings: Sequence[Sequence[Reading]], names: Sequence[str], another: float
) -> dict[str, Any]:
    """The figures as they go into a manifest. readings: photo by photo. another: distance_of_photos."""
    styles: dict[str, dict[str, Any]] = {}
    for number, style in enumerate(manifest.styles):
        of_style = [of_photo[number] for of_photo in readings]
        if number:
            unpainted = sum(r.unpainted for r in of_style)
            figures = {
                "style_fraction": round(sum(r.style for r in of_style) / unpainted, 3),
                "content_fraction": round(fmean(r.content for r in of_style) / another, 3),
            }
        else:
            figures = {
                "difference": round(fmean(r.difference for r in of_style), 2),
                "worst_difference": round(max(r.difference for r in of_style), 2),
            }
        grids = [r.grid for r in of_style]
        styles[style.name] = {
            **figures,
            "grid_score": round(fmean(grids), 2),
            "worst_grid_score": round(max(grids), 2),
            "worst_grid_photo": names[grids.index(max(grids))],
        }
    result: dict[str, Any] = {"photos": len(names)}
    for key, digits in (("style_fraction", 3), ("content_fraction", 3), ("grid_score", 2)):
        values = [figures[key] for figures in styles.values() if key in figures]
        result[key] = {"mean": round(fmean(values), digits), "worst": max(values)}
    return {**result, "styles": styles}


# What the project asks of a network that it ships: where the figure lies, and the limit.
TARGETS = (
    ("style fraction, mean", ("style_fraction", "mean"), 0.15),
    ("style fraction, worst style", ("style_fraction", "worst"), 0.35),
    ("content fraction, mean", ("content_fraction", "mean"), 0.35),
    ("content fraction, worst style", ("content_fraction", "worst"), 0.6),
    ("grid score, worst style", ("grid_score", "worst"), 2.0),
    ("original, grey levels", ("styles", "original", "difference"), 5.0),
)


def targets(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for what, path, limit in TARGETS:
        value: Any = quality
        for key in path:
            value = value[key]
        rows.append({"what": what, "value": value, "limit": limit, "met": value <= limit})
    return rows


def table(quality: Mapping[str, Any]) -> str:
    width = max(len(name) for name in quality["styles"])
    lines = [f"{'#':>3}  {'style':{width}}  {'style':>6} {'content':>8} {'grid':>6}   worst photo"]
    for number, (name, row) in enumerate(quality["styles"].items()):
        style, content = (f"{row[k]:.3f}" if k in row else "" for k in ("style_fraction", "content_fraction"))
        worst = f"{row['worst_grid_score']:6.2f}  {row['worst_grid_photo']}"
        lines.append(f"{number:3}  {name:{width}}  {style:>6} {content:>8} {row['grid_score']:6.2f} {worst}")
    for which in ("mean", "worst"):
        style, content, grid = (
            quality[key][which] for key in ("style_fraction", "content_fraction", "grid_score")
        )
        lines.append(f"     {which:{width}}  {style:6.3f} {content:8.3f} {grid:6.2f}")
    lines.append("")
    for row in targets(quality):
        verdict = "met" if row["met"] else "NOT MET"
        lines.append(f"{row['what']:30} {row['value']:6.3f} <= {row['limit']:<5g} {verdict}")
    return "\n".join(lines)


def sheet(photo: Image, pictures: Sequence[Image], names: Sequence[str]) -> Image:
    """The photo and its paintings side by side at full size, each under its name."""
    width = photo.shape[1]
    strip = 28
    tiles = []
    for picture, name in zip([photo, *pictures], ["photo", *names], strict=True):
        label = np.full((strip, width, 3), 255, np.uint8)
        cv2.putText(label, name, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(np.vstack([label, picture]))
    columns = int(np.ceil(np.sqrt(len(tiles))))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.ascontiguousarray(np.vstack(rows))


def write_quality(path: Path, quality: Mapping[str, Any], measured: str) -> None:
    """Put the figures into the model's manifest: whole or not at all. measured: file_hash before."""
    import onnx

    if file_hash(path) != measured:
        raise ModelError(f"{path} changed while it was measured; nothing is written: measure it again")
    manifest = replace(load_manifest(path), quality=quality)
    model = onnx.load(path, load_external_data=False)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = manifest.to_json()
    whole = WholeFile(path, overwrite=True)
    partial = whole.begin()
    try:
        partial.write_bytes(model.SerializeToString())
        if load_manifest(partial) != manifest:
            raise ModelError(f"{path} is not changed: its manifest does not read back")
        whole.complete()
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        whole.abandon()


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_photo(path: Path) -> Image:
    return resize_short_side(read_picture(path)[0], PHOTO_SIZE)


def spread(paths: Sequence[Path], count: int | None) -> list[Path]:
    """`count` of the paths, evenly spread; all of them unless told."""
    count = len(paths) if count is None else min(count, len(paths))
    return [paths[i] for i in np.linspace(0, len(paths) - 1, count).round().astype(int)]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    path = find_model(arguments.model)
    stylizer = open_stylizer(path, arguments.device, threads=arguments.threads)
    manifest = stylizer.manifest
    recipe = parse_recipe(manifest.recipe, where=f"the recipe in {path}")
    rows = {style.name: style for style in recipe.styles}
    if unknown := [style.name for style in manifest.styles[1:] if style.name not in rows]:
        raise ModelError(f"the recipe in {path} does not name the painting of {unknown[0]}")
    network = slim_vgg19(arguments.loss_network)
    paintings = [
        grams_of(network, load_style_image(arguments.paintings / row.image, recipe.size_of(row)))
        for row in (rows[style.name] for style in manifest.styles[1:])
    ]
    every = pictures_in(arguments.photos)
    print(f"{path} on {stylizer.engine.name}, {len(every)} photos", file=sys.stderr)
    # From all photos even with --limit, so that fewer of them are measured by the same ruler.
    another = distance_of_photos(network, map(load_photo, every))
    chosen = spread(every, arguments.limit)
    shown = spread(chosen, arguments.sheets) if arguments.sheet_folder else []
    if shown:
        arguments.sheet_folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    readings = []
    for done, file in enumerate(chosen, 1):
        photo = load_photo(file)
        of_photo, pictures = paint_and_read(photo, stylizer, paintings, network)
        readings.append(of_photo)
        if file in shown:
            picture = sheet(photo, pictures, [style.name for style in manifest.styles])
            write_picture(arguments.sheet_folder / f"{file.stem}.png", picture, overwrite=True)
        left = (time.monotonic() - begun) / done * (len(chosen) - done)
        end = "\r" if sys.stderr.isatty() and done < len(chosen) else "\n"
        print(f"photo {done}/{len(chosen)}, {left:.0f} s left  ", file=sys.stderr, end=end, flush=True)
    quality = summary(manifest, readings, [file.name for file in chosen], another)
    return {"style_size": recipe.style_size, "loss_network": arguments.loss_network.name, **quality}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = measuring_parser(__doc__)
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT")
    parser.add_argument("--sheet-folder", type=Path)
    parser.add_argument("--sheets", type=int, default=6, help="how many sheets (6)")
    parser.add_argument("--limit", type=int, help="measure only so many photos")
    parser.add_argument("--write-manifest", action="store_true")
    parser.add_argument("--device", default="onnx-cpu", help="where the model paints (onnx-cpu, in float32)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    options = parser.parse_args(arguments)
    if options.write_manifest and options.limit:
        parser.error("--write-manifest takes all photos: leave --limit out")
    if min(options.limit or 1, options.sheets, options.threads or 1) < 1:
        parser.error("--limit, --sheets and --threads are 1 or more")
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        measured = file_hash(find_model(options.model))
        if options.json not in (None, "-"):
            WholeFile(Path(options.json), overwrite=True).probe()  # refused now, not after the work
        quality = measure(options)
        result = {"model": str(options.model), **quality, "targets": targets(quality)}
        text = json.dumps(result, ensure_ascii=False, indent=2)
        print(text if options.json == "-" else table(quality))
        if options.json not in (None, "-"):
            Path(options.json).write_text(text + "\n", encoding="utf-8")
        if options.write_manifest:
            write_quality(find_model(options.model), quality, measured)
    except (LivestyleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
