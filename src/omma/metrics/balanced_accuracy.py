"""Balanced accuracy: the mean of the recall of the classes that occur."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import Counted, ratio


class BalancedAccuracy(Counted):
    """Every class counts the same, however rare: what always naming the commonest class scores is 1 / classes."""

    def one(self, hits: np.ndarray, named: np.ndarray, true: np.ndarray) -> np.ndarray:
        return ratio(hits, true)

    def each(self, records, weights):
        """None: a class's part is its recall."""
        return None

    def summaries(self, records, weights):
        from omma.metrics.counts import mean_of_defined

        return mean_of_defined(self.one(*self._sums(records, weights)))
