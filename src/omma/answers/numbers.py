"""One or several measured numbers: the answer of regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from omma.answers.answer import Answer, six

if TYPE_CHECKING:
    import numpy as np
    import torch

    from omma.data.views import Views


@dataclass(slots=True, eq=False)
class Numbers(Answer):
    """Named numbers in the unit of the table they came from.

    Args:
        numbers: name → value.
        spread: name → predicted standard deviation, same unit (Gaussian likelihood only).
        scale: name → standard deviation of the number in what was learned from (prediction only): what counts as a small difference.
    """

    numbers: dict[str, float]
    spread: dict[str, float] | None = None
    scale: dict[str, float] | None = None
    kind: ClassVar[str] = "numbers"

    def json(self) -> dict[str, Any]:
        row: dict[str, Any] = {"numbers": {name: six(value) for name, value in self.numbers.items()}}
        if self.spread is not None:
            row["spread"] = {name: six(value) for name, value in self.spread.items()}
        return row

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(dict(data["numbers"]), dict(data["spread"]) if "spread" in data else None)

    def draw(self, picture: np.ndarray) -> np.ndarray:
        from omma.answers import draw

        spread = self.spread or {}
        lines = [f"{n} {v:.4g}" + (f" ± {spread[n]:.2g}" if n in spread else "") for n, v in self.numbers.items()]
        return draw.banner(picture, lines, list(self.numbers))

    def same(self, other: Answer, tolerance: float = 1e-4) -> bool:
        """Equal within `tolerance` of their range: four standard deviations where `scale` is known, else their own size, at least 1.

        What float32 cannot tell apart is the same.
        """
        if not isinstance(other, Numbers) or self.numbers.keys() != other.numbers.keys():
            return False
        scale = self.scale or other.scale

        def near(name: str, mine: float, theirs: float) -> bool:
            size = max(abs(mine), abs(theirs))
            return abs(mine - theirs) <= tolerance * (4 * scale[name] if scale else max(1.0, size)) + 5e-7 * size

        return all(near(name, value, other.numbers[name]) for name, value in self.numbers.items())

    @classmethod
    def tensors(cls, truths: Sequence[Numbers], names: Sequence[str], views: Views | None = None) -> dict[str, torch.Tensor]:
        """{"target": (B, K) float} in the table's units."""
        import torch

        return {"target": torch.tensor([[float(truth.numbers[name]) for name in names] for truth in truths]).view(-1, len(names))}

    @classmethod
    def fit(cls, tensors: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], names: Sequence[str], goal: str = "") -> dict[str, Any]:
        """{"spread": factor} that makes predicted deviations as large as the errors on validation; {} where none are predicted."""
        if "spread" not in tensors:
            return {}
        odd = (tensors["numbers"].double() - truth["target"].double()) / tensors["spread"].double().clamp_min(1e-12)
        return {"spread": float(odd.square().mean().sqrt().clamp(0.01, 100.0))}

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """{"numbers": (B, K)} and, where the loss is a likelihood, {"spread": (B, K)}."""
        out = {"numbers": tensors["numbers"].float()}
        if "spread" in tensors:
            out["spread"] = tensors["spread"].float() * float(point.get("spread", 1.0))
        return out
