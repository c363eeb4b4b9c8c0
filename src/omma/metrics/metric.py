"""The contract of a metric, and a score with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np

    from omma.answers.answer import Answer

# What each picture contributes: arrays with the N pictures in front.
Records = dict[str, "np.ndarray"]


@dataclass(slots=True, frozen=True)
class Score:
    """A number with its 95 % interval over `n` pictures (or groups)."""

    value: float
    low: float
    high: float
    n: int

    def json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class Metric:
    """`records` looks at every answer once; `summary` turns weighted records into the number.

    An interval is then `summary` over drawn weights, with nothing matched again; a comparison is paired by picture.

    Args:
        names: the classes or the names of the numbers, in the model's order.
    """

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""  # "" for a share 0–1
    part: ClassVar[str | None] = None  # of a compound answer

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def records(self, predictions: Sequence[Answer], truths: Sequence[Answer]) -> Records:
        """What each of the N pictures contributes."""
        raise NotImplementedError

    def summary(self, records: Records, weight: np.ndarray) -> float:
        """The number, each picture counted `weight` ((N,) float) times; NaN where it is undefined."""
        raise NotImplementedError
