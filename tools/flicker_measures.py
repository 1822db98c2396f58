"""The measures of tools/flicker.py: warping error, deviation over time, a guard against ghosts and blur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.frame import Image

Flow = npt.NDArray[np.float32]  # (H, W, 2): x, y in pixels, from a frame to the next one
Skipped = npt.NDArray[np.bool_]  # (H, W), true where a pixel is not judged

WHITE = 255.0
# Wang et al. 2004: an 11x11 Gaussian window, and constants that keep flat pictures from dividing by zero.
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_C1, SSIM_C2 = (0.01 * WHITE) ** 2, (0.03 * WHITE) ** 2
TRUE_FLOW, EXACT, NOISY, STANDING, REAL = "true flow", "exact", "exact with noise", "standing", "real"


@dataclass(frozen=True)
class Motion:
    """Where each pixel of a frame is in the next one, and whether it can be judged there.

    x, y: (H, W) float32, columns and rows of the next frame. seen: (H, W) uint8, 1 where both are the same
    point of the scene, else 0.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    seen: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, flow: Flow, skipped: Skipped | None = None) -> Self:
        """skipped: what is hidden in the next frame, or unknown. What leaves the picture is left out too."""
        height, width = flow.shape[:2]
        if skipped is not None and skipped.shape != (height, width):
            raise ValueError(f"the mask has shape {skipped.shape} and its flow {flow.shape}")
        x = flow[:, :, 0] + np.arange(width, dtype=np.float32)
        y = flow[:, :, 1] + np.arange(height, dtype=np.float32)[:, None]
        seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)  # false for NaN too
        if skipped is not None:
            seen &= ~skipped
        return cls(x, y, seen.astype(np.uint8))

    @property
    def share_seen(self) -> float:
        return float(self.seen.mean())

    def thinned(self, step: int) -> Motion:
        """Every step-th pixel of every step-th row."""
        x, y = np.ascontiguousarray(self.x[::step, ::step]), np.ascontiguousarray(self.y[::step, ::step])
        return Motion(x, y, np.ascontiguousarray(self.seen[::step, ::step]))

    def bring_back(self, later: Image) -> Image:
        """The next frame as this one would see it.

        Bicubic, since bilinear blurs what it compares: the unpainted "exact" clips of five stills score
        0.0071 with it on average, and 0.0038 with this.
        """
        # Without a border of its own: what lies outside is not seen.
        back = cv2.remap(later, self.x, self.y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(back, np.uint8)


@dataclass(frozen=True)
class Clip:
    """Frames before they are painted, their times (seconds), motions by the index of the earlier frame."""

    name: str
    kind: str
    frames: Sequence[Image]
    timestamps: Sequence[float]
    motions: dict[int, Motion]


def warping_error(frames: Sequence[Image], motions: Mapping[int, Motion], *, step: int = 1) -> float:
    """√E_warp of a clip: how much it changes where the scene only moves. 0 to 1.

        sqrt( mean_t mean_p |O_t(p) − O_{t+1}(p + flow_t(p))|² )

    As ReCoNet's stability error (Gao et al. 2018, arXiv:1807.01197) and Huang et al. 2017, with O in [0, 1].
    |·|² is the MEAN over the three channels, not their sum: two pictures of independent noise σ score √2 σ.
    mean_p: over the pixels that are seen. mean_t: over the pairs that have a motion, each with equal weight.
    The next frame is brought back along forward flow (t -> t+1), not the last one brought on: data sets with
    true flow give it forward.

    motions: by the index of the earlier frame. step: judge every step-th pixel of every step-th row only.
    Raises ValueError where there is nothing to judge.
    """
    errors = []
    for index, motion in motions.items():
        thin = motion if step == 1 else motion.thinned(step)
        if not thin.seen.any():
            raise ValueError(f"no pixel of frame {index} is seen in the next one")
        change = cv2.absdiff(thin.bring_back(frames[index + 1]), frames[index][::step, ::step])
        squares = cv2.multiply(change, change, dtype=cv2.CV_32F)
        errors.append(np.mean(cv2.mean(squares, thin.seen)[:3]))
    if not errors:
        raise ValueError("a warping error needs the motion of at least one pair of frames")
    return float(np.sqrt(np.mean(errors))) / WHITE


def temporal_deviation(frames: Sequence[Image]) -> float:
    """Root of the variance over time, averaged over pixels and channels, of a scene that stands. 0 to 1."""
    total = np.zeros(frames[0].shape, np.float64)
    squares = np.zeros(frames[0].shape, np.float64)
    for frame in frames:  # one by one: all of them as floats would be eight times the clip
        value = frame.astype(np.float64)
        total += value
        squares += value * value
    variance = squares / len(frames) - (total / len(frames)) ** 2
    return float(np.sqrt(max(0.0, variance.mean()))) / WHITE


def _grey(image: Image) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def ssim(one: Image, other: Image) -> float:
    """Structural similarity of two pictures' grey: 1 for the same picture.

    Wang, Bovik, Sheikh and Simoncelli 2004, with their window (Gaussian, 11x11, σ 1.5) and constants; the
    mean over all places where the window fits. Raises ValueError for pictures smaller than the window.
    """
    if min(one.shape[:2]) < SSIM_WINDOW or one.shape != other.shape:
        raise ValueError(f"SSIM takes two pictures alike of {SSIM_WINDOW} pixels or more a side")
    x, y = _grey(one), _grey(other)

    def mean(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        blurred = cv2.GaussianBlur(values, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA)
        edge = SSIM_WINDOW // 2
        return np.asarray(blurred[edge:-edge, edge:-edge], np.float32)

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + SSIM_C1) * (2 * covariance + SSIM_C2)
    return float((likeness / ((mean_x**2 + mean_y**2 + SSIM_C1) * (var_x + var_y + SSIM_C2))).mean())


def gradient_energy(image: Image) -> float:
    """Mean square of the grey picture's differences to the right and down, in grey levels squared."""
    grey = _grey(image)
    return float(np.square(np.diff(grey, axis=1)).mean() + np.square(np.diff(grey, axis=0)).mean())


class Fidelity(NamedTuple):
    """What smoothing left of the painting. 1 is all of it; ghosts lower ssim, blur lowers the energy."""

    ssim: float
    energy: float


def fidelity(smoothed: Sequence[Image], painted: Sequence[Image]) -> Fidelity:
    """SSIM (mean over frames) and gradient energy (over all frames, smoothed over unsmoothed).

    The first frame is left out: no smoother has a past there. A warping error alone rewards ghosts, since a
    frozen or blurred picture changes little; this pair, always printed beside it, tells them apart.
    """
    if len(painted) < 2:
        raise ValueError("fidelity needs two frames or more")
    likeness = [ssim(one, other) for one, other in zip(smoothed[1:], painted[1:], strict=True)]
    kept = sum(map(gradient_energy, smoothed[1:]))
    before = sum(map(gradient_energy, painted[1:]))
    return Fidelity(float(np.mean(likeness)), kept / before if before else 1.0)
