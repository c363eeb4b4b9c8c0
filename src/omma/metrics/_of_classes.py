"""Metrics that are the mean of a number of each class, as far as it is defined."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import mean_of_defined
from omma.metrics.metric import Metric, Records


class OfClasses(Metric):
    """A subclass writes `each`; the whole is the mean over the classes that have a number."""

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        """(K, D); NaN for a class without a number."""
        raise NotImplementedError

    def averaged(self) -> np.ndarray | slice:
        """The classes that the whole is the mean of."""
        return slice(None)

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return self.both(records, weights)[0]

    def both(self, records: Records, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = self.each(records, weights)
        return mean_of_defined(rows[self.averaged()]), rows
