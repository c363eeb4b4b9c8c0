"""Mean IoU: how far predicted and true regions of a class overlap, mean over the classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from omma.metrics._confused import Confused
from omma.metrics._of_classes import OfClasses
from omma.metrics._pixels import OfPixels, summed
from omma.metrics.counts import mean_of_defined, most_confused, ratio
from omma.metrics.metric import Gallery, Records


class Miou(OfPixels, OfClasses, Confused):
    """tp / (tp + fp + fn) of each class, pixels summed over all pictures (PASCAL VOC, Everingham et al. 2010).

    The mean runs over the classes that are true or named anywhere, the background among them where it is a class.
    """

    cells = 60

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return _iou(*summed(records, weights))

    def figure(self, records: Records) -> dict[str, Any] | None:
        """The confusion matrix in pixels, rows true and columns predicted; None where it has too many classes to be read."""
        if "confusion" not in records:
            return None
        return {"kind": "confusion", "names": self.names, "counts": records["confusion"].sum(0, dtype=np.int64).tolist()}

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The classes whose pixels are most often taken for each other, then the pictures with the least overlap."""
        own = mean_of_defined(_iou(records["tp"], records["fp"], records["fn"]), axis=1)
        places = [int(i) for i in np.argsort(own, kind="stable")[:most] if own[i] < 1]
        least = [Gallery("least_overlap", places)] if places else []
        return [*self._confused(records, most), *least]

    def _confused(self, records: Records, most: int) -> list[Gallery]:
        if "confusion" not in records:
            return []
        rooms = []
        for true, named, count in most_confused(records["confusion"].sum(0, dtype=np.int64)):
            places = self.behind(records, true, named).places[: most // 2]
            rooms.append(Gallery("confused", places, {"true": self.names[true], "named": self.names[named], "count": count}))
        return rooms

    def behind(self, records: Records, true: int, named: int) -> Gallery:
        pixels = records["confusion"][:, true, named].astype(np.int64)
        return Gallery("confused", [int(i) for i in np.argsort(-pixels, kind="stable") if pixels[i]])


def _iou(right: np.ndarray, invented: np.ndarray, missed: np.ndarray) -> np.ndarray:
    return ratio(right, right + invented + missed)
