"""From a checkpoint to one ONNX file that says what it holds, compared with torch before it is kept."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from livestyle.engines import open_engine
from livestyle.errors import ModelError, RecipeError
from livestyle.frame import Image
from livestyle.manifest import METADATA_KEY, Manifest
from livestyle.training.network import TransformNet
from livestyle.training.recipe import Recipe, manifest_of
from livestyle.whole_file import WholeFile

# onnxruntime's CUDA provider pads by reflection only up to opset 18.
OPSET = 18
MOST_FOLDED = 1 << 22  # numbers in a tensor that is computed once for all
# Two engines round differently; more than this on average means that the graph is not the network.
MAX_MEAN_DIFFERENCE = 1.0  # grey levels


class FrameGraph(nn.Module):
    """The network with the frame as its contract; only export runs it.

    Casting, scaling, clipping and rounding live in the graph, so that no runtime can disagree with training.
    Shapes: frame (1, H, W, 3) uint8 RGB, style_mix (n_styles,) float32 -> (1, H, W, 3) uint8 RGB.
    """

    def __init__(self, network: TransformNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, style_mix: Tensor) -> Tensor:
        image = frame.permute(0, 3, 1, 2).float() * (1 / 255)
        stylized: Tensor = self.network(image, style_mix[None]) * 255
        return stylized.clamp(0, 255).round().permute(0, 2, 3, 1).to(torch.uint8)


@dataclass(frozen=True)
class Comparison:
    """How far the exported graph is from torch, in grey levels, over photos and styles."""

    mean: float
    worst: float
    pictures: int


def export_onnx(
    network: TransformNet, recipe: Recipe, path: Path, photos: Sequence[Image], *, overwrite: bool = False
) -> Comparison:
    """Write `network` to `path` with its manifest, unless it disagrees with torch on `photos`.

    Raises RecipeError where the mean difference exceeds one grey level, SinkError where no file can be; then
    nothing is written.
    """
    file = WholeFile(path, overwrite)  # refuses now what could not be written a minute later
    if not photos:
        raise RecipeError("no photo to compare the export on: give --photos FOLDER")
    network = network.eval().cpu()
    model = _to_onnx(network, manifest_of(recipe, network.size_multiple))
    with file as partial:
        partial.write_bytes(model)
        comparison = compare(network, partial, photos)
        if comparison.mean > MAX_MEAN_DIFFERENCE:
            raise RecipeError(
                f"{path} was not written: the graph differs from torch by {comparison.mean:.2f} grey levels "
                "on average; please report this with your versions of torch and onnxruntime"
            )
    return comparison


def compare(network: TransformNet, path: Path, photos: Sequence[Image]) -> Comparison:
    """Run every photo in one style (they take turns) through torch and through the file."""
    engine = open_engine(path, "onnx-cpu")  # float32, as torch
    graph = FrameGraph(network)
    differences = []
    for i, photo in enumerate(photos):
        multiple = network.size_multiple
        height, width = (size // multiple * multiple for size in photo.shape[:2])
        frame = np.ascontiguousarray(photo[None, :height, :width])
        mix = np.eye(network.n_styles, dtype=np.float32)[i % network.n_styles]
        with torch.no_grad():
            expected = graph(torch.from_numpy(frame), torch.from_numpy(mix)).numpy()
        differences.append(np.abs(expected.astype(np.int16) - engine.run(frame, mix)))
    return Comparison(
        mean=float(np.mean([d.mean() for d in differences])),
        worst=float(max(d.max() for d in differences)),
        pictures=len(differences),
    )


def _to_onnx(network: TransformNet, manifest: Manifest) -> bytes:
    try:
        import onnx  # here, so that training alone needs neither
        import onnxscript.optimizer
    except ImportError as error:
        raise ModelError('export needs onnx and onnxscript: pip install "livestyle[train]"') from error
    multiple = network.size_multiple
    height = multiple * torch.export.Dim("h", min=4, max=1024)
    width = multiple * torch.export.Dim("w", min=4, max=1024)
    example = (
        torch.zeros(1, 8 * multiple, 9 * multiple, 3, dtype=torch.uint8),
        torch.zeros(network.n_styles),
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            FrameGraph(network),
            example,
            input_names=["frame", "style_mix"],
            output_names=["stylized"],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=({1: height, 2: width}, None),
        )
    assert program is not None
    # torch's own run of it leaves the larger of the weights that network.upsampled_conv folds to each frame.
    model = onnxscript.optimizer.optimize(
        program.model_proto, input_size_limit=MOST_FOLDED, output_size_limit=MOST_FOLDED
    )
    # torch notes for each node the lines of source that made it, with their paths on this machine.
    graph = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    return bytes(model.SerializeToString())
