"""The contract of a metric, and a score with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np

    from omma.answers.answer import Answer

# What each picture contributes: arrays with the N pictures in front.
Records = dict[str, "np.ndarray"]


@dataclass(slots=True, frozen=True)
class Score:
    """A number with its 95 % interval, measured on `n` pictures; `unit` where it has one, `protocol` as in `Metric`."""

    value: float
    low: float
    high: float
    n: int
    unit: str = ""
    protocol: dict[str, Any] | None = field(default=None, hash=False)

    def json(self) -> dict[str, Any]:
        """Plain JSON values; what is undefined (NaN) is None."""
        row = {"value": _plain(self.value), "low": _plain(self.low), "high": _plain(self.high), "n": self.n}
        return row | ({"unit": self.unit} if self.unit else {}) | ({"protocol": dict(self.protocol)} if self.protocol else {})

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Score:
        """The inverse of `json`."""
        value, low, high = (float("nan") if data[key] is None else float(data[key]) for key in ("value", "low", "high"))
        return cls(value, low, high, int(data["n"]), str(data.get("unit", "")), data.get("protocol") or None)

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(slots=True)
class Gallery:
    """Pictures that explain a number.

    Args:
        title: key of its heading, in the room `evaluate`.
        places: which of the N pictures, the most telling first.
        values: placeholders of the heading.
        corners: of each of these pictures (n, 4) pixels around the objects that are meant; [] where it is all of the picture.
    """

    title: str
    places: list[int]
    values: dict[str, Any] = field(default_factory=dict)
    corners: list[np.ndarray] = field(default_factory=list)


class Metric:
    """`records` looks at every answer once; `summary` turns weighted records into the number.

    An interval is then `summaries` over drawn weights, with nothing matched again; a comparison is paired by picture.
    A metric writes `records` and one of `summary` and `summaries`; the rest is optional.

    Args:
        names: the classes or the names of the numbers, in the model's order.
    """

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: str = ""  # of a length, or dB; "" for a share, for what has the unit of the numbers themselves, and for nats
    # What must be the same for two numbers to be compared, and is asked of none by its name alone: JSON values, told beside the number.
    protocol: dict[str, Any] = {}  # noqa: RUF012
    part: ClassVar[str | None] = None  # of a compound answer
    parts_are: ClassVar[Literal["classes", "numbers"]] = "classes"
    # How its interval is built, see `bootstrap`: a share of 0–1, a positive number without bound, a number that cannot pass 1,
    # a distance that chance makes larger, up to 1 or without bound, or a number without bounds.
    scale: ClassVar[Literal["share", "positive", "below_one", "distance", "inflated", "free"]] = "share"
    ceiling: ClassVar[float] = math.inf  # what it cannot pass, nor its interval
    draws: ClassVar[int | None] = None  # how many drawings its interval rests on at most, where each costs much
    meaning: str = ""  # key of what it means, in the room `metrics`; "" is the name it is known by

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def records(self, predictions: Sequence[Answer], truths: Sequence[Answer]) -> Records:
        """What each of the N pictures contributes."""
        raise NotImplementedError

    def summary(self, records: Records, weight: np.ndarray) -> float:
        """The number, each picture counted `weight` ((N,) float) times; NaN where it is undefined."""
        return float(self.summaries(records, weight.reshape(-1, 1))[0])

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        """`summary` of D drawings at once: weights (N, D) → (D,)."""
        import numpy as np

        assert type(self).summary is not Metric.summary, "a metric writes summary or summaries"
        return np.array([self.summary(records, weight) for weight in weights.T])

    def each(self, records: Records, weights: np.ndarray) -> np.ndarray | None:
        """The same for every name on its own: weights (N, D) → (K, D); None where it has no parts."""
        return None

    def both(self, records: Records, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """`summaries` and `each` at once, for metrics where one follows from the other."""
        return self.summaries(records, weights), self.each(records, weights)

    def carriers(self, records: Records) -> np.ndarray:
        """How many pictures carry each part: (K,), without parts (1,); what an interval falls back on where nothing varies."""
        import numpy as np

        return np.array([float(len(next(iter(records.values()))))])

    def figure(self, records: Records) -> dict[str, Any] | None:
        """What to draw beside the number, as JSON values with a `kind` that `report.charts` knows; None for nothing."""
        return None

    def galleries(self, records: Records, most: int = 12) -> list[Gallery]:
        """Pictures worth looking at, at most `most` each."""
        return []


def _plain(value: float) -> float | None:
    return float(value) if value == value and abs(value) != float("inf") else None
