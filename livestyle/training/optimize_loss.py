"""What a picture that is optimized is asked for: Gatys et al. 2016, as fractions remaining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from livestyle.training.features import LossNetwork
from livestyle.training.losses import content_distance, gram_matrix, total_variation
from livestyle.training.optimize_gram import LARGEST_MAP, head_features, head_gram, without_largest_head
from livestyle.training.optimize_masks import Region, guided, to_weights
from livestyle.training.recipe import STYLE_LAYERS

CONTENT_LAYER = "relu4_2"
# Style against content at strength 1, both fractions remaining. At 1 only the brushwork changes; here Starry
# Night's swirls lie on whatever is flat in the photo, and faces are still known.
BALANCE = 20.0
# Painting and photo alike: nothing is there to be changed, and a fraction of it says nothing.
LEAST_BASELINE = 1e-6


class GatysLoss:
    """The loss of a picture: content + 20 strength style + tv_weight * losses.total_variation.

        content = mean (F(P) - F(C))² / baseline
        style   = sum_r area_r d_r(P) / sum_r area_r d_r(C),   d_r = mean_l ‖G_rl - G*_rl‖² / ‖G*_rl‖²

    P: the picture, C: the photo, r: regions of masks (one without), l: layers. G*: the mean of the paintings'
    Gram matrices by their shares, which is what a canvas has of which one painting covers so much and
    another the rest. Style 1 is the photo, content 1 another picture: the painting's own maps, in random
    places (the baseline is the mean of (F_i(C) - F_j(S))² over all pairs of places).

    Shapes: photo and paintings (1, 3, H, W), each of its own size, [0, 1].
    """

    def __init__(
        self,
        network: LossNetwork,
        photo: Tensor,
        paintings: Sequence[Tensor],
        regions: Sequence[Region],
        *,
        strength: float = 1.0,
        tv_weight: float = 0.0,
    ) -> None:
        self.network, self.head = without_largest_head(network)
        self.strength, self.tv_weight = strength, tv_weight
        self.layers = {CONTENT_LAYER, *STYLE_LAYERS}
        self.areas = [region.area for region in regions]
        size_hw = (photo.shape[2], photo.shape[3])
        self.where = [to_weights(region.where, size_hw, photo.device) for region in regions]
        with torch.no_grad():
            of_photo = self._features(photo)
            of_paintings = [self._features(painting) for painting in paintings]
            self.content = of_photo[CONTENT_LAYER]
            self.grams = [self._target(region, paintings, of_paintings) for region in regions]
            self.style_baseline = max(float(self._style(of_photo)), LEAST_BASELINE)
            apart = sum(
                region.area * part.share * _places_apart(self.content, of_paintings[part.painting])
                for region in regions
                for part in region.parts
            )
            self.content_baseline = max(apart, LEAST_BASELINE)

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, the style fraction and the content fraction of a picture as large as the photo."""
        features = self._features(picture)
        style = self._style(features) / self.style_baseline
        content = content_distance(features[CONTENT_LAYER], self.content)[0] / self.content_baseline
        loss = content + BALANCE * self.strength * style
        return loss + self.tv_weight * total_variation(picture)[0], style, content

    def _features(self, picture: Tensor) -> dict[str, Tensor]:
        # A tenth faster: all products are over channels.
        features: dict[str, Tensor] = self.network(
            picture.contiguous(memory_format=torch.channels_last), self.layers
        )
        return features

    def _style(self, features: Mapping[str, Tensor]) -> Tensor:
        total = []
        for area, where, targets in zip(self.areas, self.where, self.grams, strict=True):
            for layer, target in targets.items():
                away = (self._gram(features, layer, where) - target).square().sum() / target.square().sum()
                total.append(area / len(targets) * away)
        return torch.stack(total).sum()

    def _target(
        self, region: Region, paintings: Sequence[Tensor], features: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        grams = {}
        for layer in STYLE_LAYERS:
            parts = []
            for part in region.parts:
                _, _, height, width = paintings[part.painting].shape
                where = to_weights(part.where, (height, width), paintings[part.painting].device)
                parts.append(part.share * self._gram(features[part.painting], layer, where))
            grams[layer] = torch.stack(parts).sum(0)
        return grams

    def _gram(self, features: Mapping[str, Tensor], layer: str, where: Tensor | None) -> Tensor:
        """One layer's Gram matrix of a region. Shape: (1, C, C)."""
        maps = features[layer]
        if layer == LARGEST_MAP and self.head is not None:
            if where is None:
                return head_gram(maps, self.head)
            maps = head_features(maps, self.head)
        return gram_matrix(guided(maps, where))


def _places_apart(ours: Tensor, painting: Mapping[str, Tensor]) -> float:
    """The mean over all pairs of places of (F_i - F'_j)², and over channels. Shape: (1, C, H, W)."""
    a, b = ours[0].flatten(1), painting[CONTENT_LAYER][0].flatten(1)
    variances = a.var(1, correction=0) + b.var(1, correction=0)
    return float((variances + (a.mean(1) - b.mean(1)).square()).mean())
