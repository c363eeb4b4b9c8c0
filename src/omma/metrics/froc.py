"""FROC: the share of the objects found at 1/8 to 8 false alarms a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics._objects import OfObjects
from omma.metrics._per_picture import Ranking, rankings, tally
from omma.metrics.counts import mean_of_defined, ratio
from omma.metrics.metric import Records

RATES = np.array([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])
# Detections × drawings held at once.
AT_ONCE = 1 << 19


class Froc(OfObjects):
    """Sensitivity at the lowest score that raises no more than 1/8, 1/4, 1/2, 1, 2, 4 and 8 false alarms a picture, and their mean.

    Those are the rates of LUNA16 (Setio et al. 2017). An object is found by a box with IoU ≥ 0.5; each class on its own, then their mean.
    Predictions of equal score are taken together, since no threshold tells them apart.
    """

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"label", "score", "outcome": of each picture's predictions, "true": the classes of its truths that count}."""
        matched = self.matcher(predictions, truths)
        return self.rows(matched, score=matched.predicted.score, outcome=matched.outcome[:, self.size, :1])

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return self._sensitivity(records, weights).mean(1)

    def figure(self, records: Records) -> dict[str, Any] | None:
        """Sensitivity over false alarms a picture, mean over the classes."""
        rows = mean_of_defined(self._sensitivity(records, np.ones((len(records["true"]), 1)))[:, :, 0])
        return None if np.isnan(rows).any() else {"kind": "froc", "rates": RATES.tolist(), "sensitivity": rows.tolist()}

    def _sensitivity(self, records: Records, weights: np.ndarray) -> np.ndarray:
        """(K, 7, D); NaN for a class without truths."""
        true = tally(records["true"], weights, len(self.names))
        rows, allowed = np.ascontiguousarray(weights.T, float), RATES * weights.sum(0, dtype=float)[:, None]
        found = np.zeros((len(self.names), len(RATES), weights.shape[1]))
        for table, ranking in zip(found, rankings(records, len(self.names)), strict=True):
            step = max(1, AT_ONCE // max(1, len(ranking.score)))
            for some in (slice(i, i + step) for i in range(0, len(rows), step)):
                table[:, some] = _found(ranking, rows[some], allowed[some]).T
        return ratio(found, true[:, None])


def _found(ranking: Ranking, weights: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """How many are found with no more than `allowed` ((D, 7)) false alarms, each picture counted `weights` (D, N) times: (D, 7)."""
    outcome = ranking.outcome[:, 0]
    # The last of each run of equal scores, counted from 1; before them all stands the threshold that shows nothing.
    ends = np.append(0, np.flatnonzero(np.diff(ranking.score, append=np.nan) != 0) + 1)
    totals = []
    for kind in (1, 0):
        sums = np.cumsum(np.take(weights, ranking.picture[outcome == kind], axis=1), axis=1)
        upto = np.append(0, np.cumsum(outcome == kind))[ends]
        totals.append(np.pad(sums, ((0, 0), (1, 0)))[:, upto])
    right, wrong = totals
    last = np.stack([np.searchsorted(row, most, side="right") for row, most in zip(wrong, allowed, strict=True)]) - 1
    return np.take_along_axis(right, last, axis=1)
