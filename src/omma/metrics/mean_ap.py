"""Mean average precision of objects, as COCO counts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omma.metrics._matching import IOUS, Matcher
from omma.metrics._objects import OfObjects
from omma.metrics._per_picture import Ranking, joined, rankings, tally
from omma.metrics.metric import Records

RECALLS = np.linspace(0.0, 1.0, 101)
# Places in `IOUS` of the curves that are drawn: 0.50, 0.75, 0.90.
SHOWN = (0, 5, 8)
# Detections × drawings held at once: tables of 4 MB stay near the caches.
AT_ONCE = 1 << 19


class MeanAp(OfObjects):
    """Precision, the best at this recall or a higher one, at 101 recalls; mean over IoU thresholds and classes (Lin et al. 2014).

    Equal to pycocotools on every set, its order of equal scores included: there the earlier picture comes first.

    Args:
        names, matcher, size: as in `OfObjects`.
        iou: one threshold of `IOUS`; None for the mean over all ten.
    """

    def __init__(self, names: Sequence[str], matcher: Matcher | None = None, iou: float | None = None, size: str = "all") -> None:
        super().__init__(names, matcher, size)
        self.lanes = [lane for lane, level in enumerate(IOUS) if iou is None or abs(level - iou) < 1e-9]
        assert self.lanes, f"COCO has no threshold {iou}"

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"label", "score", "outcome": of each picture's predictions, "true": the classes of its truths that count}."""
        matched = self.matcher(predictions, truths)
        return self.rows(matched, score=matched.predicted.score, outcome=matched.outcome[:, self.size, self.lanes])

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray:
        rows = np.full((len(self.names), weights.shape[1]), np.nan)
        for label, some, curves in self._curves(records, weights):
            rows[label, some] = curves.mean((0, 2))
        return rows

    def figure(self, records: Records) -> dict[str, Any] | None:
        """Precision over recall at three thresholds, mean over the classes: once in a set, beside the mean over all thresholds."""
        if self.lanes != list(range(len(IOUS))) or self.size:
            return None
        curves = [part[:, 0] for _, _, part in self._curves(records, np.ones((len(records["true"]), 1)))]
        lines = {f"{IOUS[lane]:.2f}": np.mean(curves, axis=0)[lane].tolist() for lane in SHOWN} if curves else {}
        return {"kind": "precision_recall", "recall": RECALLS.tolist(), "precision": lines} if lines else None

    def _curves(self, records: Records, weights: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each class that has truths: its number, some drawings that have one, their curves (T, those, 101); till all are told."""
        true = tally(records["true"], weights, len(self.names))
        ranked = rankings(records, len(self.names))
        # Sums of whole numbers are exact, whatever they start from: then many drawings can be told in one sweep.
        whole = bool((weights == np.floor(weights)).all())
        rows = np.ascontiguousarray(weights.T, float)
        for label in np.unique(joined(records["true"])).tolist():
            sweep, drawn = _sweep(ranked[label]), np.flatnonzero(true[label] > 0)
            step = max(1, AT_ONCE // sweep.width) if whole else 1
            for some in (drawn[i : i + step] for i in range(0, len(drawn), step)):
                yield label, some, interpolated(sweep, rows[some], _needed(true[label, some], whole))


@dataclass(slots=True)
class Sweep:
    """One class: the pictures of the predictions that count at every threshold, best first, and what differs by threshold."""

    always: np.ndarray
    levels: list[Level]

    @property
    def width(self) -> int:
        """Of its widest table for one drawing."""
        return max(1, len(self.always), *(max(len(level.right), len(level.extra)) for level in self.levels))


@dataclass(slots=True)
class Level:
    """What is known of the m right detections of one class at one threshold, best first, before anything is drawn.

    Precision is the best at a right detection, so no other needs a look.

    Args:
        right: (m,) their pictures.
        at: (m,) how many of the detections that count at every threshold come up to each.
        extra: the pictures of those that count here, but not at every threshold.
        extra_at: (m,) how many of these come up to each.
    """

    right: np.ndarray
    at: np.ndarray
    extra: np.ndarray
    extra_at: np.ndarray


def _sweep(ranking: Ranking) -> Sweep:
    counts = ranking.outcome >= 0
    always = counts.all(1)
    before, levels = np.cumsum(always), []
    for column in range(counts.shape[1]):
        right = np.flatnonzero(ranking.outcome[:, column] == 1)
        extra = counts[:, column] & ~always
        levels.append(Level(ranking.picture[right], before[right], ranking.picture[extra], np.cumsum(extra)[right]))
    return Sweep(ranking.picture[always], levels)


def _needed(true: np.ndarray, whole: bool) -> np.ndarray:
    """How many must be found for each recall of `RECALLS`: (D,) → (D, 101)."""
    needed = RECALLS * true[:, None]
    if whole:
        # The least number whose quotient is not below the recall, as floats have it: 35 / 100 is below the 36th recall.
        needed = np.floor(needed)
        for _ in range(2):
            needed += needed / true[:, None] < RECALLS
    return needed


def interpolated(sweep: Sweep, weights: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """The best precision from each recall on: (T, D, 101).

    Args:
        weights: (D, N) float64.
        needed: (D, 101), how many must be found for each recall.
    """
    draws = len(weights)
    curves = np.zeros((len(sweep.levels), draws, len(RECALLS)))
    named = _running(weights, sweep.always)
    for level, curve in zip(sweep.levels, curves, strict=True):
        size = len(level.right)
        if not size:
            continue
        below = np.take(named, level.at, axis=1)
        if len(level.extra):
            below += np.take(_running(weights, level.extra), level.extra_at, axis=1)
        # One running sum over all drawings: what drawing d adds begins at start[d], its places at first[d].
        found = np.cumsum(np.take(weights, level.right, axis=1))
        start = np.append(0.0, found[size - 1 : -1 : size])[:, None]
        first = size * np.arange(draws)[:, None]
        place = np.maximum(np.searchsorted(found, needed + start), first)
        precision = np.zeros(draws * size + 1)
        inside = found.reshape(draws, size)
        np.divide(np.subtract(inside, start, out=inside), below, out=precision[:-1].reshape(draws, size))
        best = np.maximum.reduceat(precision, np.minimum(place, first + size).ravel()).reshape(place.shape)
        best[place >= first + size] = 0.0
        np.maximum.accumulate(best[:, ::-1], axis=1, out=curve[:, ::-1])
    return curves


def _running(weights: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """(D, n + 1): how many come up to each place, from none (all but 0, so that it can be divided by) to all n."""
    sums = np.full((len(weights), len(picture) + 1), 1e-300)
    np.take(weights, picture, axis=1, out=sums[:, 1:])
    return np.cumsum(sums, axis=1, out=sums)
