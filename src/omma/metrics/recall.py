"""Recall (sensitivity): of the pictures that show a class, the share it was named for."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import Counted, ratio


class Recall(Counted):
    """hits / times true; 0 for a class that is named but never occurs (as scikit-learn's `zero_division=0`)."""

    def one(self, hits: np.ndarray, named: np.ndarray, true: np.ndarray) -> np.ndarray:
        return np.where(named + true > 0, ratio(hits, true, 0.0), np.nan)
