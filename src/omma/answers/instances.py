"""Objects with their outlines: the answer of instance segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from omma.answers.boxes import Boxes


@dataclass(slots=True, eq=False)
class Instances(Boxes):
    """Boxes whose objects also have a mask each; masks may overlap.

    Args:
        counts: the mask of each object as COCO's compressed run lengths (see `answers/_rle.py`), of size (height, width).
    """

    counts: Sequence[str] = ()
    kind: ClassVar[str] = "instances"

    def _row(self, place: int) -> dict[str, Any]:
        return Boxes._row(self, place) | {"rle": {"size": [self.height, self.width], "counts": self.counts[place]}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        plain = Boxes.from_json(data)
        counts = [row["rle"]["counts"] for row in data["boxes"]]
        return cls(plain.width, plain.height, plain.labels, plain.boxes, plain.probabilities, plain.ignored, counts)

    def masks(self) -> np.ndarray:
        """(N, height, width) bool."""
        from omma.answers import _rle

        return np.stack([_rle.decode(text, self.height, self.width) for text in self.counts]) if len(self) else self._blank()

    def _blank(self) -> np.ndarray:
        return np.zeros((0, self.height, self.width), bool)
