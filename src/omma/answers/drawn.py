"""A picture that answers no picture: drawn from chance, and measured beside true ones by what a network sees in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from omma.answers.picture import Picture

if TYPE_CHECKING:
    import numpy as np
    import torch

    from omma.data.views import Views


@dataclass(slots=True, eq=False)
class Drawn(Picture):
    """A drawn picture, or of a truth a true one.

    Args:
        label: the class that was asked for, or that it shows; "" where there are none.
        key: of a drawn one, what tells it from others of its call: its place.
        seen: (F,) float32, what the network sees in it by which pictures are measured; None until somebody looked.
        near: distance to the nearest picture that was learned from, see `report/drawings.py`; NaN until somebody looked.
        nearest: the id of that picture.
    """

    label: str = ""
    key: str = ""
    seen: np.ndarray | None = None
    near: float = float("nan")
    nearest: str = ""
    kind: ClassVar[str] = "drawn"
    compared: ClassVar[tuple[str, ...] | None] = ("drawn",)

    def json(self) -> dict[str, Any]:
        """{"png": the file in base64}, of a truth {"picture": its name}; and "label", where there is one."""
        return Picture.json(self) | ({"label": self.label} if self.label else {})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """From `json` of a prediction, or what `written` gave."""
        return cls(Picture.from_json(data).load, label=data.get("label", ""))

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """The picture itself: there is nothing it could be laid over."""
        from omma.answers.picture import shown

        return shown(self.deep(8))

    @classmethod
    def tensors(cls, truths: Sequence[Any], names: Sequence[str], views: Views | None = None) -> dict[str, torch.Tensor]:
        """{"class": (B, K) float, 1 at the picture's class}; {} where there are no classes: the pictures are truth enough."""
        import torch

        if not any(truth.label for truth in truths):
            return {"class": torch.zeros(len(truths), 0)}
        rows = {name: place for place, name in enumerate(names)}
        return {"class": torch.eye(len(names))[[rows[truth.label] for truth in truths]]}

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"drawn": (B, H, W, C), 0–1}."""
        return {"drawn": tensors["drawn"].float().clamp(0, 1).permute(0, 2, 3, 1)}
