"""Objects too small to be seen once their picture is scaled to a network's input, and objects as large as their picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omma.answers.boxes import Boxes
from omma.checks.finding import Finding, Seen, counted

INPUT, LEAST, WHOLE = 640, 0.01, 0.98  # pixels a side a detector usually sees; share of its side; share of the picture's area


def object_sizes(seen: Seen) -> Iterator[Finding]:
    """`object_tiny` and `object_whole`, both advice: with the objects of each picture that are meant."""
    truths = dict(seen.objects)
    tiny: dict[int, np.ndarray] = {}
    whole: dict[int, np.ndarray] = {}
    for place, truth in truths.items():
        rows = counted(truth)
        sides = truth.boxes[rows, 2:] - truth.boxes[rows, :2]
        tiny[place] = rows[sides.min(1) < LEAST * max(truth.width, truth.height)]
        whole[place] = rows[sides.prod(1) >= WHOLE * truth.width * truth.height]
    about = {"share": f"{LEAST:.0%}", "side": INPUT, "pixels": round(LEAST * INPUT)}
    for kind, found, values in (("object_tiny", tiny, about), ("object_whole", whole, {})):
        places = [place for place, rows in found.items() if len(rows)]
        if places:
            reasons = {seen.dataset.samples[place].id: _named(truths[place], found[place]) for place in places}
            objects = sum(len(found[place]) for place in places)
            yield Finding(kind, "advice", {"objects": objects, **values}, places=places, reasons=reasons)


def _named(truth: Boxes, rows: np.ndarray, most: int = 3) -> str:
    """The first objects meant, with their size in pixels."""
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    shown = [f"{truth.labels[row]} {sides[row, 0]:.0f} × {sides[row, 1]:.0f}" for row in rows[:most]]
    return ", ".join(shown) + (f" … ({len(rows)})" if len(rows) > most else "")
