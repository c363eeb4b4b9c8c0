"""Masks as COCO's compressed run lengths: looked at before any native code sees them, and turned into pixels, boxes and outlines.

The runs go down the columns, background first; a string holds their differences in groups of five bits (pycocotools, `maskApi.c`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omma.words import say

LARGEST = 1 << 30  # pixels of one mask: above what any picture may have, below what 32-bit run lengths can count
SIDES = 32  # of a hull: a turned disc's box is at most half a percent too small
_GROUPS = 7  # of five bits: more than any 32-bit run takes
_LONGEST = 4e6  # pixels of outline: the rasteriser takes 80 bytes for each


def encode(mask: np.ndarray) -> str:
    """(H, W) bool → COCO's compressed counts."""
    from pycocotools import mask as native

    assert mask.ndim == 2 and mask.dtype == bool, "a mask is (H, W) bool"
    return native.encode(np.asfortranarray(mask).view(np.uint8))["counts"].decode("ascii") if mask.size else ""


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """(height, width) bool.

    Raises:
        ValueError: the counts do not describe as many pixels; nothing was allocated for them.
    """
    runs = _parse(counts, height, width)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def from_runs(runs: Sequence[int], height: int, width: int) -> str:
    """COCO's uncompressed counts, a list of whole numbers, → compressed ones.

    Raises:
        ValueError: they are no whole numbers ≥ 0, or their sum is not height × width.
    """
    _size(height, width)
    sound = isinstance(runs, list | tuple) and all(isinstance(run, int) and 0 <= run <= LARGEST for run in runs)
    if not sound or sum(runs) != height * width:
        raise ValueError(_wrong(height, width))
    return _written(np.array(runs, np.int64), height, width)


def area(counts: str, height: int, width: int) -> int:
    """How many pixels are set. Raises ValueError as `decode` does."""
    return int(_parse(counts, height, width)[1::2].sum())


def box(counts: str, height: int, width: int) -> tuple[float, float, float, float]:
    """Corners x1, y1, x2, y2 of the smallest box around the pixels; all 0 where none is set. Raises ValueError as `decode` does."""
    start, end = _spans(_parse(counts, height, width))
    if not len(start):
        return 0.0, 0.0, 0.0, 0.0
    first, last = start // height, (end - 1) // height
    # A run that goes on in the next column touches the lower border of this one and the upper border of that one.
    top = np.where(first == last, start % height, 0).min()
    bottom = np.where(first == last, (end - 1) % height + 1, height).max()
    return float(first[0]), float(top), float(last[-1] + 1), float(bottom)


def hull(counts: str, height: int, width: int) -> np.ndarray | None:
    """(SIDES, 2) x, y: the corner of a pixel that lies furthest out in each direction; None where none is set. Raises as `decode` does."""
    mask = decode(counts, height, width)
    across = np.flatnonzero(mask.any(0))
    if not len(across):
        return None
    top, bottom = mask[:, across].argmax(0), height - mask[::-1, across].argmax(0)
    corners = np.stack([np.tile([across, across + 1], (2, 1)).ravel(), np.repeat([top, bottom], 2, 0).ravel()], 1)
    angle = np.arange(SIDES) * (2 * np.pi / SIDES)
    return corners[(corners @ [np.cos(angle), np.sin(angle)]).argmax(0)].astype(float)


def iou(a: Sequence[str], b: Sequence[str], height: int, width: int, crowd: np.ndarray | None = None) -> np.ndarray:
    """(A, B) float64, intersection over union; over the area of `a` alone where `b` is a crowd, as COCO does.

    Args:
        crowd: (B,) bool; None: none is.

    Raises:
        ValueError: as `decode`.
    """
    from pycocotools import mask as native

    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    rows, columns = ([{"size": [height, width], "counts": _clean(text, height, width).encode()} for text in side] for side in (a, b))
    return native.iou(rows, columns, [bool(one) for one in (np.zeros(len(b)) if crowd is None else crowd)])


def from_polygons(polygons: Sequence[np.ndarray], height: int, width: int) -> str:
    """The union of polygons, each (K, 2) x, y in pixels, drawn as pycocotools draws them: pixels whose centre lies inside.

    Raises:
        ValueError: fewer than three points, not finite, more than a picture's size away from the picture, or an outline
            so long that it is none.
    """
    from pycocotools import mask as native

    _size(height, width)
    for polygon in polygons:
        _sound(polygon, height, width)
    if not polygons:
        return encode(np.zeros((height, width), bool))
    drawn = native.frPyObjects([np.asarray(polygon, float).ravel().tolist() for polygon in polygons], height, width)
    return native.merge(drawn)["counts"].decode("ascii")


def _sound(polygon: np.ndarray, height: int, width: int) -> None:
    """Refuse what the rasteriser would crash on, or allocate without bound for."""
    if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
        raise ValueError(say("objects.polygon_short", count=polygon.size))
    if not np.isfinite(polygon).all():
        raise ValueError(say("objects.polygon_not_finite"))
    low, high = polygon.min(0), polygon.max(0)
    if (low < (-width, -height)).any() or (high > (2 * width, 2 * height)).any():
        shown = ", ".join(f"{value:g}" for value in (*low, *high))
        raise ValueError(say("objects.outside", box=shown, width=width, height=height))
    length = float(np.abs(polygon - np.roll(polygon, 1, 0)).max(1).sum())
    if length > min(_LONGEST, 16 * (height + 1) * (width + 1)):  # every pixel's border, and more
        raise ValueError(say("objects.polygon_long", length=f"{length:.0f}", width=width, height=height))


def polygons(mask: np.ndarray) -> list[np.ndarray]:
    """Outer outlines of (H, W) bool: (K, 2) float64 x, y along the borders of pixels, clockwise as seen.

    Pixels that touch at a corner share an outline. Drawn again by `from_polygons`, less their `holes`, they give the very same pixels;
    an island within a hole has an outline of its own.
    """
    return [outline for outline in _outlines(mask) if _turn(outline) > 0]


def holes(mask: np.ndarray) -> list[np.ndarray]:
    """Outlines of what is not set but surrounded: (K, 2) float64 x, y, anticlockwise as seen."""
    return [outline for outline in _outlines(mask) if _turn(outline) < 0]


def _turn(outline: np.ndarray) -> float:
    """Twice the area of a polygon, above 0 where it is clockwise on a picture (y points down)."""
    x, y = outline.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Closed outlines with their pixels on the right hand; each side goes from corner to corner along the borders of pixels."""
    assert mask.ndim == 2 and mask.dtype == bool, "a mask is (H, W) bool"
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    corner = columns[0], rows[0]
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    east, west = _sides(mask)
    # Seen from the other diagonal, right and left hand change places: so do the ends.
    north, south = (side[:, ::-1, ::-1] for side in _sides(mask.T))
    # (from, heading) → to; the headings east, south, west, north are turns to the right.
    onward = {
        (tuple(start), heading): tuple(end) for heading, side in enumerate((east, south, west, north)) for start, end in side.tolist()
    }
    found = []
    while onward:
        (start, heading), place = onward.popitem()
        road = [start]
        while place != start or (place, (heading - 1) % 4) in onward:
            road.append(place)
            # Where two pixels touch at a corner both turns are open; the left one keeps them together.
            heading = (heading - 1) % 4 if (place, (heading - 1) % 4) in onward else (heading + 1) % 4
            place = onward.pop((place, heading))
        found.append(np.array(road, float) + corner)
    return found[::-1]


def _sides(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal sides of outlines, (S, 2 ends, x y) each: those above pixels from left to right, those below pixels from right to left."""
    step = np.diff(np.pad(mask, 1).astype(np.int8), axis=0)[:, 1:-1]
    found = []
    for sign in (1, -1):
        edge = np.diff(np.pad(step == sign, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        (y, left), (_, right) = np.nonzero(edge == 1), np.nonzero(edge == -1)
        found.append(np.stack([np.stack([left, y], 1), np.stack([right, y], 1)], 1)[:, ::sign])
    return found[0], found[1]


def _parse(counts: str, height: int, width: int) -> np.ndarray:
    """(R,) int64 run lengths whose sum is height × width, background first."""
    _size(height, width)
    if not isinstance(counts, str) or not counts.isascii() or not 0 < len(counts) <= _GROUPS * (height * width + 2):
        raise ValueError(_wrong(height, width))
    code = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(code & 32 == 0)
    if code.min() < 0 or code.max() > 63 or not len(last) or last[-1] != len(code) - 1:
        raise ValueError(_wrong(height, width))
    first = np.append(0, last[:-1] + 1)
    length = last - first + 1
    if length.max() > _GROUPS:
        raise ValueError(_wrong(height, width))
    place = np.arange(len(code)) - np.repeat(first, length)
    step = np.add.reduceat((code & 31) << (5 * place), first) - np.where(code[last] & 16, 1 << (5 * length), 0)
    runs = step.copy()
    # From the fourth on, a run is written as the difference from the one before last.
    runs[1::2], runs[2::2] = np.cumsum(step[1::2]), np.cumsum(step[2::2])
    if runs.min() < 0 or runs.max() > LARGEST or runs.sum() != height * width:
        raise ValueError(_wrong(height, width))
    return runs


def _spans(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and past-the-last place of each stretch of set pixels, counted down the columns; no empty ones, none that touch."""
    end = np.cumsum(runs)
    start, end = (end - runs)[1::2], end[1::2]
    start, end = start[end > start], end[end > start]
    apart = start[1:] != end[:-1]
    return start[np.append(True, apart)[: len(start)]], end[np.append(apart, True)[: len(end)]]


def _clean(counts: str, height: int, width: int) -> str:
    """The same pixels without empty runs, which pycocotools' boxes do not bear."""
    runs = _parse(counts, height, width)
    return counts if (runs[1:] > 0).all() else _written(runs, height, width)


def _written(runs: np.ndarray, height: int, width: int) -> str:
    """Sound run lengths → their string."""
    from pycocotools import mask as native

    start, end = _spans(runs)
    between = np.diff(np.concatenate([[0], np.stack([start, end], 1).ravel(), [height * width]]))
    if len(between) > 1 and not between[-1]:
        between = between[:-1]
    return native.frPyObjects({"size": [height, width], "counts": between.tolist()}, height, width)["counts"].decode("ascii")


def _size(height: int, width: int) -> None:
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side > 0 for side in (height, width))
    if not whole or int(height) * int(width) > LARGEST:
        raise ValueError(_wrong(height, width))


def _wrong(height: object, width: object) -> str:
    return say("objects.rle", width=str(width)[:20], height=str(height)[:20])
