"""Objects with their boxes: the answer of detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from omma.answers.answer import Answer


def _none() -> np.ndarray:
    return np.zeros((0, 4))


@dataclass(slots=True, eq=False)
class Boxes(Answer):
    """The objects of one picture, in no particular order; a prediction also says how sure it is of each.

    Args:
        width, height: of the upright picture, pixels.
        labels: the class of each of N objects.
        boxes: (N, 4) float64, corners x1, y1, x2, y2 in pixels of the upright original; (0, 0) is the top left corner of the first pixel.
        probabilities: (N,) float32, 0–1 (prediction only).
        ignored: (N,) bool, objects that count neither as found nor as missed: crowds, "difficult" (truth only).
    """

    width: int
    height: int
    labels: Sequence[str] = ()
    boxes: np.ndarray = field(default_factory=_none)
    probabilities: np.ndarray | None = None
    ignored: np.ndarray | None = None
    kind: ClassVar[str] = "boxes"

    def __len__(self) -> int:
        return len(self.labels)

    def json(self) -> dict[str, Any]:
        """{"width", "height", "boxes": [{"label", "probability", "box": [x1, y1, x2, y2], "ignored": true}]}; the last where so."""
        return {"width": self.width, "height": self.height, "boxes": [self._row(place) for place in range(len(self))]}

    def _row(self, place: int) -> dict[str, Any]:
        row: dict[str, Any] = {"label": self.labels[place]}
        if self.probabilities is not None:
            row["probability"] = round(float(self.probabilities[place]), 6)
        row["box"] = [round(float(value), 3) for value in self.boxes[place]]
        return row | ({"ignored": True} if self.ignored is not None and self.ignored[place] else {})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        rows = data["boxes"]
        sure = np.array([row["probability"] for row in rows], np.float32) if rows and "probability" in rows[0] else None
        aside = np.array([bool(row.get("ignored")) for row in rows]) if any(row.get("ignored") for row in rows) else None
        corners = np.array([row["box"] for row in rows], float).reshape(-1, 4)
        return cls(data["width"], data["height"], [row["label"] for row in rows], corners, sure, aside)
