"""Precision and recall at every threshold, from answers that are there already: what another operating point would cost and bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.answers.answer import Answer
from omma.metrics.counts import Counted
from omma.metrics.f1 import F1
from omma.metrics.metric import Metric
from omma.metrics.precision import Precision
from omma.metrics.recall import Recall

LEVELS = np.arange(101) / 100
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
