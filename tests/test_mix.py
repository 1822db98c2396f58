from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import tiny_manifest

from livestyle.errors import ModelError
from livestyle.mix import Ease, MixVector, parse_mix, with_strength

_MANIFEST = tiny_manifest(4)  # original, negative, grey_40, grey_80


def vector(*values: float) -> MixVector:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (1, 0, 0, 0)),
        ("3", (0, 0, 0, 1)),
        (" 3 ", (0, 0, 0, 1)),
        ("03", (0, 0, 0, 1)),
        ("negative", (0, 1, 0, 0)),
        ("grey_40", (0, 0, 1, 0)),
        ("Grey 40", (0, 0, 1, 0)),
        ("GREY-40", (0, 0, 1, 0)),
        ("grey - 40", (0, 0, 1, 0)),
        ("original", (1, 0, 0, 0)),
        ("1:0.75,3:0.25", (0, 0.75, 0, 0.25)),
        ("1:3, 3:1", (0, 0.75, 0, 0.25)),
        ("negative:7,grey_80:3", (0, 0.7, 0, 0.3)),
        ("1,2", (0, 0.5, 0.5, 0)),
        ("1:2,1:1,2", (0, 0.75, 0.25, 0)),
        ("3:1e-300", (0, 0, 0, 1)),
        ("3:1e9,2:1e9", (0, 0, 0.5, 0.5)),
    ],
)
def test_a_text_names_a_mix(text: str, expected: tuple[float, ...]) -> None:
    mix = parse_mix(text, _MANIFEST)
    assert mix.dtype == np.float32
    np.testing.assert_allclose(mix, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4", "no style 4: this model, tiny, has 0 to 3, and 0 is the original"),
        ("999999999", "no style 999999999"),
        ("-1", "has no style '-1'"),
        ("٣", "has no style"),
        ("negatve", "did you mean negative?"),
        ("gray_40", "did you mean grey_40 or grey_80?"),
        ("grey", "did you mean"),
        ("40", "no style 40"),
        ("van gogh", "has no style 'van gogh'; `livestyle styles`"),
        ("", "a style is missing"),
        ("1,", "a style is missing"),
        (":1", "a style is missing"),
        ("1:", "the share ''"),
        ("1:0", "the share '0'"),
        ("1:-2", "the share '-2'"),
        ("1:nan", "the share 'nan'"),
        ("1:inf", "the share 'inf'"),
        ("1:1e308,2:1e308", "the share '1e308'"),
        ("1:2:3", "the share '2:3'"),
        ("1:half", "the share 'half'"),
        ("x" * 5000, "has no style"),
        ("1," * 20_000, "too long"),
        ("a\nb\x1b[2J", "has no style"),
    ],
)
def test_a_text_that_names_no_mix_says_what_to_type(text: str, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_mix(text, _MANIFEST)
    message = str(caught.value)
    assert says in message
    assert "livestyle styles" in message or "like 3:0.7,5:0.3" in message
    assert message.isprintable()
    assert len(message) < 250


@pytest.mark.parametrize("text", ["monet", "Monet", "Claude  Monet", "claude_monet"])
def test_an_artist_s_name_leads_to_the_style(text: str) -> None:
    by_monet = replace(_MANIFEST.styles[2], name="pond", artist="Claude Monet")
    manifest = replace(_MANIFEST, styles=(*_MANIFEST.styles[:2], by_monet, _MANIFEST.styles[3]))
    with pytest.raises(ModelError, match=r"did you mean pond\?"):
        parse_mix(text, manifest)
    with pytest.raises(ModelError) as caught:
        parse_mix("net", manifest)  # no word of it
    assert "pond" not in str(caught.value)


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_a_number_too_high_is_told_with_the_models_own_range(rows: int) -> None:
    manifest = tiny_manifest(rows)
    assert parse_mix(f"{rows - 1}", manifest)[rows - 1] == 1
    with pytest.raises(ModelError, match=rf"no style {rows}: .* has 0 to {rows - 1}, and 0 is the original"):
        parse_mix(f"{rows}", manifest)


def test_a_name_with_two_underscores_is_found_as_it_is_written() -> None:
    styles = (*_MANIFEST.styles[:3], replace(_MANIFEST.styles[3], name="a__b"))
    assert parse_mix("a__b", replace(_MANIFEST, styles=styles)).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        (0, (1, 0, 0)),
        (0.25, (0.75, 0.125, 0.125)),
        (1, (0, 0.5, 0.5)),
        (1.5, (-0.5, 0.75, 0.75)),
    ],
)
def test_strength_moves_between_the_original_and_beyond_the_mix(
    strength: float, expected: tuple[float, ...]
) -> None:
    mix = with_strength(vector(0, 0.5, 0.5), strength)
    assert mix.dtype == np.float32
    np.testing.assert_allclose(mix, expected, rtol=1e-6)


@pytest.mark.parametrize("strength", [-0.1, 1.51, float("nan"), float("inf")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1\.5"):
        with_strength(vector(0, 1), strength)


def test_a_mix_stays_until_told_otherwise() -> None:
    mix = Ease(vector(0, 1))
    for timestamp in (-1e9, 0.0, 1e9):
        assert mix.at(timestamp).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("timestamp", "eased"),
    [(9.0, 0), (10.0, 0), (10.5, 0.15625), (11.0, 0.5), (11.5, 0.84375), (12.0, 1), (99.0, 1)],
)
def test_a_fade_follows_the_smoothstep(timestamp: float, eased: float) -> None:
    mix = Ease(vector(1, 0, 0))
    mix.move_to(vector(0, 0, 1), timestamp=10.0, duration=2.0)
    assert mix.at(timestamp).dtype == np.float32
    np.testing.assert_allclose(mix.at(timestamp), (1 - eased, 0, eased), rtol=1e-6)


def test_a_fade_ends_exactly_at_its_target() -> None:
    target = vector(0.1, 0.2, 0.7)
    mix = Ease(vector(0.3, 0.3, 0.4))
    mix.move_to(target, 0.1, 0.7)
    assert mix.at(0.1 + 0.7 + 1e-9).tolist() == target.tolist()
    assert mix.target.tolist() == target.tolist()


def test_a_new_target_in_the_middle_of_a_fade_does_not_jump() -> None:
    mix = Ease(vector(1, 0, 0))
    mix.move_to(vector(0, 1, 0), 0.0, 1.0)
    before = mix.at(0.4)
    mix.move_to(vector(0, 0, 1), 0.4, 1.0)
    assert mix.at(0.4).tolist() == before.tolist()
    assert mix.at(1.4).tolist() == [0, 0, 1]


def test_a_fade_of_no_duration_is_a_jump() -> None:
    mix = Ease(vector(1, 0))
    mix.move_to(vector(0, 1), 5.0, 0.0)
    assert mix.at(4.9).tolist() == [1, 0]
    assert mix.at(5.0).tolist() == [0, 1]


def test_what_a_mix_gave_out_or_took_in_can_be_changed_without_harm() -> None:
    given = vector(1, 0)
    mix = Ease(given)
    given[:] = 9
    mix.at(0.0)[:] = 9
    mix.target[:] = 9
    assert mix.at(0.0).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("target", "timestamp", "duration"),
    [
        (vector(1, 0, 0), 0.0, 1.0),
        (vector(np.nan, 0), 0.0, 1.0),
        (vector(0, 1), 0.0, -1.0),
        (vector(0, 1), float("nan"), 1.0),
        (vector(0, 1), 0.0, float("inf")),
    ],
)
def test_a_fade_that_makes_no_sense_is_refused(target: MixVector, timestamp: float, duration: float) -> None:
    with pytest.raises(ValueError, match=r"shape|finite"):
        Ease(vector(1, 0)).move_to(target, timestamp, duration)


def test_a_mix_of_another_dtype_is_refused() -> None:
    with pytest.raises(TypeError, match="float32"):
        Ease(np.array([1.0, 0.0]))
