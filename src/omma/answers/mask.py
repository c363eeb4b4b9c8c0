"""A class for every pixel: the answer of semantic segmentation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from omma.answers.answer import Answer

VOID = 255  # a pixel nobody labelled: neither right nor wrong
# What labelling tools call the class of pixels that show no object; ours first.
BACKGROUND = ("background", "_background_", "__background__", "bg", "背景")


def is_background(name: str) -> bool:
    """Whether a class, as far as its name tells, stands for pixels that show no object."""
    return name.strip().casefold() in BACKGROUND


@dataclass(slots=True, eq=False)
class Mask(Answer):
    """The class of every pixel, kept packed: a picture's worth of labels takes a few kilobytes.

    Args:
        width, height: of the upright picture, pixels.
        classes: every class name; a pixel's value is a place in it, or `VOID`.
        packed: the pixels, row by row, one byte each, compressed with zlib; see `of` and `pixels`.
    """

    width: int
    height: int
    classes: Sequence[str]
    packed: bytes
    kind: ClassVar[str] = "mask"

    @classmethod
    def of(cls, pixels: np.ndarray, classes: Sequence[str]) -> Self:
        """From (H, W) whole numbers: places in `classes`, or `VOID`."""
        assert pixels.ndim == 2 and len(classes) <= VOID, "a mask is (H, W), of at most 255 classes"
        assert len(set(classes)) == len(classes), "every class has a name of its own"
        assert ((pixels == VOID) | (pixels >= 0) & (pixels < len(classes))).all(), "a pixel's value is a place in the classes, or void"
        height, width = pixels.shape
        return cls(width, height, list(classes), zlib.compress(np.ascontiguousarray(pixels, np.uint8).tobytes(), 1))

    @property
    def pixels(self) -> np.ndarray:
        """(H, W) uint8: places in `classes`, or `VOID`."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.height, self.width)

    def json(self) -> dict[str, Any]:
        """{"width", "height", "classes": {"0": name}, "pixels": {name: count}, "rle": {name: {"size", "counts"}}}.

        The last two of the classes that are present; void pixels are those of none.
        """
        from omma.answers import _rle

        down = np.asfortranarray(self.pixels)  # runs go down the columns
        found = {self.classes[place]: (down == place, count) for place, count in self._counts(down).items()}
        return {
            "width": self.width,
            "height": self.height,
            "classes": {str(place): name for place, name in enumerate(self.classes)},
            "pixels": {name: count for name, (_, count) in found.items()},
            "rle": {name: {"size": [self.height, self.width], "counts": _rle.encode(where)} for name, (where, _) in found.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        from omma.answers import _rle

        names = [data["classes"][str(place)] for place in range(len(data["classes"]))]
        pixels = np.full((data["height"], data["width"]), VOID, np.uint8)
        for name, row in data["rle"].items():
            pixels[_rle.decode(row["counts"], data["height"], data["width"])] = names.index(name)
        return cls.of(pixels, names)

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """Each class in its colour, named below with its share of the picture; void and background stay as they are."""
        from omma.answers import _marks, draw

        pixels = self.pixels
        sheet = _marks.Sheet(picture, self.width, self.height)
        shades = _marks.palette(self.classes)
        shown = {place: n for place, n in self._counts(pixels).items() if not is_background(self.classes[place])}
        if not shown:
            return draw.banner(sheet.canvas, ["-"])
        sheet.veil(pixels, {place: shades[self.classes[place]] for place in shown})
        names = {place: self.classes[place] for place in sorted(shown, key=lambda place: -shown[place])}
        shares = {place: f"{name} {shown[place] / pixels.size:.1%}" for place, name in names.items()}
        return sheet.legend([(shades[names[place]], draw.by_number(text, self.classes)) for place, text in shares.items()])

    def _counts(self, pixels: np.ndarray) -> dict[int, int]:
        """Place of each class that is present → its pixels."""
        count = np.bincount(pixels.ravel("K"), minlength=VOID + 1)[:VOID]
        return {int(place): int(count[place]) for place in np.flatnonzero(count)}

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        """Whether all but a share of `tolerance` of the pixels are of the same class; the classes may come in another order."""
        if not isinstance(other, Mask) or (other.width, other.height) != (self.width, self.height):
            return False
        names = list(dict.fromkeys([*self.classes, *other.classes]))
        mine, theirs = (self._among(names), other._among(names))
        return int((mine != theirs).sum()) <= tolerance * mine.size

    def _among(self, names: Sequence[str]) -> np.ndarray:
        """(H, W) int16: the place of each pixel's class in `names`, −1 for void."""
        table = np.full(VOID + 1, -1, np.int16)
        table[: len(self.classes)] = [names.index(name) for name in self.classes]
        return table[self.pixels]
