"""The contract of a check: a file here has one function of its own name that looks at what was seen and yields findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.mask import Mask
from omma.checks._pairs import PairLook
from omma.data.duplicates import Duplicates
from omma.data.looks import Looks
from omma.data.sample import Dataset
from omma.words import both, say

Severity = Literal["fault", "advice"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything a check may look at: nothing is read again.

    Args:
        dataset: as the format read it.
        looks: what one pass over the pictures saw, in the dataset's order.
        near: what is the same as what.
        pairs: what a look at both pictures of some pairs told, by place; {} where truths are no pictures.
    """

    dataset: Dataset
    looks: Looks
    near: Duplicates
    pairs: dict[int, PairLook] = field(default_factory=dict)

    @property
    def objects(self) -> list[tuple[int, Boxes]]:
        """(place, truth) of every picture whose objects are known."""
        return [(i, sample.truth) for i, sample in enumerate(self.dataset.samples) if isinstance(sample.truth, Boxes)]

    @property
    def masks(self) -> list[tuple[int, Mask]]:
        """(place, truth) of every picture whose pixels have classes."""
        return [(i, sample.truth) for i, sample in enumerate(self.dataset.samples) if isinstance(sample.truth, Mask)]


def counted(truth: Boxes) -> np.ndarray:
    """Places of the objects that are not to be ignored."""
    return np.arange(len(truth)) if truth.ignored is None else np.flatnonzero(~truth.ignored)


def some(names: Sequence[str], most: int = 8) -> str:
    """The first of many names."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


@dataclass(slots=True)
class Finding:
    """One kind of thing that is wrong or worth knowing.

    Args:
        kind: `check.<kind>` and `check.<kind>_do` are its sentences.
        severity: a fault of files or labels, or advice.
        values: what the sentences name; `count` is added.
        places: samples it is about, in the order shown.
        groups: samples that belong together (copies of one picture); their members are the places.
        files: names where there is no sample to point at (refused rows, class names).
        reasons: name → what exactly is wrong with it.
        drop: places a clean list leaves out.
        rename: class name → the name a clean list uses.
    """

    kind: str
    severity: Severity
    values: dict[str, Any] = field(default_factory=dict)
    places: Sequence[int] = ()
    groups: Sequence[Sequence[int]] = ()
    files: Sequence[str] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    drop: Iterable[int] = ()
    rename: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.groups and not len(self.places):
            self.places = [i for group in self.groups for i in group]

    @property
    def count(self) -> int:
        """How many: groups where there are groups, else samples or names."""
        return len(self.groups) or len(self.places) or len(self.files)

    def what(self, tongue: str | None = None) -> str:
        """What was found, in one sentence."""
        return say(f"check.{self.kind}", tongue, count=self.count, **self.values)

    def do(self, tongue: str | None = None) -> str:
        """What to do about it."""
        return say(f"check.{self.kind}_do", tongue, count=self.count, **self.values)

    def texts(self) -> tuple[dict[str, str], dict[str, str]]:
        """`what` and `do` in every language, for the report."""
        values = {"count": self.count, **self.values}
        return both(f"check.{self.kind}", **values), both(f"check.{self.kind}_do", **values)

    def names(self, dataset: Dataset) -> list[str]:
        """Every file or record it is about."""
        return [dataset.samples[i].id for i in self.places] or list(self.files)

    def json(self, dataset: Dataset) -> dict[str, Any]:
        """{"kind", "severity", "count", "what", "do", "files"} and, where there are any, "groups" and "reasons"."""
        row: dict[str, Any] = {"kind": self.kind, "severity": self.severity, "count": self.count, "what": self.what(), "do": self.do()}
        row["files"] = self.names(dataset)
        if self.groups:
            row["groups"] = [[dataset.samples[i].id for i in group] for group in self.groups]
        return row | ({"reasons": self.reasons} if self.reasons else {})
