"""Accuracy: the share of pictures answered right (with several labels: all of them right)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._confused import Confused
from omma.metrics.counts import average, indicators, most_confused
from omma.metrics.metric import Gallery, Records


class Accuracy(Confused):
    """Right / all. For `Labels` this is the subset accuracy: every class right at once."""

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"right": (N,) bool, "truth", "predicted": (N, C) bool}."""
        truth, predicted = indicators(truths, self.names), indicators(predictions, self.names)
        return {"right": (truth == predicted).all(1), "truth": truth, "predicted": predicted}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return average(records["right"], weights)

    def figure(self, records: Records) -> dict[str, Any] | None:
        """The confusion matrix, rows true and columns predicted; None where a picture has several classes."""
        table = self._confusion(records)
        return None if table is None else {"kind": "confusion", "names": self.names, "counts": table.tolist()}

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pairs of classes most often taken for each other."""
        table = self._confusion(records)
        if table is None:
            return []
        rooms = []
        for true, named, count in most_confused(table):
            places = self.behind(records, true, named).places[: most // 2]
            rooms.append(Gallery("confused", places, {"true": self.names[true], "named": self.names[named], "count": count}))
        return rooms

    def behind(self, records: Records, true: int, named: int) -> Gallery:
        return Gallery("confused", np.flatnonzero(records["truth"][:, true] & records["predicted"][:, named]).tolist())

    def _confusion(self, records: Records) -> np.ndarray | None:
        truth, predicted = records["truth"], records["predicted"]
        if not len(truth) or (truth.sum(1) != 1).any() or (predicted.sum(1) != 1).any():
            return None
        size = len(self.names)
        return np.bincount(truth.argmax(1) * size + predicted.argmax(1), minlength=size * size).reshape(size, size)
