"""Pictures that are tiny, huge, or of a shape unlike the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omma.checks.finding import Finding, Seen

TINY, HUGE, LONG, ODD = 16, 40_000_000, 4.0, 8.0  # pixels a side, pixels, side to side, times larger or smaller than usual


def sizes(seen: Seen) -> Iterator[Finding]:
    """All advice: such pictures can be read, but show little, cost time, or are squeezed."""
    looks = seen.looks
    known = looks.readable()
    if not known.any():
        return
    width, height = looks.width.astype(np.float64), looks.height.astype(np.float64)
    longest, shortest = np.maximum(width, height), np.maximum(np.minimum(width, height), 1)
    area = np.maximum(width * height, 1)
    usual = float(np.median(np.sqrt(area[known])))
    tiny = known & (shortest < TINY)
    huge = known & (area > HUGE)
    long = known & ~tiny & (longest / shortest > LONG)
    odd = known & ~tiny & ~huge & ~long & ((np.sqrt(area) > ODD * usual) | (np.sqrt(area) < usual / ODD))
    values: dict[str, dict[str, object]] = {"tiny": {"side": TINY}, "huge": {"pixels": HUGE // 1_000_000}, "long": {"ratio": f"{LONG:g}"}}
    for kind, flags in (("tiny", tiny), ("huge", huge), ("long", long), ("odd_size", odd)):
        if flags.any():
            places = np.flatnonzero(flags).tolist()
            reasons = {seen.dataset.samples[i].id: f"{looks.width[i]}×{looks.height[i]}" for i in places}
            yield Finding(kind, "advice", values.get(kind, {"usual": round(usual)}), places=places, reasons=reasons)
