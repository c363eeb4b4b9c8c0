"""Records that the format could not use: rows without a file, labels that contradict each other, damaged parts."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen


def refused(seen: Seen) -> Iterator[Finding]:
    """`refused`: files and rows that cannot be used, each with its reason."""
    rows = seen.dataset.refused
    if rows:
        yield Finding("refused", "fault", files=[row.where for row in rows], reasons={row.where: row.reason for row in rows})
