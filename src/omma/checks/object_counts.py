"""How many objects a picture holds: more than the usual score looks at, or none in most pictures."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen, counted

MOST, EMPTY = 100, 0.5  # boxes of a picture that COCO's AP looks at; share of pictures without an object that is worth a look


def object_counts(seen: Seen) -> Iterator[Finding]:
    """`object_crowded` and `object_empty`, both advice."""
    counts = {place: len(counted(truth)) for place, truth in seen.objects}
    crowded = [place for place, count in counts.items() if count > MOST]
    if crowded:
        reasons = {seen.dataset.samples[place].id: str(counts[place]) for place in crowded}
        values = {"most": MOST, "top": max(counts.values())}
        yield Finding("object_crowded", "advice", values, places=crowded, reasons=reasons)
    empty = [place for place, count in counts.items() if not count]
    if len(empty) > EMPTY * len(counts):
        yield Finding("object_empty", "advice", {"pictures": len(counts)}, places=empty)
