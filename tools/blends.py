"""Measures what lies between the styles of a model: mixes of two and three, and every strength.

    python tools/blends.py MODEL --photos FOLDER --paintings FOLDER --loss-network FILE [--pairs 50]
        [--limit 4] [--seed 0] [--device cpu] [--json]

Over --limit photos, scaled to a short side of 384 pixels, each picture's style distance to a painting is that
of tools/quality.py, and its clipped share that of the values 0 and 255.

between    of --pairs random pairs, mixed half and half: how many lie between their parents, nearer to each
           painting than the other parent is, and not nearer than its own
clipped    the largest clipped share of a mix over that of its parents (the larger one, and at least half a
           percent): of the pairs, and of as many random mixes of three
strength   of the styles: how many move away from the photo at every step from 0 to 150 % in quarters, and
           how many come nearer to the painting at every step up to 100 %; and the largest clipped share
           beyond 100 % over that at 100 % (at least half a percent)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
import numpy.typing as npt
from measures import STYLE_LAYERS, Grams, LossFeatures, features_of, grams_of, measuring_parser
from quality import load_photo, spread

from livestyle.errors import LivestyleError, ModelError
from livestyle.frame import Image
from livestyle.library import find_model
from livestyle.pictures import pictures_in
from livestyle.stylizer import Stylizer, open_stylizer
from livestyle.terminal import progress_bar
from livestyle.training.dataset import load_style_image
from livestyle.training.features import slim_vgg19
from livestyle.training.losses import style_distance
from livestyle.training.recipe import parse_recipe

Mix = npt.NDArray[np.float32]
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
LEAST_CLIPPED = 0.005


@dataclass(frozen=True)
class Painted:
    """One mix over all photos. distances: to each painting. away: from the photo, grey levels."""

    distances: Mapping[int, float]
    clipped: float
    away: float


def alone(row: int, n_styles: int, strength: float = 1.0) -> Mix:
    mix = np.zeros(n_styles, np.float32)
    mix[0] = 1 - strength
    mix[row] += strength
    return mix


def clipped_share(picture: Image) -> float:
    return float(((picture == 0) | (picture == 255)).mean())


def over(share: float, limit: float) -> float:
    """A clipped share as a multiple of another, which counts as half a percent where it is less."""
    return share / max(limit, LEAST_CLIPPED)


def is_between(first: int, second: int, parents: Mapping[int, Painted], mixed: Painted) -> bool:
    """Whether the mix lies between its parents, as each painting sees it."""
    return all(
        parents[own].distances[own] <= mixed.distances[own] <= parents[other].distances[own]
        for own, other in ((first, second), (second, first))
    )


def painter(
    stylizer: Stylizer, photos: Sequence[Image], paintings: Sequence[Grams], network: LossFeatures
) -> Callable[[Mix, Sequence[int]], Painted]:
    """Paints a mix over all photos, and measures it against the paintings of the rows."""

    def paint(mix: Mix, rows: Sequence[int]) -> Painted:
        pictures = [stylizer(photo, mix) for photo in photos]
        features = [features_of(network, picture, STYLE_LAYERS) for picture in pictures]
        return Painted(
            distances={
                row: fmean(float(style_distance(f, paintings[row - 1])) for f in features) for row in rows
            },
            clipped=fmean(map(clipped_share, pictures)),
            away=fmean(
                float(np.abs(picture.astype(np.float64) - photo).mean())
                for picture, photo in zip(pictures, photos, strict=True)
            ),
        )

    return paint


def measure(options: argparse.Namespace) -> dict[str, object]:
    path = find_model(options.model)
    stylizer = open_stylizer(path, options.device)
    manifest = stylizer.manifest
    recipe = parse_recipe(manifest.recipe, where=f"the recipe in {path}")
    network = slim_vgg19(options.loss_network)
    rows = {style.name: style for style in recipe.styles}
    if len(manifest.styles) < 4 or any(style.name not in rows for style in manifest.styles[1:]):
        raise ModelError(f"{path} needs three styles or more, all named by its recipe")
    paintings = [
        grams_of(network, load_style_image(options.paintings / row.image, recipe.size_of(row)))
        for row in (rows[style.name] for style in manifest.styles[1:])
    ]
    photos = [load_photo(file) for file in spread(pictures_in(options.photos), options.limit)]
    paint = painter(stylizer, photos, paintings, network)
    n, dice = len(manifest.styles), np.random.default_rng(options.seed)
    every = range(1, n)
    with progress_bar("mixes/s") as bar:
        task = bar.add_task("blends", total=len(STRENGTHS) * (n - 1) + 2 * options.pairs)
        ladders: dict[int, list[Painted]] = {}
        for row in every:
            ladders[row] = []
            for strength in STRENGTHS:
                seen_by = every if strength == 1 else [row]
                ladders[row].append(paint(alone(row, n, strength), seen_by))
                bar.advance(task)
        parents = {row: ladder[STRENGTHS.index(1)] for row, ladder in ladders.items()}
        between, pairs, triples = 0, [], []
        for _ in range(options.pairs):
            a, b, c = (int(row) for row in dice.choice(np.arange(1, n), 3, replace=False))
            half = paint((alone(a, n) + alone(b, n)) / 2, [a, b])
            between += is_between(a, b, parents, half)
            pairs.append(over(half.clipped, max(parents[row].clipped for row in (a, b))))
            bar.advance(task)
            mix = np.zeros(n, np.float32)
            mix[[a, b, c]] = dice.dirichlet(np.ones(3))
            limit = max(parents[row].clipped for row in (a, b, c))
            triples.append(over(paint(mix, []).clipped, limit))
            bar.advance(task)
    return {
        "pairs": options.pairs,
        "photos": len(photos),
        "between": between,
        "clipped_of_pairs": round(max(pairs), 2),
        "clipped_of_triples": round(max(triples), 2),
        **asdict(strengths(ladders)),
    }


@dataclass(frozen=True)
class Strengths:
    """Of the styles: how many move on at every step, and the largest clipped share beyond full strength."""

    styles: int
    away_from_photo: int
    towards_painting: int
    clipped_beyond: float


def strengths(ladders: Mapping[int, Sequence[Painted]]) -> Strengths:
    """ladders: what each row paints at STRENGTHS."""
    full = STRENGTHS.index(1)
    return Strengths(
        styles=len(ladders),
        away_from_photo=sum(_rises([each.away for each in ladder]) for ladder in ladders.values()),
        towards_painting=sum(
            _rises([-each.distances[row] for each in ladder[: full + 1]]) for row, ladder in ladders.items()
        ),
        clipped_beyond=round(
            max(
                over(each.clipped, ladder[full].clipped)
                for ladder in ladders.values()
                for each in ladder[full + 1 :]
            ),
            2,
        ),
    )


def _rises(values: Sequence[float]) -> bool:
    return all(earlier < later for earlier, later in pairwise(values))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = measuring_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--limit", type=int, default=4, help="photos (4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where the model paints (cpu)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if min(options.pairs, options.limit) < 1:
        parser.error("--pairs and --limit are 1 or more")
    try:
        result = measure(options)
    except (LivestyleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result) if options.json else "\n".join(f"{k:20} {v}" for k, v in result.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
