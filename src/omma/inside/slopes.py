"""The way back: what a question's answer would change with, at every layer; and what says that a network learns badly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from omma.inside.kinds import maps_of
from omma.inside.trace import Trace

VANISHED, EXPLODED = 1e-5, 1e3  # of the largest slope, of the last layer's
FLAT = 0.01  # a sigmoid so near its ends hardly passes anything on
FALLS = {"sigmoid", "tanh", "hardsigmoid", "hardtanh", "softsign"}
CUTS = {"relu", "relu6", "leaky_relu", "prelu", "hardswish", "silu", "gelu", "elu"}


@dataclass
class Slopes:
    """One backward pass.

    Args:
        about: what was asked.
        score: its value.
        maps: place of a step → (C, h, w) gradient of the score by what the step gave.
        kernels: place of a step → gradient by its weight, as the weight lies.
        picture: (C, H, W) gradient by the picture.
    """

    about: str
    score: float
    maps: dict[int, torch.Tensor] = field(default_factory=dict)
    kernels: dict[int, torch.Tensor] = field(default_factory=dict)
    picture: torch.Tensor | None = None

    def size(self, place: int) -> float | None:
        """Root mean square of the gradient at a step; None where none came."""
        found = self.maps.get(place)
        return None if found is None else float(found.float().square().mean().sqrt())


def slopes(seen: Trace, about: str, score: Callable[[], torch.Tensor], kernels: bool = True) -> Slopes:
    """The gradient of `score()` at every step of a trace whose graph is still there.

    Args:
        about: for people.
        score: a number made of the trace's answer; may be asked again for another.
        kernels: also by every weight, which takes half of the time.
    """
    seen.slopes.clear()
    value = score().sum()
    weights = {
        place: step.terms["weight"]
        for place, step in enumerate(seen.steps)
        if kernels and isinstance(step.terms.get("weight"), torch.Tensor) and step.terms["weight"].requires_grad
    }
    found = Slopes(about, float(value.detach()))
    if not value.requires_grad:
        return found
    inputs = [seen.picture, *weights.values()]
    given = torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)
    found.picture = None if given[0] is None else maps_of(given[0].detach(), seen.picture_layout)
    found.kernels = {place: slope.detach() for place, slope in zip(weights, given[1:], strict=True) if slope is not None}
    found.maps = {place: maps_of(slope, seen.steps[place].layout) for place, slope in seen.slopes.items()}
    return found


@dataclass
class Health:
    """What one picture says of a layer.

    Args:
        dead: channels that are zero everywhere (after a function that cuts).
        flat: share of its numbers that lie at the ends of a sigmoid or a hyperbolic tangent, where slopes end.
        word: "", "vanished" or "exploded": its gradient beside those of the other layers.
    """

    dead: list[int] = field(default_factory=list)
    flat: float | None = None
    word: str = ""


def health(seen: Trace, found: Slopes) -> dict[int, Health]:
    """Place of a step → what is wrong or right with it, for layers of which that can be said."""
    sizes = {place: size for place in range(len(seen.steps)) if (size := found.size(place)) is not None}
    largest = max(sizes.values(), default=0.0)
    last = sizes[max(sizes)] if sizes else 0.0
    told: dict[int, Health] = {}
    for place, step in enumerate(seen.steps):
        one = Health()
        name = step.terms.get("name")
        if name in CUTS:
            one.dead = (step.maps.abs().amax((1, 2)) == 0).nonzero().flatten().tolist()
        if name in FALLS:
            one.flat = _flat(step.maps, name)
        if place in sizes and largest:
            # A kernel's slope decides what is learned: of steps in between only the large ones are said.
            if sizes[place] < VANISHED * largest:
                one.word = "vanished"
            elif last and sizes[place] > EXPLODED * last:
                one.word = "exploded"
        if name in CUTS | FALLS or one.word:
            told[place] = one
    return told


def _flat(maps: torch.Tensor, name: str) -> float:
    low, high = (-1.0, 1.0) if name in ("tanh", "hardtanh", "softsign") else (0.0, 1.0)
    near = FLAT * (high - low)
    return float(((maps < low + near) | (maps > high - near)).float().mean())
