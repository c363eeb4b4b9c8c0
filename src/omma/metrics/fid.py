"""FID: how far drawn pictures lie from true ones, by means and covariances of what a network sees in them."""

from __future__ import annotations

import numpy as np

from omma.metrics._seen import Apart
from omma.metrics.metric import Records


class Fid(Apart):
    """Fréchet inception distance (Heusel et al. 2017) between normal distributions with the means and covariances of two sets.

    It grows where pictures are few, also for sets of one kind: numbers at different sizes cannot be compared. So it is taken between a half
    of the drawn and a half of the true pictures, and `real` puts the other half of the true ones in the place of the drawn: two numbers at
    one size, of which the second is what the first could be at best. The halves are chosen by chance once for all.

    Its interval rests on 200 drawings, which know the spread within 5 %: each takes a decomposition of its own. Undefined where fewer than
    two pictures of a half are counted.
    """

    scale = "inflated"
    halved = True
    draws = 200

    def summary(self, records: Records, weight: np.ndarray) -> float:
        made, true = (_gauss(records[key], weight * records[f"of_{key}"]) for key in ("made", "true"))
        return float("nan") if made is None or true is None else frechet(*made, *true)


def frechet(mean: np.ndarray, spread: np.ndarray, other_mean: np.ndarray, other_spread: np.ndarray) -> float:
    """Squared Fréchet distance of two normal distributions (Dowson & Landau 1982), never below 0.

    Args:
        mean, other_mean: (F,).
        spread, other_spread: (n, F) and (m, F), with the covariances A = spreadᵀ spread and B alike.
    """
    # The trace of √(√A B √A) is the sum of the singular values of spread · other_spreadᵀ: a root of an eigenvalue near 0 would be known
    # to half as many digits.
    shared = np.linalg.svd(_short(spread) @ _short(other_spread).T, compute_uv=False).sum()
    apart = np.square(mean - other_mean).sum()
    return max(0.0, float(apart + np.square(spread).sum() + np.square(other_spread).sum() - 2 * shared))


def _gauss(rows: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean (F,) and spread (n, F), see `frechet`, of rows (N, F) that are counted `weight` (N,) times; None for fewer than two."""
    counted = weight > 0
    rows, weight = rows[counted], weight[counted].astype(float)
    total = weight.sum()
    if total < 2:
        return None
    mean = weight @ rows / total
    return mean, np.sqrt(weight / (total - 1))[:, None] * (rows - mean)


def _short(spread: np.ndarray) -> np.ndarray:
    """(n, F) → (at most F, F) with the same covariance."""
    if len(spread) <= spread.shape[1]:
        return spread
    upper: np.ndarray = np.linalg.qr(spread, mode="r")  # type: ignore[assignment]
    return upper
