"""Good pictures that cannot be read: only their headers were looked at when the data was opened."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks._pairs import pairs_of
from omma.checks.finding import Finding, Seen


def good_unreadable(seen: Seen) -> Iterator[Finding]:
    """`good_unreadable`, a fault."""
    broken = {place: look.error for place, look in seen.pairs.items() if look.error}
    if broken:
        samples = seen.dataset.samples
        reasons = {samples[place].id: f"{samples[place].record}: {error}" for place, error in broken.items()}
        values = {"looked": len(seen.pairs), "pairs": len(pairs_of(seen.dataset))}
        yield Finding("good_unreadable", "fault", values, places=list(broken), reasons=reasons, drop=list(broken))
