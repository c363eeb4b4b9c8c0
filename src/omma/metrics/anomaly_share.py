"""How many odd pictures are called odd, and how many so called are: precision and recall at the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import ratio
from omma.metrics.metric import Metric, Records


class AnomalyShare(Metric):
    """Of the pictures that are odd how many are called so (`recall`), or of those called so how many are (`precision`).

    Undefined where there are none of them.
    """

    def __init__(self, names: Sequence[str], of: str) -> None:
        super().__init__(names)
        assert of in ("recall", "precision")
        self.of = of

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"hit", "counted": (N,) bool}."""
        odd, said = (np.array([bool(one.odd) for one in rows], bool) for rows in (truths, predictions))
        return {"hit": odd & said, "counted": odd if self.of == "recall" else said}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        hits, counted = (records[key].astype(float) @ weights.astype(float) for key in ("hit", "counted"))
        return ratio(hits, counted)

    def carriers(self, records: Records) -> np.ndarray:
        return np.array([float(records["counted"].sum())])
