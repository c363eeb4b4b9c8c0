"""Area under the ROC curve of pixels: how often one of the second class is given a higher probability of it than one of the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.answers.mask import VOID
from omma.metrics._pixels import aligned
from omma.metrics.counts import ratio
from omma.metrics.metric import Metric, Records
from omma.metrics.pixel_ece import LEVELS, levels


class PixelAuc(Metric):
    """Of two classes, all scored pixels of all pictures pooled; equal probabilities count as half (Mann & Whitney 1947).

    Probabilities are kept in steps of 1/255; the area of finer ones may differ in the third digit.
    """

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"first", "second": (N, 256) int64}: pixels of each true class by the probability of the second."""
        assert len(self.names) == 2, "one class against the other"
        found = {key: np.zeros((len(truths), LEVELS), np.int64) for key in ("first", "second")}
        for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
            told, true = aligned(prediction, truth, self.names)
            known, sure = (told != VOID) & (true != VOID), levels(prediction)
            second = np.where(told == 1, sure, LEVELS - 1 - sure)
            for place, key in enumerate(("first", "second")):
                found[key][row] = np.bincount(second[known & (true == place)], minlength=LEVELS)
        return found

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        first, second = (records[key].T.astype(float) @ weights for key in ("first", "second"))
        below = np.cumsum(first, 0) - first / 2
        return ratio((second * below).sum(0), first.sum(0) * second.sum(0))
