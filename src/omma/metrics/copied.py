"""Copied: the share of the drawn pictures that lie suspiciously near to one that was learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import ratio
from omma.metrics.metric import Gallery, Metric, Records

ONE_IN = 100  # true pictures that may lie as near


class Copied(Metric):
    """Share of the drawn pictures that lie nearer to a picture learned from than all but 1 % of the true ones that were held out.

    A drawn picture counts where fewer than 1 % of the true ones lie as near or nearer: where there are fewer than 100, where it lies nearer
    than every one. Who has learned what pictures are like draws such pictures about as often as the true ones do, one in a hundred (one in
    n + 1 of fewer than 100); who has learned the pictures by heart draws many. Meehan et al. (2020) ask so of whole sets.

    In every drawing of an interval both sets are drawn, and so the limit. Undefined where a distance is not known.
    """

    better = "lower"

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"near": (N,), how far each drawn picture lies from the nearest that was learned from; "true": (N,), each true one}."""
        near, true = (np.array([float(one.near) for one in rows], float) for rows in (predictions, truths))
        return {"near": near, "true": true}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        near, true = records["near"], records["true"]
        if not _known(records):
            return np.full(weights.shape[1], np.nan)
        weights = weights.astype(float)
        order = np.argsort(true, kind="stable")
        summed = np.concatenate([np.zeros((1, weights.shape[1])), np.cumsum(weights[order], 0)])
        as_near = summed[np.searchsorted(true[order], near, side="right")]  # true pictures, for each drawn one: (N, D)
        whole = weights.sum(0)
        return ratio((weights * (as_near * ONE_IN < whole)).sum(0), whole)

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The drawn pictures that lie nearest to one that was learned from."""
        places = [int(i) for i in np.argsort(records["near"], kind="stable")[:most]] if _known(records) else []
        return [Gallery("copied", places)] if places else []


def _known(records: Records) -> bool:
    return not any(np.isnan(records[key]).any() for key in ("near", "true"))
