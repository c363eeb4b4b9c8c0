"""What the metrics of objects share: a matching, a number for every class that has truths, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._matching import SIZES, Matcher, Matches
from omma.metrics._of_classes import OfClasses
from omma.metrics._per_picture import by_picture, carrying
from omma.metrics.metric import Records


def shown(matched: Matches, predictions: Sequence[Any], names: Sequence[str], otherwise: float) -> np.ndarray:
    """(n,) bool: which predicted objects are shown, by the operating point of their answer; where it has none, from `otherwise` on."""
    least = np.array([one.least(names, otherwise) for one in predictions]).reshape(len(predictions), len(names))
    return matched.predicted.score >= least[matched.predicted.picture, matched.predicted.label]


class OfObjects(OfClasses):
    """A share of each class from its predictions and truths in every picture; the whole is the mean over the classes that have truths.

    Args:
        names: the classes.
        matcher: shared by the metrics of a set, and what says how objects overlap; default: by their boxes.
        size: `all`, `small`, `medium` or `large`: objects of other areas count neither as found nor as missed.
    """

    scale = "share"

    def __init__(self, names: Sequence[str], matcher: Matcher | None = None, size: str = "all") -> None:
        super().__init__(names)
        self.matcher = matcher or Matcher(names)
        self.size = list(SIZES).index(size)

    def rows(self, matched: Matches, chosen: np.ndarray | None = None, **predicted: np.ndarray) -> Records:
        """Records: `label` and each of `predicted` ((n, …)) of the predictions (those `chosen`), and `true`, the classes of the truths."""
        at = slice(None) if chosen is None else chosen
        table = {"label": matched.predicted.label, **predicted}
        records = {key: by_picture(values[at], matched.predicted.picture[at], matched.count) for key, values in table.items()}
        counts = matched.counts[:, self.size]
        return records | {"true": by_picture(matched.true.label[counts], matched.true.picture[counts], matched.count)}

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        """(K, D); NaN for a class without truths."""
        raise NotImplementedError

    def carriers(self, records: Records) -> np.ndarray:
        return carrying(records["true"], len(self.names))
