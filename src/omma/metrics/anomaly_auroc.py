"""AUROC of anomalies: how often an odd picture is called odder than a good one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.metric import Gallery, Records
from omma.metrics.roc_auc import RocAuc


class AnomalyAuroc(RocAuc):
    """Area under the ROC curve of the anomaly, ties counted half (Hanley & McNeil 1982); 0.5 is chance.

    Undefined where the pictures are all good, or all odd: nothing can be told apart then.
    """

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"truth": (N, 1) bool, whether it is odd; "probabilities": (N, 1), its anomaly}."""
        odd = np.array([bool(truth.odd) for truth in truths], bool)
        return {"truth": odd[:, None], "probabilities": np.array([said.anomaly for said in predictions], float).reshape(-1, 1)}

    def both(self, records: Records, weights: np.ndarray) -> tuple[np.ndarray, None]:  # type: ignore[override]
        """The number alone: there are no parts beside it."""
        return self.each(records, weights)[0], None

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """Odd pictures that look best, good ones that look worst, and odd ones that look worst."""
        odd, score = records["truth"][:, 0], records["probabilities"][:, 0]
        order = np.argsort(-score, kind="stable")
        found = {
            "missed_odd": [int(i) for i in order[::-1] if odd[i]][:most],
            "oddest_good": [int(i) for i in order if not odd[i]][:most],
            "oddest": [int(i) for i in order if odd[i]][:most],
        }
        return [Gallery(title, places) for title, places in found.items() if places]
