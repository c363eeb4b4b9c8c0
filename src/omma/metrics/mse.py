"""Mean squared error, in the square of the numbers' unit."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import average
from omma.metrics.metric import Records
from omma.metrics.residuals import OfNumbers


class Mse(OfNumbers):
    """Mean of (predicted − true)²."""

    better = "lower"
    scale = "positive"

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return average((records["predicted"] - records["truth"]) ** 2, weights)
