"""Is learning against a critic in good health? What goes wrong is named while it can still be stopped, with what to try."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from omma.words import say

FIRST = 5  # rows of the log that tell what is usual
WON = 0.05  # share of the critic's first loss below which it has won
ALIKE = 0.3  # share of the true pictures' variety below which drawn ones are all alike
BLOWN = 100.0  # times the usual norm of a gradient


class Health:
    """Hears the events of a run and says each thing once, and again when it comes back.

    `critic` of an event is the critic's loss. Games in which it is never below 0 can be won: then the maker learns nothing any more. Where
    it can be (Wasserstein), it has no such end.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.said: set[str] = set()

    def hear(self, event: dict[str, Any]) -> Iterator[str]:
        """Sentences for people; most events say nothing."""
        if event["event"] == "step" and "critic" in event:
            yield from self._once("critic", self._won(float(event["critic"])))
        if event["event"] == "step" and isinstance(event.get("norm"), float) and "critic" in event:
            yield from self._once("norm", self._blown(event["norm"]))
        if event["event"] == "eval" and "val_spread" in event:
            yield from self._once("alike", event["val_spread"] < ALIKE)

    def _once(self, what: str, ill: bool) -> Iterator[str]:
        if ill and what not in self.said:
            self.said.add(what)
            yield say(f"generate.ill_{what}")
        elif not ill:
            self.said.discard(what)

    def _won(self, loss: float) -> bool:
        self.losses.append(loss)
        if len(self.losses) <= FIRST or min(self.losses) < 0:
            return False
        usual = sum(self.losses[:FIRST]) / FIRST
        return max(self.losses[-FIRST:]) < WON * usual

    def _blown(self, norm: float) -> bool:
        self.norms.append(norm)
        return len(self.norms) > FIRST and norm > BLOWN * max(median(self.norms[:-1]), 1e-6)
