"""AUROC of anomalies: how often an odd picture is called odder than a good one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from omma.answers.rebuilt import Rebuilt
from omma.metrics._alone import Alone
from omma.metrics.metric import Gallery, Records
from omma.metrics.roc_auc import RocAuc
from omma.words import say

STEPS = 100  # between the thresholds that are looked at


class AnomalyAuroc(RocAuc, Alone):
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

    def about(self) -> str:
        return say("reconstruct.odd")

    def levels(self, records: Records, own: float | None = None) -> np.ndarray:
        """Evenly over the anomalies there are, which take but a part of 0–1, and the threshold."""
        known = records["probabilities"][:, 0]
        known = np.append(known[np.isfinite(known)], [] if own is None else [own])
        low, high = (np.floor(known.min() * 100), np.ceil(known.max() * 100)) if len(known) else (0, 100)
        return np.round(np.linspace(low, max(high, low + 1), STEPS + 1) / 100, 6)

    def tallies(self, records: Records, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A picture is odd above a level, as `Rebuilt.operate` has it: in float32."""
        odd = records["truth"].astype(np.int64)
        said = (records["probabilities"].astype(np.float32) > np.asarray(levels, np.float32)).astype(np.int64)
        return odd * said, said, odd[:, 0]

    def strength(self, records: Records) -> np.ndarray:
        return records["probabilities"][:, 0]

    def at(self, answer: Rebuilt, level: float) -> Rebuilt:
        return replace(answer, odd=bool(np.float32(answer.anomaly) > np.float32(level)))
