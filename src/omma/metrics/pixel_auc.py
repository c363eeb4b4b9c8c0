"""Area under the ROC curve of pixels: how often one of the second class is given a higher probability of it than one of the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.answers.mask import VOID, Mask
from omma.metrics._alone import Alone
from omma.metrics._pixels import aligned
from omma.metrics.counts import ratio
from omma.metrics.metric import Records
from omma.metrics.pixel_ece import LEVELS, SHARE, levels


class PixelAuc(Alone):
    """Of two classes, all scored pixels of all pictures pooled; equal probabilities count as half (Mann & Whitney 1947).

    Probabilities are kept in steps of 1/255; the area of finer ones may differ in the third digit.
    """

    counts = "pixels"

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"first", "second": (N, 256) int64}: pixels of each true class by the probability of the second."""
        assert len(self.names) == 2, "one class against the other"
        found = {key: np.zeros((len(truths), LEVELS), np.int64) for key in ("first", "second")}
        for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
            told, true = aligned(prediction, truth, self.names)
            known, second = (told != VOID) & (true != VOID), _second(told, levels(prediction))
            for place, key in enumerate(("first", "second")):
                found[key][row] = np.bincount(second[known & (true == place)], minlength=LEVELS)
        return found

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        first, second = (records[key].T.astype(float) @ weights for key in ("first", "second"))
        below = np.cumsum(first, 0) - first / 2
        return ratio((second * below).sum(0), first.sum(0) * second.sum(0))

    def about(self) -> str:
        return str(self.names[1])

    def tallies(self, records: Records, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels; a probability that is kept as k/255 reaches a level as the model's own would, in float32."""
        first = np.searchsorted(SHARE.astype(np.float32), np.asarray(levels, np.float32), "left")
        # From each level on, and none beyond the last.
        right, wrong = (np.pad(records[key][:, ::-1].cumsum(1)[:, ::-1], ((0, 0), (0, 1)))[:, first] for key in ("second", "first"))
        return right, right + wrong, records["second"].sum(1)

    def at(self, answer: Mask, level: float) -> Mask:
        """Each pixel anew, from the probability that is kept of it; what is void stays so."""
        pixels = answer.pixels
        among = [answer.classes.index(name) for name in self.names]
        second = SHARE.astype(np.float32)[_second(pixels == among[1], levels(answer))]
        said = np.where(second >= np.float32(level), among[1], among[0])
        shares = np.where(said == among[1], second, 1 - second)
        return Mask.of(np.where(pixels == VOID, VOID, said), answer.classes, shares)


def _second(told: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """How probable the second class is, in 1/255, from whether it is the one that is told and how sure that is."""
    return np.where(told == 1, sure, LEVELS - 1 - sure)
