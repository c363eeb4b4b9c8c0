"""Objects against objects, one to one: which predicted mask is which true one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.answers import _rle
from omma.answers.instances import Instances
from omma.metrics.metric import Metric, Records

# Pairs that overlap less are none. From here on disjoint masks can be paired in one way only.
LEAST = 0.5
# IoU levels at which a pair may have to prove itself; 0.5 + a twentieth each, without the error of adding them up.
LEVELS = np.arange(10, 20) / 20


def paired(prediction: Instances, truth: Instances, name: str) -> tuple[np.ndarray, int, int]:
    """One class of one picture: the IoU of the pairs (falling, each ≥ 0.5), the number of predicted and of true objects.

    Pairs are made by falling IoU, so those at or above a level are the pairs one would make at that level alone; for masks that do not
    overlap one another they are the only ones possible above 0.5. A predicted object without a partner that lies for more than half in
    ignored objects of its class (crowds) is not counted (Kirillov et al. 2019).
    """
    size = truth.height, truth.width
    told, true, aside = _of(prediction, name, False), _of(truth, name, False), _of(truth, name, True)
    table = _rle.iou(told, true, *size)
    rows, columns = np.nonzero(table >= LEAST)
    order = np.argsort(-table[rows, columns], kind="stable")
    free_rows, free_columns = np.ones(len(told), bool), np.ones(len(true), bool)
    found = []
    for row, column in zip(rows[order], columns[order], strict=True):
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            found.append(table[row, column])
    alone = [told[row] for row in np.flatnonzero(free_rows)]
    excused = int((_inside(alone, aside, *size) > 0.5).sum())
    return np.array(found), len(told) - excused, len(true)


def _of(answer: Instances, name: str, ignored: bool) -> list[str]:
    aside = np.zeros(len(answer), bool) if answer.ignored is None else answer.ignored
    return [text for text, label, flag in zip(answer.counts, answer.labels, aside, strict=True) if label == name and bool(flag) == ignored]


def _inside(masks: list[str], regions: list[str], height: int, width: int) -> np.ndarray:
    """Which share of each mask lies in the union of `regions`: (M,)."""
    if not masks or not regions:
        return np.zeros(len(masks))
    union = np.logical_or.reduce([_rle.decode(text, height, width) for text in regions])
    return _rle.iou(masks, [_rle.encode(union)], height, width, np.array([True]))[:, 0]


class Pairing:
    """The pairs of every class in every picture; remembers the last answers, so that the metrics of one set share the work.

    Args:
        names: the classes.
        threshold: predicted objects less probable than this are not shown, and do not count.
    """

    def __init__(self, names: Sequence[str], threshold: float = 0.5) -> None:
        self.names, self.threshold = list(names), threshold
        self._asked: tuple[Any, ...] = ()
        self._rows: Records | None = None

    def __call__(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """See `OfPairs.records`."""
        asked = *predictions, *truths  # answers are equal only to themselves
        if self._rows is None or asked != self._asked:
            shown = [p if p.probabilities is None else p.keep(p.probabilities >= p.least(p.labels, self.threshold)) for p in predictions]
            self._asked, self._rows = asked, _records(shown, truths, self.names)
        return dict(self._rows)


def _records(predictions: Sequence[Any], truths: Sequence[Any], names: Sequence[str]) -> Records:
    shape = len(truths), len(names)
    rows: Records = {key: np.zeros(shape, np.int32) for key in ("pairs", "told", "true")}
    rows |= {"hits": np.zeros((*shape, len(LEVELS)), np.int32), "overlap": np.zeros(shape)}
    place = {name: column for column, name in enumerate(names)}
    for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        assert (prediction.width, prediction.height) == (truth.width, truth.height), "a prediction has the size of its picture"
        for name in {*prediction.labels, *truth.labels}:
            at = row, place[name]
            found, rows["told"][at], rows["true"][at] = paired(prediction, truth, name)
            rows["hits"][at] = (found[:, None] >= LEVELS).sum(0)
            sure = found[found > LEAST]
            rows["pairs"][at], rows["overlap"][at] = len(sure), sure.sum()
    return rows


class OfPairs(Metric):
    """A metric of the pairs of each class in each picture; which of two objects shown is surer plays no part.

    Args:
        pairing: shared with other metrics of the same names.
    """

    def __init__(self, names: Sequence[str], pairing: Pairing | None = None) -> None:
        super().__init__(names)
        self.pairing = pairing or Pairing(names)

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"hits": (N, C, 10) pairs at each of `LEVELS`, "overlap": (N, C) summed IoU and "pairs": (N, C) number of those above 0.5,
        "told", "true": (N, C) objects}."""
        return self.pairing(predictions, truths)

    def carriers(self, records: Records) -> np.ndarray:
        """Pictures with an object of the class on either side."""
        return (records["told"] + records["true"] > 0).sum(0).astype(float)
