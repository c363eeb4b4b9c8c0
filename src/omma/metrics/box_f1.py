"""F1 of objects: the harmonic mean of precision and recall at the operating threshold, and what becomes of objects there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._confused import Confused
from omma.metrics._found import Found
from omma.metrics._matching import Asked
from omma.metrics._mistakes import KINDS, mistakes
from omma.metrics._objects import shown
from omma.metrics._per_picture import joined, pictures
from omma.metrics.counts import most_confused
from omma.metrics.f1 import F1
from omma.metrics.metric import Gallery, Records


class BoxF1(Found, F1, Confused):
    """F1 at the operating threshold; the mean over the classes that occur or are named.

    Its figure is the confusion of the classes with one another and with the background; its galleries are the pictures with most objects
    missed, invented, badly placed or found right, and with one class taken for another.
    """

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """As `Found.records`, and what `mistakes` tells."""
        asked = Asked(predictions, truths, self.matcher.overlap)
        matched = self.matcher(predictions, truths)
        told = mistakes(matched, asked, shown(matched, predictions, self.names, self.threshold), len(self.names))
        return Found.records(self, predictions, truths) | told

    def figure(self, records: Records) -> dict[str, Any]:
        """The confusion matrix, rows true and columns predicted; the last of each is the background."""
        return {"kind": "confusion", "names": [*self.names, "background"], "counts": self._confusion(records).tolist()}

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        pairs, kinds = joined(records["pairs"]), joined(records["kind"])
        rooms = []
        for true, named, count in most_confused(self._confusion(records)[:-1, :-1]):
            values = {"true": self.names[true], "named": self.names[named], "count": count}
            rooms.append(_gallery("confused", records, (pairs == (true, named)).all(1), values, most))
        for place, kind in enumerate(KINDS):
            if count := int((kinds == place).sum()):
                rooms.append(_gallery(kind, records, kinds == place, {"count": count}, most))
        return rooms

    def behind(self, records: Records, true: int, named: int) -> Gallery:
        """Corners around the objects of the cell; what is missed lies in the last column, what is invented in the last row."""
        found = (joined(records["pairs"]).reshape(-1, 2) == (true, named)).all(1)
        return _gallery("confused", records, found, {}, 2 * len(records["pairs"]))

    def _confusion(self, records: Records) -> np.ndarray:
        size = len(self.names) + 1
        pairs = joined(records["pairs"]).reshape(-1, 2)
        return np.bincount(pairs[:, 0] * size + pairs[:, 1], minlength=size * size).reshape(size, size)


def _gallery(title: str, records: Records, chosen: np.ndarray, values: dict[str, Any], most: int) -> Gallery:
    """The pictures with most of the objects chosen ((n,) bool of all); half as many as of others, as each is shown twice."""
    place, corners = pictures(records["kind"])[chosen], joined(records["corners"])[chosen]
    count = np.bincount(place)
    where = [int(i) for i in np.argsort(-count, kind="stable")[: most // 2] if count[i]]
    return Gallery(title, where, values, [corners[place == i] for i in where])
