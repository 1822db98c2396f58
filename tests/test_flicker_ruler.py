"""tools/flicker.py: its clips, what it prints and writes. Its measures: test_flicker_measures.py."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from clips import write_clip
from flicker_material import flow, texture
from scripts import tool

from livestyle.errors import SourceError

measures = tool("flicker_measures")
flicker_clips = tool("flicker_clips")
flicker = tool("flicker")


# --- the clips ---


def write_flo(path: Path, values: npt.NDArray[np.float32]) -> None:
    height, width = values.shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PIEH" + np.array([width, height], "<i4").tobytes() + values.astype("<f4").tobytes())


def test_a_flow_file_is_read_and_what_is_unknown_is_skipped(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 9, (5, 7, 2)).astype(np.float32)
    values[1, 2] = 1.7e9  # as Middlebury marks it
    write_flo(tmp_path / "a.flo", values)
    np.savez(tmp_path / "a.npz", flow=values)
    for name in ("a.flo", "a.npz"):
        read, unknown = flicker_clips.read_flow(tmp_path / name)
        assert np.argwhere(unknown).tolist() == [[1, 2]]
        assert (read[1, 2] == 0).all()
        assert np.array_equal(read[~unknown], values[~unknown])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.flo", b"PIEH" + bytes(4), "does not begin with PIEH"),
        ("a.flo", b"HEIP" + bytes(100), "does not begin with PIEH"),
        ("a.flo", b"PIEH" + np.array([3, 3], "<i4").tobytes() + bytes(8 * 9 - 1), "3x3 of flow are 84 bytes"),
        ("a.flo", b"PIEH" + np.array([-3, -3], "<i4").tobytes() + bytes(8 * 9), "is broken"),
        ("a.flo", None, "cannot read the flow"),
        ("a.npz", b"no zip", "cannot read the flow"),
        ("a.npz", b"PK\x03\x04 cut", "cannot read the flow"),
        ("a.npz", None, "cannot read the flow"),
    ],
)
def test_a_broken_flow_file_is_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        flicker_clips.read_flow(tmp_path / name)
    assert "\n" not in str(error.value)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize("arrays", [{"other": np.zeros((2, 2, 2))}, {"flow": np.zeros((2, 2))}])
def test_an_npz_without_flow_is_one_line(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SourceError, match="must be") as error:
        flicker_clips.read_flow(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


def true_flow_folder(folder: Path, *, masks: bool) -> Path:
    """Three frames of 1280x96 that move by 4 pixels each."""
    (folder / "frames").mkdir(parents=True)
    wide = np.repeat(np.repeat(texture(48, 660), 2, 0), 2, 1)
    for index in range(3):
        frame = wide[:, 4 * index : 4 * index + 1280]
        cv2.imwrite(str(folder / "frames" / f"{index:04}.png"), frame)
        write_flo(folder / "flow" / f"{index:04}.flo", flow(-4, 0, 96, 1280))
    if masks:
        mask = np.zeros((96, 1280), np.uint8)
        mask[51, 101] = 255
        (folder / "occlusions").mkdir()
        cv2.imwrite(str(folder / "occlusions" / "0001.png"), mask)
    return folder


def test_true_flow_is_scaled_with_its_pictures(tmp_path: Path) -> None:
    clip = flicker_clips.true_flow_clip(true_flow_folder(tmp_path / "moving", masks=False))
    assert (clip.name, clip.kind) == ("moving", "true flow")
    assert [frame.shape for frame in clip.frames] == [(48, 640, 3)] * 3
    assert list(clip.motions) == [0, 1]
    assert clip.motions[0].x[7, 100] == 98
    assert measures.warping_error(clip.frames, clip.motions) == 0


def test_a_pair_without_its_mask_is_not_judged(tmp_path: Path) -> None:
    clip = flicker_clips.true_flow_clip(true_flow_folder(tmp_path / "moving", masks=True))
    assert list(clip.motions) == [1]
    unseen = np.argwhere(clip.motions[1].seen[:, 2:] == 0)  # two columns leave the picture
    assert unseen.tolist() == [[25, 48]]
    assert list(flicker_clips.clip_folders(tmp_path)) == [tmp_path / "moving"]


def test_flow_of_another_size_is_one_line(tmp_path: Path) -> None:
    folder = true_flow_folder(tmp_path / "moving", masks=False)
    write_flo(folder / "flow" / "0000.flo", flow(0, 0))
    with pytest.raises(SourceError, match=r"0000\.flo is not the flow of .*0000\.png"):
        flicker_clips.true_flow_clip(folder)


@pytest.mark.parametrize("size_hw", [(512, 768), (400, 300), (100, 300), (33, 32)])
def test_the_gliding_camera_stays_inside_its_still(size_hw: tuple[int, int]) -> None:
    height, width = flicker_clips.view_size(size_hw)
    corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)]).T
    for seed in range(5):
        path = flicker_clips.camera_path(size_hw, 8, np.random.default_rng(seed))
        for matrix in path:
            x, y, _ = matrix @ corners
            assert -1e-6 <= x.min() <= x.max() <= size_hw[1] - 1 + 1e-6
            assert -1e-6 <= y.min() <= y.max() <= size_hw[0] - 1 + 1e-6
        for earlier, later in pairwise(path):
            step = flicker_clips.flow_between(earlier, later, (height, width))
            point = np.array([5.0, 7.0, 1.0])
            landed = point + np.array([*step[7, 5], 0])
            assert later @ landed == pytest.approx(earlier @ point, abs=1e-3)
            assert np.abs(step).max() > 0.02


@pytest.fixture
def still(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "blobs.png"
    cv2.imwrite(str(path), cv2.resize(texture(64, 96), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    return path


def test_a_camera_that_glides_between_pixels_scores_almost_nothing(still: Path) -> None:
    clip = flicker_clips.exact_clip(still, noise=0.0, seed=1)
    error = measures.warping_error(clip.frames, clip.motions)
    height, width = clip.frames[0].shape[:2]
    assert error < 0.01
    standing = dict.fromkeys(range(7), measures.Motion.of(flow(0, 0, height, width)))
    assert measures.warping_error(clip.frames, standing) > 8 * error
    noisy = flicker_clips.exact_clip(still, noise=2.0, seed=1)
    assert (clip.kind, noisy.kind) == ("exact", "exact with noise")
    assert error < measures.warping_error(noisy.frames, noisy.motions) < 3 / 255  # √2 σ, and rounding


def test_a_standing_camera_sees_the_noise_alone(still: Path) -> None:
    clip = flicker_clips.standing_clip(still, seed=0)
    assert len(clip.frames) == 16
    deviation = measures.temporal_deviation(clip.frames)
    assert deviation == pytest.approx(3 / 255 * math.sqrt(15 / 16), rel=0.05)  # of a sample of 16
    again = flicker_clips.standing_clip(still, seed=0)
    assert np.array_equal(clip.frames[9], again.frames[9])


def test_flow_that_does_not_lead_back_is_not_judged() -> None:
    forth = flow(3, -2)
    assert not flicker_clips.inconsistent(forth, -forth).any()
    assert flicker_clips.inconsistent(forth, forth).all()
    back = -forth
    back[20:30, 30:40] = 0
    landed = np.argwhere(flicker_clips.inconsistent(forth, back))
    assert landed.min(0).tolist() == [22, 27]  # what goes to the wrong rows and columns comes from there
    assert landed.max(0).tolist() == [31, 36]


def test_a_cut_is_not_judged_in_a_real_clip() -> None:
    frames = [cv2.resize(texture(seed=seed), None, fx=4, fy=4) for seed in (0, 0, 1, 1)]
    motions = flicker_clips.estimated_motions(frames)
    assert list(motions) == [0, 2]
    assert measures.warping_error(frames, motions) < 0.001


# --- the tool ---


@pytest.fixture
def material(tmp_path: Path, still: Path) -> list[str]:
    """One clip of each kind: the arguments that name them."""
    true_flow_folder(tmp_path / "clips" / "moving", masks=False)
    write_clip(tmp_path / "clips" / "filmed.mp4")
    folders = ["--clips", str(tmp_path / "clips"), "--photos", str(still.parent)]
    return [*folders, "--real", "filmed", "--threads", "1", "--limit-frames", "3"]


def test_a_model_is_measured(tiny_model_path: Path, material: list[str], tmp_path: Path, capsys: Any) -> None:
    model, out = str(tiny_model_path), tmp_path / "out.json"
    more = ["--styles", "0,negative,2", "--against", model, "--json", str(out), "--strips", str(tmp_path)]
    assert flicker.main([model, *material, *more]) == 0
    table = capsys.readouterr().out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert list(result["kinds"]) == ["true flow", "exact", "exact with noise", "standing", "real"]
    for row in result["clips"]:
        assert row["frames"] == 3
        assert row["name"] in table
        styles = row["styles"]
        assert styles["original"]["raw"] == row["input"]  # tiny_model's row 0 is exact
        assert styles["negative"]["raw"] == pytest.approx(row["input"], abs=1e-3)
        assert styles["grey_40"]["raw"] == 0
    gains = result["kinds"]["standing"]["styles"]
    assert gains["original"]["gain"] == 1
    assert gains["original"]["smoothed_gain"] < 0.9
    assert gains["grey_40"]["gain"] == 0
    assert result["kinds"]["standing"]["worst"]["gain"]["style"] in ("original", "negative")
    (other,) = result["against"]
    assert other["raw"]["standing"] == other["gain"] == 1
    strip = cv2.imread(str(tmp_path / "filmed.png"))
    assert strip is not None
    assert strip.shape == (3 * (48 + 26), 3 * 64, 3)  # three frames of 64x48, three rows under their names


def test_without_smoothing_only_the_painting_is_measured(
    tiny_model_path: Path, material: list[str], capsys: Any
) -> None:
    arguments = [str(tiny_model_path), *material, "--styles", "1", "--smooth", "off", "--json"]
    assert flicker.main(arguments) == 0
    first = json.loads(capsys.readouterr().out)["clips"][0]
    assert set(first["styles"]["negative"]) == {"raw"}


def test_frames_of_another_program_stand_in_the_table(
    material: list[str], tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "theirs"
    assert flicker.main(["--write-inputs", str(folder), *material]) == 0
    capsys.readouterr()
    assert flicker.main(["--external", str(folder), *material, "--json"]) == 0
    for row in json.loads(capsys.readouterr().out)["clips"]:
        assert row["styles"]["as painted"]["raw"] == row["input"]
    cv2.imwrite(str(folder / "filmed" / "0001.png"), np.zeros((9, 9, 3), np.uint8))
    assert flicker.main(["--external", str(folder), *material]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: ")
    assert message.endswith("0001.png is 9x9 and its input 64x48; paint it at the size of its input")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--styles", "9"], "there is no style 9"),
        (["--real", "nowhere"], "nowhere.mp4"),
        (["--photos", "no-such-folder"], "cannot read the folder no-such-folder"),
        (["--against", "no-such-model"], "there is no model 'no-such-model'"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    more: list[str], message: str, tiny_model_path: Path, material: list[str], capsys: Any
) -> None:
    assert flicker.main([str(tiny_model_path), *material, *more]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ")
    assert message in lines[-1]
    assert not any(line.startswith(("Traceback", "error: ")) for line in lines[:-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["painters"], "there are no clips"),
        (["--clips", "x"], "there is nothing to measure"),
        (["painters", "--clips", "x", "--smooth", "much"], "'much' is no smoothing"),
        (["painters", "--clips", "x", "--ema", "0"], "is not auto or a time constant"),
        (["painters", "--clips", "x", "--limit-frames", "1"], "2 or more"),
        (["painters", "--clips", "x", "--smooth", "off", "--strips", "y"], "leave --smooth off out"),
    ],
)
def test_a_wrong_option_is_refused(arguments: list[str], message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as end:
        flicker.main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
