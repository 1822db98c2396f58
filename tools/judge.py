"""Judges each style of a model against what is possible: Gatys' optimization of the same photo.

    python tools/judge.py MODEL --photos FOLDER --paintings FOLDER --loss-network FILE [--limit 4]
        [--start photo] [--device onnx-cpu] [--threads N] [--json [OUT]] [--report FOLDER]

tools/quality.py measures fractions and grid, tools/flicker.py steadiness, tools/bench.py speed; this, a
style each, over --limit photos scaled to a short side of 256 pixels:

iterations  Gatys-equivalent: the first iteration of L-BFGS (PyTorch's: rate 1, history 100, no line search,
            pixels clipped after each) whose loss is no more than that of the network's picture; 200 where
            none is. It starts with the photo, or with noise as in Johnson et al. 2016 (arXiv:1603.08155).
            The loss: relu4_2, and relu1_1 … relu5_1 as many times as the model's recipe weighs style against
            content, both as fractions of what was there (livestyle.training.optimize_loss).
colour      how far the palette is from the painting's: mean squared difference of quantiles along 16
            directions, over the variance of the painting's palette. 0: the same, 1: its mean colour alone
blobs       root of the mean square by which colours of 16x16 pixels differ where the photo's are alike, grey
            levels: a spot of olive on a cheek, but also a painting that varies its colours at will

LPIPS is not among them: its weights sit on a VGG that is not part of this project.
--report: FOLDER/index.html with photo, painting, network and Gatys (100 iterations) side by side.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from measures import measuring_parser
from quality import spread
from torch import Tensor

from livestyle.errors import LivestyleError, ModelError
from livestyle.frame import Image
from livestyle.library import find_model
from livestyle.pictures import pictures_in, read_picture, write_picture
from livestyle.stylizer import Stylizer, open_stylizer
from livestyle.terminal import progress_bar
from livestyle.training.dataset import load_style_image, resize_short_side, to_image, to_tensor
from livestyle.training.features import LossNetwork, slim_vgg19
from livestyle.training.optimize_loss import BALANCE, GatysLoss
from livestyle.training.optimize_masks import Part, Region
from livestyle.training.recipe import parse_recipe
from livestyle.training.style_losses import palette, palette_distance
from livestyle.whole_file import WholeFile

LossOf = Callable[[Tensor, Tensor], GatysLoss]
SIZE = 256  # short side of the photos, pixels
MOST = 200
SHOWN = 100  # iterations of the picture in the report


@dataclass(frozen=True)
class Judged:
    """One style. iterations, colour, blobs: means over photos, as above."""

    name: str
    iterations: float
    colour: float
    blobs: float


@dataclass(frozen=True)
class Pictures:
    """A row of the report."""

    name: str
    photo: Image
    painting: Image
    network: Image
    gatys: Image


def descent(loss: GatysLoss, photo: Tensor) -> Iterator[Tensor]:
    """The picture after each iteration, without end. Shapes: (1, 3, H, W), [0, 1]."""
    # contiguous: PyTorch's L-BFGS lays the gradient out flat.
    picture = photo.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    optimizer = torch.optim.LBFGS([picture], max_iter=1, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(picture)[0]
        total.backward()  # type: ignore[no-untyped-call]
        return total

    while True:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            picture.clamp_(0, 1)
        yield picture.detach()


def gatys_equivalent(loss: GatysLoss, start: Tensor, painted: Tensor, most: int = MOST) -> int:
    """The first iteration whose loss is no more than painted's; `most` if none is. Shapes: (1, 3, H, W)."""
    with torch.no_grad():
        wanted = loss(painted)[0]
        for iteration, picture in zip(range(1, most), descent(loss, start), strict=False):
            with torch.no_grad():
                if loss(picture)[0] <= wanted:
                    return iteration
    return most


COLOUR_PATCH = 16  # pixels: wider than a stroke, narrower than a face
ALIKE = 0.025  # a difference of two colours of the photo that counts as little, [0, 1]


def blobs(painted: Tensor, photo: Tensor) -> float:
    """Root mean square of differences between places that are alike in the photo, grey levels.

        255 sqrt(sum_ij w_ij |y_i - y_j|² / sum_ij w_ij),   w_ij = exp(-|p_i - p_j|² / 0.025²)

    p, y: photo and picture, means of 16 x 16 pixels, i and j all pairs of them. Shapes: (1, 3, H, W) twice.
    """
    p, y = (_pairs_apart(F.avg_pool2d(image, COLOUR_PATCH)[0].flatten(1).T) for image in (photo, painted))
    alike = torch.exp(-p / ALIKE**2)
    return 255 * float(((alike * y).sum() / alike.sum()).sqrt())


def _pairs_apart(colours: Tensor) -> Tensor:
    """(N, 3) -> (N, N), squared distances."""
    return (colours[:, None] - colours[None]).square().sum(2)


def judge(options: argparse.Namespace) -> tuple[list[Judged], list[Pictures]]:
    path = find_model(options.model)
    stylizer = open_stylizer(path, options.device, threads=options.threads)
    recipe = parse_recipe(stylizer.manifest.recipe, where=f"the recipe in {path}")
    loss_of = objective(
        slim_vgg19(options.loss_network), recipe.style_weight / max(recipe.content_weight, 1e-6)
    )
    photos = [
        resize_short_side(read_picture(file)[0], SIZE)
        for file in spread(pictures_in(options.photos), options.limit)
    ]
    rows = {style.name: style for style in recipe.styles}
    judged, shown = [], []
    with progress_bar("pictures/s") as bar:
        task = bar.add_task("judging", total=len(photos) * (len(stylizer.manifest.styles) - 1))
        for number, style in enumerate(stylizer.manifest.styles[1:], 1):
            if style.name not in rows:
                raise ModelError(f"the recipe in {path} does not name the painting of {style.name}")
            row = rows[style.name]
            painting = load_style_image(options.paintings / row.image, recipe.size_of(row))
            found = []
            for photo in photos:
                found.append(judge_one(stylizer, number, photo, painting, loss_of, options.start))
                bar.advance(task)
            judged.append(Judged(style.name, *map(fmean, zip(*found, strict=True))))
            if options.report:
                shown.append(pictures_of(stylizer, number, photos[0], painting, loss_of))
    return judged, shown


def judge_one(
    stylizer: Stylizer, number: int, photo: Image, painting: Tensor, loss_of: LossOf, start: str
) -> tuple[float, float, float]:
    """iterations, colour, blobs of one photo in one style."""
    before, after = as_tensor(photo), as_tensor(painted_by(stylizer, number, photo))
    noise = torch.rand(before.shape, generator=torch.Generator().manual_seed(0))
    colour = float(palette_distance(palette(after), palette(painting)))
    first = before if start == "photo" else noise
    return gatys_equivalent(loss_of(before, painting), first, after), colour, blobs(after, before)


def pictures_of(stylizer: Stylizer, number: int, photo: Image, painting: Tensor, loss_of: LossOf) -> Pictures:
    start = as_tensor(photo)
    steps = zip(range(SHOWN), descent(loss_of(start, painting), start), strict=False)
    *_, (_, gatys) = steps
    name = stylizer.manifest.styles[number].name
    return Pictures(
        name, photo, to_image(painting[0]), painted_by(stylizer, number, photo), to_image(gatys[0])
    )


def objective(network: LossNetwork, balance: float) -> LossOf:
    """The loss of a photo and a painting, `balance` times as much style as content."""
    whole = [Region(None, (Part(0, 1.0, None),))]
    return lambda photo, painting: GatysLoss(network, photo, [painting], whole, strength=balance / BALANCE)


def painted_by(stylizer: Stylizer, number: int, photo: Image) -> Image:
    mix = np.zeros(len(stylizer.manifest.styles), np.float32)
    mix[number] = 1
    return stylizer(photo, mix)


def as_tensor(image: Image) -> Tensor:
    return to_tensor(torch.from_numpy(image)[None])


def table(judged: Sequence[Judged]) -> str:
    width = max(len(each.name) for each in judged)
    lines = [f"{'style':{width}}  iterations  colour  blobs"]
    mean = Judged("mean", *(fmean(values) for values in zip(*map(figures, judged), strict=True)))
    for each in (*judged, mean):
        lines.append(f"{each.name:{width}}  {each.iterations:10.1f}  {each.colour:6.2f}  {each.blobs:5.1f}")
    return "\n".join(lines)


def figures(judged: Judged) -> tuple[float, float, float]:
    return judged.iterations, judged.colour, judged.blobs


def write_report(folder: Path, judged: Sequence[Judged], shown: Sequence[Pictures]) -> None:
    """folder/index.html and its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    heads = ("photo", "painting", "network", "gatys")
    rows = []
    for each, pictures in zip(judged, shown, strict=True):
        cells = []
        for head in heads:
            file = f"{each.name}-{head}.png"
            write_picture(folder / file, getattr(pictures, head), overwrite=True)
            cells.append(f'<td><img src="{html.escape(file)}" alt="{head}"></td>')
        words = f"{each.iterations:.1f} iterations, colour {each.colour:.2f}, blobs {each.blobs:.1f}"
        rows.append(f"<tr><th>{html.escape(each.name)}<br>{words}</th>{''.join(cells)}</tr>")
    titles = "".join(f"<th>{head}</th>" for head in ("", *heads))
    page = f'<!doctype html><meta charset="utf-8"><title>styles</title><table><tr>{titles}</tr>'
    (folder / "index.html").write_text(page + "\n".join(rows) + "</table>\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = measuring_parser(__doc__)
    parser.add_argument("--limit", type=int, default=4, help="how many photos (4)")
    parser.add_argument("--start", choices=("photo", "noise"), default="photo", help="of L-BFGS (photo)")
    parser.add_argument("--device", default="onnx-cpu", help="where the model paints (onnx-cpu)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", nargs="?", const="-", metavar="OUT")
    parser.add_argument("--report", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    if min(options.limit, options.threads or 1) < 1:
        parser.error("--limit and --threads are 1 or more")
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        if options.json not in (None, "-"):
            WholeFile(Path(options.json), overwrite=True).probe()  # refused now, not after the work
        judged, shown = judge(options)
        text = json.dumps({"photos": options.limit, "styles": [asdict(each) for each in judged]}, indent=2)
        print(text if options.json == "-" else table(judged))
        if options.json not in (None, "-"):
            Path(options.json).write_text(text + "\n", encoding="utf-8")
        if options.report:
            write_report(options.report, judged, shown)
    except (LivestyleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
