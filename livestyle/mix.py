"""Which styles, how much of each, and how the one fades into the other."""

from __future__ import annotations

import difflib
import math
import re

import numpy as np
import numpy.typing as npt

from livestyle.errors import ModelError
from livestyle.manifest import Manifest, Style

MixVector = npt.NDArray[np.float32]  # (n_styles,), the network's style_mix

STRONGEST = 1.5
_LONGEST_TEXT = 10_000
# What helps where a style is not found: two models may have one name and other styles.
LISTED = "`livestyle styles` lists them, and with `--model FILE` those of a model of your own"


def parse_mix(text: str, manifest: Manifest) -> MixVector:
    """The style_mix that a text asks for: "3", "starry_night", "3:0.7,5:0.3", "Starry Night, munch:2".

    A style is a number (the row; 0 is the original) or a name; a share left out is 1. Their sum is made 1.
    Raises ModelError for a style that the model does not have, or a text that is no mix.
    """
    if len(text) > _LONGEST_TEXT:
        raise ModelError(f"a mix of {len(text)} characters is too long; write it like 3:0.7,5:0.3")
    shares = np.zeros(len(manifest.styles), np.float64)
    for part in text.split(","):
        style, colon, share = part.partition(":")
        shares[_row(style, manifest)] += _share(share, text) if colon else 1.0
    mix: MixVector = (shares / shares.sum()).astype(np.float32)
    return mix


def with_strength(mix: MixVector, strength: float) -> MixVector:
    """More or less of a mix against the original picture.

        strength * mix + (1 - strength) * original

    strength: 0 gives the picture back, 1 is the mix itself, up to 1.5 goes beyond it. Else ValueError.
    """
    if not 0 <= strength <= STRONGEST:  # NaN too
        raise ValueError(f"the strength is between 0 and {STRONGEST}, not {strength}")
    original = np.zeros(_checked(mix).shape, np.float32)
    original[0] = 1
    return (strength * mix + (1 - strength) * original).astype(np.float32)


class Ease:
    """A value over time that moves from where it is to a target with a smoothstep.

        at(t) = start + (target - start) * s²(3 - 2s),   s = (t - begin) / duration in [0, 1]

    A new target in the middle of a move starts from the value of that moment, so that nothing jumps.
    The value is a vector of any length, float32: a style_mix, or a strength alone.
    """

    def __init__(self, value: MixVector) -> None:
        self._start = self._target = _checked(value)
        self._begin = -math.inf  # a move that ended long ago
        self._duration = 0.0

    @property
    def target(self) -> MixVector:
        """Where the move ends."""
        return self._target.copy()

    def move_to(self, target: MixVector, timestamp: float, duration: float) -> None:
        """Begin a move at `timestamp` that takes `duration` seconds; 0 is a jump."""
        if not (math.isfinite(timestamp) and math.isfinite(duration) and duration >= 0):
            raise ValueError(
                f"a move has a finite start and a duration of 0 or more, not {timestamp}, {duration}"
            )
        target = _checked(target)
        if target.shape != self._target.shape:
            raise ValueError(f"the target has shape {target.shape}, the value {self._target.shape}")
        self._start = self.at(timestamp)
        self._target = target
        self._begin = timestamp
        self._duration = duration

    def at(self, timestamp: float) -> MixVector:
        """Shape: that of the targets."""
        elapsed = timestamp - self._begin
        if elapsed >= self._duration:
            return self._target.copy()
        if elapsed <= 0:
            return self._start.copy()
        s = elapsed / self._duration
        eased = s * s * (3 - 2 * s)
        return (self._start + (self._target - self._start) * eased).astype(np.float32)


def _checked(mix: MixVector) -> MixVector:
    """A copy of a style_mix, refused unless it is one."""
    if mix.dtype != np.float32:
        raise TypeError(f"a style_mix is float32, not {mix.dtype}")
    if mix.ndim != 1 or not mix.size:
        raise ValueError(f"a style_mix has shape (n_styles,), not {mix.shape}")
    if not np.isfinite(mix).all():
        raise ValueError("a style_mix holds finite numbers only")
    return mix.copy()


def _row(style: str, manifest: Manifest) -> int:
    style = style.strip()
    if not style:
        raise ModelError("a style is missing; type a number, a name, or a mix like 3:0.7,5:0.3")
    last = len(manifest.styles) - 1
    if re.fullmatch(r"[0-9]{1,9}", style):
        if int(style) <= last:
            return int(style)
        raise ModelError(
            f"there is no style {int(style)}: this model, {manifest.name}, has 0 to {last}, "
            f"and 0 is the original; {LISTED}"
        )
    names = [each.name for each in manifest.styles]
    slug = _slug(style)
    for name in (style, slug):
        if name in names:
            return names.index(name)
    near = difflib.get_close_matches(slug[:100], names, n=3)
    near = near or [name for name in names if slug and slug in name][:3]
    near = near or [each.name for each in manifest.styles if _is_by(slug, each)][:3]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelError(f"{manifest.name} has no style {_shown(style)}; {hint}{LISTED}")


def _slug(text: str) -> str:
    return re.sub(r"[\s_-]+", "_", text.casefold())


def _is_by(slug: str, style: Style) -> bool:
    """Whether somebody named the artist: all of the name, or the last words of it."""
    return f"_{_slug(style.artist)}".endswith(f"_{slug}")


def _share(text: str, whole: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    # The bound keeps sums of shares finite; nobody needs a larger one.
    if not 0 < share <= 1e9:
        raise ModelError(
            f"the share {_shown(text)} in {_shown(whole)} is not a number above 0; write it like 3:0.7,5:0.3"
        )
    return share


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
