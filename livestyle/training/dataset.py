"""Content photos and style paintings, from folders and tar files that hold anything."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from livestyle.errors import RecipeError, SourceError
from livestyle.frame import Image
from livestyle.pictures import read_picture
from livestyle.training.photos import Photo, find_photos

log = logging.getLogger(__name__)

# The short side of a photo is scaled to crop * U(1, this) before the crop is cut.
LARGEST_SCALE = 2.5
MAX_TRIES = 100
# Photos are mostly well lit, and a network paints what it wants where it has learned nothing: blots on dark
# skin, black clothes and shadows. So many of the crops are made darker, or a little brighter, by a power.
EXPOSED, DARKEST, BRIGHTEST = 0.4, 2.5, 0.7
_LONGEST_ASPECT = 16  # of a picture that is enlarged to a short side of its own


class ContentImages(Dataset[Tensor]):
    """Batches of random crops; item `step` is the same whenever and wherever it is asked for.

    That makes a resumed run see the photos that an uninterrupted one would have seen.
    A photo that cannot be read, or is smaller than half a crop, is replaced by another and named once.

    folder: of photos and tar files, or one tar file.
    Item: (batch, crop, crop, 3) uint8 RGB. Raises RecipeError when the folder holds no usable photo.
    """

    def __init__(self, folder: Path, *, batch: int, crop: int, steps: int, seed: int) -> None:
        self.photos = find_photos(folder)
        if not self.photos:
            raise RecipeError(f"no photos in {folder}: set content_folder in the recipe")
        self.batch, self.crop, self.steps, self.seed = batch, crop, steps, seed
        self.skipped: set[Photo] = set()

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Tensor:
        rng = np.random.default_rng((self.seed, step))
        return torch.from_numpy(np.stack([self._crop(rng) for _ in range(self.batch)]))

    def _crop(self, rng: np.random.Generator) -> Image:
        for _ in range(MAX_TRIES):
            place = self.photos[rng.integers(len(self.photos))]
            photo = place.read()
            if photo is not None and min(photo.shape[:2]) >= self.crop // 2:
                break
            if place not in self.skipped:
                self.skipped.add(place)
                log.warning("skipped %s: %s", place, "cannot be read" if photo is None else "too small")
        else:
            raise RecipeError(f"{MAX_TRIES} photos in a row could not be used; the last was {place}")
        photo = resize_short_side(photo, round(self.crop * rng.uniform(1, LARGEST_SCALE)))
        y = rng.integers(photo.shape[0] - self.crop + 1)
        x = rng.integers(photo.shape[1] - self.crop + 1)
        photo = photo[y : y + self.crop, x : x + self.crop]
        if rng.random() < 0.5:
            photo = photo[:, ::-1]
        return exposed(photo, rng) if rng.random() < EXPOSED else photo


def exposed(photo: Image, rng: np.random.Generator) -> Image:
    """The photo in another light: v ** p, p in 0.7 … 2.5, v in [0, 1]. Shapes: (H, W, 3) -> (H, W, 3)."""
    power = math.exp(rng.uniform(math.log(BRIGHTEST), math.log(DARKEST)))
    table = np.rint(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    shown: Image = table[photo]
    return shown


def load_style_image(path: Path, short_side: int) -> Tensor:
    """A painting, its short side scaled to `short_side` pixels. Shape (1, 3, H, W), [0, 1]."""
    painting = read_rgb(path)
    if painting is None:
        raise RecipeError(f"cannot read the painting {path}: is it a picture?")
    if min(painting.shape[:2]) < 32:
        raise RecipeError(f"the painting {path} is only {painting.shape[1]}x{painting.shape[0]} pixels")
    return to_tensor(torch.from_numpy(resize_short_side(painting, short_side))[None])


def to_tensor(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float in [0, 1]."""
    return images.permute(0, 3, 1, 2).float().div(255).contiguous()


def to_image(tensor: Tensor) -> Image:
    """(3, H, W) float in about [0, 1] -> Image, rounded and clipped."""
    array = tensor.detach().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(array)


def read_rgb(path: Path) -> Image | None:
    """The picture, upright and without its alpha, or None where it cannot be read."""
    try:
        return read_picture(path)[0]
    except SourceError:
        return None


def resize_short_side(image: Image, size: int) -> Image:
    """Scaled so that the shorter side has `size` pixels. Of a ribbon of a picture the middle is taken."""
    longest = _LONGEST_ASPECT * min(image.shape[:2])
    top, left = (max(0, (side - longest) // 2) for side in image.shape[:2])
    image = image[top : top + longest, left : left + longest]
    height, width = image.shape[:2]
    scale = size / min(height, width)
    target = (max(size, round(width * scale)), max(size, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(image, target, interpolation=interpolation), dtype=np.uint8)
