"""What a step's painted pictures are asked for: all losses together."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from livestyle.training.abstraction import abstracted
from livestyle.training.features import LossNetwork
from livestyle.training.losses import (
    chroma_distance,
    content_distance,
    contrast_distance,
    grid_excess,
    instability,
    out_of_range,
    skin,
    structure_distance,
    total_variation,
    unevenness,
)
from livestyle.training.motion import Later, coloured_light, grey, moment_later, warp
from livestyle.training.paintings import Paintings, dice_of, patch_distances
from livestyle.training.recipe import Recipe
from livestyle.training.state import TrainState
from livestyle.training.style_losses import (
    palette,
    palette_distance,
    statistic,
    statistic_of_kept,
    style_distances,
)

# Keeps colours from being clipped. Forty times as much drowns all else in the first hundred steps, and the
# network forgets the photo for good.
RANGE_WEIGHT = 300.0
# Of contrast in faces, times skin_weight: a face is a tenth of a photo, and its pits are shallow.
SKIN_CONTRAST = 100.0
# Shares of the steps. The style's weight grows until then, where a training begins with nothing: what lost
# the photo never finds it again.
STYLE_FULL = 0.1
# What holds on to the photo's drawing waits until there is a painting to hold: from the first step on, the
# cheapest answer to it is a tinted photo, and no weight of the style ever leads away from that.
HELD_FROM, HELD_FULL = 0.2, 0.4
# What cannot paint yet would hold still by painting nothing. Where a training goes on from a model, it can.
STABLE_FROM, STABLE_FULL = 0.6, 0.7


@dataclass(frozen=True)
class Shown:
    """What each sample of a step shows: `strength` of the row in `labels`, the rest of that in `others`.

    Shapes: (B,) int64 in 1 … N, (B,) int64 in 0 … N with 0 for "original", (B,) float in [0, 1].
    """

    labels: Tensor
    others: Tensor
    strength: Tensor

    def part(self, place: slice) -> Shown:
        """These samples alone."""
        return Shown(self.labels[place], self.others[place], self.strength[place])

    def mix(self, rows: int) -> Tensor:
        """The network's style mix. Shape (B, rows)."""
        each = torch.arange(len(self.labels))
        mix = torch.zeros(len(self.labels), rows)
        mix[each, self.others] = 1 - self.strength
        mix[each, self.labels] += self.strength
        return mix


@dataclass(frozen=True)
class StepLoss:
    """total: what to learn from. style, content: fractions remaining. Shapes: each (B,)."""

    total: Tensor
    style: Tensor
    content: Tensor


@dataclass(frozen=True)
class Objective:
    """The losses of a recipe, with the paintings that they lead to.

    from_nothing: the network cannot paint yet, so that style, structure, evenness, care for faces and
    stability wait, in this order (STYLE_FULL, HELD_FROM, STABLE_FROM).
    """

    loss_network: LossNetwork
    paintings: Paintings
    from_nothing: bool = True

    def of(self, state: TrainState, photos: Tensor, place: slice, shown: Shown) -> StepLoss:
        """What the network paints of photos[place], and how good it is.

        photos: the whole batch, (B, 3, H, W), [0, 1], from which all dice are cast, so that a sample's losses
        do not depend on who computes them. shown: of the whole batch.
        """
        recipe, device, paintings = state.recipe, state.device, self.paintings
        progress = state.step / recipe.steps
        faces = skin(photos[place])  # of the photo before it is lit
        held = ramp(progress, HELD_FROM, HELD_FULL) if self.from_nothing else 1.0
        skin_weight = held * recipe.skin_weight
        care = 1 + skin_weight * faces
        lamps = torch.Generator().manual_seed(recipe.seed * 32452843 + state.step)
        photos = coloured_light(photos, recipe.light_share, lamps)
        photo, shown = photos[place], shown.part(place)
        labels = shown.labels
        mix = shown.mix(len(recipe.styles) + 1).to(device)
        own = self._own_colours(shown)
        # Half of a style leaves out half of what the whole one does.
        share = torch.where(shown.others == 0, shown.strength, 1.0).to(device)[:, None, None, None]
        flat = abstracted(photo, recipe.abstraction, faces)
        target = photo + share * (flat - photo)
        layer = recipe.content_layer
        layers = {layer, *recipe.style_layers, *paintings.patches}
        lattice = lattice_of(recipe, state.step)
        blended = bool(((shown.strength < 1) & (shown.others == 0)).any())

        with precision(device):
            with torch.no_grad():
                wanted = self.loss_network(_without_colours(target, own), {layer}, lattice)
                wider = layers if blended else set[str]()
                photo_maps = self.loss_network(_without_colours(photo, own), wider, lattice)
            stylized = state.network(photo, mix).float()
            seen = clipped(stylized)
            features = self.loss_network(_without_colours(seen, own), layers, lattice)
            stable = ramp(progress, STABLE_FROM, STABLE_FULL) if self.from_nothing else 1.0
            stability_weight = recipe.stability_weight * stable
            if stability_weight:
                dice = torch.Generator().manual_seed(recipe.seed * 15485863 + state.step)
                later = _part(moment_later(photos, dice), place)
                later_painted = clipped(state.network(later.image, mix).float())
        style = self._style(state, features, photo_maps, shown)
        maps = features[layer].float(), wanted[layer].float()
        content = content_distance(*maps) / paintings.content_baseline
        cared = content_distance(*maps, care) / paintings.content_baseline
        if bool(own.any()):
            colours = own.to(device) * chroma_distance(seen, photo)
            content, cared = content + colours, cared + colours
        weights = (state.style_weights * paintings.weight)[labels].to(device)
        learned = ramp(progress, 0.0, STYLE_FULL) if self.from_nothing else 1.0
        total = (
            recipe.style_weight * learned * weights * style
            + recipe.palette_weight * learned * self._palette(seen, photo, shown)
            + recipe.content_weight * cared
            + held * recipe.structure_weight * structure_distance(seen, target, care)
            + recipe.tv_weight * total_variation(seen)
            + recipe.grid_weight * grid_excess(seen)
            + held * recipe.even_weight * unevenness(seen, photo, care)
            + skin_weight * SKIN_CONTRAST * contrast_distance(seen, photo, faces)
            + RANGE_WEIGHT * out_of_range(stylized)
        )
        if paintings.patches:
            total = total + recipe.patch_weight * learned * weights * self._patches(state, features, shown)
        if stability_weight:
            total = total + stability_weight * instability(later_painted, warp(seen, later.grid), later)
        return StepLoss(total, style.detach(), content.detach())

    def _style(
        self,
        state: TrainState,
        features: dict[str, Tensor],
        photo_features: dict[str, Tensor],
        shown: Shown,
    ) -> Tensor:
        """Style fractions remaining. Half the strength asks for a statistic half way. Shape (B,).

        photo_features: {} where no sample blends "original" with a style.
        """
        recipe, device = state.recipe, state.device
        kind, seed = recipe.style_loss, dice_of(recipe, state.step)
        alone = (shown.others == 0).to(device)
        strength = shown.strength.to(device)
        targets = {}
        for layer in recipe.style_layers:
            kept = self.paintings.kept[layer]
            target = statistic_of_kept(kind, kept[shown.labels], seed)
            other = statistic_of_kept(kind, kept[shown.others], seed)
            own = statistic(kind, photo_features[layer], seed) if photo_features else target
            start = torch.where(alone[:, None, None, None], own, other)
            targets[layer] = start + strength[:, None, None, None] * (target - start)
        baseline = self.paintings.style_baseline
        first, second = baseline[shown.labels.to(device)], baseline[shown.others.to(device)]
        from_photo = second + strength[:, None, None] * (first - second)
        distances = style_distances(kind, features, targets, seed)
        return (distances / torch.where(alone[:, None, None], first, from_photo)).mean((1, 2))

    def _palette(self, seen: Tensor, photo: Tensor, shown: Shown) -> Tensor:
        """How far the colours are from the painting's, or from half way there. Shape (B,)."""
        palettes, device = self.paintings.palettes, seen.device
        alone = (shown.others == 0).to(device)[:, None, None]
        start = torch.where(alone, palette(photo), palettes[shown.others])
        strength = shown.strength.to(device)[:, None, None]
        wanted = start + strength * (palettes[shown.labels] - start)
        own = self._own_colours(shown).to(device)  # such a style has no palette
        return (1 - own) * palette_distance(palette(seen), wanted)

    def _patches(self, state: TrainState, features: dict[str, Tensor], shown: Shown) -> Tensor:
        """Patch fractions remaining, each painting's by its share of the mix. Shape (B,)."""
        seed, baseline = dice_of(state.recipe, state.step), self.paintings.patch_baseline
        total = torch.zeros(len(shown.labels), device=state.device)
        for rows, share in ((shown.labels, shown.strength), (shown.others, 1 - shown.strength)):
            share = (share * (rows > 0)).to(state.device)
            if bool(share.any()):
                fraction = patch_distances(features, self.paintings.patches, rows, seed) / baseline[rows]
                total = total + torch.where(share > 0, share * fraction, 0)  # row 0 has no patches
        return total

    def _own_colours(self, shown: Shown) -> Tensor:
        """How much of each sample's colours is the photo's own. Shape (B,), on the CPU."""
        flags, alone = self.paintings.own_colours, shown.others == 0
        mixed = shown.strength * flags[shown.labels] + (1 - shown.strength) * flags[shown.others]
        return torch.where(alone, flags[shown.labels], mixed)


def lattice_of(recipe: Recipe, step: int) -> tuple[int, int]:
    """Where a step's lattice begins (LossNetwork): by dice, so that nothing hides between its pixels."""
    dice = torch.Generator().manual_seed(dice_of(recipe, step))
    row, column = torch.randint(2, (2,), generator=dice).tolist()
    return row, column


def clipped(image: Tensor) -> Tensor:
    """What is seen of a picture: [0, 1]. The gradient passes as if nothing had been cut off.

    Clipping one pixel in fifty was enough to turn a calm texture into a grid of two pixels, which a loss that
    looks at the uncut picture cannot see.
    """
    return image + (image.clamp(0, 1) - image).detach()


def ramp(progress: float, begin: float, full: float) -> float:
    """Share of a weight that grows from 0 at `begin` to 1 at `full`, shares of the steps."""
    return min(max((progress - begin) / (full - begin), 0.0), 1.0)


def precision(device: torch.device) -> torch.autocast | nullcontext[None]:
    """What networks compute in while they train."""
    # bfloat16 needs no loss scaling; on the CPU these thin networks get slower by it.
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def _without_colours(image: Tensor, share: Tensor) -> Tensor:
    """The picture as the loss network sees it, a share of its colours taken away. (B, 3, H, W), (B,).

    share: on the CPU, so that no GPU is waited for to learn that it is nought.
    """
    if not bool(share.any()):
        return image
    return image + share.to(image.device)[:, None, None, None] * (grey(image) - image)


def _part(later: Later, place: slice) -> Later:
    return Later(later.image[place], later.grid[place], later.inside[place], later.brighter[place])
