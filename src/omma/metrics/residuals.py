"""Numbers as arrays: what the metrics of regression share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import mean_of_defined
from omma.metrics.metric import Metric, Records


def values(answers: Sequence[Any], names: Sequence[str]) -> np.ndarray:
    """(N, K) float64."""
    return np.array([[answer.numbers[name] for name in names] for answer in answers], float).reshape(-1, len(names))


class OfNumbers(Metric):
    """A metric of each number; the whole is the mean over the numbers."""

    parts_are = "numbers"

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"truth", "predicted": (N, K) float64}."""
        return {"truth": values(truths, self.names), "predicted": values(predictions, self.names)}

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        """(K, D)."""
        raise NotImplementedError

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return mean_of_defined(self.each(records, weights))
