from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_runs import DOTS, PHOTO, halves, noise_picture, tensor, write_weights

from livestyle.errors import RecipeError
from livestyle.frame import Image
from livestyle.training import optimize as module
from livestyle.training.features import LossNetwork, slim_vgg19
from livestyle.training.losses import gram_matrix
from livestyle.training.optimize import OptimizeSettings, OptimizeStep, Painting, optimize
from livestyle.training.optimize_colours import in_greys, match_colours
from livestyle.training.optimize_masks import Mask


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> LossNetwork:
    return slim_vgg19(write_weights(tmp_path_factory.mktemp("weights") / "slim.pt"))


def paint(
    network: LossNetwork, *paintings: Painting, mask: Mask | None = None, **changes: Any
) -> list[OptimizeStep]:
    settings = OptimizeSettings(**({"iterations": 12} | changes))
    return list(optimize(PHOTO, paintings or [Painting(DOTS)], network, settings, mask=mask))


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


def test_more_strength_leaves_less_of_both_the_old_style_and_the_content(network: LossNetwork) -> None:
    weak, strong = (paint(network, strength=strength, iterations=30)[-1] for strength in (0.02, 1))
    assert strong.style < weak.style
    assert strong.content > weak.content


def test_strength_0_gives_the_photo_back(network: LossNetwork) -> None:
    steps = paint(network, strength=0, tv_weight=0)
    assert np.array_equal(steps[-1].image, PHOTO)


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


def test_matched_colours_are_scaled_and_shifted_as_by_hand() -> None:
    # Four pixels whose channels do not covary: each is scaled by the ratio of deviations.
    signs = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
    painting = (0.5 + signs * torch.tensor([[0.1], [0.2], [0.1]])).reshape(1, 3, 2, 2)
    photo = torch.tensor([[0.4], [0.6], [0.5]]) + signs * torch.tensor([[0.2], [0.1], [0.3]])
    photo = photo.reshape(1, 3, 2, 2)
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


def test_small_or_narrow_pictures_are_refused(network: LossNetwork) -> None:
    with pytest.raises(RecipeError, match="less than 32 pixels are left"):
        next(optimize(np.zeros((40, 4000, 3), np.uint8), [Painting(DOTS)], network))


def test_a_callers_mistakes_are_value_errors(network: LossNetwork) -> None:
    for wrong in ({"size": 16}, {"size": 5000}, {"iterations": 0}, {"strength": math.nan}, {"tv_weight": -1}):
        with pytest.raises(ValueError, match="not"):
            OptimizeSettings(**wrong)
    for paintings in ([], [Painting(DOTS, 0.0)], [Painting(DOTS, math.nan)]):
        with pytest.raises(ValueError, match="share above 0"):
            next(optimize(PHOTO, paintings, network))
    with pytest.raises(ValueError, match="the mask of the photo"):
        next(optimize(PHOTO, [Painting(DOTS)], network, mask=halves(9, 9)))
