"""Calibration error of objects (D-ECE): how far the stated probability of a box is from the share of such boxes that are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._matching import Matcher
from omma.metrics._objects import shown
from omma.metrics.ece import Ece, binned
from omma.metrics.metric import Records


class DEce(Ece):
    """|stated − precision| over 15 bins of the stated probability, weighted by how many boxes fall in each (Küppers et al. 2020).

    A box is right at IoU ≥ 0.5. Boxes below the operating threshold are not looked at: there are many, and nobody sees them.

    Args:
        names, matcher: as in `OfObjects`.
        threshold: boxes less probable than this do not count.
    """

    def __init__(self, names: Sequence[str], matcher: Matcher | None = None, threshold: float = 0.5) -> None:
        super().__init__(names)
        self.matcher, self.threshold = matcher or Matcher(names), threshold

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """As `Ece.records`."""
        matched = self.matcher(predictions, truths)
        outcome, score = matched.outcome[:, 0, 0], matched.predicted.score
        told = np.flatnonzero(shown(matched, predictions, self.names, self.threshold) & (outcome >= 0))
        return binned(score[told], outcome[told] == 1, matched.predicted.picture[told], matched.count)
