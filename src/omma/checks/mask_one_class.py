"""Masks that tell nothing apart: all of one class, or all void."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.conflicts import classes
from omma.checks.finding import Finding, Seen


def mask_one_class(seen: Seen) -> Iterator[Finding]:
    """`mask_same`, a fault: every mask is the same one class. `mask_one_class` and `mask_void`, advice: some masks are."""
    samples = seen.dataset.samples
    shown = {place: classes(samples[place]) for place, _ in seen.masks}
    void = [place for place, names in shown.items() if not names]
    if void:
        yield Finding("mask_void", "advice", places=void)
    one = [place for place, names in shown.items() if len(names) == 1]
    only = {shown[place][0] for place in one}
    if len(only) == 1 and len(one) + len(void) == len(shown) and len(one) > 1:
        yield Finding("mask_same", "fault", {"name": only.pop()}, places=one)
    elif one:
        reasons = {samples[place].id: shown[place][0] for place in one}
        yield Finding("mask_one_class", "advice", {"pictures": len(shown)}, places=one, reasons=reasons)
