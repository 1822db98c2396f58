from __future__ import annotations

import pytest
import torch
from torch import Tensor

from livestyle.training import motion
from livestyle.training.losses import instability
from livestyle.training.motion import coloured_light, grey, moment_later, warp


@pytest.fixture
def photo() -> Tensor:
    y, x = torch.meshgrid(torch.linspace(0, 9, 96), torch.linspace(0, 12, 128), indexing="ij")
    return torch.stack([torch.sin(x), torch.cos(y), torch.sin(x + y)])[None].repeat(8, 1, 1, 1) * 0.3 + 0.5


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def calm(monkeypatch: pytest.MonkeyPatch, **others: float) -> None:
    """No motion, no noise, no light but what `others` say."""
    quiet = {"BEND": 0.0, "SHIFT": 0.0, "ZOOM": 0.0, "TURN": 0.0, "NOISE": 0.0, "LIGHT_SHARE": 0.0}
    for name, value in {**quiet, "STILL_SHARE": 0.0, **others}.items():
        monkeypatch.setattr(motion, name, value)


def test_the_same_dice_give_the_same_moment(photo: Tensor) -> None:
    first, second = moment_later(photo, dice()), moment_later(photo, dice())
    assert torch.equal(first.image, second.image)
    assert not torch.equal(first.image, moment_later(photo, dice(1)).image)


def test_without_motion_noise_and_light_nothing_changes(
    photo: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm(monkeypatch)
    later = moment_later(photo, dice())
    assert torch.allclose(later.image, photo, atol=1e-4)
    assert bool(later.inside.all())
    assert float(later.brighter.abs().max()) == 0


def test_a_shift_moves_the_picture_by_so_many_pixels(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calm(monkeypatch, SHIFT=16.0)
    later = moment_later(photo, dice(3))
    where = (later.grid[0, 40, 50] + 1) / 2 * torch.tensor([128, 96]) - 0.5  # pixels
    shift = where - torch.tensor([50.0, 40.0])
    assert 0 < float(shift.abs().max()) <= 16
    x, y = (50 + shift[0]) / 127 * 12, (40 + shift[1]) / 95 * 9
    expected = torch.stack([torch.sin(x), torch.cos(y), torch.sin(x + y)]) * 0.3 + 0.5
    assert torch.allclose(later.image[0, :, 40, 50], expected, atol=0.01)


def test_what_comes_from_beyond_the_photo_is_marked(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calm(monkeypatch, SHIFT=16.0)
    outside = 1 - moment_later(photo, dice()).inside.mean((1, 2, 3))
    assert float(outside.min()) > 0
    assert float(outside.max()) < 0.3


def test_a_part_of_the_cameras_stands_still(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calm(monkeypatch, SHIFT=16.0, STILL_SHARE=0.3)
    still = [
        bool((later - photo[0]).abs().max() < 1e-4)
        for seed in range(12)
        for later in moment_later(photo, dice(seed)).image
    ]
    assert 0.15 < sum(still) / len(still) < 0.5


def test_the_light_says_how_much_brighter_it_got(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calm(monkeypatch, LIGHT_SHARE=1.0)
    later = moment_later(photo, dice())
    assert float(later.brighter.abs().max()) > 0.005
    assert torch.allclose(grey(later.image) - grey(photo), later.brighter, atol=1e-4)


def test_a_painting_that_moves_along_costs_nothing_and_flicker_costs_its_size(
    photo: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm(monkeypatch, SHIFT=8.0, BEND=3.0)
    later = moment_later(photo, dice())
    along = warp(photo, later.grid)
    assert float(instability(later.image, along, later).max()) < 1e-3
    assert instability(later.image + 0.1, along, later).tolist() == pytest.approx([0.1] * 8, abs=2e-3)


def test_a_painting_may_grow_brighter_with_the_light(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calm(monkeypatch, LIGHT_SHARE=1.0)
    later = moment_later(photo, dice())
    followed = photo + later.brighter
    assert float(instability(followed, photo, later).max()) < 1e-5
    assert float(instability(photo, photo, later).max()) > 0.005


def test_beyond_the_photo_nothing_is_asked(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calm(monkeypatch, SHIFT=16.0)
    later = moment_later(photo, dice())
    along = warp(photo, later.grid)
    elsewhere = along + 0.5 * (1 - later.inside)
    assert torch.allclose(instability(elsewhere, along, later), instability(along, along, later), atol=1e-6)


def test_two_lamps_light_a_share_of_the_photos_and_leave_the_rest() -> None:
    photos = torch.full((200, 3, 16, 24), 0.5)
    assert torch.equal(coloured_light(photos, 0.0, dice()), photos)
    lit = coloured_light(photos, 0.25, dice())
    changed = (lit != photos).flatten(1).any(1)
    assert 0.15 < changed.float().mean() < 0.35
    gains = lit[changed] / 0.5
    assert 0.35 * 1.1 - 1e-5 <= gains.min() < gains.max() <= 1.1 + 1e-5
    # From one lamp's colour to the other's along a line: nowhere a step.
    assert lit.diff(dim=3).abs().amax() < 0.03
    assert lit.diff(dim=2).abs().amax() < 0.04
    assert (gains[:, :, 0, 0] - gains[:, :, -1, -1]).abs().amax(1).mean() > 0.1
