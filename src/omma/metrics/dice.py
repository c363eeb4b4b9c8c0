"""Dice: twice the overlap over the sum of both areas; the F1 of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from omma.metrics._of_classes import OfClasses
from omma.metrics._pixels import OfPixels, foreground, picture_means, summed
from omma.metrics.counts import ratio
from omma.metrics.metric import Records


class Dice(OfPixels, OfClasses):
    """2 tp / (2 tp + fp + fn) of each class (Dice 1945), and their mean without the background.

    A class called background (see `answers.mask.BACKGROUND`) has its own row and no part in the mean, which for one foreground class is
    therefore that class's Dice: with the background in it, missing every lesion would still score near 0.5.

    Args:
        over: `set` sums the pixels of all pictures first, so that large objects count most; `picture` takes Dice of each picture and
            the mean over those where the class is true or named, as most medical papers do (nnU-Net, Isensee et al. 2021). A picture
            where neither side shows a class says nothing of it; one where a single side does scores 0.
    """

    def __init__(self, names: Sequence[str], over: Literal["set", "picture"] = "set") -> None:
        super().__init__(names)
        self.over = over

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        if self.over == "set":
            return _dice(*summed(records, weights))
        return picture_means(_dice(records["tp"], records["fp"], records["fn"]), weights)

    def averaged(self) -> np.ndarray:
        return foreground(self.names)


def _dice(right: np.ndarray, invented: np.ndarray, missed: np.ndarray) -> np.ndarray:
    return ratio(2 * right, 2 * right + invented + missed)
