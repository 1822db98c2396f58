"""Reads an ONNX file from a stranger before any engine sees it.

What ONNX Runtime 1.31 does by itself was tried: a model created from bytes still reads the files that it
names as external data, from the working folder. So the protobuf is walked here, and a model that names files
is refused; so is a loop (it may never end) and an operator outside ONNX (EPContext loads compiled code from a
path).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from livestyle.errors import ModelError
from livestyle.manifest import METADATA_KEY

MAX_MODEL_BYTES = 256 * 2**20
# A network of 200 nodes has about 10,000 fields; a bound keeps a file of tiny fields from taking minutes.
MAX_FIELDS = 500_000

# Which fields of which ONNX message hold another message to look into (onnx.proto3).
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 14: "metadata", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The bytes of an ONNX file that is a livestyle model, and its manifest, not yet checked."""

    content: bytes
    manifest_json: str


def read_model_file(path: Path) -> ModelFile:
    """Read a model and refuse what no livestyle model holds. Raises ModelError."""
    content = _read(path)
    try:
        metadata, problem = _walk(content)
    except ValueError as error:
        raise ModelError(
            f"{path} is not an ONNX model, or is broken: {error}; `--model painters` is built in"
        ) from error
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{path} is not a livestyle model: its ONNX metadata has no {METADATA_KEY!r} entry; "
            "`--model painters` is built in"
        )
    if problem:
        raise ModelError(f"{path} is refused: it {problem}")
    return ModelFile(content, metadata[METADATA_KEY])


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():  # a folder, a pipe or a device as well
            raise ModelError(f"no model file at {path}; check the name")
        with path.open("rb") as file:
            content = file.read(MAX_MODEL_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read the model {path}: {error}") from error
    if not content:
        raise ModelError(f"the model {path} is empty; copy or download it again")
    if len(content) > MAX_MODEL_BYTES:
        raise ModelError(f"{path} is larger than {MAX_MODEL_BYTES // 2**20} MiB; no livestyle model is")
    # ONNX Runtime also reads its own format from bytes, which this module cannot look into.
    if content[4:8] == b"ORTM":
        raise ModelError(f"{path} is an ORT model, not an ONNX model")
    return content


def _walk(content: bytes) -> tuple[dict[str, str], str | None]:
    """The metadata, and the first reason to refuse the model. ValueError: no protobuf of an ONNX model."""
    metadata: dict[str, str] = {}
    problem: str | None = None
    has_graph = False
    todo = [("model", 0, len(content))]
    fields_left = MAX_FIELDS
    while todo:
        message, start, end = todo.pop()
        for number, wire, low, high in message_fields(content, start, end):
            fields_left -= 1
            if fields_left < 0:
                raise ValueError("it has too many fields")
            child = _CHILDREN.get(message, {}).get(number) if wire == _LENGTH else None
            if child == "metadata":
                key, value, fields = _entry(content, low, high, fields_left)
                fields_left -= fields
                if key == METADATA_KEY and key in metadata:
                    raise ValueError(f"two entries are called {key!r}")
                metadata[key] = value
            elif child:
                has_graph = has_graph or (message, child) == ("model", "graph")
                todo.append((child, low, high))
            problem = problem or _objection(content, message, number, wire, low, high)
    if not has_graph:
        raise ValueError("it has no graph")
    return metadata, problem


def _objection(content: bytes, message: str, number: int, wire: int, low: int, high: int) -> str | None:
    match message, number:
        case "tensor", 13:
            return "names other files as its weights"
        case "tensor", 14 if wire == _VARINT and content[low:high].strip(b"\x80\x00"):
            return "keeps its weights in another file"
        case ("graph", 15) | ("attribute", 22 | 23):
            return "has sparse weights, which may become any size"
        case "attribute", 6 | 11:
            return "holds a loop or a branch"
        case "node", 7 if content[low:high] not in (b"", b"ai.onnx"):
            return "uses an operator that is not standard ONNX"
    return None


def _entry(content: bytes, start: int, end: int, most: int) -> tuple[str, str, int]:
    """Key and value of one StringStringEntryProto, and its number of fields."""
    parts = {1: "", 2: ""}
    fields = 0
    for number, wire, low, high in message_fields(content, start, end):
        fields += 1
        if fields > most:
            raise ValueError("it has too many fields")
        if wire == _LENGTH and number in parts:
            parts[number] = content[low:high].decode()
    return parts[1], parts[2], fields


def message_fields(content: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a protobuf message: number, wire type, and where its value lies.

    Stricter than protobuf: whatever two readers could take differently is a ValueError.
    """
    at = start
    while at < end:
        tag, at = read_varint(content, at, end)
        number, wire = tag >> 3, tag & 7
        # Readers keep 32 bits of a tag; a longer one would name another field to them than to us.
        if number == 0 or tag >= 2**32:
            raise ValueError("a field has no valid number")
        low = at
        if wire == _VARINT:
            _, at = read_varint(content, at, end)
        elif wire == _LENGTH:
            length, low = read_varint(content, at, end)
            at = low + length
        elif wire == _FIXED64:
            at += 8
        elif wire == _FIXED32:
            at += 4
        else:
            raise ValueError("a field has an unknown type")
        if at > end:
            raise ValueError("it ends in the middle of a field")
        yield number, wire, low, at


def read_varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("it ends in the middle of a field")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")
