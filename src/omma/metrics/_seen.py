"""Sets of pictures, drawn and true, by what a network sees in them: neither which stands beside which nor their order means anything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from omma.metrics.metric import Metric, Records


class BySight(Metric):
    """A number of two sets of pictures, told by their features.

    Args:
        names: as of every metric; not used.
        features: the network that looked at the pictures, see `models/eyes.py`; numbers by different ones cannot be compared.
    """

    def __init__(self, names: Sequence[str], features: str = "random") -> None:
        super().__init__(names)
        self.protocol = {"features": features}


class Apart(BySight):
    """How far drawn pictures lie from true ones.

    Args:
        names, features: as in `BySight`.
        real: two halves of the true pictures instead, as they are and never drawn: what such a number is where there is nothing to tell.
    """

    better = "lower"
    halved: ClassVar[bool] = False  # whether the drawn ones, too, are compared by halves
    most: ClassVar[int | None] = None  # pictures of each set

    def __init__(self, names: Sequence[str], features: str = "random", real: bool = False) -> None:
        super().__init__(names, features)
        self.real = real

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"made", "true": (N, F) float64, what is seen; "of_made", "of_true": (N,) bool, whether a picture is counted in its set}.

        Chance says which are counted, and always says the same. No picture is counted where nobody looked at one, or saw no number.
        """
        count = len(truths)
        first = truths if self.real else predictions
        made, true = seen(first), seen(truths)
        if made is None or true is None:
            nothing, none = np.zeros((count, 1)), np.zeros(count, bool)
            return {"made": nothing, "true": nothing, "of_made": none, "of_true": none}
        size = min(count // 2 if self.halved or self.real else count, self.most or count)
        start = size if self.real else 0
        return {
            "made": made,
            "true": true,
            "of_made": among(count, shuffled(first, made)[start : start + size]),
            "of_true": among(count, shuffled(truths, true)[:size]),
        }

    def carriers(self, records: Records) -> np.ndarray:
        return np.array([float(min(records["of_made"].sum(), records["of_true"].sum()))])


def seen(answers: Sequence[Any]) -> np.ndarray | None:
    """Features of `Drawn`: (N, F) float64; None where there are none, or one of them is missing or is no finite number."""
    rows = [answer.seen for answer in answers]
    if not rows or any(row is None for row in rows):
        return None
    table = np.stack(rows).astype(float)
    return table if np.isfinite(table).all() else None


def shuffled(answers: Sequence[Any], rows: np.ndarray) -> np.ndarray:
    """Places (N,) in an order of chance, the same pictures first in whatever order they are given.

    Chance is a digest of the picture's name, or of its place among those drawn, which outlast another network and another machine; or of
    what is seen ((N, F)) in one that has neither.
    """
    words = [(answer.name or answer.key).encode() or row.tobytes() for answer, row in zip(answers, rows, strict=True)]
    tickets = [hashlib.blake2b(word).digest() for word in words]
    return np.array(sorted(range(len(rows)), key=lambda place: (tickets[place], rows[place].tobytes())), int)


def among(count: int, places: np.ndarray) -> np.ndarray:
    """(count,) bool, true at `places`."""
    chosen = np.zeros(count, bool)
    chosen[places] = True
    return chosen
