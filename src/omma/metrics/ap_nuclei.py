"""AP as in nuclei challenges: objects found over all objects, true and invented, at one or several levels of IoU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omma.metrics._pairs import LEVELS, OfPairs, Pairing
from omma.metrics._pixels import picture_means
from omma.metrics.counts import ratio
from omma.metrics.metric import Gallery, Records


class ApNuclei(OfPairs):
    """TP / (TP + FP + FN) of a picture at each level of IoU, mean over the levels, then over the pictures.

    The score of the 2018 Data Science Bowl (Caicedo et al. 2019). A pair counts when its IoU is at least the level, as in StarDist and
    Cellpose. Objects of several classes are paired within their class and counted together; a class's own row is the same with its
    objects alone. A picture without a true or a predicted object is left out.

    Args:
        levels: how many of 0.5, 0.55 … 0.95, from the lowest; 1 is AP at 0.5.
    """

    def __init__(self, names: Sequence[str], levels: int = len(LEVELS), pairing: Pairing | None = None) -> None:
        super().__init__(names, pairing)
        self.levels = levels

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return picture_means(self._score(records["hits"], records["told"] + records["true"]), weights)

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        return picture_means(self._own(records)[:, None], weights)[0]

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """The pictures whose objects were found worst."""
        own = self._own(records)
        places = [int(i) for i in np.argsort(own, kind="stable")[:most] if own[i] < 1]
        return [Gallery("worst_found", places)] if places and self.levels > 1 else []

    def _own(self, records: Records) -> np.ndarray:
        """(N,): the score of each picture."""
        return self._score(records["hits"].sum(1), (records["told"] + records["true"]).sum(1))

    def _score(self, hits: np.ndarray, objects: np.ndarray) -> np.ndarray:
        """Hits (…, 10) and objects of both sides (…) → (…); NaN without objects."""
        hits = hits[..., : self.levels]
        return ratio(hits, objects[..., None] - hits).mean(-1)
