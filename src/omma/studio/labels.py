"""What strokes add up to: tags, boxes, outlines and painted pixels → an answer, one fold for the screen and for the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omma.answers import _rle
from omma.answers.answer import Answer
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.mask import VOID, Mask
from omma.errors import OmmaError
from omma.words import say

# The kinds of answers that can be drawn by hand, with the tools of each.
TOOLS: dict[str, tuple[str, ...]] = {
    "label": ("tag",), "labels": ("tag",), "boxes": ("box",), "instances": ("polygon", "brush", "erase"),
    "mask": ("brush", "polygon", "erase"),
}  # fmt: skip
FORMATS = {"label": "csv", "labels": "csv", "boxes": "coco", "instances": "coco", "mask": "masks"}
GROUND = "background"
PIXELS = (Instances.kind, Mask.kind)
POINTS, WIDEST = 20_000, 2000  # of one stroke; pixels of a brush


@dataclass
class Thing:
    """One object on a picture: a box, or the pixels it covers."""

    key: str
    label: str
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None  # (H, W) bool


@dataclass
class Sheet:
    """A picture's label while it is made.

    Args:
        kind: of answer.
        width, height: of the upright picture.
        tags: class names; None = nobody said anything yet.
        things: objects in the order they were made.
        pixels: (H, W) uint8, places in `names`, of a mask.
    """

    kind: str
    width: int
    height: int
    names: list[str]
    tags: list[str] | None = None
    things: list[Thing] = field(default_factory=list)
    pixels: np.ndarray | None = None
    touched: bool = False


def begin(kind: str, truth: Answer | None, names: Sequence[str], width: int, height: int) -> Sheet:
    """The sheet that a label from the dataset begins with; a label of another kind counts for nothing."""
    sheet = Sheet(kind, width, height, list(names), touched=truth is not None and truth.kind == kind)
    if isinstance(truth, Label) and kind == "label":
        sheet.tags = [truth.label]
    elif isinstance(truth, Labels) and kind == "labels":
        sheet.tags = list(truth.labels)
    elif isinstance(truth, Instances) and kind == Instances.kind:
        for i, label in enumerate(truth.labels):
            sheet.things.append(Thing(f"t{i}", label, None, _rle.decode(truth.counts[i], height, width).astype(bool)))
    elif isinstance(truth, Boxes) and kind == "boxes" and truth.kind == "boxes":
        for i, (label, box) in enumerate(zip(truth.labels, truth.boxes, strict=True)):
            sheet.things.append(Thing(f"t{i}", label, tuple(map(float, box))))  # type: ignore[arg-type]
    if kind == "mask":
        sheet.names = list(names) if GROUND in names or (isinstance(truth, Mask) and truth.kind == kind) else [GROUND, *names]
        sheet.pixels = np.zeros((height, width), np.uint8)
        if isinstance(truth, Mask):
            known = {name: place for place, name in enumerate(sheet.names)}
            table = np.full(256, VOID, np.uint8)
            table[: len(truth.classes)] = [known.get(name, VOID) for name in truth.classes]
            sheet.pixels = table[truth.pixels]
    return sheet


def draw(sheet: Sheet, strokes: Sequence[dict[str, Any]]) -> Sheet:
    """Every stroke in its order: {"id", "body"}; what it needs was proven by `sound`."""
    for stroke in strokes:
        body, key = stroke["body"], str(stroke["id"])
        sheet.touched = True
        if body["do"] == "tag":
            sheet.tags = list(body["names"])
        elif body["do"] == "add":
            _add(sheet, key, body)
        elif body["do"] == "brush":
            _brush(sheet, key, body)
        elif body["do"] == "drop":
            sheet.things = [thing for thing in sheet.things if thing.key != body["of"]]
        elif body["do"] == "set":
            for thing in sheet.things:
                if thing.key == body["of"]:
                    thing.label = body.get("label", thing.label)
                    thing.box = _kept(body["box"], sheet) if "box" in body and thing.box is not None else thing.box
    return sheet


def _kept(box: Sequence[float], sheet: Sheet) -> tuple[float, float, float, float]:
    """A box within the picture, its corners in order."""
    x1, x2 = sorted(min(max(float(x), 0.0), float(sheet.width)) for x in (box[0], box[2]))
    y1, y2 = sorted(min(max(float(y), 0.0), float(sheet.height)) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def _add(sheet: Sheet, key: str, body: dict[str, Any]) -> None:
    if "box" in body:
        sheet.things.append(Thing(key, body["label"], _kept(body["box"], sheet)))
        return
    ring = np.clip(np.array(body["points"], float), 0, [sheet.width, sheet.height])
    mask = _rle.decode(_rle.from_polygons([ring], sheet.height, sheet.width), sheet.height, sheet.width).astype(bool)
    _paint(sheet, key, body["label"], mask)


def _brush(sheet: Sheet, key: str, body: dict[str, Any]) -> None:
    mask = stroke_mask(body["points"], float(body["width"]), sheet.width, sheet.height)
    if body.get("erase"):
        if sheet.pixels is not None:
            sheet.pixels[mask] = 0
        for thing in sheet.things:
            if thing.mask is not None and body.get("on") in (None, thing.key):
                thing.mask &= ~mask
        sheet.things = [thing for thing in sheet.things if thing.mask is None or thing.mask.any()]
        return
    on = next((thing for thing in sheet.things if thing.key == body.get("on") and thing.mask is not None), None)
    if on is not None and on.mask is not None:
        on.mask |= mask
    else:
        _paint(sheet, key, body["label"], mask)


def _paint(sheet: Sheet, key: str, label: str, mask: np.ndarray) -> None:
    if sheet.pixels is None:
        if mask.any():
            sheet.things.append(Thing(key, label, None, mask))
        return
    if label not in sheet.names:
        sheet.names.append(label)
    sheet.pixels[mask] = sheet.names.index(label)


def stroke_mask(points: Sequence[Sequence[float]], width: float, wide: int, high: int) -> np.ndarray:
    """(high, wide) bool: pixels whose centre is within half of `width` of the line through `points`."""
    line = np.array(points, float).reshape(-1, 2)
    radius = max(width / 2, 0.5)
    mask = np.zeros((high, wide), bool)
    for (ax, ay), (bx, by) in zip(line, line[1:] if len(line) > 1 else line, strict=False):
        x1, x2 = (int(np.clip(v, 0, wide)) for v in (min(ax, bx) - radius - 1, max(ax, bx) + radius + 2))
        y1, y2 = (int(np.clip(v, 0, high)) for v in (min(ay, by) - radius - 1, max(ay, by) + radius + 2))
        if x1 >= x2 or y1 >= y2:
            continue
        xs, ys = np.arange(x1, x2) + 0.5, (np.arange(y1, y2) + 0.5)[:, None]
        along = (bx - ax) ** 2 + (by - ay) ** 2
        share = np.clip(((xs - ax) * (bx - ax) + (ys - ay) * (by - ay)) / along, 0, 1) if along else 0.0
        mask[y1:y2, x1:x2] |= (xs - ax - share * (bx - ax)) ** 2 + (ys - ay - share * (by - ay)) ** 2 <= radius**2
    return mask


def answer(sheet: Sheet) -> Answer | None:
    """The sheet as an answer; None where nobody said anything, or no single class of a picture that has one."""
    if not sheet.touched:
        return None
    if sheet.kind == "label":
        return Label(sheet.tags[0]) if sheet.tags else None
    if sheet.kind == "labels":
        return None if sheet.tags is None else Labels(tuple(sheet.tags))
    if sheet.pixels is not None:
        return Mask.of(sheet.pixels, sheet.names)
    labels = [thing.label for thing in sheet.things]
    if sheet.kind == "boxes":
        return Boxes(sheet.width, sheet.height, labels, np.array([thing.box for thing in sheet.things], float).reshape(-1, 4))
    counts = [_rle.encode(np.asarray(thing.mask)) for thing in sheet.things]
    return Instances(sheet.width, sheet.height, labels, np.zeros((len(labels), 4)), counts=counts).fitted()


def shown(sheet: Sheet) -> dict[str, Any]:
    """The sheet as the page draws it: {"tags", "things": [{"key", "label", "box" | "rings"}], "width", "height"}."""
    things = []
    for thing in sheet.things:
        row: dict[str, Any] = {"key": thing.key, "label": thing.label}
        things.append(row | ({"box": list(thing.box)} if thing.box is not None else {"rings": rings(np.asarray(thing.mask))}))
    if sheet.pixels is not None:
        for place, name in enumerate(sheet.names):
            mask = sheet.pixels == place
            if name != GROUND and mask.any():
                things.append({"key": f"m{place}", "label": name, "rings": rings(mask), "fixed": True})
    return {
        "kind": sheet.kind,
        "tags": sheet.tags,
        "things": things,
        "width": sheet.width,
        "height": sheet.height,
        "touched": sheet.touched,
    }


def rings(mask: np.ndarray) -> list[list[list[float]]]:
    """Outlines of a mask, outer ones and holes alike, along the borders of pixels: drawn with the even-odd rule they are the mask."""
    return [np.asarray(ring, float).round(2).tolist() for ring in (*_rle.polygons(mask), *_rle.holes(mask))]


def sound(body: Any, kind: str) -> dict[str, Any]:
    """A stroke that may be kept: known words, finite numbers, not too many of them.

    Raises:
        OmmaError: it is none.
    """
    try:
        do = body["do"]
        if do == "tag" and kind in ("label", "labels"):
            names = [_name(name) for name in body["names"]]
            return {"do": do, "names": names[:1] if kind == "label" else list(dict.fromkeys(names))}
        if do == "add" and "box" in body and kind == "boxes":
            return {"do": do, "label": _name(body["label"]), "box": _numbers(body["box"], 4)}
        if do == "add" and "points" in body and kind in PIXELS:
            return {"do": do, "label": _name(body["label"]), "points": _points(body["points"], 3)}
        if do == "brush" and kind in PIXELS:
            width = _numbers([body["width"]], 1)[0]
            if not 0 < width <= WIDEST:
                raise ValueError
            row = {"do": do, "points": _points(body["points"], 1), "width": width, "erase": bool(body.get("erase"))}
            row |= {} if row["erase"] and not body.get("label") else {"label": _name(body["label"])}
            return row | ({"on": str(body["on"])[:20]} if body.get("on") else {})
        if do == "drop":
            return {"do": do, "of": str(body["of"])[:20]}
        if do == "set":
            row = {"do": do, "of": str(body["of"])[:20]}
            row |= {"label": _name(body["label"])} if "label" in body else {}
            return row | ({"box": _numbers(body["box"], 4)} if "box" in body else {})
    except (KeyError, TypeError, ValueError):
        pass
    raise OmmaError(say("studio.no_stroke"))


def _name(text: Any) -> str:
    if not isinstance(text, str) or not text.strip() or len(text) > 200:
        raise ValueError
    return text.strip()


def _numbers(values: Any, count: int) -> list[float]:
    found = [float(value) for value in values]
    if len(found) != count or not np.isfinite(found).all() or max(map(abs, found)) > 1e6:
        raise ValueError
    return found


def _points(values: Any, least: int) -> list[list[float]]:
    if not least <= len(values) <= POINTS:
        raise ValueError
    return [_numbers(point, 2) for point in values]
