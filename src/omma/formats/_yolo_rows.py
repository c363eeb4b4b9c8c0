"""Rows of YOLO label files: a class number, then a box as centre and size or a polygon as points, all as shares of the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.sample import Refused
from omma.formats._objects import Objects, sound_polygon
from omma.formats._outlines import drawn, joined, rings
from omma.words import say

SLACK = 1e-3  # shares: rounding takes corners this far over the border; they are moved back
_BOX, _LONGEST, _HOPELESS = 5, 40, 100


@dataclass(slots=True)
class Row:
    """One object.

    Args:
        record: `labels/a.txt:12`.
        number: of its class.
        box: corners x1, y1, x2, y2, shares of the picture.
        polygon: (K, 2) x, y, shares of the picture; None where the row is a box.
    """

    record: str
    number: int
    box: tuple[float, float, float, float]
    polygon: np.ndarray | None = None


def rows_of(text: str, name: str, classes: Mapping[int, str] | None, extra: int, refused: list[Refused], twice: list[str]) -> list[Row]:
    """The objects of one label file; a row that is none is named in `refused`, one that repeats another in `twice`.

    Where none of the first hundred rows is an object, the file is refused as a whole.

    Args:
        name: of the file, for records.
        classes: by their number; None: any number is a class.
        extra: numbers of key points behind each box.
    """
    rows: list[Row] = []
    bad: list[Refused] = []
    texts, seen = set[str](), set[tuple[float, ...]]()
    for line, content in enumerate(text.splitlines(), 1):
        content = content.strip()
        if not content:
            continue
        record = f"{name}:{line}"
        if content in texts:
            twice.append(record)
            continue
        try:
            values = _values(content)
            if extra and len(values) == _BOX + extra:
                values = values[:_BOX]
            row = _row(record, values, classes, content)
        except ValueError as error:
            bad.append(Refused(record, str(error)))
            if len(bad) == _HOPELESS and not rows:
                bad = [Refused(name, say("formats.yolo_hopeless", count=_HOPELESS, first=bad[0].reason))]
                break
            continue
        if (key := tuple(values)) in seen:
            twice.append(record)
            continue
        texts.add(content)
        seen.add(key)
        rows.append(row)
    refused += bad
    return rows


def _values(content: str) -> list[float]:
    """The numbers of a row.

    Raises:
        ValueError: not as many as a box or a polygon has, or not finite numbers.
    """
    cells = content.split()
    try:
        # Python also reads 1_0 as a number, and takes minutes over endless digits.
        if "_" in content or max(map(len, cells)) > _LONGEST:
            raise ValueError
        values = list(map(float, cells))
    except ValueError:
        raise ValueError(say("formats.yolo_row", row=_shown(content))) from None
    if not all(map(math.isfinite, values)):
        raise ValueError(say("objects.not_finite", box=_shown(content)))
    return values


def _row(record: str, values: list[float], classes: Mapping[int, str] | None, content: str) -> Row:
    count = len(values)
    if count == _BOX + 1:
        raise ValueError(say("formats.yolo_six", row=_shown(content)))
    if count < _BOX or (count > _BOX and count % 2 == 0):
        raise ValueError(say("formats.yolo_row", row=_shown(content)))
    if not values[0].is_integer() or values[0] < 0:
        raise ValueError(say("formats.yolo_class", number=f"{values[0]:g}"))
    number = int(values[0])
    if classes is not None and number not in classes:
        raise ValueError(say("objects.unknown_class", name=content.split(maxsplit=1)[0]))
    if count > _BOX:
        _within(values[1:], content)
        points = np.array(values[1:]).reshape(-1, 2).clip(0, 1)
        (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
        return Row(record, number, (x1, y1, x2, y2), points)
    x, y, width, height = values[1:]
    if width < 0 or height < 0:
        raise ValueError(say("objects.inverted", box=_shown(content)))
    corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    _within(corners, content)
    x1, y1, x2, y2 = (min(max(value, 0.0), 1.0) for value in corners)
    return Row(record, number, (x1, y1, x2, y2))


def _within(values: list[float] | tuple[float, ...], content: str) -> None:
    if min(values) < -SLACK or max(values) > 1 + SLACK:
        raise ValueError(say("formats.yolo_outside", row=_shown(content)))


def _shown(content: str) -> str:
    return content if len(content) <= 80 else f"{content[:77]}…"


def answer(
    rows: list[Row], classes: Mapping[int, str], size: tuple[int, int], masks: bool, refused: list[Refused]
) -> Boxes | Instances | None:
    """The truth of one picture; None where it has rows and none can be used: nobody knows then what it shows.

    Args:
        size: width and height of the upright picture, pixels.
        masks: every row is a polygon, and the truth shall be `Instances`.
    """
    width, height = size
    objects = Objects(width, height, refused)
    for row in rows:
        counts = None
        if masks and row.polygon is not None:
            try:
                counts = drawn([sound_polygon((row.polygon * (width, height)).ravel(), width, height)], width, height)
            except ValueError as error:
                refused.append(Refused(row.record, str(error)))
                continue
        x1, y1, x2, y2 = row.box
        objects.add(row.record, classes[row.number], (x1 * width, y1 * height, x2 * width, y2 * height), counts=counts)
    return objects.answer(masks) if objects.labels or not rows else None


def written(truth: Boxes, place: Mapping[str, int], lost: dict[str, int]) -> str:
    """The rows of one picture's label file; what they cannot say is counted in `lost`: `aside`, `joined`, `blank`."""
    lines = []
    for number, label in enumerate(truth.labels):
        if truth.ignored is not None and truth.ignored[number]:
            lost["aside"] += 1
            continue
        if isinstance(truth, Instances):
            outer, holes = rings(truth.counts[number], truth.width, truth.height)
            if not outer:
                lost["blank"] += 1
                continue
            lost["joined"] += len(outer) + len(holes) > 1
            values = (joined([*outer, *holes]) / (truth.width, truth.height)).ravel()
        else:
            x1, y1, x2, y2 = truth.boxes[number] / (truth.width, truth.height, truth.width, truth.height)
            values = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
        lines.append(" ".join([str(place[label]), *(f"{value:.8f}" for value in values)]) + "\n")
    return "".join(lines)
