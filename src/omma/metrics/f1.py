"""F1: the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import Counted, ratio


class F1(Counted):
    """2 · hits / (times named + times true)."""

    def one(self, hits: np.ndarray, named: np.ndarray, true: np.ndarray) -> np.ndarray:
        return ratio(2 * hits, named + true)
