"""Pairs that do not show the same thing: a file that was named wrongly, a list that slipped by one."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks._pairs import ALIKE, pairs_of
from omma.checks.finding import Finding, Seen


def pair_wrong(seen: Seen) -> Iterator[Finding]:
    """`pair_wrong`, a fault: the brightness of both, at thumbnail size, has a correlation below 0.5."""
    wrong = {place: look.likeness for place, look in seen.pairs.items() if look.likeness < ALIKE}
    if wrong:
        samples = seen.dataset.samples
        reasons = {samples[place].id: f"{samples[place].record}, r = {value:.2f}" for place, value in wrong.items()}
        values = {"looked": len(seen.pairs), "pairs": len(pairs_of(seen.dataset))}
        yield Finding("pair_wrong", "fault", values, places=list(wrong), reasons=reasons, drop=list(wrong))
