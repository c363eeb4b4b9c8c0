"""Pictures of one single colour: an exposure that failed, a file that was never written to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omma.checks.finding import Finding, Seen

SPAN = 2  # levels of 255: compression wavers by as much


def constant(seen: Seen) -> Iterator[Finding]:
    """Nothing can be learned from them, but a network will."""
    places = np.flatnonzero(seen.looks.readable() & (seen.looks.spread <= SPAN)).tolist()
    if places:
        yield Finding("constant", "fault", places=places, drop=places)
