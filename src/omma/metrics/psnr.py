"""PSNR: how far the error lies below white, in decibels; of every picture, then their mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from omma.metrics._reference import WHITE, AgainstReference
from omma.metrics.metric import Gallery, Records

CAP = 100.0  # dB: equal pictures have no error, and would have no mean


class Psnr(AgainstReference):
    """10 log₁₀(white² / mean squared error) of each picture, at most 100 dB, which equal pictures have; the mean of that.

    Y is 16 + (65.481 R + 128.553 G + 24.966 B) / 255 of the rounded picture and is not rounded itself, as papers on enlarging since
    Dong et al. 2014 have it. A picture that the border leaves nothing of is not counted.
    """

    unit = "dB"
    scale = "free"

    def value(self, said: Any, true: Any) -> float:
        return decibels(*self.planes(said, true))

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pictures that are furthest from what they should be; those without error are none of them."""
        order = np.argsort(records["value"], kind="stable")  # NaN is last
        places = [int(i) for i in order[:most] if records["value"][i] < CAP]
        return [Gallery("worst_restored", places)] if places else []


def decibels(one: np.ndarray, two: np.ndarray) -> float:
    """PSNR of two arrays of one shape on 0–255, at most `CAP`; NaN where they are empty."""
    if not two.size:
        return float("nan")
    error = float(np.square(one - two).mean())
    return min(CAP, 10 * float(np.log10(WHITE**2 / error))) if error else CAP
