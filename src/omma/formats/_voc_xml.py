"""One VOC annotation (XML): the picture it speaks of, its size, its objects; entities are never expanded."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import TreeBuilder

from omma.formats._json import shown
from omma.words import say

DEEPEST = 64  # tags within tags; an annotation needs four
MOST_TAGS = 500_000  # opened and closed: twenty thousand objects
# Encodings of several bytes that the XML parser does not know: Python decodes them.
_DECLARED = re.compile(rb"""<\?xml[^>]{0,80}encoding=["'](gb\w{1,8}|big5\w{0,8}|shift_jis|euc[-_]\w{2})["']""", re.I)


@dataclass(slots=True)
class Thing:
    """One object: its class, its corners as the file has them (1-based, inclusive), whether it is to be ignored; or why it is none."""

    label: str = ""
    corners: tuple[float, float, float, float] = (math.nan,) * 4
    difficult: bool = False
    fault: str | None = None


@dataclass(slots=True)
class Annotation:
    """What one file says.

    Args:
        filename: of the picture, "" where it is not named.
        size: (width, height); 0 where nothing is said.
        things: every object, in order, the faulty ones too: outlines in `SegmentationObject` count them.
        aside: what objects have that is not read: `part`, `polygon`.
    """

    filename: str
    size: tuple[int, int]
    things: list[Thing]
    aside: Counter[str] = field(default_factory=Counter)


class Shallow(TreeBuilder):
    """Builds a tree, but none that is nested for its own sake: such a one would cost seconds before it is refused."""

    depth = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(say("objects.xml_deep", depth=DEEPEST))
        return super().start(tag, attrs)

    def end(self, tag: str) -> Any:
        self.depth -= 1
        return super().end(tag)


def parse(raw: bytes) -> Annotation:
    """Read one file.

    Raises:
        ValueError: not XML, hostile, or no VOC annotation; says which.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    if (tags := raw.count(b"<")) > MOST_TAGS:
        raise ValueError(say("objects.xml_broken", reason=f"{tags:,} tags"))
    try:
        match = _DECLARED.match(raw)
        parser = DefusedXMLParser(target=Shallow(), forbid_dtd=True)
        parser.feed(raw.decode(match[1].decode()) if match else raw)
        root = parser.close()
    except DefusedXmlException as error:
        raise ValueError(say("objects.xml_hostile", found=type(error).__name__)) from None
    except (ParseError, ValueError, LookupError, RecursionError, MemoryError) as error:
        raise ValueError(say("objects.xml_broken", reason=shown(str(error)))) from None
    if root.tag != "annotation":
        raise ValueError(say("objects.xml_other", tag=shown(str(root.tag))))
    rows = root.findall("object")
    aside = Counter(child.tag for row in rows for child in row if child.tag in ("part", "polygon"))
    size = _side(root, "width"), _side(root, "height")
    return Annotation(_text(root, "filename"), size, [_thing(row) for row in rows], aside)


def _text(element: Any, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _side(root: Any, name: str) -> int:
    """A declared side in pixels; 0 where nothing is said."""
    words = _text(root, f"size/{name}")
    try:
        side = float(words or 0)
        if side < 0 or not side.is_integer():
            raise ValueError
    except ValueError:
        raise ValueError(say("objects.no_field", name=f"<{name}>")) from None
    return int(side)


def _thing(row: Any) -> Thing:
    label = _text(row, "name")
    if not label:
        return Thing(fault=say("objects.no_class"))
    difficult = _text(row, "difficult") == "1"
    box = row.find("bndbox")
    if box is None:
        return Thing(label, difficult=difficult, fault=say("objects.no_field", name="<bndbox>"))
    words = [_text(box, name) for name in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x1, y1, x2, y2 = map(float, words)
    except ValueError:
        return Thing(label, difficult=difficult, fault=say("objects.no_numbers", box=shown(", ".join(words))))
    # A click without a drag: both corners on one pixel. A line one pixel wide is an object.
    fault = say("objects.no_area", box=", ".join(words)) if (x1, y1) == (x2, y2) else None
    return Thing(label, (x1, y1, x2, y2), difficult, fault)
