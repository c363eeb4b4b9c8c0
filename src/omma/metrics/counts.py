"""Answers as arrays, and what is counted from them: shared by the metrics of one and of several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.metric import Metric, Records


def indicators(answers: Sequence[Any], names: Sequence[str]) -> np.ndarray:
    """Which classes each answer (a `Label` or `Labels`) names: (N, C) bool."""
    place = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(answers), len(names)), bool)
    for row, answer in enumerate(answers):
        for name in answer.labels if hasattr(answer, "labels") else (answer.label,):
            table[row, place[name]] = True
    return table


def probabilities(answers: Sequence[Any], names: Sequence[str]) -> np.ndarray:
    """How probable each answer holds each class: (N, C) float64; an answer without probabilities is sure of what it says."""
    if not answers or any(answer.probabilities is None for answer in answers):
        return indicators(answers, names).astype(float)
    table = np.stack([answer.probabilities for answer in answers]).astype(float)
    classes = list(answers[0].classes)
    return table if classes == list(names) else table[:, [classes.index(name) for name in names]]


def counted(table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, K) of 0 and 1 (or numbers) summed over the pictures, each `weights` (N, D) times: (K, D)."""
    # Sums of 0 and 1 are exact in float32 up to 16 million; everything else is added in float64.
    return table.T.astype(np.float32) @ weights.astype(np.float32, copy=False) if table.dtype == bool else table.T @ weights


def average(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over the pictures, each `weights` (N, D) times: values (N,) → (D,), (N, K) → (K, D), float64."""
    return counted(values, weights).astype(float) / weights.sum(0, dtype=float)


def ratio(above: np.ndarray, below: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """above / below, `otherwise` where below is 0."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full(np.broadcast_shapes(above.shape, below.shape), otherwise), where=below > 0)


def mean_of_defined(rows: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over the values that are not NaN; NaN where none is."""
    known = ~np.isnan(rows)
    return ratio(np.where(known, rows, 0.0).sum(axis), known.sum(axis))


def most_confused(table: np.ndarray, most: int = 3) -> list[tuple[int, int, int]]:
    """The largest cells beside the diagonal of a confusion matrix, as far as they are not 0: (true, named, count) each."""
    off = table * ~np.eye(len(table), dtype=bool)
    cells = np.argsort(-off, axis=None, kind="stable")[:most]
    return [(*divmod(int(cell), len(table)), int(off.flat[cell])) for cell in cells if off.flat[cell]]


def from_each_on(label: np.ndarray, share: np.ndarray, hit: np.ndarray, classes: int, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many statements of each class ((n,) label, share, hit) are right, and how many there are, from each level on: (K, L) each."""
    hits, named = np.zeros((classes, len(levels))), np.zeros((classes, len(levels)))
    for k in range(classes):
        own = label == k
        order = np.argsort(share[own], kind="stable")
        below = np.searchsorted(share[own][order], levels, "left")
        right = np.append(0, np.cumsum(hit[own][order]))
        hits[k], named[k] = right[-1] - right[below], len(order) - below
    return hits, named


class Counted(Metric):
    """Precision, recall and F1: from the hits (true positives), the times named and the times true of each class.

    Args:
        average: `macro` (mean over the classes that occur), `micro` (all decisions pooled) or `weighted` (by how often a class is true).
    """

    def __init__(self, names: Sequence[str], average: str = "macro") -> None:
        super().__init__(names)
        assert average in ("macro", "micro", "weighted")
        self.average = average

    def one(self, hits: np.ndarray, named: np.ndarray, true: np.ndarray) -> np.ndarray:
        """The number of each class from its counts; NaN for a class that neither occurs nor is named."""
        raise NotImplementedError

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"truth", "predicted"}: (N, C) bool."""
        return {"truth": indicators(truths, self.names), "predicted": indicators(predictions, self.names)}

    def _sums(self, records: Records, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth, predicted = records["truth"], records["predicted"]
        return counted(truth & predicted, weights), counted(predicted, weights), counted(truth, weights)

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray | None:
        """The number of each class, told once: by the macro average."""
        return self.one(*self._sums(records, weights)) if self.average == "macro" else None

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return self.pooled(*self._sums(records, weights))

    def pooled(self, hits: np.ndarray, named: np.ndarray, true: np.ndarray) -> np.ndarray:
        """The number of all classes from the counts of each, (K, D) → (D,)."""
        if self.average == "micro":
            return self.one(hits.sum(0), named.sum(0), true.sum(0))
        rows = self.one(hits, named, true)
        if self.average == "macro":
            return mean_of_defined(rows)
        return ratio((np.nan_to_num(rows) * true).sum(0), true.sum(0))

    def swept(
        self, predictions: Sequence[Any], truths: Sequence[Any], levels: np.ndarray, alone: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hits, times named and times true of each class if what is less probable than a level were not said: (K, L) each.

        Args:
            levels: (L,) thresholds, 0–1.
            alone: each class is asked for by itself, whatever else is more probable (one against the rest).
        """
        truth, shares = indicators(truths, self.names), probabilities(predictions, self.names)
        if not alone and any(not hasattr(answer, "labels") for answer in predictions):
            shares = np.where(indicators(predictions, self.names), shares, -1.0)  # of several classes one is said
        # As an operating point is applied: in float32.
        label = np.tile(np.arange(len(self.names)), len(shares))
        counts = from_each_on(label, shares.ravel(), truth.ravel(), len(self.names), levels.astype(np.float32).astype(float))
        return *counts, np.repeat(truth.sum(0)[:, None], len(levels), 1).astype(float)

    def apart(self, predictions: Sequence[Any], truths: Sequence[Any], about: int, level: float) -> dict[str, list[int]]:
        """The pictures where class number `about`, said from `level` on, is `right`, `invented` (most sure first) or `missed` (least)."""
        true, share = indicators(truths, self.names)[:, about], probabilities(predictions, self.names)[:, about]
        said = share >= np.float32(level)
        cases = {"right": (said & true, -share), "invented": (said & ~true, -share), "missed": (~said & true, share)}
        return {name: np.flatnonzero(where)[np.argsort(key[where], kind="stable")].tolist() for name, (where, key) in cases.items()}

    def carriers(self, records: Records) -> np.ndarray:
        return records["truth"].sum(0).astype(float) if self.average == "macro" else super().carriers(records)
