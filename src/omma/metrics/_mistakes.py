"""What goes wrong at a threshold: objects missed, invented, taken for another class, or badly placed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omma.metrics._matching import Asked, Matches, decide
from omma.metrics._per_picture import by_picture
from omma.metrics.metric import Records

KINDS = ("missed", "invented", "badly_placed")
# From this IoU on, a prediction is meant for a truth, if badly placed (Bolya et al. 2020).
MEANT = 0.1


def mistakes(matches: Matches, asked: Asked, shown: np.ndarray, classes: int) -> Records:
    """What became of the predictions that are `shown` ((n,) bool), and of the truths, at IoU 0.5.

    A wrong prediction is, in this order: of another class than the free truth it lies on (each truth serves once, better scores first);
    badly placed, near a free truth of its own class; else invented — on nothing, or on a truth that another prediction has found. A truth
    that none of these accounts for is missed.

    Returns:
        {"pairs": of each picture (m, 2) true and named class, `classes` for the background; and (N,) counts for each of `KINDS`}.
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
    placed, meant = np.zeros(len(others), bool), np.zeros(len(rest), bool)
    for rows, columns, _ in asked.near(others, rest, MEANT):
        placed[rows] = meant[columns] = True
    swapped = wrong.take(np.flatnonzero(partner >= 0))
    nothing, unseen = np.full(len(others), classes), np.full(len(rest), classes)
    pairs = [
        (predicted.picture[right], predicted.label[right], predicted.label[right]),
        (swapped.picture, unfound.label[partner[partner >= 0]], swapped.label),
        (others.picture, nothing, others.label),
        (rest.picture, rest.label, unseen),
    ]
    picture, *sides = (np.concatenate(column) for column in zip(*pairs, strict=True))
    by = np.argsort(picture, kind="stable")
    where = {"missed": rest.picture[~meant], "invented": others.picture[~placed], "badly_placed": others.picture[placed]}
    counts = {kind: np.bincount(where[kind], minlength=matches.count) for kind in KINDS}
    return {"pairs": by_picture(np.stack(sides, axis=1)[by], picture[by], matches.count)} | counts
