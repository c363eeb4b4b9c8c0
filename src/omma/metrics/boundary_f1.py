"""Boundary F1: the share of predicted and of true outlines that lie close to each other."""

from __future__ import annotations

import numpy as np

from omma.metrics._outlines import OfOutlines, nearest
from omma.metrics._pixels import picture_means
from omma.metrics.counts import mean_of_defined
from omma.metrics.metric import Records

# Of the picture's diagonal, as Csurka et al. chose.
TOLERANCE = 0.0075


class BoundaryF1(OfOutlines):
    """Of each class in each picture, the harmonic mean of precision (predicted outline near a true one) and recall (the reverse).

    Csurka, Larlus & Perronnin 2013. A picture's score is the mean over the classes with an outline on either side, and 0 for a class
    with an outline on one side only; the whole is the mean over pictures. The picture's own frame is nobody's outline: a sky that
    fills the upper half has one along the horizon, and none around the corners.
    """

    def one(self, told: np.ndarray, true: np.ndarray, diagonal: float) -> float:
        if not len(told) or not len(true):
            return 0.0
        reach = TOLERANCE * diagonal + 1e-9  # 0.75 % of 800 is 6 pixels, whatever floats make of it
        precision, recall = ((nearest(a, b) <= reach).mean() for a, b in ((told, true), (true, told)))
        return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return picture_means(mean_of_defined(records["value"], axis=1)[:, None], weights)[0]
