"""The learning rate as a pure function of progress."""

from __future__ import annotations

import math
from dataclasses import dataclass

FALLING = ("cosine", "onecycle")  # from the end of the warm-up on


def factor(name: str, progress: float, warmup: float = 0.0) -> float:
    """Share of the peak rate at `progress` (0–1 of the run); all but `constant` and `step` end near 0.

    Args:
        name: constant, step (÷10 at 1/2 and 3/4), cosine (Loshchilov & Hutter 2017), onecycle (linear up, linear down; Smith & Topin 2019)
            or trapezoid (up, flat, down over the last 40 %).
        progress: (steps done + ½) / all steps.
        warmup: share of the run with a linear rise.
    """
    rise = min(1.0, progress / warmup) if warmup > 0 else 1.0
    rest = max(0.0, (progress - warmup) / max(1e-9, 1.0 - warmup))
    if name == "constant":
        return rise
    if name == "step":
        return rise * (1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01)
    if name == "cosine":
        return rise if progress < warmup else 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))
    if name == "onecycle":
        return rise if progress < warmup else max(0.0, 1.0 - rest)
    assert name == "trapezoid", name
    return min(rise, max(0.0, (1.0 - progress) / 0.4))


@dataclass(slots=True)
class Course:
    """The rate over one run, an end at another time than was planned included.

    Args:
        name, warmup: as in `factor`.
        total: steps of the whole run.
        tail: (first step, length, factor there) once the run was told to end early or late: from there the rate falls linearly to 0.
    """

    name: str
    warmup: float
    total: int
    tail: tuple[int, int, float] | None = None

    def at(self, step: int) -> float:
        """Share of the peak rate for step `step` (from 0)."""
        if self.tail is None or step < self.tail[0]:
            return factor(self.name, (step + 0.5) / self.total, self.warmup)
        first, length, start = self.tail
        return start * max(0.0, 1.0 - (step - first + 0.5) / length)

    @property
    def last(self) -> int:
        """Steps until the end."""
        return self.total if self.tail is None else self.tail[0] + self.tail[1]

    def end_early(self, step: int, length: int) -> None:
        """Anneal from `step` on over `length` steps; nothing if the end is nearer than that. A tail may be made shorter again."""
        if step + max(1, length) < self.last:
            self.tail = (step, max(1, length), self.at(step))

    def end_later(self, step: int, length: int) -> None:
        """The same where there is time for more steps; nothing after an early end, or where the rate does not fall all the way."""
        if self.tail is None and self.name in FALLING and step + length > self.last:
            self.tail = (step, length, self.at(step))
