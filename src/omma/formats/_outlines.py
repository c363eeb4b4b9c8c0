"""Masks as closed outlines and back, for formats that hold polygons: parts and holes are joined by seams of no width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omma.answers import _rle
from omma.words import say

_PAIRS = 4_000_000  # pairs of corners looked at to find a short seam


def drawn(polygons: Sequence[np.ndarray], width: int, height: int) -> str:
    """The union of polygons, (K, 2) x, y in pixels each, as compressed run lengths.

    Raises:
        ValueError: no polygons in the eyes of the rasteriser, or no pixel's centre lies inside.
    """
    counts = _rle.from_polygons(polygons, height, width)
    if not _rle.area(counts, height, width):
        low, high = np.min([p.min(0) for p in polygons], 0), np.max([p.max(0) for p in polygons], 0)
        raise ValueError(say("objects.no_area", box=", ".join(f"{value:g}" for value in (*low, *high))))
    return counts


def rings(counts: str, width: int, height: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(outer outlines, holes) of a mask: (K, 2) x, y each, along the borders of pixels; from top to bottom."""
    mask = _rle.decode(counts, height, width)
    outer, holes = _rle.polygons(mask), _rle.holes(mask)
    return sorted(outer, key=_place), sorted(holes, key=_place)


def _place(ring: np.ndarray) -> tuple[float, ...]:
    return tuple(ring.min(0)[::-1])


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One closed outline (K, 2) that goes along all of them, there and back on the shortest seam found between corners.

    A seam has no width: filled by the even-odd rule, parts stay apart and holes stay open, to the pixel.
    """
    whole = parts[0]
    for ring in parts[1:]:
        step = -(-len(whole) * len(ring) // _PAIRS)
        far = ((whole[::step, None] - ring) ** 2).sum(2)
        here, there = np.unravel_index(far.argmin(), far.shape)
        here = here * step
        whole = np.concatenate([whole[: here + 1], ring[there:], ring[: there + 1], whole[here:]])
    return whole
