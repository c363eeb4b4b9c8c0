"""Average precision: the mean precision over the pictures of a class, ranked by score."""

from __future__ import annotations

import numpy as np

from omma.metrics.counts import ratio
from omma.metrics.ranks import Ranked


class AveragePrecision(Ranked):
    """Σ (recall step) · precision over the distinct scores (scikit-learn's definition); macro over the classes (mAP)."""

    def one(self, order: np.ndarray, positive: np.ndarray, ends: np.ndarray, weights: np.ndarray) -> np.ndarray:
        drawn = weights[order]
        true = np.cumsum(drawn * positive[:, None], axis=0)[ends]
        named = np.cumsum(drawn, axis=0)[ends]
        precision = np.divide(true, named, out=np.zeros_like(true), where=named > 0)
        steps = np.diff(true, axis=0, prepend=np.zeros_like(true[:1]))
        area = np.einsum("nd,nd->d", steps.astype(float), precision.astype(float)) if len(ends) else np.zeros(weights.shape[1])
        return ratio(area, true[-1])
