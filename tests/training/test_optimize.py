from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from commands import Run, is_one_error
from tiny_runs import noise_picture, write_weights

from livestyle.errors import RecipeError, SourceError
from livestyle.frame import Image
from livestyle.pictures import read_picture
from livestyle.training import optimize as module
from livestyle.training import optimize_gram
from livestyle.training.dataset import to_tensor
from livestyle.training.features import LossNetwork, slim_vgg19
from livestyle.training.losses import gram_matrix
from livestyle.training.optimize import (
    OptimizeSettings,
    OptimizeStep,
    Painting,
    gatys_equivalent,
    optimize,
)
from livestyle.training.optimize_colours import in_greys, match_colours
from livestyle.training.optimize_descent import descend
from livestyle.training.optimize_loss import BALANCE, GatysLoss
from livestyle.training.optimize_masks import (
    Mask,
    Part,
    greys_of,
    guided,
    match_regions,
    read_mask,
    split,
    to_weights,
)
from livestyle.training.recipe import STYLE_LAYERS

PHOTO = noise_picture(48, 64, 1)
DOTS = noise_picture(64, 56, 2)
WAVES = noise_picture(64, 64, 3)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> LossNetwork:
    return slim_vgg19(write_weights(tmp_path_factory.mktemp("weights") / "slim.pt"))


def paint(
    network: LossNetwork, *paintings: Painting, mask: Mask | None = None, **changes: Any
) -> list[OptimizeStep]:
    settings = OptimizeSettings(**({"iterations": 12} | changes))
    return list(optimize(PHOTO, paintings or [Painting(DOTS)], network, settings, mask=mask))


def tensor(image: Image) -> torch.Tensor:
    return to_tensor(torch.from_numpy(image)[None])


def halves(height: int, width: int, left: int = 0, right: int = 255) -> Mask:
    mask = np.full((height, width), right, np.uint8)
    mask[:, : width // 2] = left
    return mask


def test_the_style_comes_and_the_content_goes_a_little(network: LossNetwork) -> None:
    steps = paint(network)
    assert [step.iteration for step in steps] == list(range(13))
    assert steps[0].style == pytest.approx(1)
    assert steps[0].content == pytest.approx(0)
    assert np.array_equal(steps[0].image, PHOTO)
    assert steps[-1].style < 0.5
    assert 0 < steps[-1].content < 1
    assert steps[-1].loss < 0.7 * steps[0].loss
    assert [step.last for step in steps] == 12 * [False] + [True]
    assert steps[-1].done == 1
    assert 0 <= float(steps[-1].pixels.min()) <= float(steps[-1].pixels.max()) <= 1
    assert steps[-1].image.shape == PHOTO.shape


def test_the_loss_is_what_its_formula_says(network: LossNetwork) -> None:
    photo, painting, picture = tensor(PHOTO), tensor(DOTS), tensor(noise_picture(48, 64, 9))
    regions, _ = match_regions(None, [None], [1.0])
    total, style, content = GatysLoss(network, photo, [painting], regions, strength=0.5, tv_weight=0.25)(
        picture
    )
    layers = [*STYLE_LAYERS, "relu4_2"]
    p, c, s = (network(image, layers) for image in (picture, photo, painting))

    def distance(maps: dict[str, torch.Tensor]) -> float:
        sums = 0.0
        for layer in STYLE_LAYERS:
            ours, theirs = (f[layer][0].flatten(1).double() for f in (maps, s))
            gram, target = (f @ f.T / f.shape[1] for f in (ours, theirs))
            sums += float((gram - target).square().sum() / target.square().sum())
        return sums / 5

    # All pairs of places, one by one.
    ours, theirs = (f["relu4_2"][0].flatten(1).T for f in (c, s))
    apart = np.mean([[float((a - b).square().mean()) for b in theirs] for a in ours])
    expected_content = float((p["relu4_2"] - c["relu4_2"]).square().mean()) / apart
    x = picture[0]
    variation = float(x.diff(dim=1).abs().mean() + x.diff(dim=2).abs().mean())
    assert float(style) == pytest.approx(distance(p) / distance(c), rel=1e-4)
    assert float(content) == pytest.approx(expected_content, rel=1e-4)
    expected = float(content) + BALANCE * 0.5 * float(style) + 0.25 * variation
    assert float(total) == pytest.approx(expected, rel=1e-5)
    own = GatysLoss(network, photo, [painting], regions, content_baseline=2.0)(picture)[2]
    assert float(own) == pytest.approx(expected_content * apart / 2, rel=1e-4)


def test_the_gram_of_a_map_in_strips_is_that_of_the_whole_map(
    network: LossNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimize_gram, "STRIP", 1000)  # does not divide 48 * 64
    bare, head = optimize_gram.without_largest_head(network)
    assert head is not None
    slope = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(0))  # of no symmetric loss
    found = []
    for strips in (True, False):
        picture = tensor(PHOTO).requires_grad_()
        if strips:
            gram = optimize_gram.head_gram(bare(picture, ["relu1_1"])["relu1_1"], head)
        else:
            maps = network(picture, ["relu1_1"])["relu1_1"].flatten(2)
            gram = maps @ maps.transpose(1, 2) / maps.shape[2]
        found += [gram, *torch.autograd.grad((slope * gram).sum(), picture)]
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[3])
    same, none = optimize_gram.without_largest_head(bare)
    assert (same, none) == (bare, None)


def test_more_strength_leaves_less_of_both_the_old_style_and_the_content(network: LossNetwork) -> None:
    weak, strong = (paint(network, strength=strength, iterations=30)[-1] for strength in (0.02, 1))
    assert strong.style < weak.style
    assert strong.content > weak.content


def test_strength_0_gives_the_photo_back(network: LossNetwork) -> None:
    steps = paint(network, strength=0, tv_weight=0)
    assert np.array_equal(steps[-1].image, PHOTO)


def test_the_loss_never_rises_and_the_bottom_of_a_bowl_is_found() -> None:
    """Clipped at 1 in one pixel, where the bottom is outside."""
    bottom = torch.tensor([0.2, 0.7, 1.4]).reshape(1, 3, 1, 1)
    curvature = torch.tensor([1.0, 300.0, 9.0]).reshape(1, 3, 1, 1)

    def bowl(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        loss = (curvature * (picture - bottom).square()).sum()
        return loss, loss, loss

    steps = list(descend(bowl, torch.full((1, 3, 1, 1), 0.5), 30))
    losses = [step.loss for step in steps]
    assert losses == sorted(losses, reverse=True)
    torch.testing.assert_close(steps[-1].picture, bottom.clamp(0, 1), atol=1e-3, rtol=0)


def test_a_step_that_goes_too_far_is_taken_back_and_shortened() -> None:
    """A ravine: the straight slope says nothing of the wall behind it."""

    def wall(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        loss = (picture - 0.5).sum() + 1e6 * (0.499 - picture).clamp(min=0).sum()
        return loss, loss, loss

    steps = list(descend(wall, torch.full((1, 3, 2, 2), 0.5), 12))
    assert torch.equal(steps[1].picture, steps[0].picture)  # 0.49 is behind the wall
    assert steps[-1].loss < steps[0].loss
    assert float(steps[-1].picture.min()) > 0.4989


def test_noise_is_a_start_too_and_its_seed_decides(network: LossNetwork) -> None:
    steps, again, other = (paint(network, from_noise=True, seed=seed) for seed in (3, 3, 4))
    assert steps[0].content > 0.1
    assert np.abs(steps[0].image.mean((0, 1)) - PHOTO.mean((0, 1))).max() < 1
    assert 3 < steps[0].image.std((0, 1)).mean() < 8
    assert steps[-1].loss < 0.5 * steps[0].loss
    assert [step.loss for step in steps] == [step.loss for step in again]
    assert np.array_equal(steps[-1].image, again[-1].image)
    assert not np.array_equal(steps[0].image, other[0].image)


def test_pictures_grow_from_coarse_to_fine() -> None:
    photo = np.zeros((600, 900, 3), np.uint8)
    assert OptimizeSettings(size=1024, iterations=200).stages(photo) == [(450, 200), (900, 100)]
    large = np.zeros((1500, 2000, 3), np.uint8)
    assert OptimizeSettings(size=1024, iterations=9).stages(large) == [(256, 9), (512, 4), (1024, 2)]
    assert OptimizeSettings(size=511, iterations=9).stages(large) == [(511, 9)]
    narrow = np.zeros((80, 2000, 3), np.uint8)  # 20 pixels high at 512
    assert OptimizeSettings(size=1024, iterations=9).stages(narrow) == [(1024, 9)]
    assert OptimizeSettings(size=512, iterations=1).stages(large) == [(256, 1), (512, 1)]


def test_a_larger_size_starts_from_the_smaller_ones_end(
    network: LossNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COARSEST", 32)
    photo = noise_picture(72, 80, 1)
    steps = list(optimize(photo, [Painting(DOTS)], network, OptimizeSettings(size=80, iterations=6)))
    assert [(step.iteration, step.image.shape[:2]) for step in steps] == [
        *((n, (36, 40)) for n in range(7)),
        *((n, (72, 80)) for n in range(7, 10)),
    ]
    assert [step.last for step in steps] == 9 * [False] + [True]
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[6] == pytest.approx(36 * 40 * 6 / (36 * 40 * 6 + 72 * 80 * 3))
    small = cv2.resize(steps[7].image, (40, 36), interpolation=cv2.INTER_AREA)
    unpainted = cv2.resize(photo, (40, 36), interpolation=cv2.INTER_AREA)
    now = np.abs(small.astype(float) - steps[6].image).mean()
    assert now < 0.3 * np.abs(unpainted.astype(float) - steps[6].image).mean()


def test_shares_add_up_to_one_painting(network: LossNetwork) -> None:
    regions, _ = match_regions(None, [None, None], [2.1, 0.9])
    loss = GatysLoss(network, tensor(PHOTO), [tensor(DOTS), tensor(WAVES)], regions)
    for layer in STYLE_LAYERS:
        dots, waves = (gram_matrix(network(tensor(image), [layer])[layer]) for image in (DOTS, WAVES))
        torch.testing.assert_close(loss.grams[0][layer], 0.7 * dots + 0.3 * waves)
    one = GatysLoss(network, tensor(PHOTO), [tensor(DOTS)], match_regions(None, [None], [1.0])[0])
    twice = GatysLoss(network, tensor(PHOTO), 2 * [tensor(DOTS)], regions)
    for first, second in zip(one(tensor(PHOTO) / 2), twice(tensor(PHOTO) / 2), strict=True):
        assert float(second) == pytest.approx(float(first), rel=1e-4)


def test_a_guided_gram_is_that_of_its_region_alone() -> None:
    maps = torch.randn(1, 5, 8, 12, generator=torch.Generator().manual_seed(0))
    where = to_weights((halves(64, 96) == 0).astype(np.uint8) * np.uint8(255), (64, 96), torch.device("cpu"))
    torch.testing.assert_close(gram_matrix(guided(maps, where)), gram_matrix(maps[:, :, :, :6]))
    assert guided(maps, None) is maps


def test_a_region_takes_the_gram_of_its_own_painting(network: LossNetwork) -> None:
    red, blue = (
        noise_picture(64, 64, 3) // np.array(channels, np.uint8) for channels in ([1, 3, 3], [3, 3, 1])
    )
    steps = paint(network, Painting(red), Painting(blue), mask=halves(48, 64), strength=20, iterations=30)

    def to(image: Image, half: slice) -> float:
        """Of a shallow layer: what is on the other side of the seam does not count."""
        painted = steps[-1].pixels[..., half]
        ours, theirs = (gram_matrix(network(x, ["relu2_1"])["relu2_1"]) for x in (painted, tensor(image)))
        return float((ours - theirs).square().sum() / theirs.square().sum())

    left, right = slice(0, 30), slice(34, 64)
    assert to(red, left) < 0.2 * to(blue, left)
    assert to(blue, right) < 0.2 * to(red, right)


def test_greys_that_are_near_or_rare_are_one_region() -> None:
    mask = halves(100, 100, 10, 200)
    mask[:, :5] = 14  # what JPEG does to a dark region
    mask[0, :9] = 120  # a soft border
    mask[50:60, 60:90] = 90
    assert greys_of(mask) == [10, 90, 200]
    regions = split(mask)
    assert [int((where == 255).sum()) for where in regions.values()] == [4991, 309, 4700]
    assert np.array_equal(sum(regions.values()), np.full((100, 100), 255))


def test_masks_are_matched_by_their_greys() -> None:
    mine = halves(10, 10, 0, 128)
    mine[:, 9] = 250  # 10 % that no painting has
    dots, waves = halves(20, 20, 5, 130), np.full((8, 8), 125, np.uint8)
    regions, unpainted = match_regions(mine, [dots, waves], [1.0, 3.0])
    assert unpainted == [250]
    assert [region.area for region in regions] == [pytest.approx(5 / 9), pytest.approx(4 / 9)]
    black, grey = (region.parts for region in regions)
    assert [(part.painting, part.share) for part in black] == [(0, 1.0)]
    assert [(part.painting, part.share) for part in grey] == [(0, 0.25), (1, 0.75)]
    where = black[0].where
    assert where is not None
    assert np.array_equal(where == 255, dots == 5)


def test_a_mask_of_the_photo_alone_gives_each_grey_a_painting() -> None:
    regions, unpainted = match_regions(halves(10, 10, 250, 0), [None, None], [1.0, 5.0])
    assert [region.parts for region in regions] == [(Part(0, 1.0, None),), (Part(1, 1.0, None),)]
    where = regions[0].where  # the darkest is the first painting's
    assert where is not None
    assert where[0].tolist() == 5 * [0] + 5 * [255]
    assert unpainted == []


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        (None, [halves(8, 8)], "the photo has none: add --mask"),
        (halves(8, 8), [None], "2 greys for 1 painting;"),
        (halves(8, 8), [halves(8, 8), None], "some paintings have a mask and some have none"),
        (
            halves(8, 8),
            [halves(8, 8, 100, 150)],
            "no region in common: the photo's greys are 0, 255, the pai",
        ),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), [halves(8, 8)], "has no regions"),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    mine: Mask | None, theirs: list[Mask | None], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        match_regions(mine, theirs, [1.0] * len(theirs))
    assert "\n" not in str(caught.value)


def test_matched_colours_are_scaled_and_shifted_as_by_hand() -> None:
    # Four pixels whose channels do not covary: each is scaled by the ratio of deviations.
    signs = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    painting = (0.5 + signs * torch.tensor([[0.1], [0.2], [0.1]])).reshape(1, 3, 2, 2)
    photo = (torch.tensor([[0.4], [0.6], [0.5]]) + signs * torch.tensor([[0.2], [0.1], [0.3]])).reshape(
        1, 3, 2, 2
    )
    torch.testing.assert_close(match_colours(painting, photo), photo, atol=1e-4, rtol=0)


def test_matched_colours_have_the_photos_mean_and_covariance() -> None:
    painting, photo = tensor(DOTS), tensor(PHOTO)
    matched = match_colours(painting, photo)
    assert matched.shape == painting.shape
    ours, theirs = (image[0].flatten(1).numpy() for image in (matched, photo))
    np.testing.assert_allclose(ours.mean(1), theirs.mean(1), atol=1e-5)
    np.testing.assert_allclose(np.cov(ours, bias=True), np.cov(theirs, bias=True), atol=1e-5)
    flat = match_colours(torch.full((1, 3, 4, 4), 0.2), photo)
    np.testing.assert_allclose(flat[0, :, 0, 0], theirs.mean(1), atol=1e-3)


def test_greys_take_the_photos_brightness() -> None:
    painting, photo = in_greys(tensor(DOTS), tensor(PHOTO))
    assert torch.equal(painting[:, 0], painting[:, 2])
    assert float(painting.mean()) == pytest.approx(float(photo.mean()), abs=1e-5)
    assert float(painting[:, 0].std()) == pytest.approx(float(photo[:, 0].std()), abs=1e-4)


def test_the_photos_own_colours_are_kept(network: LossNetwork) -> None:
    def chroma(image: Image) -> np.ndarray[Any, np.dtype[np.float64]]:
        return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[:, :, 1:].astype(float)

    red = noise_picture(64, 64, 3) // np.array([1, 3, 3], np.uint8)
    ends = {
        colours: paint(network, Painting(red), colours=colours, strength=5)[-1].image
        for colours in ("style", "luminance")
    }
    away = {key: float(np.abs(chroma(end) - chroma(PHOTO)).mean()) for key, end in ends.items()}
    assert away["luminance"] < 3 < away["style"]
    assert np.abs(ends["luminance"].astype(float) - PHOTO).mean() > 1


def test_the_equivalent_of_a_picture_on_the_way_is_its_iteration(network: LossNetwork) -> None:
    settings = OptimizeSettings(strength=1 / BALANCE, iterations=20, tv_weight=0)
    steps = list(optimize(PHOTO, [Painting(DOTS)], network, settings))
    reached = next(step for step in steps if step.loss < 0.6)
    found = gatys_equivalent(PHOTO, reached.image, DOTS, network, settings)
    assert abs(found - reached.iteration) <= 1  # in whole grey levels, the picture is not quite the same
    assert gatys_equivalent(PHOTO, reached.image, DOTS, network) == found  # of its own accord
    assert gatys_equivalent(PHOTO, PHOTO, DOTS, network, settings) == 0
    assert gatys_equivalent(PHOTO, steps[-1].image, DOTS, network, settings, cap=2) == 2
    with pytest.raises(ValueError, match="the photo is"):
        gatys_equivalent(PHOTO, DOTS, DOTS, network)


def test_small_or_narrow_pictures_are_refused(network: LossNetwork) -> None:
    dot = np.zeros((1, 1, 3), np.uint8)
    with pytest.raises(RecipeError, match="the photo is 1x1, and the shorter side"):
        next(optimize(dot, [Painting(DOTS)], network))
    with pytest.raises(RecipeError, match=r"dot.png is 1x1, and the shorter side"):
        next(optimize(PHOTO, [Painting(dot, name="the painting dot.png")], network))
    with pytest.raises(RecipeError, match="less than 32 pixels are left"):
        next(optimize(np.zeros((40, 4000, 3), np.uint8), [Painting(DOTS)], network))
    with pytest.raises(RecipeError, match="the photo is 1x1"):
        gatys_equivalent(dot, dot, DOTS, network)


def test_a_callers_mistakes_are_value_errors(network: LossNetwork) -> None:
    for changes in (
        {"size": 16},
        {"size": 5000},
        {"iterations": 0},
        {"strength": math.nan},
        {"tv_weight": -1.0},
    ):
        with pytest.raises(ValueError, match="not"):
            OptimizeSettings(**changes)
    for paintings in ([], [Painting(DOTS, 0.0)], [Painting(DOTS, math.nan)]):
        with pytest.raises(ValueError, match="share above 0"):
            next(optimize(PHOTO, paintings, network))
    with pytest.raises(ValueError, match="the mask of the photo"):
        next(optimize(PHOTO, [Painting(DOTS)], network, mask=halves(9, 9)))


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    network = slim_vgg19(write_weights(tmp_path / "slim.pt"))
    regions, _ = match_regions(None, [None], [1.0])
    steps = descend(GatysLoss(network, tensor(PHOTO), [tensor(DOTS)], regions), tensor(PHOTO), 9)
    assert len(list(itertools.islice(steps, 2))) == 2
    network.convs.get_parameter("conv2_1.bias").fill_(math.nan)
    with pytest.raises(RecipeError, match="not finite at iteration 2: try a smaller --strength"):
        next(steps)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), halves(10, 20))
    with pytest.raises(SourceError, match=r"mask.png is 20x10, but .*me.jpg is 64x48; make them the same"):
        read_mask(path, Path("me.jpg"), PHOTO)
    assert np.array_equal(read_mask(path, Path("me.jpg"), PHOTO[:10, :20]), halves(10, 20))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A photo, two paintings, masks of the photo and a painting, weights, and where the result goes."""
    pictures = {
        "photo.png": PHOTO,
        "dots.png": DOTS,
        "waves.png": WAVES,
        "mask.png": halves(48, 64),
        "dots_mask.png": halves(64, 56),
        "grey_mask.png": halves(64, 56, 90, 160),
        "dot.png": np.zeros((1, 1), np.uint8),
    }
    for name, picture in pictures.items():
        assert cv2.imwrite(str(tmp_path / name), picture[:, :, ::-1] if picture.ndim == 3 else picture)
    (tmp_path / "words.png").write_text("no picture")
    write_weights(tmp_path / "slim.pt")
    return {name: tmp_path / name for name in [*pictures, "words.png", "slim.pt", "out.png", "none"]}


def test_the_command_writes_a_picture_and_previews(run: Run, files: dict[str, Path]) -> None:
    words = [files["photo.png"], f"{files['dots.png']}:0.7", files["out.png"], "--style", files["waves.png"]]
    more = ["--loss-network", files["slim.pt"], "--iterations", 3, "--preview-every", 2, "--json"]
    status, stdout, stderr = run("optimize", *words, *more)
    assert (status, stderr) == (0, "painting on cpu at 64 pixels; Ctrl-C ends\n")
    result = json.loads(stdout)
    assert (result["width"], result["height"], result["iterations"]) == (64, 48, 3)
    assert result["finished"] is True
    assert result["style_fraction"] < 1
    picture, preview = (
        read_picture(files["out.png"].with_name(n))[0] for n in ("out.png", "out.preview.png")
    )
    assert picture.shape == preview.shape == PHOTO.shape
    status, _, stderr = run("optimize", *words, *more)
    assert (status, is_one_error(stderr)) == (1, True)
    assert "out.png exists" in stderr


def test_ctrl_c_writes_the_picture_so_far(
    run: Run, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    def interrupted(*arguments: Any, **options: Any) -> Any:
        for step in optimize(*arguments, **options):
            if step.iteration == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield step

    monkeypatch.setattr(module, "optimize", interrupted)
    words = [files["photo.png"], files["dots.png"], files["out.png"], "--loss-network", files["slim.pt"]]
    status, stdout, stderr = run("optimize", *words)
    assert status == 130
    assert (
        stderr.splitlines()[-1]
        == f"stopped at iteration 2 of 200; {files['out.png']} holds the picture so far"
    )
    assert "after 2 iterations" in stdout
    assert read_picture(files["out.png"])[0].shape == PHOTO.shape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["words.png", "dots.png", "out.png"], "words.png is"),
        (["photo.png", "words.png", "out.png"], "words.png is"),
        (["photo.png", "none", "out.png"], "there is no picture"),
        (["dot.png", "dots.png", "out.png"], "the photo is 1x1"),
        (["photo.png", "dot.png", "out.png"], "dot.png is 1x1"),
        (["photo.png", "dots.png", "none/out.png"], "there is no folder"),
        (["photo.png", "dots.png", "none"], "must end in one of"),
        (["photo.png", "dots.png", "photo.png", "--overwrite"], "photo.png would be replaced"),
        (["photo.png", "dots.png", "out.png", "--mask", "dots_mask.png"], "make them the same size"),
        (
            ["photo.png", "dots.png", "out.png", "--mask", "mask.png", "--style-mask", "grey_mask.png"],
            "no region",
        ),
        (["photo.png", "dots.png", "out.png", "--mask", "mask.png"], "2 greys for 1 painting"),
        (["photo.png", "dots.png", "out.png", "--style-mask", "dots_mask.png"], "the photo has none"),
        (["photo.png", "dots.png", "out.png", "--loss-network", "none"], "no loss network at"),
        (["photo.png", "dots.png", "out.png", "--loss-network", "words.png"], "is not a weights file"),
    ],
)
def test_what_cannot_be_painted_is_one_line_before_the_work(
    words: list[str], message: str, run: Run, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files["out.png"].parent)
    network = [] if "--loss-network" in words else ["--loss-network", "slim.pt"]
    status, stdout, stderr = run("optimize", *words, *network)
    assert (status, stdout, is_one_error(stderr)) == (1, "", True), stderr
    assert message in stderr
    assert not files["out.png"].exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--colours", "blue"], "'blue' is none of style, match, luminance"),
        (["--pooling", "mean"], "'mean' is none of max, average"),
        (["--style", "waves.png:0"], "a share is a number above 0"),
        (["--style-mask", "mask.png", "--style-mask", "mask.png"], "one for each painting: 1, not 2"),
        (["--size", "9000"], "less than or equal to 1024"),
    ],
)
def test_wrong_options_are_one_line_too(
    words: list[str], message: str, run: Run, files: dict[str, Path]
) -> None:
    status, _, stderr = run("optimize", files["photo.png"], files["dots.png"], files["out.png"], *words)
    assert (status, is_one_error(stderr)) == (2, True), stderr
    assert message in stderr
