"""What a model file says about itself: one JSON text in the ONNX metadata.

A model may come from a stranger, so the text is bounded and checked field by field; nothing is guessed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from livestyle.errors import ModelError

METADATA_KEY = "livestyle"
FORMAT = 1
ORIGINAL = "original"

# Bounds on a stranger's text: far above every real model, small enough to parse in milliseconds.
MAX_JSON_LENGTH = 1_000_000
MAX_STYLES = 256
MAX_SIZE_MULTIPLE = 64
MAX_RECIPE_LENGTH = 100_000
MAX_QUALITY_VALUES = 10_000
MAX_QUALITY_DEPTH = 4

# Not digits alone: `--style 3` is a number.
_SLUG = re.compile(r"(?![0-9]+\Z)[a-z0-9_]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Style:
    """One row of a network.

    name: what people type, a slug like "starry_night". source: where the picture is from.
    """

    name: str
    title: str
    artist: str
    year: str
    licence: str
    source: str = ""

    def __post_init__(self) -> None:
        _check_slug(self.name, "a style's name")
        for key, longest in (
            ("title", 200),
            ("artist", 200),
            ("year", 50),
            ("licence", 300),
            ("source", 1000),
        ):
            _check_line(getattr(self, key), f"the {key} of {self.name}", longest)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model's name, styles and origin.

    A wrong value is a TypeError or ValueError here, and a ModelError in from_json.

    styles: one per row of the network; styles[0] is "original", which gives the picture back.
    size_multiple: the network takes frames whose height and width are multiples of it, a power of two.
    recipe: the TOML text it was trained from, verbatim.
    quality: measured figures by name; numbers, texts, and lists or tables of them.
    """

    name: str
    version: str
    styles: tuple[Style, ...]
    size_multiple: int
    licence: str
    recipe: str
    quality: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_slug(self.name, "the model's name", "-")
        _check_line(self.version, "the version", 50)
        _check_line(self.licence, "the licence", 300)
        _check_text(self.recipe, "the recipe", MAX_RECIPE_LENGTH)
        _check_styles(self.styles)
        _check_size_multiple(self.size_multiple)
        if not isinstance(self.quality, Mapping):
            raise TypeError("the quality must be a table")
        _check_quality(self.quality)

    def to_json(self) -> str:
        text = json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, allow_nan=False)
        if len(text) > MAX_JSON_LENGTH:
            raise ValueError(f"the manifest has {len(text)} characters, more than {MAX_JSON_LENGTH}")
        return text

    @classmethod
    def from_json(cls, text: str, *, where: str = "the manifest") -> Self:
        """Read and check a stranger's text. where: names the text in the ModelError."""
        if len(text) > MAX_JSON_LENGTH:
            raise ModelError(f"{where} is longer than {MAX_JSON_LENGTH} characters")
        try:
            value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
            return cls(**_manifest_fields(value))
        except RecursionError:
            raise ModelError(f"{where} is nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise ModelError(f"{where} is not valid: {error}") from error


def _manifest_fields(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and value.get("format", FORMAT) != FORMAT:
        raise ValueError(
            f"it has format {_shown(value['format'])} and this livestyle reads {FORMAT}; "
            "`pip install --upgrade livestyle` may help"
        )
    required = {"format", "name", "version", "styles", "size_multiple", "licence", "recipe", "quality"}
    fields = _fields(value, "it", required)
    if type(fields.pop("format")) is not int:  # 1.0 and true equal 1
        raise TypeError("the format must be a whole number")
    if not isinstance(fields["styles"], list):
        raise TypeError("the styles must be a list")
    if len(fields["styles"]) > MAX_STYLES:
        raise ValueError(f"it has more than {MAX_STYLES} styles")
    required = {"name", "title", "artist", "year", "licence"}
    fields["styles"] = tuple(
        Style(**_fields(row, "a style", required, {"source"})) for row in fields["styles"]
    )
    return fields


def _fields(
    value: Any, what: str, required: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """The table `value`, refused unless its keys are the ones wanted."""
    if not isinstance(value, dict):
        raise TypeError(f"{what} must be a table")
    for key in value:
        if key not in required and key not in optional:
            raise ValueError(f"{what} has an unknown field {_shown(key)}")
    missing = sorted(set(required) - value.keys())
    if missing:
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    return dict(value)


def _check_styles(styles: tuple[Style, ...]) -> None:
    if not isinstance(styles, tuple) or not all(isinstance(style, Style) for style in styles):
        raise TypeError("the styles must be a tuple of Style")
    if not 2 <= len(styles) <= MAX_STYLES:
        raise ValueError(f"a model has 2 to {MAX_STYLES} styles, not {len(styles)}")
    if styles[0].name != ORIGINAL:
        raise ValueError(f"the first style must be {ORIGINAL!r}, not {styles[0].name!r}")
    names = [style.name for style in styles]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two styles are called {name!r}")


def _check_size_multiple(value: int) -> None:
    if type(value) is not int:
        raise TypeError("size_multiple must be a whole number")
    if not 1 <= value <= MAX_SIZE_MULTIPLE or value & (value - 1):
        raise ValueError(f"size_multiple must be a power of two up to {MAX_SIZE_MULTIPLE}")


def _check_slug(value: str, what: str, more: str = "") -> None:
    """more: a character that it may have too, but not as the first one."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a text")
    if value.startswith(more or " ") or not _SLUG.match(value.replace(more, "_") if more else value):
        known = ", ".join(filter(None, ("a-z", "0-9", "_", more)))
        raise ValueError(f"{what} must be 1 to 64 of {known}, not digits alone: not {_shown(value)}")


def _check_line(value: str, what: str, longest: int) -> None:
    _check_text(value, what, longest)
    # It is printed in terminals: no control sequences, no writing direction tricks, no half characters.
    if not value.isprintable():
        raise ValueError(f"{what} holds a character that cannot be printed")


def _check_text(value: str, what: str, longest: int) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a text")
    if len(value) > longest:
        raise ValueError(f"{what} is longer than {longest} characters")
    value.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError


def _check_quality(quality: Mapping[str, Any]) -> None:
    todo: list[tuple[Any, int]] = [(quality, 0)]
    seen = 0
    while todo:
        value, depth = todo.pop()
        seen += 1
        if seen > MAX_QUALITY_VALUES or depth > MAX_QUALITY_DEPTH:
            raise ValueError("the quality is too large")
        match value:
            case Mapping():
                for key in value:
                    _check_line(key, "a name in the quality", 100)
                todo.extend((inner, depth + 1) for inner in value.values())
            case list() | tuple():
                todo.extend((inner, depth + 1) for inner in value)
            case str():
                _check_line(value, "a text in the quality", 1000)
            case int() | float():
                # Not isfinite: it fails on whole numbers beyond the largest float. NaN is not <= either.
                if not abs(value) <= sys.float_info.max:
                    raise ValueError("the quality holds a number that is not finite, or too large")
            case None:
                pass
            case _:
                raise TypeError(f"the quality holds a {type(value).__name__}")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a field appears twice")
    return table


def _shown(value: object) -> str:
    """A stranger's value, fit for one line of an error."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
