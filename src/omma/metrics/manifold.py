"""Precision and recall of sets: how much of what is drawn could be true, and how much of what is true is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._seen import BySight, seen
from omma.metrics.counts import average
from omma.metrics.metric import Records

K = 3
# Two distances that are one by definition differ by rounding: squares nearer than this, beside the squared length of features, are one.
ROUNDING = 1e-12
AT_ONCE = 1000  # rows of a table of distances


class Manifold(BySight):
    """Improved precision and recall (Kynkäänniemi et al. 2019), with k = 3.

    Around each picture of a set lies a ball of features that reaches to its third neighbour in that set. `precision` is the share of the
    drawn pictures that lie in a ball of a true one, `recall` the share of the true ones that lie in a ball of a drawn one: a generator
    that always draws the same good picture has the first and not the second. The balls stay as they are in every drawing of an interval.

    Undefined for fewer than four pictures.

    Args:
        names, features: as in `BySight`.
        of: precision or recall.
    """

    def __init__(self, names: Sequence[str], of: str, features: str = "random") -> None:
        super().__init__(names, features)
        assert of in ("precision", "recall")
        self.of, self.meaning = of, f"drawn_{of}"

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"inside": (N,) float, 1 or 0; NaN where it is undefined}."""
        made, true = seen(predictions), seen(truths)
        if made is None or true is None or len(truths) <= K:
            return {"inside": np.full(len(truths), np.nan)}
        return {"inside": (inside(made, true) if self.of == "precision" else inside(true, made)).astype(float)}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return average(records["inside"], weights)


def inside(points: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Which of `points` (N, F) lie no further from one of `around` (M, F), M > 3, than that one's third neighbour among them: (N,) bool."""
    middle = around.mean(0)  # what is shared by all would cost digits
    points, around = points - middle, around - middle
    reach = np.concatenate([np.partition(_squares(rows, around), K, axis=1)[:, K] for rows in _blocks(around)])
    reach += ROUNDING * np.square(around).sum(1).max()
    return np.concatenate([(_squares(rows, around) <= reach).any(1) for rows in _blocks(points)])


def _squares(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared distances: (n, F) and (m, F) → (n, m)."""
    return np.square(one).sum(1)[:, None] + np.square(other).sum(1) - 2 * one @ other.T


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
