"""Plain stand-ins that satisfy the real protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.frame import Image
from livestyle.manifest import METADATA_KEY, Manifest, Style

TINY_SIZE_MULTIPLE = 8

# stylized = frame * scale + offset, a row per style: the picture itself, its negative, then greys.
_ROWS = ((1, 0), (-1, 255), (0, 40), (0, 80), (0, 120), (0, 160), (0, 200), (0, 240))
_NAMES = ("original", "negative", "grey_40", "grey_80", "grey_120", "grey_160", "grey_200", "grey_240")


def tiny_manifest(n_styles: int = 3, **changes: Any) -> Manifest:
    """The manifest of tiny_model. changes: fields to replace."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "styles": tuple(
            Style(name, name.replace("_", " ").title(), "Nobody", "1900", "public domain")
            for name in _NAMES[:n_styles]
        ),
        "size_multiple": TINY_SIZE_MULTIPLE,
        "licence": "MIT",
        "recipe": 'name = "tiny"\n',
        "quality": {"style_fraction": 0.5},
    }
    return Manifest(**{**fields, **changes})


def tiny_stylized(
    frame: npt.NDArray[np.uint8], style_mix: npt.NDArray[np.float32], *, rows: Any = _ROWS
) -> npt.NDArray[np.uint8]:
    """What tiny_model gives, by the formula."""
    scale, offset = np.asarray(style_mix, np.float64) @ np.asarray(rows[: len(style_mix)], np.float64)
    stylized: npt.NDArray[np.uint8] = np.clip(np.rint(frame * scale + offset), 0, 255).astype(np.uint8)
    return stylized


def tiny_model(path: Path, n_styles: int = 3, *, manifest_json: str | None = None) -> Path:
    """Write a real ONNX model that holds the contract; 2 to 8 styles. Returns the path.

    Style 0 gives the frame, 1 its negative, k >= 2 a plain grey of 40 * (k - 1); a mix is their weighted sum.
    It refuses frames that are not multiples of 8, as a real network may.
    manifest_json: the text to put into the metadata instead of tiny_manifest's.
    """
    import onnx  # 0.2 s that tests without a model need not wait for

    model = tiny_model_proto(n_styles)
    text = tiny_manifest(n_styles).to_json() if manifest_json is None else manifest_json
    onnx.helper.set_model_props(model, {METADATA_KEY: text})
    path.write_bytes(model.SerializeToString())
    return path


def tiny_model_proto(n_styles: int = 3) -> Any:
    """tiny_model as an onnx.ModelProto without metadata, to spoil in tests."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: Any) -> Any:
        return numpy_helper.from_array(np.asarray(values, np.float32), name)

    node = helper.make_node
    frame_shape: list[str | int | None] = [1, "height", "width", 3]
    graph = helper.make_graph(
        [
            node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
            node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
            # There and back: it changes nothing, and fails unless height and width are multiples of 8.
            node("SpaceToDepth", ["planes"], ["blocks"], blocksize=TINY_SIZE_MULTIPLE),
            node("MatMul", ["style_mix", "rows"], ["mixed"]),  # (2,)
            node("Split", ["mixed"], ["scale", "offset"], axis=0, num_outputs=2),
            node("Mul", ["blocks", "scale"], ["scaled"]),
            node("Add", ["scaled", "offset"], ["shifted"]),
            node("Round", ["shifted"], ["rounded"]),
            node("Clip", ["rounded", "black", "white"], ["clipped"]),
            node("DepthToSpace", ["clipped"], ["painted"], blocksize=TINY_SIZE_MULTIPLE, mode="DCR"),
            node("Transpose", ["painted"], ["image"], perm=[0, 2, 3, 1]),
            node("Cast", ["image"], ["stylized"], to=TensorProto.UINT8),
        ],
        "tiny",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, frame_shape),
            helper.make_tensor_value_info("style_mix", TensorProto.FLOAT, [n_styles]),
        ],
        [helper.make_tensor_value_info("stylized", TensorProto.UINT8, frame_shape)],
        [constant("rows", _ROWS[:n_styles]), constant("black", 0), constant("white", 255)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


class FakeEngine:
    """An engine without ONNX Runtime that computes what tiny_model does, and keeps what it was given."""

    name = "fake"

    def __init__(self, manifest: Manifest | None = None) -> None:
        self.manifest = tiny_manifest() if manifest is None else manifest
        self.manifest_json = self.manifest.to_json()
        self.frames: list[npt.NDArray[np.uint8]] = []

    def run(self, frame: npt.NDArray[np.uint8], style_mix: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        self.frames.append(frame)
        return tiny_stylized(frame, style_mix)


def halved_colours(picture: Image) -> Image:
    """The picture with Cr and Cb at half the size, as every smoothed one has them."""
    height, width = picture.shape[:2]
    ycc = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
    half = cv2.resize(ycc, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
    ycc[..., 1:] = cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)[..., 1:]
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB), np.uint8)


def same_picture(one: Image, other: Image, levels: int = 0) -> bool:
    return int(np.abs(one.astype(int) - other).max()) <= levels
