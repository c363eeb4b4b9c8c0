"""Precision: of the pictures a class was named for, the share that shows it."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import Counted, ratio


class Precision(Counted):
    """hits / times named; 0 for a class that occurs but is never named (as scikit-learn's `zero_division=0`)."""

    def one(self, hits: np.ndarray, named: np.ndarray, true: np.ndarray) -> np.ndarray:
        return np.where(named + true > 0, ratio(hits, named, 0.0), np.nan)
