"""How many pixels each class of a segmentation has: none, or so few that a network may leave them out unpunished."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omma.answers.mask import VOID
from omma.checks.finding import Finding, Seen, some

RARE = 0.01  # of all labelled pixels


def mask_balance(seen: Seen) -> Iterator[Finding]:
    """`mask_absent` and `mask_rare`, both advice."""
    pixels = dict.fromkeys(seen.dataset.names, 0)
    for _, truth in seen.masks:
        counts = np.bincount(truth.pixels.ravel(), minlength=VOID + 1)
        for value, name in enumerate(truth.classes):
            pixels[name] = pixels.get(name, 0) + int(counts[value])
    total = sum(pixels.values())
    if not total:
        return
    absent = [name for name, count in pixels.items() if not count]
    if absent:
        yield Finding("mask_absent", "advice", {"names": some(absent)}, files=absent)
    rare = sorted((name for name, count in pixels.items() if 0 < count < RARE * total), key=lambda name: pixels[name])
    if rare:
        names = some([f"{name} ({pixels[name] / total:.2%})" for name in rare])
        yield Finding("mask_rare", "advice", {"share": f"{RARE:.0%}", "names": names}, files=rare)
