"""R²: the share of the spread of a number that the predictions explain."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import ratio
from omma.metrics.metric import Records
from omma.metrics.residuals import OfNumbers


class R2(OfNumbers):
    """1 − Σ(predicted − true)² / Σ(true − mean)²: 1 is perfect, 0 is always saying the mean, below 0 is worse than that."""

    scale = "below_one"

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        truth = records["truth"]
        # Centred first: the difference of two large sums would lose its digits.
        truth = truth - truth.mean(0) if len(truth) else truth
        missed = ((records["truth"] - records["predicted"]) ** 2).T @ weights
        total = weights.sum(0)
        spread = (truth**2).T @ weights - (truth.T @ weights) ** 2 / total
        return 1 - ratio(missed, np.where(spread > 1e-12 * total, spread, 0.0))
