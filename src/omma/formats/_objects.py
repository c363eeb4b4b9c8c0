"""Objects as label files have them → answers: every record is looked at, what is no sound object is named and left out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.decode import probe
from omma.data.sample import Refused
from omma.errors import DataError
from omma.words import say

# A corner may lie this far outside its picture (pixels) before it is called wrong; it is moved to the border either way.
OVERHANG = 1.0
SMALLEST = 0.5  # pixels: a side shorter than this holds no object
FARTHEST = 1e7  # no picture is as large; rasterisers crash or crawl beyond


@dataclass(slots=True)
class Objects:
    """Collects one picture's objects, then becomes its truth.

    Args:
        width, height: of the upright picture, pixels.
        refused: where records that cannot be used are named.
    """

    width: int
    height: int
    refused: list[Refused]
    labels: list[str] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)

    def add(self, record: str, label: str, box: Iterable[float], ignored: bool = False, counts: str | None = None) -> bool:
        """Take one object, corners x1, y1, x2, y2 in pixels; False, with its record named, where it is none.

        Args:
            record: `labels.json: annotations[17]`.
            counts: its mask, for instances: all of a picture's objects have one, or none has.
        """
        try:
            corners = sound_box(box, self.width, self.height)
        except ValueError as error:
            self.refused.append(Refused(record, str(error)))
            return False
        self.labels.append(label)
        self.boxes.append(corners)
        self.ignored.append(ignored)
        if counts is not None:
            self.counts.append(counts)
        return True

    def answer(self, masks: bool = False) -> Boxes:
        """What was collected: `Instances` with `masks`, else `Boxes`."""
        corners = np.array(self.boxes, float).reshape(-1, 4)
        aside = np.array(self.ignored, bool) if any(self.ignored) else None
        if not masks:
            return Boxes(self.width, self.height, self.labels, corners, None, aside)
        assert len(self.counts) == len(self.labels), "every object of a picture has a mask, or none has"
        return Instances(self.width, self.height, self.labels, corners, None, aside, self.counts)


def sound_box(box: Iterable[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Corners within the picture.

    Raises:
        ValueError: not four finite numbers, turned round, without area, or outside the picture; says which, with the numbers.
    """
    try:
        x1, y1, x2, y2 = (float(value) for value in box)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(say("objects.no_numbers", box=str(box)[:80])) from None
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        raise ValueError(say("objects.not_finite", box=_shown(x1, y1, x2, y2)))
    if max(map(abs, (x1, y1, x2, y2))) > FARTHEST:
        raise ValueError(say("objects.huge", box=_shown(x1, y1, x2, y2)))
    if x2 < x1 or y2 < y1:
        raise ValueError(say("objects.inverted", box=_shown(x1, y1, x2, y2)))
    if x2 - x1 < SMALLEST or y2 - y1 < SMALLEST:
        raise ValueError(say("objects.no_area", box=_shown(x1, y1, x2, y2)))
    if x1 < -OVERHANG or y1 < -OVERHANG or x2 > width + OVERHANG or y2 > height + OVERHANG:
        raise ValueError(say("objects.outside", box=_shown(x1, y1, x2, y2), width=width, height=height))
    inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if inside[2] - inside[0] < SMALLEST or inside[3] - inside[1] < SMALLEST:
        raise ValueError(say("objects.outside", box=_shown(x1, y1, x2, y2), width=width, height=height))
    return inside


def sound_polygon(points: Iterable[float], width: int, height: int) -> np.ndarray:
    """(K, 2) float64 x, y of a polygon, within the picture.

    Raises:
        ValueError: fewer than three points, an odd number of values, not finite, far away, or wholly outside.
    """
    try:
        flat = np.array([float(value) for value in points], float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(say("objects.polygon_numbers")) from None
    if len(flat) < 6 or len(flat) % 2:
        raise ValueError(say("objects.polygon_short", count=len(flat)))
    if not np.isfinite(flat).all():
        raise ValueError(say("objects.polygon_not_finite"))
    if np.abs(flat).max() > FARTHEST:
        raise ValueError(say("objects.polygon_huge", value=f"{np.abs(flat).max():g}"))
    corners = flat.reshape(-1, 2)
    low, high = corners.min(0), corners.max(0)
    if (low < -OVERHANG).any() or (high > np.array([width, height]) + OVERHANG).any():
        raise ValueError(say("objects.outside", box=_shown(*low, *high), width=width, height=height))
    if (high - low < SMALLEST).any():
        raise ValueError(say("objects.no_area", box=_shown(*low, *high)))
    return corners.clip((0, 0), (width, height))


def size_of(path: Path, declared: tuple[int, int] | None = None) -> tuple[int, int]:
    """(width, height) of the upright picture, from its header.

    Args:
        declared: (width, height) as the label file says; (0, 0) or None where it says nothing.

    Raises:
        ValueError: the picture cannot be read, or the label file speaks of another size: its coordinates would be wrong.
    """
    try:
        head = probe(path)
    except DataError as error:
        raise ValueError(error.what) from None
    size = head.width, head.height
    if declared and all(declared) and declared != size:
        # Tools that do not know EXIF measure the stored, lying picture: then so are its boxes.
        raise ValueError(say("objects.false_size", declared=f"{declared[0]} × {declared[1]}", found=f"{size[0]} × {size[1]}"))
    return size


def _shown(*values: float) -> str:
    return ", ".join(f"{value:g}" for value in values)
