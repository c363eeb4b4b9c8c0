"""Metrics of a ranking: sort each class once, then weighted cumulative sums for every drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from omma.metrics._of_classes import OfClasses
from omma.metrics.counts import indicators, probabilities
from omma.metrics.metric import Records


class Ranked(OfClasses):
    """One class against the rest, averaged over the classes that occur and do not always occur (macro)."""

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"truth": (N, C) bool, "probabilities": (N, C) float}."""
        return {"truth": indicators(truths, self.names), "probabilities": probabilities(predictions, self.names)}

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        """(C, D): the number of each class; NaN where it never or always occurs."""
        truth, shares = records["truth"], records["probabilities"]
        rows = [self.one(*ranked, weights) for ranked in _ranked(truth, shares)]
        return np.stack(rows) if rows else np.zeros((0, weights.shape[1]))

    def one(self, order: np.ndarray, positive: np.ndarray, ends: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """One class: pictures by falling score, which of them show it, the last place of each run of equal scores → (D,)."""
        raise NotImplementedError

    def carriers(self, records: Records) -> np.ndarray:
        true = records["truth"].sum(0)
        return np.minimum(true, len(records["truth"]) - true).astype(float)


def _ranked(truth: np.ndarray, shares: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for column in range(truth.shape[1]):
        order = np.argsort(-shares[:, column], kind="stable")
        score = shares[order, column]
        yield order, truth[order, column], np.flatnonzero(np.append(score[1:] != score[:-1], True))
