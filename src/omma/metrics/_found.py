"""Objects found at the operating threshold: what precision, recall and F1 of objects share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._matching import Matcher
from omma.metrics._objects import OfObjects, shown
from omma.metrics._per_picture import tally
from omma.metrics.counts import Counted, from_each_on
from omma.metrics.metric import Records


class Found(OfObjects, Counted):
    """Counts of each class: predictions at or above the threshold, those that are right (IoU ≥ 0.5), truths; mean over the classes.

    Args:
        names, matcher: as in `OfObjects`.
        threshold: predictions less probable than this are not shown, where they do not know it themselves.
    """

    def __init__(self, names: Sequence[str], matcher: Matcher | None = None, threshold: float = 0.5) -> None:
        OfObjects.__init__(self, names, matcher)
        self.average, self.threshold = "macro", threshold

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"label", "hit": of the predictions shown and not left out, "true": the classes of the truths that count}."""
        matched = self.matcher(predictions, truths)
        outcome = matched.outcome[:, self.size, 0]
        seen = shown(matched, predictions, self.names, self.threshold)
        return self.rows(matched, seen & (outcome >= 0), hit=outcome == 1)

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return self.one(*self._sums(records, weights))

    def swept(
        self, predictions: Sequence[Any], truths: Sequence[Any], levels: np.ndarray, alone: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Counted.swept`; every object is a statement of its own."""
        matched = self.matcher(predictions, truths)
        outcome, found, size = matched.outcome[:, self.size, 0], matched.predicted, len(self.names)
        some = outcome >= 0
        counts = from_each_on(found.label[some], found.score[some], outcome[some] == 1, size, np.asarray(levels, float))
        true = np.bincount(matched.true.label[matched.counts[:, self.size]], minlength=size)
        return *counts, np.repeat(true[:, None], len(levels), 1).astype(float)

    def apart(self, predictions: Sequence[Any], truths: Sequence[Any], about: int, level: float) -> dict[str, list[int]]:
        """As `Counted.apart`; a picture with several such objects comes once, where its first one would."""
        matched = self.matcher(predictions, truths)
        outcome, found, true = matched.outcome[:, self.size, 0], matched.predicted, matched.true
        said = (found.label == about) & (found.score >= level)
        there = (true.label == about) & matched.counts[:, self.size]
        there[matched.partner[said & (outcome == 1)]] = False
        order = np.argsort(-found.score, kind="stable")
        rows = {name: found.picture[order][(said & (outcome == kind))[order]] for name, kind in (("right", 1), ("invented", 0))}
        return {name: list(dict.fromkeys(pictures.tolist())) for name, pictures in (rows | {"missed": true.picture[there]}).items()}

    def _sums(self, records: Records, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = len(self.names)
        hits = tally(records["label"], weights, size, records["hit"])
        return hits, tally(records["label"], weights, size), tally(records["true"], weights, size)
