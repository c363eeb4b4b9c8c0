"""How much objects lie over one another: what a detector that keeps one of two overlapping boxes cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen, counted
from omma.checks.object_doubles import overlapping

IOU = 0.5  # from here on one box would count as the other one found


def object_overlaps(seen: Seen) -> Iterator[Finding]:
    """`object_overlap`, advice: how many objects overlap another one, of whatever class."""
    found = {place: len({row for pair in overlapping(truth, IOU) for row in pair}) for place, truth in seen.objects}
    objects, total = sum(found.values()), sum(len(counted(truth)) for _, truth in seen.objects)
    if objects:
        places = sorted((place for place in found if found[place]), key=lambda place: -found[place])
        reasons = {seen.dataset.samples[place].id: str(found[place]) for place in places}
        values = {"share": f"{objects / total:.1%}", "objects": objects, "iou": IOU}
        yield Finding("object_overlap", "advice", values, places=places, reasons=reasons)
