"""Reconstruction error: how well good pictures are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import ratio
from omma.metrics.metric import Metric, Records


class Reconstruction(Metric):
    """Mean squared error of the good pictures, of 0–1, in the frame; odd ones are not to be drawn well and do not count."""

    better = "lower"
    scale = "positive"

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"error": (N,), "good": (N,) bool}."""
        return {
            "error": np.array([said.mean for said in predictions], float),
            "good": np.array([not truth.odd for truth in truths], bool),
        }

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        counted = weights.astype(float) * records["good"][:, None]
        return ratio((np.nan_to_num(records["error"])[:, None] * counted).sum(0), counted.sum(0))

    def carriers(self, records: Records) -> np.ndarray:
        return np.array([float(records["good"].sum())])
