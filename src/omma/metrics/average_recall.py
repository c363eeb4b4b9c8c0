"""Average recall of objects with 1, 10 or 100 predictions of each class in a picture, as COCO counts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._matching import IOUS, MOST, Matcher
from omma.metrics._objects import OfObjects
from omma.metrics._per_picture import tally
from omma.metrics.counts import ratio
from omma.metrics.metric import Records


class AverageRecall(OfObjects):
    """Share of the objects that are found, mean over the IoU thresholds 0.50 to 0.95 and the classes (Lin et al. 2014).

    Args:
        names, matcher: as in `OfObjects`.
        most: how many predictions of a class may be used in a picture, at most 100.
    """

    def __init__(self, names: Sequence[str], matcher: Matcher | None = None, most: int = MOST) -> None:
        super().__init__(names, matcher)
        assert 0 < most <= MOST
        self.most = most

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"label", "found": of each picture's predictions, class and at how many thresholds it is right; "true": classes of truths}."""
        matched = self.matcher(predictions, truths)
        return self.rows(matched, matched.predicted.ranks() < self.most, found=(matched.outcome[:, self.size] == 1).sum(1))

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        found = tally(records["label"], weights, len(self.names), records["found"])
        return ratio(found / len(IOUS), tally(records["true"], weights, len(self.names)))
