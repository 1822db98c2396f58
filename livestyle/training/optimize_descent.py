"""L-BFGS (Nocedal 1980) on the pixels of a picture: they stay in [0, 1], and the loss never rises."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from livestyle.errors import RecipeError

# A picture -> its loss, and its style and content fractions.
Loss = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]

HISTORY = 10  # pairs of steps and changes of the gradient
FIRST_STEP = 0.01  # mean change of a pixel while nothing is known about the curvature
SHORTER = 0.25  # of its length is tried, when a step made the picture worse
SHORTEST = 0.01  # and then the history is forgotten: it fits no longer


@dataclass(frozen=True, eq=False)
class Descent:
    """The best picture so far, its loss, its style and content fractions. Shape: (1, 3, H, W), [0, 1]."""

    picture: Tensor
    loss: float
    style: float
    content: float


def descend(loss: Loss, start: Tensor, iterations: int) -> Iterator[Descent]:
    """The start, and what is there after each iteration: one evaluation of the loss, and of its gradient.

    A step that would raise the loss is not taken, and a shorter one is tried in the next iteration. So the
    loss never rises; without that, a few starts in a hundred are torn apart. Pixels are clipped to [0, 1]
    after each step, and those that a step would push out stay where they are.
    Raises RecipeError for a loss that is not finite.
    """
    best, gradient = _evaluate(loss, start.detach().clone(), 0)
    assert gradient is not None  # nothing is above infinity
    yield best
    history: deque[tuple[Tensor, Tensor]] = deque(maxlen=HISTORY)
    length, direction = 1.0, _direction(best.picture, gradient, history)
    for iteration in range(1, iterations + 1):
        picture = (best.picture + length * direction).clamp(0, 1)
        found, new_gradient = _evaluate(loss, picture, iteration, below=best.loss)
        if new_gradient is None:
            length *= SHORTER
            if history and length < SHORTEST:
                history.clear()
                length, direction = 1.0, _direction(best.picture, gradient, history)
        else:
            step, change = picture - best.picture, new_gradient - gradient
            # Only a bowl has a bottom: other curvatures would turn the next direction uphill.
            if float((step * change).sum()) > 1e-6 * float(step.norm() * change.norm()):
                history.append((step, change))
            best, gradient = found, new_gradient
            length, direction = 1.0, _direction(picture, gradient, history)
        yield best


def _evaluate(
    loss: Loss, picture: Tensor, iteration: int, below: float = math.inf
) -> tuple[Descent, Tensor | None]:
    """What a picture is worth, and the gradient there, where the loss is not above `below`."""
    variable = picture.detach().requires_grad_()
    total, style, content = loss(variable)
    found = Descent(picture, total.item(), style.item(), content.item())
    if not math.isfinite(found.loss):
        raise RecipeError(
            f"the loss is not finite at iteration {iteration}: try a smaller --strength, another painting, "
            "or another loss network"
        )
    if found.loss > below:
        return found, None
    (gradient,) = torch.autograd.grad(total, variable)
    return found, gradient


def _direction(picture: Tensor, gradient: Tensor, history: deque[tuple[Tensor, Tensor]]) -> Tensor:
    """Where to go from here: -H g, H as the history says, and downhill in any case."""
    stuck = ((picture <= 0) & (gradient > 0)) | ((picture >= 1) & (gradient < 0))
    g = gradient.masked_fill(stuck, 0)
    direction = -g
    coefficients = []
    for step, change in reversed(history):
        rho = 1 / (step * change).sum()
        alpha = rho * (step * direction).sum()
        direction = direction - alpha * change
        coefficients.append((alpha, rho))
    if history:
        step, change = history[-1]
        direction = direction * ((step * change).sum() / change.square().sum())
    else:
        direction = direction * (FIRST_STEP / g.abs().mean().clamp(min=1e-30))
    for (step, change), (alpha, rho) in zip(history, reversed(coefficients), strict=True):
        direction = direction + (alpha - rho * (change * direction).sum()) * step
    direction = direction.masked_fill(stuck, 0)
    if float((direction * g).sum()) > 0:
        history.clear()
        return _direction(picture, gradient, history)
    return direction
