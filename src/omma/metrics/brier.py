"""Brier score: the squared distance between probabilities and truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import average, indicators, probabilities
from omma.metrics.metric import Metric, Records


class Brier(Metric):
    """Half the sum over classes of (p − truth)²: 0–1, for two classes the usual Brier score. `several` labels: the mean over classes."""

    better = "lower"
    scale = "positive"
    ceiling = 1.0

    def __init__(self, names: Sequence[str], several: bool = False) -> None:
        super().__init__(names)
        self.several = several

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"loss": (N,) float}."""
        squares = (probabilities(predictions, self.names) - indicators(truths, self.names)) ** 2
        return {"loss": squares.mean(1) if self.several else squares.sum(1) / 2}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return average(records["loss"], weights)
