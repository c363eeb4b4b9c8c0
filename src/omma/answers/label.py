"""One class out of several: the answer of classification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from omma.answers.answer import Answer

if TYPE_CHECKING:
    import numpy as np
    import torch

    from omma.data.views import Views


@dataclass(slots=True, eq=False)
class Label(Answer):
    """A class name; a prediction also carries the probability of every class.

    Args:
        label: the class.
        classes: every class name, in the model's order (prediction only).
        probabilities: (C,) float, sums to 1 (prediction only).
        unsure: the model is less sure than its operating point asks for (prediction only).
    """

    label: str
    classes: Sequence[str] = ()
    probabilities: np.ndarray | None = None
    unsure: bool = False
    kind: ClassVar[str] = "label"

    @property
    def probability(self) -> float | None:
        """How sure the model is of `label`, 0–1; None for a truth."""
        return None if self.probabilities is None else float(self.probabilities[list(self.classes).index(self.label)])

    def json(self) -> dict[str, Any]:
        if self.probabilities is None:
            return {"label": self.label}
        shares = {name: round(float(p), 6) for name, p in zip(self.classes, self.probabilities, strict=True)}
        row: dict[str, Any] = {"label": self.label, "probability": shares[self.label], "probabilities": shares}
        return row | {"unsure": True} if self.unsure else row

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        import numpy as np

        shares = data.get("probabilities")
        if shares is None:
            return cls(data["label"])
        return cls(data["label"], list(shares), np.array(list(shares.values()), "float32"), bool(data.get("unsure")))

    def draw(self, picture: np.ndarray) -> np.ndarray:
        from omma.answers import draw

        sure = self.probability
        return draw.banner(picture, [self.label if sure is None else f"{self.label} {sure:.0%}"], self.classes)

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        if not isinstance(other, Label):
            return False
        if self.probabilities is None or other.probabilities is None:
            return self.label == other.label
        top = sorted((float(p) for p in other.probabilities), reverse=True)
        tie = len(top) > 1 and top[0] - top[1] <= tolerance
        return (self.label == other.label or tie) and float(abs(self.probabilities - other.probabilities).max()) <= tolerance

    @classmethod
    def tensors(cls, truths: Sequence[Label], names: Sequence[str], views: Views | None = None) -> dict[str, torch.Tensor]:
        """{"target": (B, C) float}: one-hot, so that blended pictures have blended truths."""
        import torch

        place = {name: i for i, name in enumerate(names)}
        rows = torch.tensor([place[truth.label] for truth in truths], dtype=torch.long)
        return {"target": torch.nn.functional.one_hot(rows, len(names)).float()}

    @classmethod
    def fit(cls, tensors: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], names: Sequence[str], goal: str = "") -> dict[str, Any]:
        """Temperature (Guo et al. 2017) and the level under which an answer counts as unsure.

        The level is the lowest at which the answers kept are wrong half as often as all of them together.
        """
        from omma.answers.operating import reject_level, temperature

        target = truth["target"].argmax(1)
        warmth = temperature(tensors["logits"], target)
        return {"temperature": warmth, "threshold": reject_level((tensors["logits"].double() / warmth).softmax(1), target)}

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"label": (B,) int64, "probability": (B,), "probabilities": (B, C)}."""
        shares = (tensors["logits"].float() / float(point.get("temperature", 1.0))).softmax(1)
        return {"label": shares.argmax(1), "probability": shares.amax(1), "probabilities": shares}

    def settle(self, point: dict[str, Any]) -> Self:
        self.unsure = (self.probability or 0.0) < float(point.get("threshold", 0.0))
        return self
