"""Masks against masks: how many pixels of each class are right, invented and missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from omma.answers.mask import VOID, Mask, is_background
from omma.metrics.counts import counted, ratio
from omma.metrics.metric import Metric, Records

# Pixels whose cells are held at once: 32 MB of int64, however large a picture is.
AT_ONCE = 1 << 22


def foreground(names: Sequence[str]) -> np.ndarray:
    """(C,) bool: every class but the background, as far as its name tells; all of them where nothing else is left."""
    there = np.array([not is_background(name) for name in names], bool)
    return there if there.any() else ~there


def aligned(prediction: Mask, truth: Mask, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Both as (H, W) uint8 places in `names`; what the truth leaves open (`VOID`) is open in both."""
    assert (prediction.width, prediction.height) == (truth.width, truth.height), "a prediction has the size of its picture"
    told, true = _placed(prediction, names), _placed(truth, names)
    return np.where(true == VOID, np.uint8(VOID), told), true


def _placed(mask: Mask, names: Sequence[str]) -> np.ndarray:
    if list(mask.classes) == list(names):
        return mask.pixels
    place = {name: i for i, name in enumerate(names)}
    table = np.full(256, VOID, np.uint8)
    table[: len(mask.classes)] = [place[name] for name in mask.classes]
    return table[mask.pixels]


def confusion(prediction: Mask, truth: Mask, names: Sequence[str]) -> np.ndarray:
    """(C + 1, C + 1) int64 pixels: rows true, columns predicted; the last row and the last column are what is left open."""
    size = len(names) + 1
    told, true = (np.minimum(pixels.ravel(), size - 1) for pixels in aligned(prediction, truth, names))
    table = np.zeros(size * size, np.int64)
    for start in range(0, true.size, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        table += np.bincount(true[part].astype(np.intp) * size + told[part], minlength=size * size)
    return table.reshape(size, size)


def picture_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of each column over the pictures where it is defined, each `weights` (N, D) times: (N, K) with NaN → (K, D)."""
    known = ~np.isnan(values)
    return ratio(counted(np.where(known, values, 0.0), weights), counted(known, weights))


class OfPixels(Metric):
    """A metric of the pixels of each class: true positives, false positives and false negatives of every picture.

    Pixels that the truth leaves open are not scored; a pixel that the prediction leaves open is missed, and nothing is invented there.
    """

    # Up to how many classes the whole confusion matrix of each picture is kept beside.
    cells: ClassVar[int] = 0

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"tp", "fp", "fn": (N, C) int64 pixels}, and {"confusion": (N, C, C) uint32} where it is kept."""
        count, size = len(truths), len(self.names)
        sums = np.zeros((3, count, size), np.int64)
        tables = np.zeros((count, size, size) if size <= self.cells else (0, 0, 0), np.uint32)
        for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
            table = confusion(prediction, truth, self.names)[:-1]
            right = table.diagonal()
            sums[:, row] = right, table[:, :-1].sum(0) - right, table.sum(1) - right
            if size <= self.cells:
                tables[row] = table[:, :-1]
        kept = {"confusion": tables} if size <= self.cells else {}
        return dict(zip(("tp", "fp", "fn"), sums, strict=True)) | kept

    def carriers(self, records: Records) -> np.ndarray:
        """Pictures where the class is true or named."""
        return (records["tp"] + records["fp"] + records["fn"] > 0).sum(0).astype(float)


def summed(records: Records, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """tp, fp and fn over the pictures, each `weights` (N, D) times: three times (C, D)."""
    return counted(records["tp"], weights), counted(records["fp"], weights), counted(records["fn"], weights)
