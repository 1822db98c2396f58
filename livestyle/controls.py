"""The mixing desk: which key does what, and what it leaves on the desk. No window, no camera, no clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from livestyle.governor import BRUSHES
from livestyle.mix import STRONGEST
from livestyle.overlay import View
from livestyle.smoothing import SMOOTHING, smoothing_name
from livestyle.take import Take

PAGE = 9  # styles on the digits 1 to 9
SHARE_STEP = 0.1
STRENGTH_STEPS = 20  # from nothing to the style itself
GLIDE_STEPS = 20  # from one style to the next
NUDGE = 0.1  # seconds; a held key repeats some thirty times a second
SHARE_EASE = 0.3  # seconds
AUTO_FADE, AUTO_EVERY = 3.0, 5.0  # seconds
# What Shift and a digit type on a US keyboard. Elsewhere Backspace lowers the style that was raised last.
_SHIFTED = "!@#$%^&*("


class Desk:
    """Everything that keys change. The painting's part of it goes to the take as cues, the rest is read here.

    fade: seconds from one style to the next. mirror: how the view begins. auto_every, auto_fade: seconds from
    one style of the auto-morph to the next, and of them those of the fade.
    """

    def __init__(
        self,
        take: Take,
        *,
        fade: float = 1.0,
        mirror: bool = False,
        auto_every: float = AUTO_EVERY,
        auto_fade: float = AUTO_FADE,
    ) -> None:
        start = take.cues[-1]
        self._take = take
        self._fade = fade
        self._shares = list(start.shares)
        self._strength_steps = round(start.strength * STRENGTH_STEPS)
        self._position = float(max(range(len(self._shares)), key=self._shares.__getitem__))
        self._auto_next: float | None = None
        self._auto_every, self._auto_fade = auto_every, auto_fade
        self.n_styles = len(self._shares) - 1
        self.mixing = False
        self.page = max(0, int(self._position) - 1) // PAGE
        self.own_colours, self.smooth, self.frozen = start.own_colours, start.smooth, start.frozen
        self.brush = start.brush
        self.view: View = "painting"
        self.mirror = mirror
        self.full_screen = False
        self.overlay = True
        self.help = False
        self.recording = False
        self.snapshots = 0  # asked for so far
        self.ended = False

    def press(self, key: str) -> None:
        """Do what the key says; a key that says nothing does nothing."""
        control = CONTROL_OF_KEY.get(key)
        if control is not None:
            control.do(self, key)

    def tick(self, timestamp: float) -> None:
        """Let the auto-morph go on. timestamp: of the newest frame, seconds."""
        if self._auto_next is not None and timestamp >= self._auto_next:
            self._auto_next = timestamp + self._auto_every
            self._position = round(self._position) % self.n_styles + 1.0
            self._show_one(int(self._position), self._auto_fade)

    @property
    def pages(self) -> int:
        return -(-self.n_styles // PAGE)

    @property
    def auto(self) -> bool:
        return self._auto_next is not None

    @property
    def strength(self) -> float:
        return self._strength_steps / STRENGTH_STEPS

    def digit(self, key: str) -> None:
        row = self.page * PAGE + int(key)
        if row > self.n_styles:
            return
        self._stop_auto()
        self._position = float(row)
        if self.mixing:
            self._set_share(row, self._shares[row] + SHARE_STEP)
        else:
            self._show_one(row, self._fade)

    def lower(self, key: str) -> None:
        row = self.page * PAGE + 1 + _SHIFTED.index(key) if key in _SHIFTED else round(self._position)
        if row <= self.n_styles and (self._shares[row] > 0 or self.mixing):
            self._stop_auto()
            self._set_share(row, self._shares[row] - SHARE_STEP)

    def original(self, _: str) -> None:
        self._stop_auto()
        self._position = 0.0
        self._show_one(0, self._fade)

    def turn_page(self, key: str) -> None:
        step = 1 if key in ("]", "PageDown") else -1
        self.page = (self.page + step) % max(1, self.pages)

    def toggle_mixing(self, _: str) -> None:
        self.mixing = not self.mixing

    def glide(self, key: str) -> None:
        """Along the ring of styles, which closes from the last to the first."""
        self._stop_auto()
        if self.n_styles < 2:
            return
        from_original = self._position == 0  # not on the ring: it begins at the first style
        step = 1 if key == "Right" else -1
        steps = 0 if from_original else round((self._position - 1) * GLIDE_STEPS) + step
        steps %= self.n_styles * GLIDE_STEPS
        below, part = divmod(steps, GLIDE_STEPS)
        self._position = 1 + steps / GLIDE_STEPS
        self._shares = [0.0] * len(self._shares)
        self._shares[below + 1] = 1 - part / GLIDE_STEPS
        self._shares[(below + 1) % self.n_styles + 1] += part / GLIDE_STEPS
        self.page = below // PAGE
        self._take.change(over=self._fade if from_original else NUDGE, shares=tuple(self._shares))

    def change_strength(self, key: str) -> None:
        step = 1 if key == "Up" else -1
        self._strength_steps = min(max(self._strength_steps + step, 0), round(STRONGEST * STRENGTH_STEPS))
        self._take.change(strength=self.strength)

    def toggle_auto(self, _: str) -> None:
        # The next tick begins at once.
        self._auto_next = None if self.auto or not self.n_styles else float("-inf")

    def toggle_own_colours(self, _: str) -> None:
        self.own_colours = not self.own_colours
        self._take.change(own_colours=self.own_colours)

    def next_smooth(self, _: str) -> None:
        """The next of the levels that have a name; after another number, none."""
        levels = [*SMOOTHING.values()]
        number = levels.index(self.smooth) + 1 if self.smooth in levels else 0
        self.smooth = levels[number % len(levels)]
        self._take.change(smooth=self.smooth)

    def next_brush(self, _: str) -> None:
        """The next wider one; after the widest the finest."""
        self.brush = next((brush for brush in BRUSHES if brush > self.brush), BRUSHES[0])
        self._take.change(brush=self.brush)

    def toggle_frozen(self, _: str) -> None:
        self.frozen = not self.frozen
        self._take.change(frozen=self.frozen)

    def toggle_mirror(self, _: str) -> None:
        self.mirror = not self.mirror

    def next_view(self, _: str) -> None:
        views: Sequence[View] = get_args(View)
        self.view = views[(views.index(self.view) + 1) % len(views)]

    def toggle_full_screen(self, _: str) -> None:
        self.full_screen = not self.full_screen

    def next_overlay(self, _: str) -> None:
        """The overlay, then with the keys, then nothing."""
        self.overlay, self.help = (
            (True, True) if self.overlay and not self.help else (not self.overlay, False)
        )

    def ask_snapshot(self, _: str) -> None:
        self.snapshots += 1

    def toggle_recording(self, _: str) -> None:
        self.recording = not self.recording

    def end(self, _: str) -> None:
        self.ended = True

    @property
    def switches(self) -> tuple[str, ...]:
        """What is on, in words."""
        words = {
            "own colours": self.own_colours,
            "frozen": self.frozen,
            "auto": self.auto,
            f"smooth {smoothing_name(self.smooth)}": self.smooth > 0,
            f"brush {self.brush:g}": self.brush != 1,
            "mirror": self.mirror,
        }
        return tuple(word for word, on in words.items() if on)

    def shares(self) -> tuple[tuple[int, float], ...]:
        """(row, share) of the rows that the painting goes to, largest first; none for the original alone."""
        rows = [(row, share) for row, share in enumerate(self._shares) if share > 0]
        rows.sort(key=lambda pair: (-pair[1], pair[0]))
        return () if rows == [(0, 1.0)] else tuple(rows)

    def _stop_auto(self) -> None:
        self._auto_next = None

    def _show_one(self, row: int, over: float) -> None:
        self._shares = [float(each == row) for each in range(len(self._shares))]
        if row:
            self.page = (row - 1) // PAGE
        self._take.change(over=over, shares=tuple(self._shares))

    def _set_share(self, row: int, share: float) -> None:
        """One row's share; the others give way, each by the same part of its own."""
        share = min(max(share, 0.0), 1.0)
        others = sum(self._shares) - self._shares[row]
        if others <= 0:  # it was alone: what it gives up goes to the original
            self._shares[0] = others = 1.0
        scale = (1 - share) / others
        # Below a thousandth nobody sees it, and the overlay would keep its bar for ever.
        shares = [0.0 if each * scale < 1e-3 else each * scale for each in self._shares]
        shares[row] = share
        total = sum(shares)
        # As people would write them: a take is read by them too.
        self._shares = [round(each / total, 6) for each in shares]
        self._take.change(over=SHARE_EASE, shares=tuple(self._shares))


@dataclass(frozen=True, slots=True)
class Control:
    """keys: as WindowSink names them. shown: how people read them. do: (desk, key)."""

    keys: tuple[str, ...]
    shown: str
    help: str
    do: Callable[[Desk, str], None]


def _letter(letter: str, help: str, do: Callable[[Desk, str], None]) -> Control:
    return Control((letter, letter.upper()), letter, help, do)


CONTROLS: tuple[Control, ...] = (
    Control(
        tuple("123456789"),
        "1 … 9",
        "fade to that style of the page; in a mix: a tenth more of it",
        Desk.digit,
    ),
    Control(("0",), "0", "back to the original", Desk.original),
    Control(
        ("[", "]", "PageUp", "PageDown"),
        "[ ], PgUp PgDn",
        "the page of nine styles before, after",
        Desk.turn_page,
    ),
    Control(("Tab",), "Tab", "solo or mix: one style, or as many as you like", Desk.toggle_mixing),
    Control(
        ("Backspace", "Delete", *_SHIFTED),
        "Backspace",
        "a tenth less of the style chosen last (or Shift and its digit)",
        Desk.lower,
    ),
    Control(("Left", "Right"), "← →", "glide through the ring of styles; hold to morph", Desk.glide),
    Control(("Up", "Down"), "↑ ↓", "strength, 0 to 150 %", Desk.change_strength),
    _letter("a", "morph by itself from style to style", Desk.toggle_auto),
    _letter("c", "keep my colours: only the brightness is painted", Desk.toggle_own_colours),
    _letter("t", "smooth along the motion: off, light, strong", Desk.next_smooth),
    _letter("b", "a wider brush: 1, 1.5, 2, 3 times, then half", Desk.next_brush),
    Control(("Space",), "Space", "freeze the picture; the painting can still change", Desk.toggle_frozen),
    _letter("m", "mirror the window", Desk.toggle_mirror),
    _letter("o", "original beside the painting: split, both, off", Desk.next_view),
    _letter("f", "full screen", Desk.toggle_full_screen),
    _letter("h", "these keys, then no overlay at all", Desk.next_overlay),
    _letter("s", "snapshot: original and painting as PNG", Desk.ask_snapshot),
    _letter("r", "record, stop recording", Desk.toggle_recording),
    Control(("q", "Q", "Esc"), "q, Esc", "end", Desk.end),
)
CONTROL_OF_KEY = {key: control for control in CONTROLS for key in control.keys}
