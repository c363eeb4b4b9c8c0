"""ROC-AUC: how often a picture of the class scores above one without it (one class against the rest)."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import ratio
from omma.metrics.ranks import Ranked


class RocAuc(Ranked):
    """Area under the ROC curve, ties counted half (Mann–Whitney); macro over the classes."""

    def one(self, order: np.ndarray, positive: np.ndarray, ends: np.ndarray, weights: np.ndarray) -> np.ndarray:
        drawn = weights[order]
        flags = positive[:, None]
        true = np.cumsum(drawn * flags, axis=0)[ends]
        false = np.cumsum(drawn * ~flags, axis=0)[ends]
        # Trapezoids under the curve through the end of every run of equal scores.
        steps = np.diff(false, axis=0, prepend=np.zeros_like(false[:1]))
        heights = true - np.diff(true, axis=0, prepend=np.zeros_like(true[:1])) / 2
        area = np.einsum("nd,nd->d", steps.astype(float), heights.astype(float)) if len(ends) else np.zeros(weights.shape[1])
        return ratio(area, true[-1].astype(float) * false[-1])
