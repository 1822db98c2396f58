from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fakes import tiny_manifest

from livestyle.errors import LivestyleError, SinkError
from livestyle.smoothing import SMOOTHING
from livestyle.take import Cue, Take
from livestyle.take_file import check_take_path, parse_script, parse_take, read_take, write_take

MANIFEST = tiny_manifest(4)  # original, negative, grey_40, grey_80


def test_a_take_is_read_back_exactly(tmp_path: Path) -> None:
    take = Take(
        [
            Cue(0.0, (0.0, 1.0, 0.0, 0.0)),
            Cue(0.1 + 0.2, (0.0, 1 / 3, 2 / 3, 0.0), strength=1.45, over=0.7, frozen=True),
            Cue(1e5 / 3, (1.0, 0.0, 0.0, 0.0), own_colours=True, smooth=1 / 3, brush=1.5),
        ]
    )
    path = tmp_path / "take.json"
    write_take(path, take, MANIFEST)
    assert read_take(str(path), MANIFEST).cues == take.cues


def test_a_take_that_exists_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "take.json"
    take = Take([Cue(0.0, (0.0, 1.0, 0.0, 0.0))])
    write_take(path, take, MANIFEST)
    with pytest.raises(SinkError, match="exists"):
        write_take(path, take, MANIFEST)
    write_take(path, take, MANIFEST, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_a_disk_that_does_not_take_it_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "take.json"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))  # stands for a full disk
    try:
        with pytest.raises(SinkError, match=r"cannot write .*take\.json: File too large; name another disk"):
            write_take(path, Take([Cue(0.0, (0.0, 1.0, 0.0, 0.0))]), MANIFEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("0s: negative", [Cue(0, (0, 1, 0, 0))]),
        (
            "0s: negative; 4s: grey_40 over 2s",
            [Cue(0, (0, 1, 0, 0)), Cue(4, (0, 0, 1, 0), over=2)],
        ),
        ("1:30: 2 at 80% over 0.5", [Cue(90, (0, 0, 1, 0), strength=0.8, over=0.5)]),
        ("2.5: 1:3,3:1 at 150 %", [Cue(2.5, (0, 0.75, 0, 0.25), strength=1.5)]),
        ("# a note\n\n0: 0 # the original\n3s: Grey 80;", [Cue(0, (1, 0, 0, 0)), Cue(3, (0, 0, 0, 1))]),
        ("10:05.25: negative", [Cue(605.25, (0, 1, 0, 0))]),
    ],
)
def test_a_script_is_read(text: str, cues: list[Cue]) -> None:
    assert list(parse_script(text, MANIFEST, where="here").cues) == cues


def test_a_script_may_stand_in_place_of_the_file(tmp_path: Path) -> None:
    script = "0s: negative; 4s: grey_40 over 2s"
    (tmp_path / "script.txt").write_text(script)
    assert read_take(script, MANIFEST).cues == read_take(str(tmp_path / "script.txt"), MANIFEST).cues


def test_white_space_of_any_length_is_one_space() -> None:
    """Here and in what is refused below, a megabyte of it takes no longer than other text."""
    spaces, tabs = " " * 300_000, "\t" * 300_000
    text = f"0s :{spaces}grey{tabs}80  at {spaces}80 % over\t2 s"
    cues = parse_script(text, MANIFEST, where="here").cues
    assert cues == (Cue(0, (0, 0, 0, 1), strength=0.8, over=2),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(f"0s: a{' ' * 1_000_000}b", "no style 'a b'", id="spaces"),
        ("", "holds no cues"),
        ("# only a note", "holds no cues"),
        ("negative", "cannot read 'negative'"),
        ("4:negative", "cannot read"),
        ("-1: negative", "cannot read"),
        ("0s: purple", "no style 'purple'"),
        ("0s: negative at 151%", "more than 150%"),
        ("0s: negative over -2s", "no style"),
        ("0s: negative; 4s", "cannot read '4s'"),
    ],
)
def test_what_is_no_script_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(LivestyleError, match=says) as refused:
        parse_script(text, MANIFEST, where="here")
    assert "\n" not in str(refused.value)


def cue(**changes: object) -> str:
    rows = [{"at": 0, "mix": {"negative": 1}, **changes}]
    return json.dumps({"livestyle_take": 1, "model": "tiny", "cues": rows})


def test_a_take_written_by_hand_needs_a_time_and_a_mix_only() -> None:
    assert parse_take(cue(), MANIFEST, where="here").cues == (Cue(0, (0, 1, 0, 0)),)


@pytest.mark.parametrize(
    ("written", "strength"),
    [(True, SMOOTHING["light"]), (False, 0.0), (0, 0.0), (0.4, 0.4), (1, 1.0)],
)
def test_smoothing_was_on_or_off_and_is_a_number_now(written: object, strength: float) -> None:
    (read,) = parse_take(cue(smooth=written), MANIFEST, where="here").cues
    assert (read.smooth, type(read.smooth)) == (strength, float)


def test_a_take_that_says_nothing_of_smoothing_has_none_and_a_script_has_what_is_asked(
    tmp_path: Path,
) -> None:
    old, script = tmp_path / "old.json", tmp_path / "script.txt"
    old.write_text(cue())
    script.write_text("0s: negative; 4s: grey_40")
    assert [each.smooth for each in read_take(str(old), MANIFEST, smooth=0.5).cues] == [0.0]
    for spec in (str(script), script.read_text()):
        assert [each.smooth for each in read_take(spec, MANIFEST, smooth=0.5).cues] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a take"),
        ("{" * 100_000, "not a take"),
        ("[]", "not a take"),
        ("{}", "livestyle_take"),
        ('{"livestyle_take": 2, "cues": []}', "another kind"),
        ('{"livestyle_take": 1, "cues": []}', "no cues"),
        ('{"livestyle_take": 1, "cues": [7]}', "cue 1 needs"),
        (cue(mix=3), "table of styles"),
        (cue(mix={}), "table of styles"),
        (cue(mix={"purple": 1}), "no style 'purple'"),
        (cue(mix={"negative": 0.5}), "add up to 0.5"),
        (cue(mix={"negative": True}), "is a number"),
        (cue(mix={"negative": float("nan")}), "is a number"),
        (cue(mix={"negative": -1, "grey_40": 2}), "is a number"),
        (cue(at="soon"), "at is a number"),
        (cue(at=1e999), "at is a number"),
        (cue(at=-1), "at is a number"),
        (cue(strength=2), "strength is a number"),
        (cue(over=-0.1), "over is a number"),
        (cue(frozen=1), "true or false"),
        (cue(brush=9), "brush is a number from 0.1 to 8"),
        (cue(brush="wide"), "brush is a number"),
        (cue(smooth=1.1), "smooth is a number from 0 to 1"),
        (cue(smooth=-0.1), "smooth is a number"),
        (cue(smooth=float("nan")), "smooth is a number"),
        (cue(smooth="light"), "smooth is a number"),
        (cue(speed=2), "unknown key 'speed'"),
    ],
)
def test_what_is_no_take_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(LivestyleError, match=says) as refused:
        parse_take(text, MANIFEST, where="here")
    assert "\n" not in str(refused.value)


def test_files_that_are_no_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LivestyleError, match="there is no take"):
        read_take(str(tmp_path / "missing.json"), MANIFEST)
    with pytest.raises(LivestyleError, match="cannot read the take '0s negative'"):
        read_take("0s negative", MANIFEST)  # the colon is missing
    binary = tmp_path / "take.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LivestyleError, match="not text"):
        read_take(str(binary), MANIFEST)


@pytest.mark.parametrize("name", ["take.json", "take.JSON", "take.txt"])
def test_a_take_may_have_a_name_of_text(name: str, tmp_path: Path) -> None:
    check_take_path(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    write_take(tmp_path / name, Take([Cue(0.0, (0.0, 1.0, 0.0, 0.0))]), MANIFEST)
    assert len(read_take(str(tmp_path / name), MANIFEST).cues) == 1


@pytest.mark.parametrize("name", ["show.mp4", "show", "show.onnx", "show.json.gz"])
def test_a_take_with_any_other_name_is_refused_with_a_better_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"must end in \.json or \.txt; name it .*show.*\.json$"):
        check_take_path(tmp_path / name)
