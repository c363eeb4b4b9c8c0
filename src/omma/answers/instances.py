"""Objects with their outlines: the answer of instance segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from omma.answers.boxes import Boxes, places_of

if TYPE_CHECKING:
    from omma.answers._marks import Colour, Sheet


@dataclass(slots=True, eq=False)
class Instances(Boxes):
    """Boxes whose objects also have a mask each; masks may overlap.

    Args:
        counts: the mask of each object as COCO's compressed run lengths (see `answers/_rle.py`), of size (height, width).
    """

    counts: Sequence[str] = ()
    kind: ClassVar[str] = "instances"

    def keep(self, where: np.ndarray) -> Self:
        return replace(Boxes.keep(self, where), counts=[self.counts[i] for i in places_of(where)])

    def _row(self, place: int) -> dict[str, Any]:
        return Boxes._row(self, place) | {"rle": {"size": [self.height, self.width], "counts": self.counts[place]}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        plain = Boxes.from_json(data)
        counts = [row["rle"]["counts"] for row in data["boxes"]]
        return cls(plain.width, plain.height, plain.labels, plain.boxes, plain.probabilities, plain.ignored, counts)

    def masks(self) -> np.ndarray:
        """(N, height, width) bool; for one after the other, decode `counts`."""
        from omma.answers import _rle

        found = np.zeros((len(self), self.height, self.width), bool)
        for place, text in enumerate(self.counts):
            found[place] = _rle.decode(text, self.height, self.width)
        return found

    def fitted(self) -> Self:
        """A copy whose boxes are the smallest around their masks; all 0 where a mask has no pixel."""
        from omma.answers import _rle

        corners = [_rle.box(text, self.height, self.width) for text in self.counts]
        return replace(self, boxes=np.array(corners, float).reshape(-1, 4))

    def _paint(self, sheet: Sheet, colours: Sequence[Colour]) -> None:
        from omma.answers import _rle

        areas = [_rle.area(text, self.height, self.width) for text in self.counts]
        for place in sorted(range(len(self)), key=lambda i: -areas[i]):
            text = self.counts[place]
            mask = _rle.decode(text, self.height, self.width).view(np.uint8)
            sheet.veil(mask, {1: colours[place]}, _rle.box(text, self.height, self.width))

    def _alike(self, other: Any, tolerance: float) -> np.ndarray:
        """As for boxes; and but for a share of `tolerance` of the box's pixels (one pixel at least may differ) the masks are equal."""
        from omma.answers import _rle

        pairs = Boxes._alike(self, other, tolerance)
        rows, columns = np.flatnonzero(pairs.any(1)), np.flatnonzero(pairs.any(0))
        mine, theirs = [self.counts[int(i)] for i in rows], [other.counts[int(i)] for i in columns]
        shared = _rle.iou(mine, theirs, self.height, self.width)
        total = np.add.outer(*([_rle.area(text, self.height, self.width) for text in side] for side in (mine, theirs)))
        # From IoU = I / (A + B − I): the pixels in one mask alone, A + B − 2 I.
        apart = np.rint(total * (1 - shared) / (1 + shared))
        boxes = (self.boxes[rows, 2:] - self.boxes[rows, :2]).prod(1)
        pairs[np.ix_(rows, columns)] &= apart <= np.maximum(1, tolerance * boxes)[:, None]
        return pairs
