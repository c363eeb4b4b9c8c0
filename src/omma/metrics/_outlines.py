"""Outlines against outlines: where the regions of a class end, and how far that is from where they should."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from omma.metrics._pixels import aligned, picture_means
from omma.metrics.metric import Metric, Records


def outlines(pixels: np.ndarray, count: int, frame: bool) -> list[np.ndarray]:
    """The outline of each of `count` classes: its pixels that have another value beside, above or below them.

    Args:
        pixels: (H, W) uint8 places of classes.
        frame: whether a region that runs out of the picture has an outline there.

    Returns:
        For each class (M, 2): rows and columns.
    """
    edge = np.zeros(pixels.shape, bool)
    down, across = pixels[1:] != pixels[:-1], pixels[:, 1:] != pixels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    if frame:
        edge[[0, -1]] = edge[:, [0, -1]] = True
    places, values = np.argwhere(edge), pixels[edge]
    order = np.argsort(values, kind="stable")
    return [places[order[start:end]] for start, end in pairwise(np.searchsorted(values[order], np.arange(count + 1)))]


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far each of `points` (M, 2) is from the nearest of `others` (K, 2), K ≥ 1: (M,)."""
    from scipy.spatial import cKDTree

    # A tree of the outline is many times faster than a distance transform of the whole picture, and as exact.
    return cKDTree(others, compact_nodes=False, balanced_tree=False).query(points)[0]


class OfOutlines(Metric):
    """A metric of the outlines of each class in each picture.

    What the truth leaves open is cut out of both masks, so an outline that runs into it ends on its border in both.
    """

    frame: ClassVar[bool] = False
    spacing: tuple[float, float] = (1.0, 1.0)  # from one row to the next, and from one column

    def one(self, told: np.ndarray, true: np.ndarray, diagonal: float) -> float:
        """The number of one class in one picture from both outlines (M, 2), at most one of them empty; all in units of `spacing`."""
        raise NotImplementedError

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"value": (N, C) float}; NaN where neither side has an outline."""
        values = np.full((len(truths), len(self.names)), np.nan)
        for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
            told, true = (outlines(pixels, len(self.names), self.frame) for pixels in aligned(prediction, truth, self.names))
            diagonal = float(np.hypot(*np.multiply((truth.height, truth.width), self.spacing)))
            for column, (mine, theirs) in enumerate(zip(told, true, strict=True)):
                if len(mine) or len(theirs):
                    values[row, column] = self.one(mine * self.spacing, theirs * self.spacing, diagonal)
        return {"value": values}

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return picture_means(records["value"], weights)

    def carriers(self, records: Records) -> np.ndarray:
        return (~np.isnan(records["value"])).sum(0).astype(float)
