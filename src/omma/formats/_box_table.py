"""Tables whose rows are objects: a picture, the four numbers of its box, a class; a row without numbers is a picture that shows nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DataError
from omma.formats._columns import Columns, Table, is_number, number
from omma.formats._objects import Objects, size_of
from omma.formats._paths import Pictures
from omma.formats.folders import in_order
from omma.words import say

_CORNERS = ("xmin ymin xmax ymax", "x_min y_min x_max y_max", "x1 y1 x2 y2", "left top right bottom")
_SIZES = ("x y w h", "x y width height", "xmin ymin width height", "left top width height")
_PREFIXES = ("", "bbox_", "box_")
_ASIDE = ("ignored", "difficult", "iscrowd")
TARGETS = ["width", "height", "label", "xmin", "ymin", "xmax", "ymax"]
LABEL = "object"  # the class of objects nobody has given one
_HEADLESS, _LOOK = 6, 200


@dataclass(slots=True)
class Places:
    """Columns of a table of boxes.

    Args:
        box: of the four numbers.
        sized: the last two are width and height, not a corner.
        size: of the width and height of the picture, where there are some.
        label: of the class, in a table without header.
        aside: of the mark that an object counts neither as found nor as missed.
    """

    box: list[int]
    sized: bool = False
    size: tuple[int, int] | None = None
    label: int | None = None
    aside: int | None = None


def places(table: Table) -> Places | None:
    """Where the boxes stand; None for a table without. Headless: path, x1, y1, x2, y2, class, numbers or nothing in the middle."""
    if table.headless:
        cells = [cell for _, row in table.rows[:_LOOK] for cell in row[1:5]]
        sound = len(table.header) == _HEADLESS and any(cells) and all(not cell or is_number(cell) for cell in cells)
        return Places([1, 2, 3, 4], label=5) if sound else None
    low = {name.strip().lower().replace(" ", "_"): place for place, name in reversed(list(enumerate(table.header)))}
    for form in (*_CORNERS, *_SIZES):
        for prefix in _PREFIXES:
            names = [prefix + name for name in form.split()]
            if not all(name in low for name in names):
                continue
            size = ("width", "height")
            whole = (low[size[0]], low[size[1]]) if all(name in low and name not in names for name in size) else None
            aside = next((low[name] for name in _ASIDE if name in low), None)
            return Places([low[name] for name in names], form in _SIZES, whole, None, aside)
    return None


@dataclass(slots=True)
class _Picture:
    """One picture while its rows are collected; `empty`: a row says that it shows nothing."""

    sample: Sample
    objects: Objects
    empty: bool = False


class Reader:
    """Collects the rows of one or several tables of boxes into a dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._held: dict[str, _Picture] = {}
        self._sizes: dict[tuple[Path, tuple[int, int] | None], tuple[int, int] | ValueError] = {}
        self._seen: set[tuple] = set()
        self._twice: list[str] = []

    def take(self, table: Table, pictures: Pictures, columns: Columns, part: str | None) -> None:
        """Every row of a table; one that cannot be used is refused as `table.csv:line`."""
        where, path = places(table), columns.path
        assert where is not None and path is not None, "a table of boxes with pictures"
        shares = _shares(table, where)
        if table.headless:
            columns = Columns(path, where.label, None, None)
        if shares:
            self.dataset.notes.append(say("formats.box_shares", name=table.path.name))
        if columns.label is None:
            self.dataset.notes.append(say("formats.box_no_class", name=table.path.name, label=LABEL))
        for line, row in table.body:
            record = f"{table.path.name}:{line}"
            try:
                if len(row) <= max(path, *where.box):
                    raise ValueError(say("formats.row_short", cells=len(row), header=len(table.header)))
                held = self._picture(pictures.sample(row[path], record), _cell(row, columns.group))
                _join(held.sample, _split(row, columns, part))
                self._object(held, table, row, where, columns.label, shares, record)
            except ValueError as error:
                self.dataset.refused.append(Refused(record, str(error)))

    def _picture(self, sample: Sample, group: str) -> _Picture:
        held = self._held.get(sample.id)
        if held is None:
            held = self._held[sample.id] = _Picture(sample, Objects(0, 0, self.dataset.refused))
        held.sample.group = held.sample.group or group or None
        return held

    def _object(self, held: _Picture, table: Table, row: list[str], where: Places, label: int | None, shares: bool, record: str) -> None:
        """The object of a row, or nothing where its numbers are empty."""
        declared = tuple(int(number(_cell(row, i), table.header[i])) for i in where.size or () if _cell(row, i))
        width, height = self._size(held.sample.path, declared)  # type: ignore[arg-type]
        held.objects.width, held.objects.height = width, height
        if not any(row[i] for i in where.box):
            held.empty = True
            return
        values = [number(row[i], table.header[i]) for i in where.box]
        if where.sized:
            values[2:] = values[0] + values[2], values[1] + values[3]
        if shares:
            values = [value * side for value, side in zip(values, (width, height) * 2, strict=True)]
        name = LABEL if label is None else _cell(row, label)
        if not name:
            raise ValueError(say("objects.no_class"))
        if (key := (held.sample.id, name, *values)) in self._seen:
            self._twice.append(record)
            return
        self._seen.add(key)
        held.objects.add(record, name, values, _cell(row, where.aside).lower() in ("1", "true", "yes"))

    def _size(self, path: Path, declared: tuple[int, ...]) -> tuple[int, int]:
        """(width, height) of a picture, looked up once."""
        key = (path, (declared[0], declared[1]) if len(declared) == 2 else None)
        if key not in self._sizes:
            try:
                self._sizes[key] = size_of(*key)
            except ValueError as error:
                self._sizes[key] = error
        size = self._sizes[key]
        if isinstance(size, ValueError):
            raise ValueError(str(size))
        return size

    def done(self) -> Dataset:
        """The dataset, its samples sorted by id; a picture of which not one row can be used is unlabelled.

        Raises:
            DataError: not one row can be used.
        """
        dataset = self.dataset
        for held in self._held.values():
            if held.objects.labels or held.empty:
                held.sample.truth = held.objects.answer()
        dataset.samples = sorted((held.sample for held in self._held.values()), key=lambda sample: sample.id)
        open_ = sum(sample.truth is None for sample in dataset.samples)
        if open_ == len(dataset):
            shown = "; ".join(f"{row.where}: {row.reason}" for row in dataset.refused[:3])
            raise DataError(say("formats.no_rows", shown=shown or "–"), dataset.root)
        if open_:
            dataset.notes.append(say("formats.no_truth", count=open_))
        if self._twice:
            dataset.notes.append(say("formats.rows_twice", count=len(self._twice), first=self._twice[0]))
        dataset.names = in_order({label for held in self._held.values() for label in held.objects.labels})
        dataset.task = "detect"
        return dataset


def _cell(row: list[str], place: int | None) -> str:
    return row[place] if place is not None and place < len(row) else ""


def _split(row: list[str], columns: Columns, part: str | None) -> str | None:
    from omma.formats.folders import SPLITS

    word = _cell(row, columns.split)
    if word and word.lower() not in SPLITS:
        raise ValueError(say("formats.row_split", split=word[:40]))
    return SPLITS[word.lower()] if word else part


def _join(sample: Sample, split: str | None) -> None:
    """The part of a picture: that of its first row that names one; another is a contradiction."""
    if sample.split and split and split != sample.split:
        raise ValueError(say("objects.two_parts", path=sample.id, first=sample.split, second=split))
    sample.split = sample.split or split


def _shares(table: Table, where: Places) -> bool:
    """Whether the boxes are shares of the picture: every number within 0 and 1, and not all of them whole."""
    values = [float(cell) for i in where.box for cell in table.column(i) if is_number(cell) and "," not in cell]
    return bool(values) and all(0 <= value <= 1 for value in values) and any(value % 1 for value in values)


def cells(truth: object, aside: bool) -> Iterable[list[object]]:
    """The rows of one picture, `TARGETS` each, and a mark of ignored objects with `aside`; one empty row where it shows nothing."""
    if not isinstance(truth, Boxes):
        return
    size: list[object] = [truth.width, truth.height]
    for place, label in enumerate(truth.labels):
        mark = [int(truth.ignored is not None and truth.ignored[place])] if aside else []
        yield [*size, label, *(f"{value:.10g}" for value in truth.boxes[place]), *mark]
    if not len(truth):
        yield [*size, *[""] * (5 + aside)]


def lost(dataset: Dataset) -> list[str]:
    """What a table of boxes cannot hold, in words."""
    nobody = sum(sample.truth is None for sample in dataset.samples)
    outlines = sum(len(sample.truth) for sample in dataset.samples if isinstance(sample.truth, Instances))
    lines = [say("formats.box_lost_nobody", count=nobody)] if nobody else []
    return lines + ([say("formats.box_lost_outlines", count=outlines)] if outlines else [])
