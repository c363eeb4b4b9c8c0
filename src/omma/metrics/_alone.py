"""Metrics of one thing that is told from the rest by a number: they also know what would be said at any threshold of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from omma.metrics.metric import Metric, Records

LEVELS = np.arange(101) / 100  # thresholds of a probability


class Alone(Metric):
    """A subclass keeps in its records how strongly every answer speaks for the thing; a threshold is applied as the model applies it."""

    counts: ClassVar[str] = "pictures"  # what is counted: pictures, or pixels

    def about(self) -> str:
        """The thing, for people."""
        raise NotImplementedError

    def levels(self, records: Records, own: float | None = None) -> np.ndarray:
        """(L,) thresholds worth a look, rising; `own` is the model's."""
        return LEVELS

    def tallies(self, records: Records, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How many are said rightly and how many at all in each picture from each level on, (N, L), and how many there are, (N,)."""
        raise NotImplementedError

    def strength(self, records: Records) -> np.ndarray:
        """(N,) how strongly a picture as a whole speaks for the thing: what decides which comes first of those with as many."""
        return np.zeros(len(next(iter(records.values()))))

    def at(self, answer: Any, level: float) -> Any:
        """What the answer would be at this threshold."""
        raise NotImplementedError
