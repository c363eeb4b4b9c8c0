"""Objects drawn twice: two of one class in nearly the same place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.checks.finding import Finding, Seen, counted

IOU = 0.95  # two people drawing the same object agree less than this; a label saved twice agrees more
BLOCK = 256  # objects compared with all others at once: memory stays bounded whatever a picture holds


def object_doubles(seen: Seen) -> Iterator[Finding]:
    """`object_double`, a fault: one of the two can only be missed."""
    found = {place: pairs for place, truth in seen.objects if (pairs := doubles(truth))}
    if found:
        truths = dict(seen.objects)
        reasons = {seen.dataset.samples[place].id: _named(truths[place], pairs) for place, pairs in found.items()}
        values = {"objects": sum(len({b for _, b in pairs}) for pairs in found.values()), "share": f"{IOU:.0%}"}
        yield Finding("object_double", "fault", values, places=list(found), reasons=reasons)


def doubles(truth: Boxes) -> list[tuple[int, int]]:
    """Pairs of places of objects of one class whose boxes (and masks, where there are any) overlap with an IoU of 0.95 and more."""
    return [(a, b) for a, b in overlapping(truth, IOU) if truth.labels[a] == truth.labels[b] and _same_shape(truth, a, b)]


def overlapping(truth: Boxes, least: float) -> list[tuple[int, int]]:
    """Pairs of places of objects, of whatever class, whose boxes overlap with an IoU of `least` and more."""
    rows = counted(truth)
    boxes = truth.boxes[rows]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(rows), BLOCK):
        some = boxes[start : start + BLOCK, None]
        sides = np.minimum(some[..., 2:], boxes[None, :, 2:]) - np.maximum(some[..., :2], boxes[None, :, :2])
        shared = sides.clip(0).prod(2)
        alike = shared >= least * (area[start : start + BLOCK, None] + area[None] - shared)
        pairs += [(int(rows[start + a]), int(rows[b])) for a, b in np.argwhere(alike) if start + a < b]
    return pairs


def _same_shape(truth: Boxes, a: int, b: int) -> bool:
    """Whether the masks of two objects agree as well as their boxes do; two bars of a cross share a box and little else."""
    if not isinstance(truth, Instances):
        return True
    from omma.answers import _rle

    share = _rle.iou([truth.counts[a]], [truth.counts[b]], truth.height, truth.width, np.zeros(1, bool))
    return float(share[0, 0]) >= IOU


def _named(truth: Boxes, pairs: list[tuple[int, int]], most: int = 3) -> str:
    """The objects that are there twice, with their corners."""
    twice = sorted({b for _, b in pairs})
    shown = [f"{truth.labels[row]} [{', '.join(f'{value:g}' for value in truth.boxes[row].round(1))}]" for row in twice[:most]]
    return ", ".join(shown) + (f" … ({len(twice)})" if len(twice) > most else "")
