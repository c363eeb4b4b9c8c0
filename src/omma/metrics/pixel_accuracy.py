"""Pixel accuracy: the share of scored pixels whose class is right."""

from __future__ import annotations

import numpy as np

from omma.metrics._pixels import OfPixels, summed
from omma.metrics.counts import ratio
from omma.metrics.metric import Metric, Records


class PixelAccuracy(OfPixels):
    """Right / scored, over the pixels of all pictures; large classes decide it, so it is read beside mIoU."""

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        right, _, missed = summed(records, weights)
        return ratio(right.sum(0), (right + missed).sum(0))

    def carriers(self, records: Records) -> np.ndarray:
        return Metric.carriers(self, records)
