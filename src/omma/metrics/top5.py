"""Top-5: the share of pictures whose class is among the five most probable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import average, indicators, probabilities
from omma.metrics.metric import Metric, Records


class Top5(Metric):
    """Right when fewer than five classes are more probable than the true one."""

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"right": (N,) bool}."""
        shares, truth = probabilities(predictions, self.names), indicators(truths, self.names)
        own = shares[truth].reshape(-1, 1)
        # Equal probabilities count by place, as a stable sort would have it.
        earlier = np.arange(len(self.names)) < truth.argmax(1)[:, None]
        return {"right": ((shares > own) | ((shares == own) & earlier)).sum(1) < 5}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return average(records["right"], weights)
