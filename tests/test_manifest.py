from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fakes import tiny_manifest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.errors import ModelError
from livestyle.manifest import MAX_JSON_LENGTH, Manifest, Style

Spoil = Callable[[dict[str, Any]], object]


def spoiled(spoil: Spoil) -> str:
    value = json.loads(tiny_manifest().to_json())
    spoil(value)
    return json.dumps(value)


def test_a_manifest_survives_the_round_trip() -> None:
    manifest = tiny_manifest(
        recipe='# Größe\n[styles]\nname = "星月夜"\n',
        quality={"style_fraction": {"negative": 0.25}, "steps": 3, "photos": ["a", "b"], "note": None},
    )
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_model_s_name_may_be_a_file_s_with_a_hyphen() -> None:
    value = json.loads(tiny_manifest().to_json()) | {"name": "painters-fine"}
    assert Manifest.from_json(json.dumps(value)).name == "painters-fine"


def test_the_json_is_what_a_model_card_would_read() -> None:
    value = json.loads(tiny_manifest(2).to_json())
    assert value["format"] == 1
    assert [style["name"] for style in value["styles"]] == ["original", "negative"]
    assert value["size_multiple"] == 8


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m: m.update(format=2), "format 2"),
        (lambda m: m.update(format=True), "whole number"),
        (lambda m: m.update(format=1.0), "whole number"),
        (lambda m: m.pop("format"), "lacks format"),
        (lambda m: m.pop("recipe"), "lacks recipe"),
        (lambda m: m.update(colour=1), "unknown field 'colour'"),
        (lambda m: m["styles"][1].update(colour=1), "unknown field 'colour'"),
        (lambda m: m["styles"][1].pop("artist"), "lacks artist"),
        (lambda m: m.update(name="../painters"), "the model's name"),
        (lambda m: m.update(name="-fine"), "must be 1 to 64 of a-z, 0-9, _, -, not digits alone"),
        (lambda m: m["styles"][1].update(name="a-b"), "must be 1 to 64 of a-z, 0-9, _, not digits alone"),
        (lambda m: m.update(name=7), "must be a text"),
        (lambda m: m.update(version="1\x1b[2J"), "cannot be printed"),
        (lambda m: m.update(styles={}), "must be a list"),
        (lambda m: m.update(styles=m["styles"][:1]), "2 to 256 styles"),
        (lambda m: m.update(styles=m["styles"] * 100), "more than 256"),
        (lambda m: m.update(styles=["original", "a"]), "a style must be a table"),
        (lambda m: m["styles"][0].update(name="first"), "must be 'original'"),
        (lambda m: m["styles"][2].update(name="negative"), "two styles are called 'negative'"),
        (lambda m: m["styles"][1].update(name="12"), "not digits alone"),
        (lambda m: m["styles"][1].update(name="Negative"), "a-z"),
        (lambda m: m["styles"][1].update(name="negative\n"), "a-z"),
        (lambda m: m["styles"][1].update(name="n" * 65), "1 to 64"),
        (lambda m: m["styles"][1].update(title="t" * 201), "longer than 200"),
        (lambda m: m["styles"][1].update(title="a\nb"), "cannot be printed"),
        (lambda m: m["styles"][1].update(title="\u202eabc"), "cannot be printed"),
        (lambda m: m["styles"][1].update(year=1889), "must be a text"),
        (lambda m: m.update(size_multiple=12), "power of two"),
        (lambda m: m.update(size_multiple=128), "power of two"),
        (lambda m: m.update(size_multiple=0), "power of two"),
        (lambda m: m.update(size_multiple=-8), "power of two"),
        (lambda m: m.update(size_multiple=8.0), "whole number"),
        (lambda m: m.update(size_multiple=True), "whole number"),
        (lambda m: m.update(recipe="r" * 100_001), "longer than 100000"),
        (lambda m: m.update(recipe="\ud800"), "surrogates"),
        (lambda m: m.update(quality=[]), "must be a table"),
        (lambda m: m.update(quality={"a": {"b": {"c": {"d": {"e": 1}}}}}), "too large"),
        (lambda m: m.update(quality={"a": [0] * 20_000}), "too large"),
        (lambda m: m.update(quality={"a": "\x1b]0;"}), "cannot be printed"),
    ],
)
def test_a_strangers_manifest_is_refused_in_one_line(spoil: Spoil, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        Manifest.from_json(spoiled(spoil), where="the manifest of x.onnx")
    message = str(caught.value)
    assert message.startswith("the manifest of x.onnx is not valid: ")
    assert says in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        '"text"',
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        "NaN",
        '{"format": 1, "format": 1}',
        '{"format": [[[[]]]]}',
        " " * (MAX_JSON_LENGTH + 1),
        tiny_manifest().to_json().replace("0.5", "1e999"),
        tiny_manifest().to_json().replace("0.5", "NaN"),
        tiny_manifest().to_json().replace("0.5", "1" + "0" * 400),
        tiny_manifest().to_json().replace('"version": "1"', '"version": "1", "version": "2"'),
    ],
    ids=lambda text: text[:12],
)
def test_text_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Manifest.from_json(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(key=st.sampled_from(sorted(json.loads(tiny_manifest().to_json()))), value=_json)
def test_any_value_in_any_field_is_a_manifest_or_a_model_error(key: str, value: object) -> None:
    text = json.dumps({**json.loads(tiny_manifest().to_json()), key: value})
    try:
        manifest = Manifest.from_json(text)
    except ModelError:
        return
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"size_multiple": 6}, ValueError),
        ({"size_multiple": "8"}, TypeError),
        ({"styles": []}, TypeError),
        ({"quality": {"loss": float("nan")}}, ValueError),
        ({"quality": {"path": object()}}, TypeError),
        ({"quality": {1: 2}}, TypeError),
    ],
)
def test_a_wrong_manifest_cannot_be_made_in_the_first_place(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        tiny_manifest(**changes)


def test_a_style_cannot_be_changed() -> None:
    style = Style("wave", "The Wave", "Hokusai", "1831", "public domain")
    with pytest.raises(AttributeError):
        style.name = "other"  # type: ignore[misc]
