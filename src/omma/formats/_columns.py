"""Which column of a table is the path, the label, the split, the group: by name first, by content after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from omma.answers.label import Label
from omma.answers.numbers import Numbers
from omma.data.decode import PICTURE_SUFFIXES
from omma.errors import DataError
from omma.formats._kinds import Kind
from omma.formats._paths import Pictures
from omma.words import say

_PATH = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name", "img", "img_path",
    "picture", "photo", "name", "image_id", "id", "路径", "文件", "文件名", "图片",
)  # fmt: skip
_LABEL = ("label", "labels", "class", "classes", "class_name", "category", "categories", "tag", "tags", "target", "标签", "类别")
_SPLIT = ("split", "subset", "set", "partition", "划分")
_GROUP = (
    "group",
    "group_id",
    "patient",
    "patient_id",
    "subject",
    "subject_id",
    "case",
    "case_id",
    "video",
    "video_id",
    "session",
    "分组",
    "患者",
)
# Numbers that describe the file, not what it shows: no good example of a target.
_SIZES = ("width", "height", "w", "h", "x", "y")
_LOOK = 200


@dataclass(slots=True)
class Table:
    """A table as read: the first row may be a header."""

    path: Path
    rows: list[tuple[int, list[str]]]
    separator: str
    encoding: str
    root: str | None = None

    @property
    def headless(self) -> bool:
        """The first row already names a picture: there is no header."""
        return any(cell.lower().endswith(tuple(PICTURE_SUFFIXES)) for cell in self.rows[0][1])

    @property
    def header(self) -> list[str]:
        first = self.rows[0][1]
        return [f"column{i + 1}" for i in range(len(first))] if self.headless else first

    @property
    def body(self) -> list[tuple[int, list[str]]]:
        """(line, cells) of every row below the header."""
        return self.rows if self.headless else self.rows[1:]

    @property
    def marks(self) -> str:
        """What separates several labels in one cell: not what separates cells."""
        return ";" if self.separator != ";" else "|"

    def column(self, place: int) -> list[str]:
        """The cells of a column that are not empty."""
        return [row[place] for _, row in self.body if place < len(row) and row[place]]


def number(cell: str, name: str) -> float:
    """A finite number; a decimal comma is one too.

    Raises:
        ValueError: not a number, NaN or infinite.
    """
    text = cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell
    try:
        value = float(text)
    except ValueError:
        raise ValueError(say("formats.row_not_number", name=name, cell=cell[:40])) from None
    if not math.isfinite(value):
        raise ValueError(say("formats.row_not_finite", name=name, cell=cell[:40]))
    return value


def _numeric(cells: list[str]) -> bool:
    """Most cells are numbers: a few that are not will be refused by their line."""
    good = 0
    for cell in cells:
        try:
            float(cell.replace(",", "."))
            good += 1
        except ValueError:
            continue
    return bool(cells) and good >= 0.8 * len(cells)


def _whole(cells: list[str]) -> bool:
    return all(cell.lstrip("+-").isdecimal() for cell in cells)


@dataclass(slots=True)
class Columns:
    """Places of the columns in a table; None where there is none."""

    path: int | None
    label: int | None
    split: int | None
    group: int | None

    def targets(self, table: Table, wanted: list[str] | None, said: Path) -> tuple[Kind, list[int]]:
        """(kind of truth, columns): those a person named, else the label column, else the only one left.

        Args:
            table: the table.
            wanted: the columns a person named.
            said: what the person called the data, for the advice.

        Raises:
            DataError: no such column, or several that could be meant.
        """
        if wanted is not None:
            return _named(table, wanted)
        if self.label is not None:
            cells = table.column(self.label)
            fractions = _numeric(cells) and not _whole([cell for cell in cells if is_number(cell)])
            return Numbers if fractions else Label, [self.label]
        left = [i for i in range(len(table.header)) if i not in (self.path, self.split, self.group)]
        if len(left) == 1:
            return Numbers if _numeric(table.column(left[0])) else Label, left
        if not left:
            raise DataError(say("formats.no_target", columns=", ".join(table.header)), table.path)
        names = [table.header[i] for i in left]
        shown = ", ".join(table.header[i] if _numeric(table.column(i)) else f"{table.header[i]} ({say('formats.text')})" for i in left)
        best = [table.header[i] for i in left if _numeric(table.column(i)) and table.header[i].lower() not in _SIZES] or names
        fix = say("formats.which_target_fix", spelling=f"{said}:{best[0]}", several=f"{said}:{','.join(best[:2])}")
        raise DataError(say("formats.which_target", columns=shown), table.path, fix)


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number; see `number`."""
    try:
        number(cell, "")
    except ValueError:
        return False
    return True


def _named(table: Table, wanted: list[str]) -> tuple[Kind, list[int]]:
    """The columns a person named."""
    low = {name.lower(): i for i, name in reversed(list(enumerate(table.header)))}
    missing = [name for name in wanted if name.lower() not in low]
    if missing or not wanted:
        raise DataError(say("formats.no_column", name=", ".join(missing), columns=", ".join(table.header)), table.path)
    places = [low[name.lower()] for name in wanted]
    if all(_numeric(table.column(i)) for i in places):
        return Numbers, places
    if len(places) > 1:
        raise DataError(say("formats.text_columns", names=", ".join(wanted)), table.path)
    return Label, places


def columns_of(table: Table, pictures: Pictures) -> Columns:
    """The columns of a table, the path column proven by pictures that exist."""
    low = [name.strip().lower().replace(" ", "_") for name in table.header]
    sample = table.body[:_LOOK]

    def hits(place: int) -> int:
        count = 0
        for _, row in sample:
            try:
                count += place < len(row) and bool(row[place]) and pictures.find(row[place]) is not None
            except ValueError:
                # It names a file, only not one of ours: the row will be refused by its line.
                count += 1
        return count

    named = [i for word in _PATH for i, name in enumerate(low) if name == word]
    ranked = [*named, *(i for i in range(len(low)) if i not in named)]
    proven = [i for i in ranked if hits(i)]
    path = max(proven, key=hits) if proven else None
    if table.headless:
        return Columns(
            path, 1 - path if path in (0, 1) and len(low) > 1 else None, 2 if len(low) > 2 else None, 3 if len(low) > 3 else None
        )

    def first(words: tuple[str, ...]) -> int | None:
        return next((i for word in words for i, name in enumerate(low) if name == word and i != path), None)

    return Columns(path, first(_LABEL), first(_SPLIT), first(_GROUP))
