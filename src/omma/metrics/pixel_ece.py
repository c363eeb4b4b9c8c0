"""Calibration error of pixels: how far the stated probability of their class is from the share that is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.answers.mask import VOID, Mask
from omma.metrics._pixels import aligned
from omma.metrics.ece import BINS, Ece
from omma.metrics.metric import Records

LEVELS = 256  # probabilities of pixels are kept in steps of 1/255
SHARE = np.arange(LEVELS) / (LEVELS - 1)
# The bin of each level, open on the left as in `Ece`, in whole numbers: no border is missed by a rounding.
BIN = np.maximum(-(-np.arange(LEVELS) * BINS // (LEVELS - 1)) - 1, 0)


class PixelEce(Ece):
    """As `Ece`; every scored pixel is one statement, and pixels of one picture stand or fall together in its interval."""

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"stated", "happened", "count": (N, 15)}."""
        found: Records = {key: np.zeros((len(truths), BINS)) for key in ("stated", "happened", "count")}
        for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
            told, true = aligned(prediction, truth, self.names)
            known = (told != VOID) & (true != VOID)
            level = levels(prediction)[known]
            whole, right = np.bincount(level, minlength=LEVELS), np.bincount(level[(told == true)[known]], minlength=LEVELS)
            for key, times in (("stated", SHARE * whole), ("happened", right), ("count", whole)):
                found[key][row] = np.bincount(BIN, times, BINS)
        return found


def levels(mask: Mask) -> np.ndarray:
    """(H, W) uint8: how probable the class of each pixel is, in 1/255; all of a mask that does not say."""
    shares = mask.probabilities
    return np.full((mask.height, mask.width), LEVELS - 1, np.uint8) if shares is None else np.rint(shares * (LEVELS - 1)).astype(np.uint8)
