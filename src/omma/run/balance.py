"""How much each class should weigh in a loss, so that rare ones are learned too."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from omma.answers.answer import Answer
from omma.answers.mask import VOID, Mask
from omma.data.fingerprint import Fingerprint


def class_weights(truths: Iterable[Answer | None], fingerprint: Fingerprint, names: list[str]) -> list[float]:
    """One weight for each name; 1 is usual.

    Of labels the inverse of how many training pictures show the class. Of masks, where a class may cover a ten-thousandth of the pixels
    and still be in every picture, median frequency: the share of pixels in the pictures that show it (Eigen & Fergus 2015).

    Args:
        truths: of the training part.
        fingerprint: of the dataset.
        names: classes in order.
    """
    masks = [truth for truth in truths if isinstance(truth, Mask)]
    if masks:
        return _median_frequency(masks, names)
    counts = [max(1, fingerprint.class_counts.get("train", {}).get(name, 0)) for name in names]
    return [round(sum(counts) / len(counts) / count, 6) for count in counts]


def _median_frequency(masks: list[Mask], names: list[str]) -> list[float]:
    mine, around = np.zeros(len(names)), np.zeros(len(names))
    for mask in masks:
        count = np.bincount(mask.pixels.ravel(), minlength=VOID + 1)[: len(mask.classes)]
        known = int(count.sum())
        for place, pixels in zip(map(names.index, mask.classes), count, strict=True):
            mine[place] += pixels
            around[place] += known * bool(pixels)
    share = np.divide(mine, around, out=np.zeros(len(names)), where=around > 0)
    if not (share > 0).any():
        return [1.0] * len(names)
    middle = float(np.median(share[share > 0]))
    # A class that training never shows is neither learned nor weighed.
    return [round(middle / one, 6) if one > 0 else 1.0 for one in share.tolist()]
