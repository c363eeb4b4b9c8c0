"""The contract of an answer: what a person labels and a model replies, truth and prediction alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    import numpy as np
    import torch

    from omma.data.views import Views


def six(value: float) -> float:
    """Six significant digits, wherever they begin: 2e-7 is not 0, and faint probabilities keep their order."""
    return float(f"{value:.6g}")


class Answer:
    """One answer about one picture.

    About one answer: `json`/`from_json` (what scripts read), `draw` (what people look at), `same` (equal within a tolerance).
    About many: `tensors` (truths → what a loss reads), `mix` (truths of blended pictures), and the *operating point* — the
    few numbers between a network and an answer (temperature, thresholds): `fit` chooses them on validation, `operate` applies them
    to tensors, `settle` to a decoded answer.
    """

    kind: ClassVar[str] = "answer"
    # Operated outputs that two ways of computing them are compared by, number by number; None = all. The rest `same` judges.
    compared: ClassVar[tuple[str, ...] | None] = None
    # Fields that are too large to be kept with a run's answers (`answers/_file.py`); they have a default.
    unkept: ClassVar[frozenset[str]] = frozenset()
    # How many classes there must be for a goal to mean something; None = any number.
    aimed: ClassVar[int | None] = None

    def json(self) -> dict[str, Any]:
        """Plain JSON values; scores 0–1, coordinates in pixels of the upright original."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of `json`."""
        raise NotImplementedError

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """A copy of `picture` ((H, W, 3) uint8) with the answer on it, legible at any size."""
        raise NotImplementedError

    def same(self, other: Answer, tolerance: float = 1e-3) -> bool:
        """Whether both say the same, numbers within `tolerance`."""
        raise NotImplementedError

    @classmethod
    def tensors(cls, truths: Sequence[Any], names: Sequence[str], views: Views | None = None) -> dict[str, torch.Tensor]:
        """Truths as tensors with the batch in front.

        Args:
            names: the classes, or the names of the numbers.
            views: how the pictures enter, for truths that lie in a frame.
        """
        raise NotImplementedError

    @classmethod
    def mix(cls, truth: dict[str, torch.Tensor], other: dict[str, torch.Tensor], share: torch.Tensor) -> dict[str, torch.Tensor]:
        """Truth of `share` ((B,), 0–1) of one picture and the rest of another (mixup, CutMix)."""
        return {
            key: value * (w := share.view(-1, *[1] * (value.dim() - 1)).to(value.dtype)) + other[key] * (1 - w)
            for key, value in truth.items()
        }

    @classmethod
    def fit(cls, tensors: dict[str, torch.Tensor], truth: dict[str, torch.Tensor], names: Sequence[str], goal: str = "") -> dict[str, Any]:
        """The operating point (JSON values) that suits these outputs of `Task.infer` best; called on validation only.

        Beside it "unreached": the places of names for which no threshold does what the goal asks; left out where there are none.

        Args:
            names: as in `tensors`.
            goal: what a person wants of it (`recall>=0.95`), for answers that know such a thing; "" = their own best.
        """
        return {}

    @classmethod
    def operate(cls, tensors: dict[str, torch.Tensor], point: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Outputs of `Task.infer` → outputs of the finished model, in the order an export names them; plain tensor arithmetic."""
        return tensors

    def settle(self, point: dict[str, Any]) -> Self:
        """What the operating point says of an answer but not of its tensors (a label under the rejection level is unsure)."""
        return self
