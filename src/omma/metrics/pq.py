"""Panoptic quality: how many objects are found, times how well their outlines fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from omma.metrics._of_classes import OfClasses
from omma.metrics._pairs import OfPairs, Pairing
from omma.metrics.counts import counted, ratio
from omma.metrics.metric import Records


class Pq(OfPairs, OfClasses):
    """PQ = SQ · RQ of each class over all pictures, mean over the classes that occur (Kirillov et al. 2019).

    A pair is a predicted and a true object of IoU > 0.5. SQ (segmentation quality) is the mean IoU of the pairs, 0 without any; RQ
    (recognition quality) their F1: pairs / (pairs + half of the invented + half of the missed). Predicted masks may overlap.

    Args:
        quality: which of the three.
    """

    def __init__(self, names: Sequence[str], quality: Literal["PQ", "SQ", "RQ"] = "PQ", pairing: Pairing | None = None) -> None:
        super().__init__(names, pairing)
        self.quality = quality

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        overlap, pairs, told, true = (counted(records[key], weights) for key in ("overlap", "pairs", "told", "true"))
        if self.quality == "SQ":
            return np.where(told + true > 0, ratio(overlap, pairs, 0.0), np.nan)
        return ratio(2 * (overlap if self.quality == "PQ" else pairs), told + true)
