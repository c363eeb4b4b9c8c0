"""Shapes of a LabelMe file → objects: polygons, rectangles, circles and pixel masks; those of one group are one object."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omma.answers import _rle
from omma.data.decode import decode, probe
from omma.data.sample import Refused
from omma.errors import DataError
from omma.formats._json import shown
from omma.formats._objects import FARTHEST, Objects, sound_box, sound_polygon
from omma.formats._outlines import drawn
from omma.words import say

_CORNERS = 72  # of a circle's polygon: at 200 pixels of radius it is nowhere 0.2 pixels off
_ASIDE = ("difficult", "ignored", "crowd", "iscrowd")
_AREAS = ("polygon", "rectangle", "rotation", "circle", "mask")


@dataclass(slots=True)
class Thing:
    """One object.

    Args:
        record: `a.json: shapes[3]`.
        label: its class.
        ignored: it is marked as difficult or a crowd.
        box: corners x1, y1, x2, y2 in pixels.
        polygons: (K, 2) x, y in pixels each.
        patches: (left, top, (h, w) bool) of pixel masks.
        plain: a part of it is only a rectangle.
    """

    record: str
    label: str
    ignored: bool
    box: tuple[float, float, float, float]
    polygons: list[np.ndarray] = field(default_factory=list)
    patches: list[tuple[int, int, np.ndarray]] = field(default_factory=list)
    plain: bool = False

    def join(self, other: Thing) -> None:
        """Another part of the same object."""
        x1, y1, x2, y2 = zip(self.box, other.box, strict=True)
        self.box = min(x1), min(y1), max(x2), max(y2)
        self.polygons += other.polygons
        self.patches += other.patches
        self.plain, self.ignored = self.plain or other.plain, self.ignored or other.ignored

    def counts(self, width: int, height: int) -> str:
        """Its mask as compressed run lengths.

        Raises:
            ValueError: not one pixel's centre lies inside.
        """
        if not self.patches:
            return drawn(self.polygons, width, height)
        pixels = _rle.decode(_rle.from_polygons(self.polygons, height, width), height, width).copy()
        for left, top, patch in self.patches:
            pixels[top : top + patch.shape[0], left : left + patch.shape[1]] |= patch
        return _rle.encode(pixels)


def things_of(shapes: list[Any], name: str, size: tuple[int, int], refused: list[Refused]) -> list[Thing]:
    """The objects among the shapes of one file; a shape that is none is named.

    Args:
        name: of the file, for records.
        size: width and height of the upright picture, pixels.
    """
    things: list[Thing] = []
    groups: dict[tuple[str, object], Thing] = {}
    for place, shape in enumerate(shapes):
        record = f"{name}: shapes[{place}]"
        try:
            thing, group = _thing(record, shape, *size)
        except ValueError as error:
            refused.append(Refused(record, str(error)))
            continue
        if group is not None and (thing.label, group) in groups:
            groups[thing.label, group].join(thing)
            continue
        things.append(thing)
        if group is not None:
            groups[thing.label, group] = thing
    return things


def _thing(record: str, shape: Any, width: int, height: int) -> tuple[Thing, int | str | None]:
    """(object, its group) of one shape."""
    if not isinstance(shape, dict):
        raise ValueError(say("objects.malformed", reason=shown(shape)))
    label, group, kind = shape.get("label"), shape.get("group_id"), shape.get("shape_type") or "polygon"
    if not isinstance(label, str) or not label.strip() or label.encode("utf-8", "replace").decode() != label:
        raise ValueError(say("objects.no_class"))
    if kind not in _AREAS:
        raise ValueError(say("formats.labelme_kind", kind=shown(kind)))
    marks = [place for place in (shape, shape.get("flags")) if isinstance(place, dict)]
    aside = any(place.get(word) is True for place in marks for word in _ASIDE)
    points = _points(shape.get("points"), kind)
    thing = Thing(record, label, aside, (0.0, 0.0, 0.0, 0.0))
    if kind == "mask":
        patch, left, top = _patch(shape.get("mask"), points, width, height)
        thing.patches = [(left, top, patch)]
        thing.box = _bounds(patch, left, top)
    elif kind == "rectangle":
        (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
        thing.box = x1, y1, x2, y2 = sound_box((x1, y1, x2, y2), width, height)
        thing.polygons, thing.plain = [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])], True
    else:
        polygon = sound_polygon((_circle(points, width, height) if kind == "circle" else points).ravel(), width, height)
        thing.polygons = [polygon]
        (x1, y1), (x2, y2) = polygon.min(0).tolist(), polygon.max(0).tolist()
        thing.box = sound_box((x1, y1, x2, y2), width, height)
    return thing, group if isinstance(group, int | str) and not isinstance(group, bool) else None


def _points(points: Any, kind: str) -> np.ndarray:
    """(K, 2) finite x, y, as many as the kind of shape has."""
    sound = isinstance(points, list) and all(
        isinstance(point, list) and len(point) == 2 and all(type(value) in (int, float) for value in point) for point in points
    )
    if not sound:
        raise ValueError(say("objects.polygon_numbers"))
    try:
        found = np.array(points, float).reshape(-1, 2)
    except OverflowError:
        raise ValueError(say("objects.polygon_not_finite")) from None
    wanted = {"circle": (2,), "mask": (2,), "rectangle": (2, 4)}.get(kind, ())
    if wanted and len(found) not in wanted:
        raise ValueError(say("formats.labelme_points", kind=kind, count=len(found)))
    if not np.isfinite(found).all():
        raise ValueError(say("objects.polygon_not_finite"))
    if len(found) and np.abs(found).max() > FARTHEST:
        raise ValueError(say("objects.polygon_huge", value=f"{np.abs(found).max():g}"))
    return found


def _circle(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """A circle by its centre and a point on it, cut off at the border, over which its centre must not lie."""
    (x, y), radius = points[0], float(np.hypot(*(points[1] - points[0])))
    if not (0 <= x <= width and 0 <= y <= height):
        raise ValueError(say("objects.outside", box=f"{x:g}, {y:g}", width=width, height=height))
    angle = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
    return (points[0] + radius * np.stack([np.cos(angle), np.sin(angle)], 1)).clip((0, 0), (width, height))


def _patch(text: Any, points: np.ndarray, width: int, height: int) -> tuple[np.ndarray, int, int]:
    """(pixels, left, top) of a mask: a PNG in base64 that covers the box from one corner's pixel to the other's."""
    (left, top), (right, bottom) = points.min(0).astype(int).tolist(), points.max(0).astype(int).tolist()
    if left < 0 or top < 0 or right >= width or bottom >= height:
        raise ValueError(say("objects.outside", box=f"{left}, {top}, {right}, {bottom}", width=width, height=height))
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        head = probe(data)
        found, wanted = (head.width, head.height), (right - left + 1, bottom - top + 1)
        if found != wanted:
            raise ValueError(say("formats.labelme_mask", found="{} × {}".format(*found), wanted="{} × {}".format(*wanted)))
        patch = decode(data)[:, :, 0] > 0
    except (binascii.Error, DataError) as error:
        raise ValueError(error.what if isinstance(error, DataError) else say("objects.malformed", reason=str(error))) from None
    if not patch.any():
        raise ValueError(say("objects.no_area", box=f"{left}, {top}, {right + 1}, {bottom + 1}"))
    return patch, left, top


def _bounds(patch: np.ndarray, left: int, top: int) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    return float(left + columns[0]), float(top + rows[0]), float(left + columns[-1] + 1), float(top + rows[-1] + 1)


def collect(things: list[Thing], size: tuple[int, int], masks: bool, refused: list[Refused]) -> Objects:
    """The objects of one picture, with their masks where `masks` says so."""
    objects = Objects(*size, refused)
    for thing in things:
        try:
            counts = thing.counts(*size) if masks else None
        except ValueError as error:
            refused.append(Refused(thing.record, str(error)))
            continue
        objects.add(thing.record, thing.label, thing.box, thing.ignored, counts)
    return objects
