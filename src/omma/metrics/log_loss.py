"""Log-loss (cross-entropy): how surprised the probabilities are by the truth, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import average, indicators, probabilities
from omma.metrics.metric import Gallery, Metric, Records


class LogLoss(Metric):
    """Mean of −ln p(truth). With `several` labels: the mean over classes of the binary cross-entropy.

    Probabilities are held 1e-7 away from 0 and 1 (the resolution of float32), so that one sure mistake costs 16 nats, not infinity.
    """

    better = "lower"
    scale = "positive"

    def __init__(self, names: Sequence[str], several: bool = False) -> None:
        super().__init__(names)
        self.several = several

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"loss", "doubt": (N,) float, "right": (N,) bool}; doubt is 0–1, the most where the model is least sure."""
        truth, named = indicators(truths, self.names), indicators(predictions, self.names)
        shares = probabilities(predictions, self.names)
        kept = np.clip(shares, 1e-7, 1 - 1e-7)
        if self.several:
            loss = -np.where(truth, np.log(kept), np.log1p(-kept)).mean(1)
            doubt = 1 - 2 * np.abs(shares - 0.5).min(1, initial=0.5)
        else:
            loss, doubt = -np.log(kept[truth]), 1 - shares.max(1, initial=0.0)
        return {"loss": loss, "doubt": doubt, "right": (truth == named).all(1)}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return average(records["loss"], weights)

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pictures it is most wrong about, and those it is least sure about."""
        wrong = [int(i) for i in np.argsort(-records["loss"], kind="stable") if not records["right"][i]][:most]
        unsure = np.argsort(-records["doubt"], kind="stable")[:most].tolist()
        return [gallery for gallery in (Gallery("wrong", wrong), Gallery("unsure", unsure)) if gallery.places]
