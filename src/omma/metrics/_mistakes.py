"""What becomes of objects at a threshold: found right, missed, invented, taken for another class, or badly placed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omma.metrics._matching import Asked, Matches, Objects, decide
from omma.metrics._per_picture import by_picture
from omma.metrics.metric import Records

KINDS = ("missed", "invented", "badly_placed", "right")
# From this IoU on, a prediction is meant for a truth, if badly placed (Bolya et al. 2020).
MEANT = 0.1


def mistakes(matches: Matches, asked: Asked, shown: np.ndarray, classes: int) -> Records:
    """What became of the predictions that are `shown` ((n,) bool), and of the truths, at IoU 0.5.

    A wrong prediction is, in this order: of another class than the free truth it lies on (each truth serves once, better scores first);
    badly placed, near a free truth of its own class; else invented — on nothing, or on a truth that another prediction has found. A truth
    that none of these accounts for is missed.

    Returns:
        {"pairs": of each picture (m, 2) true and named class, `classes` for the background; "corners": (m, 4) around the object meant, on
        both sides where it is on both; "kind": (m,) its place in `KINDS`, −1 for none of them}.
    """
    predicted, true, outcome = matches.predicted, matches.true, matches.outcome[:, 0, 0]
    right = np.flatnonzero(shown & (outcome == 1))
    free = matches.counts[:, 0].copy()
    free[matches.partner[right]] = False
    wrong, unfound = predicted.take(np.flatnonzero(shown & (outcome == 0))), true.take(np.flatnonzero(free))
    order = np.lexsort((-wrong.score, wrong.picture))
    anyhow = replace(wrong.take(order), label=np.zeros(len(wrong), int)), replace(unfound, label=np.zeros(len(unfound), int))
    partner = np.full(len(wrong), -1)
    partner[order] = decide(*anyhow, asked).partner
    taken = np.isin(np.arange(len(unfound)), partner)
    others, rest = wrong.take(np.flatnonzero(partner < 0)), unfound.take(np.flatnonzero(~taken))
    near, meant = np.full(len(others), -1), np.zeros(len(rest), bool)
    for rows, columns, iou in asked.near(others, rest, MEANT):
        rising = np.argsort(iou, kind="stable")
        near[rows[rising]] = columns[rising]  # the last one stays: the nearest
        meant[columns] = True
    swapped, placed = partner >= 0, near >= 0
    missed, invented, badly_placed, found = range(len(KINDS))
    told, lain = wrong.take(np.flatnonzero(swapped)), unfound.take(partner[swapped])
    parts = [
        _rows(predicted.take(right), true.take(matches.partner[right]), found),
        _rows(told, lain, -1),
        _rows(others.take(np.flatnonzero(placed)), rest.take(near[placed]), badly_placed, true=classes),
        _rows(others.take(np.flatnonzero(~placed)), None, invented, true=classes),
        _rows(rest, None, np.where(meant, -1, missed), named=classes),
    ]
    picture, *told_of = (np.concatenate(column) for column in zip(*parts, strict=True))
    by = np.argsort(picture, kind="stable")
    tables = [by_picture(column[by], picture[by], matches.count) for column in told_of]
    return dict(zip(("pairs", "corners", "kind"), tables, strict=True))


def _rows(one: Objects, other: Objects | None, kind: int | np.ndarray, true: int | None = None, named: int | None = None):
    """Picture, classes (true and named; those of the objects unless said otherwise), corners around both objects, and kind."""
    sides = one.label if other is None else other.label, one.label
    pairs = np.stack([side if say is None else np.full(len(one), say) for side, say in zip(sides, (true, named), strict=True)], axis=1)
    low, high = one.box[:, :2], one.box[:, :2] + one.box[:, 2:]
    if other is not None:
        low, high = np.minimum(low, other.box[:, :2]), np.maximum(high, other.box[:, :2] + other.box[:, 2:])
    return one.picture, pairs, np.concatenate([low, high], axis=1), np.broadcast_to(kind, len(one))
