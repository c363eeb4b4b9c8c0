"""Records of objects: a picture has any number of them, so a record holds one array a picture; and what is summed over them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from omma.metrics.metric import Records

# Numbers in one table of classes × pictures: 32 MB.
AT_ONCE = 4_000_000


def by_picture(rows: np.ndarray, picture: np.ndarray, count: int) -> np.ndarray:
    """(n, …) of n objects whose pictures (n,) rise → (count,) of dtype object, the rows of each picture."""
    ends = np.searchsorted(picture, np.arange(count + 1))
    table = np.empty(count, object)
    for place, (first, last) in enumerate(pairwise(ends.tolist())):
        table[place] = rows[first:last]
    return table


def joined(table: np.ndarray) -> np.ndarray:
    """The inverse of `by_picture`."""
    return np.concatenate(list(table)) if len(table) else np.zeros(0, int)


def pictures(table: np.ndarray) -> np.ndarray:
    """Which picture each row of `joined` belongs to: (n,) int64."""
    return np.repeat(np.arange(len(table)), [len(rows) for rows in table])


def tally(labels: np.ndarray, weights: np.ndarray, classes: int, values: np.ndarray | None = None) -> np.ndarray:
    """How many objects there are of each class, each picture counted `weights` (N, D) times: (classes, D) float64.

    Args:
        labels: the classes of each picture's objects, one array a picture.
        values: what each object counts instead of 1, in the same order.
    """
    picture, label = pictures(labels), joined(labels)
    worth = None if values is None else joined(values)
    weights = weights.astype(float, copy=False)
    step = max(1, AT_ONCE // max(1, len(labels)))
    parts = []
    for low in range(0, classes, step):
        width = min(step, classes - low)
        inside = (label >= low) & (label < low + width)
        cells = (label[inside] - low) * len(labels) + picture[inside]
        table = np.bincount(cells, None if worth is None else worth[inside], width * len(labels)).reshape(width, len(labels))
        parts.append(table.astype(float, copy=False) @ weights)
    return np.concatenate(parts) if parts else np.zeros((0, weights.shape[1]))


def carrying(labels: np.ndarray, classes: int) -> np.ndarray:
    """How many pictures have an object of each class: (classes,) float."""
    return np.bincount(np.concatenate([np.zeros(0, int), *(np.unique(rows) for rows in labels)]), minlength=classes).astype(float)


@dataclass(slots=True)
class Ranking:
    """The predictions of one class, best first; of equal scores the one of the earlier picture.

    Args:
        picture: (n,) int64.
        score: (n,) float64.
        outcome: (n, T) int8, see `_matching.Matches`.
    """

    picture: np.ndarray
    score: np.ndarray
    outcome: np.ndarray


def rankings(records: Records, classes: int) -> list[Ranking]:
    """Of each class, from the records `label`, `score` and `outcome`."""
    picture, label, score, outcome = pictures(records["label"]), *(joined(records[key]) for key in ("label", "score", "outcome"))
    order = np.lexsort((-score, label))
    bounds = np.searchsorted(label[order], np.arange(classes + 1))
    rows = [order[first:last] for first, last in pairwise(bounds)]
    return [Ranking(picture[row], score[row], outcome[row]) for row in rows]
