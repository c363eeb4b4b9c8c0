"""Precision and recall at every threshold, from answers that are there already: what another operating point would cost and bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.answers.answer import Answer
from omma.metrics._alone import LEVELS, Alone
from omma.metrics.counts import Counted
from omma.metrics.f1 import F1
from omma.metrics.metric import Metric, Records
from omma.metrics.precision import Precision
from omma.metrics.recall import Recall

KINDS: tuple[tuple[str, type[Counted]], ...] = (("precision", Precision), ("recall", Recall), ("f1", F1))


def sweepable(metrics: dict[str, Metric]) -> dict[str, Counted]:
    """`precision`, `recall` and `f1` among the metrics of a task, each class counting the same; {} where it has none."""
    found: dict[str, Counted] = {}
    for name, kind in KINDS:
        for metric in metrics.values():
            if isinstance(metric, kind) and metric.average == "macro":
                found.setdefault(name, metric)
    return found


def apart(
    metrics: dict[str, Metric], predictions: Sequence[Answer], truths: Sequence[Answer], about: str, level: float
) -> dict[str, list[int]]:
    """Rows of the answers that are `right`, `invented` or `missed` of a class said from a threshold on, as `swept` counts them."""
    first = next(iter(sweepable(metrics).values()))
    return first.apart(predictions, truths, first.names.index(about), level)


def swept(
    metrics: dict[str, Metric], predictions: Sequence[Answer], truths: Sequence[Answer], about: str | None = None,
    levels: np.ndarray = LEVELS,
) -> dict[str, Any]:  # fmt: skip
    """What the metrics of `sweepable` would be if nothing less probable than a threshold were said.

    Args:
        about: one class, asked for by itself; None = the mean over the classes, as `evaluate` tells it.
        levels: (L,) thresholds, 0–1.

    Returns:
        {"levels": L thresholds, "precision", "recall", "f1": (L,) each, NaN where undefined, "said", "right": (L,) statements, "true": how
        many there are to be found}; {} where no metric can be swept.
    """
    chosen = sweepable(metrics)
    if not chosen:
        return {}
    first = next(iter(chosen.values()))
    hits, named, true = first.swept(predictions, truths, levels, alone=about is not None)
    if about is not None:
        row = [first.names.index(about)]
        hits, named, true = hits[row], named[row], true[row]
    found: dict[str, Any] = {"levels": levels.tolist(), "said": named.sum(0).tolist(), "right": hits.sum(0).tolist()}
    found |= {name: metric.pooled(hits, named, true).tolist() for name, metric in chosen.items()}
    return found | {"true": float(true[:, 0].sum())}


def alone(metrics: dict[str, Metric]) -> Alone | None:
    """The metric that tells one thing from the rest by a number, where precision and recall are not among them: pixels, anomalies."""
    return None if sweepable(metrics) else next((one for one in metrics.values() if isinstance(one, Alone)), None)


def swept_alone(metric: Alone, records: Records, own: float | None = None) -> dict[str, Any]:
    """As `swept`, of one thing; all pictures' pixels (or all pictures) pooled.

    Args:
        own: the model's threshold, which lies among the levels.
    """
    levels = metric.levels(records, own)
    hits, named, true = (count.astype(float) for count in metric.tallies(records, levels))
    found: dict[str, Any] = {"levels": levels.tolist(), "said": named.sum(0).tolist(), "right": hits.sum(0).tolist()}
    row, all_of_them = [metric.about()], np.full(len(levels), true.sum())
    found |= {name: kind(row).one(hits.sum(0), named.sum(0), all_of_them).tolist() for name, kind in KINDS}
    return found | {"true": float(true.sum())}


def apart_alone(metric: Alone, records: Records, level: float) -> dict[str, list[int]]:
    """As `apart`: pictures with something right, invented or missed from a level on, those with most of it first."""
    hits, named, true = metric.tallies(records, np.array([level]))
    strength = metric.strength(records)
    cases = {"right": (hits[:, 0], -strength), "invented": (named[:, 0] - hits[:, 0], -strength), "missed": (true - hits[:, 0], strength)}
    return {name: [int(row) for row in np.lexsort((key, -count)) if count[row]] for name, (count, key) in cases.items()}
