"""KID: how far drawn pictures lie from true ones, by a kernel over what a network sees in them; 0 for sets of one kind, however few."""

from __future__ import annotations

import numpy as np

from omma.metrics._seen import Apart
from omma.metrics.counts import ratio
from omma.metrics.metric import Records


class Kid(Apart):
    """Kernel inception distance (Bińkowski et al. 2018): the unbiased square of the maximum mean discrepancy (Gretton et al. 2012).

    The kernel of two pictures is (x·y / F + 1)³. A picture is never compared with itself, nor with what a drawing has put beside it of the
    same. Sets of one kind give 0 on average, whatever their size, so about as often less as more.

    The papers average over small blocks; here it is one block, of at most 2,000 pictures of each set, chosen by chance once for all.
    `real` compares the halves of the true pictures; both numbers are unbiased, so they can be compared though their sizes differ.

    Undefined where fewer than two pictures of a set are counted.
    """

    scale = "free"
    most = 2000

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        made, true = (records[key][records[f"of_{key}"]] for key in ("made", "true"))
        first, second = (weights[records[f"of_{key}"]].astype(float) for key in ("made", "true"))
        across = ratio(((kernel(made, true) @ second) * first).sum(0), first.sum(0) * second.sum(0))
        return _within(made, first) + _within(true, second) - 2 * across


def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, F) and (M, F) → (N, M): (x·y / F + 1)³."""
    return (one @ other.T / one.shape[1] + 1) ** 3


def _within(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean kernel of two different pictures of one set, in each drawing: weights (N, D) → (D,)."""
    alike = kernel(rows, rows)
    np.fill_diagonal(alike, 0)
    return ratio(((alike @ weights) * weights).sum(0), weights.sum(0) ** 2 - (weights**2).sum(0))
