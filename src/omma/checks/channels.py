"""Grey among colour, alpha, extra channels, moving pictures: what is read differs from what is seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omma.checks.finding import Finding, Seen

GREY, MIXED = 1.5, 0.02  # mean levels between channels; share of the rarer kind from which a mix is worth saying


def channels(seen: Seen) -> Iterator[Finding]:
    """`channels`: grey pictures among coloured ones, or the other way round."""
    looks = seen.looks
    known = looks.readable()
    grey = known & (looks.colour < GREY)
    rare = grey if grey.sum() * 2 <= known.sum() else known & ~grey
    if rare.any() and (~rare & known).any() and rare.sum() >= MIXED * known.sum():
        values = {"grey": int(grey.sum()), "colour": int((known & ~grey).sum())}
        yield Finding("channel_mix", "advice", values, places=np.flatnonzero(rare).tolist())
    for kind, flags in (("alpha", looks.channels == 4), ("many_channels", looks.channels > 4), ("moving", looks.frames > 1)):
        if (flags & known).any():
            yield Finding(kind, "advice", places=np.flatnonzero(flags & known).tolist())
