"""How long a run lasts: minutes, epochs or steps, turned into steps once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from omma.errors import OmmaError
from omma.words import say

_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_COUNTS = {"epoch": "epochs", "step": "steps"}


@dataclass(frozen=True, slots=True)
class Budget:
    """`amount` of `kind`; seconds for time."""

    kind: Literal["seconds", "epochs", "steps"]
    amount: float

    def steps(self, per_epoch: int) -> int:
        """Steps for epochs and steps; time is measured first."""
        assert self.kind != "seconds"
        return max(1, round(self.amount * (per_epoch if self.kind == "epochs" else 1)))


def parse(text: str) -> Budget:
    """`10min`, `90s`, `1.5h`, `20 epochs`, `3000 steps`.

    Raises:
        OmmaError: not such a word.

    >>> parse("10min")
    Budget(kind='seconds', amount=600.0)
    >>> parse("20 epochs")
    Budget(kind='epochs', amount=20.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    unit = match[2] if match else ""
    unit = unit if unit in _SECONDS else unit.removesuffix("s")
    if match is None or float(match[1]) <= 0 or unit not in _SECONDS | _COUNTS:
        raise OmmaError(say("train.bad_budget", budget=text))
    if unit in _COUNTS:
        return Budget("epochs" if unit == "epoch" else "steps", float(match[1]))
    return Budget("seconds", float(match[1]) * _SECONDS[unit])
