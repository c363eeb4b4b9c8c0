"""Any number of classes at once: the answer of multi-label classification."""

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
class Labels(Answer):
    """The classes that are present; a prediction also carries the probability of each.

    Args:
        labels: names of the classes that are present, in the model's order.
        classes: every class name (prediction only).
        probabilities: (C,) float, each 0–1 on its own (prediction only).
    """

    labels: tuple[str, ...]
    classes: Sequence[str] = ()
    probabilities: np.ndarray | None = None
    kind: ClassVar[str] = "labels"

    def json(self) -> dict[str, Any]:
        if self.probabilities is None:
            return {"labels": [{"label": name} for name in self.labels]}
        shares = {name: round(float(p), 6) for name, p in zip(self.classes, self.probabilities, strict=True)}
        return {"labels": [{"label": name, "probability": shares[name]} for name in self.labels], "probabilities": shares}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        import numpy as np

        present = tuple(row["label"] for row in data["labels"])
        shares = data.get("probabilities")
        return cls(present) if shares is None else cls(present, list(shares), np.array(list(shares.values()), "float32"))

    def draw(self, picture: np.ndarray) -> np.ndarray:
        from omma.answers import draw

        shares = {} if self.probabilities is None else dict(zip(self.classes, self.probabilities, strict=True))
        lines = [f"{name} {shares[name]:.0%}" if name in shares else name for name in self.labels]
        return draw.banner(picture, lines or ["-"], self.classes)

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        if not isinstance(other, Labels):
            return False
        if self.probabilities is None or other.probabilities is None:
            return set(self.labels) == set(other.labels)
        mine, theirs = (dict(zip(one.classes, one.probabilities, strict=True)) for one in (self, other))  # type: ignore[arg-type]
        # A class may be present for one side only where a threshold lies between the two probabilities, however near they are.
        if any((mine[name] > theirs[name]) != (name in self.labels) for name in set(self.labels) ^ set(other.labels)):
            return False
        return float(abs(self.probabilities - other.probabilities).max()) <= tolerance

    @classmethod
    def tensors(cls, truths: Sequence[Labels], names: Sequence[str], views: Views | None = None) -> dict[str, torch.Tensor]:
        """{"target": (B, C) float}: 1 where the class is present."""
        import torch

        return {"target": torch.tensor([[float(name in truth.labels) for name in names] for truth in truths]).view(-1, len(names))}

    @classmethod
    def fit(cls, tensors: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], names: Sequence[str], goal: str = "") -> dict[str, Any]:
        """One temperature, and for each class the threshold of best F1 on validation (0.5 where it never varies)."""
        from omma.answers.operating import best_thresholds, temperature_binary

        warmth = temperature_binary(tensors["logits"], truth["target"])
        return {"temperature": warmth, "threshold": best_thresholds((tensors["logits"].double() / warmth).sigmoid(), truth["target"])}

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"labels": (B, C) bool, "probabilities": (B, C)}."""
        import torch

        shares = (tensors["logits"].float() / float(point.get("temperature", 1.0))).sigmoid()
        level = torch.as_tensor(point.get("threshold", 0.5), dtype=shares.dtype, device=shares.device)
        return {"labels": shares >= level, "probabilities": shares}
