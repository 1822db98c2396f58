"""What a training keeps of its paintings, and what it measures before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from livestyle.training.dataset import ContentImages, load_style_image, to_tensor
from livestyle.training.features import LossNetwork
from livestyle.training.losses import content_distance
from livestyle.training.motion import grey
from livestyle.training.recipe import MOST_STEPS, Recipe, StyleRecipe
from livestyle.training.style_losses import (
    PAINTING_PATCHES,
    PATCH_LAYERS,
    PATCHES,
    kept_of,
    palette,
    patch_distance,
    patches_of,
    statistic_of_kept,
    style_distances,
)

BASELINE_BATCHES = 8
LEAST_SHARE = 0.25  # of a style's mean distance, for each layer and part


@dataclass(frozen=True)
class Paintings:
    """A recipe's paintings as its losses see them. Row 0 of every tensor is "original", which has none.

    kept: {layer: (1 + n, parts, M, N)}, of the style loss.
    patches: {layer: (1 + n, 512, D)}, {} without patch_weight.
    palettes: (1 + n, 16, 128).
    style_baseline: distances of plain photos, (1 + n, layers, parts).
    patch_baseline: the same of patches, (1 + n,).
    content_baseline: the distance of random pairs of photos, ().
    weight, own_colours (0 or 1): (1 + n,), on the CPU.
    """

    kept: Mapping[str, Tensor]
    patches: Mapping[str, Tensor]
    palettes: Tensor
    style_baseline: Tensor
    patch_baseline: Tensor
    content_baseline: Tensor
    weight: Tensor
    own_colours: Tensor

    @classmethod
    def measured(
        cls, recipe: Recipe, loss_network: LossNetwork, photos: ContentImages, device: torch.device
    ) -> Paintings:
        """Raises RecipeError for a painting or photos that cannot be read."""
        kept = style_grams(recipe, loss_network, device)
        style, content = measure_baselines(recipe, loss_network, photos, kept)
        patches = painting_patches(recipe, loss_network, device) if recipe.patch_weight else {}
        styles = recipe.styles
        return cls(
            kept=kept,
            patches=patches,
            palettes=palettes_of(recipe, device),
            style_baseline=style,
            patch_baseline=measure_patch_baseline(recipe, loss_network, photos, patches, device),
            content_baseline=content,
            weight=torch.tensor([1.0, *(style.weight for style in styles)]),
            own_colours=torch.tensor([0.0, *(float(style.own_colours) for style in styles)]),
        )


def dice_of(recipe: Recipe, step: int) -> int:
    """The seed of a step's directions and patches, which all samples share."""
    return recipe.seed * 179424673 + step


def painting_of(recipe: Recipe, style: StyleRecipe) -> Tensor:
    """The painting at its size, grey for a style that keeps the photo's colours. (1, 3, H, W), [0, 1]."""
    painting = load_style_image(recipe.path(recipe.style_folder) / style.image, recipe.size_of(style))
    return grey(painting).expand(-1, 3, -1, -1).contiguous() if style.own_colours else painting


def style_grams(recipe: Recipe, loss_network: LossNetwork, device: torch.device) -> dict[str, Tensor]:
    """What the recipe's style_loss keeps of each painting: {layer: (1 + n, parts, M, N)}.

    Row 0 (original) is zero and never used.
    """
    rows: dict[str, list[Tensor]] = {layer: [] for layer in recipe.style_layers}
    for style in recipe.styles:
        with torch.no_grad():
            features = loss_network(painting_of(recipe, style).to(device), recipe.style_layers)
            for layer, maps in features.items():
                rows[layer].append(kept_of(recipe.style_loss, maps, recipe.seed)[0])
    return _with_row_0(rows)


def palettes_of(recipe: Recipe, device: torch.device) -> Tensor:
    """Each painting's palette: (1 + n, 16, 128), row 0 (original) zero."""
    rows = [palette(painting_of(recipe, style).to(device))[0] for style in recipe.styles]
    return torch.stack([torch.zeros_like(rows[0]), *rows])


def painting_patches(recipe: Recipe, loss_network: LossNetwork, device: torch.device) -> dict[str, Tensor]:
    """Patches of each painting, at random places: {layer: (1 + n, 512, D)}, row 0 (original) zero."""
    rows: dict[str, list[Tensor]] = {layer: [] for layer in PATCH_LAYERS}
    for style in recipe.styles:
        with torch.no_grad():
            features = loss_network(painting_of(recipe, style).to(device), PATCH_LAYERS)
            for layer, maps in features.items():
                rows[layer].append(patches_of(maps, PAINTING_PATCHES, recipe.seed)[0])
    return _with_row_0(rows)


def measure_baselines(
    recipe: Recipe, loss_network: LossNetwork, photos: ContentImages, grams: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Style distances of plain photos to each painting, and content distance of random pairs.

    Each layer and part has a distance of its own, so that a loss of their fractions asks as much of each: of
    a soft painting's, that of strokes is a tenth of the others. grams: what `style_grams` gave.
    Shapes: (1 + n, layers, parts), ().
    """
    device = next(iter(grams.values())).device
    n, parts = len(recipe.styles) + 1, next(iter(grams.values())).shape[1]
    style = torch.zeros(n, len(recipe.style_layers), parts, device=device)
    content = torch.zeros((), device=device)
    layers = {recipe.content_layer, *recipe.style_layers}
    with torch.no_grad():
        # Steps beyond the last, so that training never sees these very crops.
        for batch in range(MOST_STEPS, MOST_STEPS + BASELINE_BATCHES):
            photo, seed = to_tensor(photos[batch].to(device)), dice_of(recipe, batch)
            features = loss_network(photo, layers)
            greys = _grey_features(recipe, loss_network, photo, set(recipe.style_layers))
            for k in range(1, n):
                targets = {
                    layer: statistic_of_kept(recipe.style_loss, grams[layer][k : k + 1], seed)
                    for layer in recipe.style_layers
                }
                seen = greys if recipe.styles[k - 1].own_colours else features
                distance = style_distances(recipe.style_loss, seen, targets, seed)
                style[k] += distance.mean(0) / BASELINE_BATCHES
            # Another photo: the next of the batch, or its own mirror image where there is only one.
            maps = features[recipe.content_layer]
            other = maps.roll(1, 0) if len(maps) > 1 else maps.flip(2)
            content += content_distance(maps, other).mean() / BASELINE_BATCHES
    style[0] = 1
    # What photos and painting have in common cannot be asked for a hundred times as hard.
    least = LEAST_SHARE * style.mean((1, 2), keepdim=True)
    return torch.maximum(style, least).clamp(min=1e-12), content.clamp(min=1e-12)


def measure_patch_baseline(
    recipe: Recipe,
    loss_network: LossNetwork,
    photos: ContentImages,
    patches: Mapping[str, Tensor],
    device: torch.device,
) -> Tensor:
    """Patch distance of plain photos to each painting, (1 + n,); 1 without patches."""
    n = len(recipe.styles) + 1
    if not patches:
        return torch.ones(n, device=device)
    total = torch.zeros(n, device=device)
    with torch.no_grad():
        for batch in range(MOST_STEPS, MOST_STEPS + BASELINE_BATCHES):
            photo, seed = to_tensor(photos[batch].to(device)), dice_of(recipe, batch)
            features = loss_network(photo, patches)
            greys = _grey_features(recipe, loss_network, photo, set(patches))
            for k in range(1, n):
                seen = greys if recipe.styles[k - 1].own_colours else features
                rows = torch.full((len(photo),), k)
                total[k] += patch_distances(seen, patches, rows, seed).mean() / BASELINE_BATCHES
    total[0] = 1
    return total.clamp(min=1e-12)


def patch_distances(
    features: Mapping[str, Tensor], patches: Mapping[str, Tensor], rows: Tensor, seed: int
) -> Tensor:
    """Mean over the layers of each image's patch distance to the painting in its row. Shape (B,)."""
    distances = [
        patch_distance(patches_of(features[layer], PATCHES, seed), painting[rows])
        for layer, painting in patches.items()
    ]
    return torch.stack(distances).mean(0)


def _grey_features(
    recipe: Recipe, loss_network: LossNetwork, photo: Tensor, layers: set[str]
) -> dict[str, Tensor]:
    """The grey photos' features, where a style asks for them."""
    if not any(style.own_colours for style in recipe.styles):
        return {}
    features: dict[str, Tensor] = loss_network(grey(photo).expand(-1, 3, -1, -1), layers)
    return features


def _with_row_0(rows: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
    return {layer: torch.stack([torch.zeros_like(found[0]), *found]) for layer, found in rows.items()}
