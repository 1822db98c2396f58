"""livestyle optimize: one picture, painted pixel by pixel."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from livestyle.cli.options import AsJson, Overwrite, need_torch, say
from livestyle.errors import SinkError
from livestyle.terminal import StopSignal, progress_bar

if TYPE_CHECKING:
    from livestyle.pictures import Alpha
    from livestyle.training.optimize import OptimizeStep

LARGEST_SHARE = 1e6


def optimize(
    content: Annotated[Path, typer.Argument(help="The photo.")],
    painting: Annotated[
        str, typer.Argument(metavar="STYLE[:SHARE]", help="The painting; its share, where there are more.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT")],
    style: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SHARE]", help="Another painting; may be repeated.")
    ] = None,
    strength: Annotated[
        float, typer.Option(min=0, max=100, help="Of the style: 1 is balanced, 0 gives the photo back.")
    ] = 1.0,
    size: Annotated[
        int, typer.Option(min=32, max=1024, help="Longer side in pixels; never more than the photo's.")
    ] = 512,
    iterations: Annotated[
        int, typer.Option(min=1, max=10_000, help="At the smallest size; half as many at each larger one.")
    ] = 200,
    from_noise: Annotated[
        bool, typer.Option("--from-noise", help="Start from noise instead of from the photo.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the noise.")] = 0,
    colours: Annotated[
        str,
        typer.Option(
            metavar="style|match|luminance",
            help="The painting's; the painting's brought to the photo's; or the photo's own.",
        ),
    ] = "style",
    mask: Annotated[
        Path | None, typer.Option(help="Regions of the photo: a picture as large, a grey for each.")
    ] = None,
    style_mask: Annotated[
        list[Path] | None,
        typer.Option(help="Regions of the painting, in the same greys; one for each, in their order."),
    ] = None,
    tv: Annotated[float, typer.Option(min=0, max=100, help="Weight of smoothness.")] = 0.3,
    loss_network: Annotated[str, typer.Option(help="vgg19, vgg16, or a weights file.")] = "vgg19",
    pooling: Annotated[str, typer.Option(metavar="max|average", help="Of the loss network.")] = "max",
    preview_every: Annotated[
        int | None, typer.Option(min=1, help="Write OUT.preview so often, in iterations.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Paint one photo like any painting, without a model. Needs pip install "livestyle[train]".

    It takes minutes. Ctrl-C writes the picture as far as it is, and stops.

    Example: livestyle optimize me.jpg painting.jpg out.png
    """
    need_torch()
    from livestyle.pictures import check_picture_path, read_picture, write_picture
    from livestyle.training.features import Pooling, open_loss_network
    from livestyle.training.optimize import OptimizeSettings, Painting, check_pictures
    from livestyle.training.optimize import optimize as descend
    from livestyle.training.optimize_colours import Colours
    from livestyle.training.optimize_masks import read_mask
    from livestyle.training.run import torch_device
    from livestyle.whole_file import WholeFile

    began = time.perf_counter()
    settings = OptimizeSettings(
        strength=strength,
        tv_weight=tv,
        size=size,
        iterations=iterations,
        from_noise=from_noise,
        colours=_one_of(colours, get_args(Colours), "--colours"),
        seed=seed,
    )
    pooled: Pooling = _one_of(pooling, get_args(Pooling), "--pooling")
    chosen = [_painting(text) for text in (painting, *(style or []))]
    if style_mask and len(style_mask) != len(chosen):
        raise typer.BadParameter(
            f"there must be one for each painting: {len(chosen)}, not {len(style_mask)}",
            param_hint="--style-mask",
        )
    preview = output.with_name(f"{output.stem}.preview{output.suffix}") if preview_every else None
    inputs = [content, *(path for path, _ in chosen), *filter(None, [mask]), *(style_mask or [])]
    for path in filter(None, (output, preview)):
        _spare(path, inputs)
        check_picture_path(path, overwrite=overwrite)
        WholeFile(path, overwrite).probe()  # refused now, not after minutes
    photo, alpha = read_picture(content)
    paintings = []
    for number, (path, share) in enumerate(chosen):
        image, _ = read_picture(path)
        its_mask = read_mask(style_mask[number], path, image) if style_mask else None
        paintings.append(Painting(image, share, its_mask, name=f"the painting {path}"))
    photo_mask = None if mask is None else read_mask(mask, content, photo)
    _, unpainted = check_pictures(photo, paintings, settings, mask=photo_mask)
    if unpainted:
        say(f"no painting has these greys of {mask}, which stay as they are: {unpainted}")
    on = torch_device(device)
    network = open_loss_network(loss_network, pooling=pooled).to(on)
    stages = settings.stages(photo)
    total = sum(count for _, count in stages)
    say(f"painting on {on.type} at {', '.join(str(longer) for longer, _ in stages)} pixels; Ctrl-C ends")
    step: OptimizeStep | None = None
    stop = StopSignal()
    with progress_bar("%/s") as bar, stop:
        task = bar.add_task("painting", total=100)
        for step in descend(photo, paintings, network, settings, mask=photo_mask):
            left = f"loss {step.loss:.3f} style {step.style:.3f} content {step.content:.3f}"
            bar.update(task, completed=100 * step.done, description=f"{step.iteration}/{total} {left}")
            if preview is not None and step.iteration and step.iteration % (preview_every or 1) == 0:
                with suppress(SinkError):  # a viewer may hold it open; the painting goes on
                    write_picture(preview, step.image, overwrite=True)
            if stop.asked:
                break
    assert step is not None
    image = step.image
    height, width = image.shape[:2]
    write_picture(output, image, _scaled(alpha, width, height), overwrite=overwrite)
    seconds = time.perf_counter() - began
    if as_json:
        result = {
            "output": str(output),
            "width": width,
            "height": height,
            "iterations": step.iteration,
            "finished": step.last,
            "loss": round(step.loss, 4),
            "style_fraction": round(step.style, 4),
            "content_fraction": round(step.content, 4),
            "seconds": round(seconds, 3),
            "device": on.type,
        }
        print(json.dumps(result))
    else:
        print(
            f"{output}: {width}x{height}, style {step.style:.3f} and content {step.content:.3f} left after "
            f"{step.iteration} iterations in {seconds:.1f} s on {on.type}"
        )
    if not step.last:
        say(f"stopped at iteration {step.iteration} of {total}; {output} holds the picture so far")
        raise typer.Exit(130)


def _painting(text: str) -> tuple[Path, float]:
    """A painting's file and its share: "a.jpg:0.7"; without one it is 1."""
    name, colon, share = text.rpartition(":")
    if not colon or Path(text).is_file():
        return Path(text), 1.0
    try:
        number = float(share)
    except ValueError:  # a colon of the name, as in C:\a.jpg
        return Path(text), 1.0
    if not 0 < number <= LARGEST_SHARE:  # NaN too
        raise typer.BadParameter(
            f"a share is a number above 0, not {share!r}; write it like {name}:0.3", param_hint="--style"
        )
    return Path(name), number


def _spare(path: Path, inputs: list[Path]) -> None:
    """Refuse to write over what is read."""
    for other in inputs:
        if path.exists() and other.exists() and path.samefile(other):
            raise SinkError(f"{other} would be replaced by its own painting; name another output")


def _one_of(text: str, known: tuple[str, ...], option: str) -> Any:
    if text not in known:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(known)}", param_hint=option)
    return text


def _scaled(alpha: Alpha | None, width: int, height: int) -> Alpha | None:
    import cv2
    import numpy as np

    if alpha is None:
        return None
    return np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
