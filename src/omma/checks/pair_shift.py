"""Pairs of which one picture lies beside the other: a network can only learn to blur, or to move everything."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks._pairs import pairs_of
from omma.checks.finding import Finding, Seen
from omma.data.likeness.pairing import apart

FAR = 1.5  # pixels of the bad picture: enlarging and shrinking differ by half a pixel between programs


def pair_shift(seen: Seen) -> Iterator[Finding]:
    """`pair_shift`, a fault: the middle of both is 1.5 pixels and more apart."""
    moved = {place: look.shift for place, look in seen.pairs.items() if apart(look.shift) >= FAR}
    if moved:
        samples = seen.dataset.samples
        reasons = {samples[place].id: f"{samples[place].record}, x {x:+.1f} y {y:+.1f}" for place, (x, y) in moved.items()}
        values = {"looked": len(seen.pairs), "pairs": len(pairs_of(seen.dataset)), "far": f"{FAR:g}"}
        yield Finding("pair_shift", "fault", values, places=list(moved), reasons=reasons, drop=list(moved))
