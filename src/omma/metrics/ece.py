"""Expected calibration error: how far the stated probability is from the share that is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import indicators, probabilities, ratio
from omma.metrics.metric import Metric, Records

BINS = 15


class Ece(Metric):
    """|stated − happened| over 15 bins of equal width, weighted by how many fall in each (Guo et al. 2017).

    One label: the probability of the class that was named. Several labels: every class of every picture is one statement.
    """

    better = "lower"
    scale = "distance"

    def __init__(self, names: Sequence[str], several: bool = False) -> None:
        super().__init__(names)
        self.several = several

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"stated", "happened", "count": (N, 15)}: sums of the statements of a picture that fall into each bin."""
        truth, shares = indicators(truths, self.names), probabilities(predictions, self.names)
        if not self.several:
            named = indicators(predictions, self.names)
            truth, shares = (truth & named).any(1, keepdims=True), (shares * named).sum(1, keepdims=True)
        return binned(shares.ravel(), truth.ravel(), np.repeat(np.arange(len(shares)), shares.shape[1]), len(shares))

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        gaps = np.abs((records["stated"] - records["happened"]).T @ weights)
        return ratio(gaps.sum(0), records["count"].sum(1) @ weights)

    def figure(self, records: Records) -> dict[str, Any]:
        """The reliability diagram: for each bin the mean stated probability, the share that happened, how many."""
        count = records["count"].sum(0)
        stated, happened = (ratio(records[key].sum(0), count) for key in ("stated", "happened"))
        bins = [
            {"stated": float(s), "happened": float(h), "count": int(c)} for s, h, c in zip(stated, happened, count, strict=True) if c > 0
        ]
        return {"kind": "reliability", "bins": bins}


def binned(stated: np.ndarray, happened: np.ndarray, picture: np.ndarray, count: int) -> Records:
    """{"stated", "happened", "count": (count, 15)}: sums by picture and bin of S statements ((S,) each)."""
    # Bins are open on the left, as in the paper: 0.2 of five bins belongs to the first.
    cells = picture * BINS + np.clip(np.ceil(stated * BINS).astype(int) - 1, 0, BINS - 1)
    rows = {"stated": stated, "happened": happened, "count": np.ones(len(stated))}
    return {key: np.bincount(cells, values, count * BINS).reshape(count, BINS) for key, values in rows.items()}
