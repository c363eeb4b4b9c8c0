"""Who published a network, when, for which pictures, and how large the paper says it is: what `gallery.toml` lists, by name."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omma import catalog

_FILE = Path(__file__).with_name("gallery.toml")
# What a network that gives one row of numbers for a picture can be trained for, whoever wrote it.
ROWS = ("classify", "multilabel", "regress")
_UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_FIGURE = re.compile(r"(<?)([\d,]+(?:\.(\d+))?)([kMG]?)")


@dataclass(slots=True, frozen=True)
class Family:
    """Networks of one paper.

    Args:
        key: its name here, and of its sentences in locale.
        names: of ours, or patterns of a library's.
        paper, year, source: authors and title, and where it is read.
        input: (channels, height, width) it was published for.
        sizes: height and width of those that were published for another, by name.
        outputs: of the published head.
        tasks: what it can be trained for.
        settings: that make ours the published one.
        parameters, macs: the paper's figures as it rounds them, by name: `138M`, `60,000`, `<25M`.
        example: the network that stands for all of them.
    """

    key: str
    names: tuple[str, ...]
    paper: str
    year: int
    source: str
    input: tuple[int, int, int]
    outputs: int
    tasks: tuple[str, ...] = ROWS
    settings: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)
    example: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is written here and not borrowed."""
        return "/" not in self.names[0]


@cache
def families() -> tuple[Family, ...]:
    """All of them, in the order of the file."""
    rows = tomllib.loads(_FILE.read_text("utf-8"))
    made = []
    for key, row in rows.items():
        fixed = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
        made.append(Family(key, **({"example": row["names"][0]} | row | fixed)))
    return tuple(made)


def family(name: str) -> Family | None:
    """The family a network belongs to: the one whose pattern is the longest; None for one nobody told us about."""
    found = [(len(pattern), one) for one in families() for pattern in one.names if fnmatchcase(name, pattern)]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def agrees(figure: str, count: float) -> bool:
    """Whether a count, rounded as the paper rounds, is the paper's figure; `<25M` wants it smaller.

    Raises:
        ValueError: that is no figure.
    """
    found = _FIGURE.fullmatch(figure)
    if found is None:
        raise ValueError(figure)
    less, number, decimals, unit = found.groups()
    value = float(number.replace(",", ""))
    if less:
        return count / _UNITS[unit] < value
    return round(count / _UNITS[unit], len(decimals or "")) == value


def everything() -> list[str]:
    """The name of every network there is: ours, those of plug-ins, and those of the libraries that are installed."""
    from omma.models.making import FAMILIES, names

    found = list(catalog.names("models"))
    for library in FAMILIES:
        if find_spec(library) is not None:  # nothing is imported to know
            found += names(library)
    return found
