"""Good pictures too small to learn from: what a network learns, it learns from patches of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omma.checks._pairs import bare, of_files
from omma.checks.finding import Finding, Seen
from omma.data.decode import Probe

SIDE = 64  # pixels


def too_small(seen: Seen) -> Iterator[Finding]:
    """`too_small`, advice: fewer than 64 pixels on one side; `too_small_source` of pictures of which nobody says that they are good."""
    small = of_files(seen.dataset, _size)
    if small:
        reasons = {seen.dataset.samples[place].id: size for place, size in small.items()}
        kind = "too_small_source" if bare(seen.dataset) else "too_small"
        yield Finding(kind, "advice", {"side": SIDE}, places=list(small), reasons=reasons)


def _size(path: Path, head: Probe) -> str | None:
    return f"{head.width}×{head.height}" if min(head.width, head.height) < SIDE else None
