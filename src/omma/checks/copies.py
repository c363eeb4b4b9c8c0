"""The same picture more than once: equal files or pixels, and near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen
from omma.data.duplicates import unite

WORTH = {"test": 0, "val": 1, "train": 2}  # of copies, the one in the part that is measured stays


def copies(seen: Seen) -> Iterator[Finding]:
    """`exact`: a clean list keeps one of each. `near`: kept, and never torn apart by a split."""
    samples = seen.dataset.samples
    if seen.near.exact:
        drop = [
            i for group in seen.near.exact for i in sorted(group, key=lambda i: (WORTH.get(samples[i].split or "", 3), samples[i].id))[1:]
        ]
        yield Finding("exact", "fault", {"extra": len(drop)}, groups=seen.near.exact, drop=drop)
    if seen.near.near:
        clusters = unite((a, b) for a, b, _ in seen.near.near)
        mirrored = sum(how == "mirrored" for *_, how in seen.near.near)
        values = {"pairs": len(seen.near.near), "mirrored": mirrored, "pictures": sum(map(len, clusters))}
        yield Finding("near", "advice", values, groups=clusters)
