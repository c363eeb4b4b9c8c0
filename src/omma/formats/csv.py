"""Tables (CSV, TSV): a column that names pictures and others with labels, numbers or boxes; optional split and group columns."""

from __future__ import annotations

import csv as tables_of_text
import io
from dataclasses import replace
from pathlib import Path

from omma.answers.boxes import Boxes
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.answers.numbers import Numbers
from omma.data.sample import SPLITS, Dataset, Refused
from omma.errors import DataError
from omma.formats import _box_table
from omma.formats._columns import Columns, Table, columns_of, number
from omma.formats._kinds import TASK, Kind
from omma.formats._paths import Pictures
from omma.formats._texts import decoded
from omma.formats._written import names_of, put_pictures
from omma.formats.folders import in_order
from omma.progress import Watch
from omma.words import say

HOLDS = ("boxes", "label", "labels", "numbers")
_SUFFIXES = (".csv", ".tsv")
_SOME, _MOST, _ROOT = 20, 1 << 30, "# root: "


def _tables(path: Path) -> list[Path]:
    """The table meant, or every table lying at the top of a folder."""
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.suffix.lower() in _SUFFIXES and entry.is_file() and entry.name[0] != ".")
    return [path] if path.suffix.lower() in _SUFFIXES and path.is_file() else []


def sniff(path: Path) -> float:
    """0.9 for a table that names pictures lying beside it, 0.7 for a folder with one, 0.1 for another table."""
    tables = _tables(path)
    if not path.is_dir():
        return 0.9 if tables else 0.0
    pictures = Pictures(path) if tables else None
    return 0.7 if pictures is not None and any(_usable(table, pictures) for table in tables) else 0.0


def _usable(table: Path, pictures: Pictures) -> bool:
    """Whether the first rows name pictures and there is something to learn."""
    try:
        rows = open_table(table, _SOME)
        column, others = columns_of(rows, pictures), len(rows.header) > 1
    except DataError:
        return False
    return column.path is not None and others


def open_table(path: Path, most: int | None = None) -> Table:
    """Header and rows of a table, whatever its encoding, line ends and separator.

    Raises:
        DataError: empty, binary or damaged.
    """
    if path.stat().st_size > _MOST:
        raise DataError(say("formats.too_large", size=path.stat().st_size >> 20), path)
    with open(path, "rb") as file:
        raw = file.read(1 << 16 if most else -1)
    text, encoding = decoded(raw, cut=bool(most))
    root, start = None, 0
    if text.startswith(_ROOT):
        # A list that `write` put elsewhere names the folder of its pictures in its first line.
        line, _, text = text.partition("\n")
        root, start = line.removeprefix(_ROOT).strip(), 1
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first or "\0" in text[:4096]:
        raise DataError(say("formats.table_empty"), path)
    separator, rows = _separator(first, path), []
    try:
        reader = tables_of_text.reader(io.StringIO(text, newline=""), delimiter=separator)
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((reader.line_num + start, [cell.strip() for cell in row]))
            if most and len(rows) > most:
                break
    except tables_of_text.Error as error:
        raise DataError(say("formats.table_broken", reason=str(error)[:120]), path) from None
    return Table(path, rows, separator, encoding, root)


def _separator(line: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return next((mark for mark in ",\t;|" if mark in line), ",")


def read(path: Path, watch: Watch | None = None, columns: list[str] | None = None) -> Dataset:
    """Samples in the order of their ids; a row that cannot be used is refused with `table.csv:line`.

    Args:
        path: a table, or a folder with one at its top (or with train.csv, val.csv, test.csv).
        watch: unused.
        columns: the target columns; None finds them.

    Raises:
        DataError: no table, no column that names pictures, or several that could be the target (says how to name one).
    """
    tables = _tables(path)
    root = path if path.is_dir() else path.parent
    if not tables:
        raise DataError(say("formats.no_table"), path)
    pictures = Pictures(root)
    if len(tables) > 1:
        usable = [table for table in tables if _usable(table, pictures)]
        tables = usable if {_split(table.stem) for table in usable} <= set(SPLITS) else usable[:1] if len(usable) == 1 else []
        if not tables:
            raise DataError(
                say("formats.tables", names=", ".join(table.name for table in usable)), path, say("formats.tables_fix", path=root)
            )
    dataset = Dataset([], [], None, root, "csv")
    parts = [_split(table.stem) if len(tables) > 1 else None for table in tables]
    opened = [open_table(table) for table in tables]
    found = [_columns(table, pictures, dataset) for table in opened]
    if columns is None and all(map(_box_table.places, opened)):
        boxes = _box_table.Reader(dataset)
        for table, (home, places), part in zip(opened, found, parts, strict=True):
            boxes.take(table, home, places, part)
        return boxes.done()
    kinds = [_one(table, *ready, columns, dataset, part, path) for table, ready, part in zip(opened, found, parts, strict=True)]
    if len({(kind, names if kind is Numbers else ()) for kind, names in kinds}) > 1:
        raise DataError(say("formats.tables_differ"), path)
    _settle(dataset, *kinds[0])
    if not dataset.samples:
        shown = "; ".join(f"{row.where}: {row.reason}" for row in dataset.refused[:3])
        raise DataError(say("formats.no_rows", shown=shown or "–"), path)
    return dataset


def _split(word: str) -> str | None:
    from omma.formats.folders import SPLITS as WORDS

    return WORDS.get(word.strip().lower())


def _columns(table: Table, pictures: Pictures, dataset: Dataset) -> tuple[Pictures, Columns]:
    """Where one table's pictures lie, and which of its columns says what."""
    if table.encoding in ("Latin-1", "GBK"):
        dataset.notes.append(say("formats.latin", name=table.path.name, encoding=table.encoding))
    if table.root is not None:
        dataset.notes.append(say("formats.root_of", name=table.path.name, root=table.root))
        pictures = Pictures(Path(table.root))
    columns = columns_of(table, pictures)
    if columns.path is None:
        fix = say("formats.no_path_column_fix", folder=pictures.root)
        raise DataError(say("formats.no_path_column", columns=", ".join(table.header)), table.path, fix)
    return pictures, columns


def _one(
    table: Table, pictures: Pictures, columns: Columns, wanted: list[str] | None, dataset: Dataset, part: str | None, said: Path
) -> tuple[Kind, tuple[str, ...]]:
    """Add one table's rows to the dataset; what kind of truth they hold and the names of the numbers."""
    assert columns.path is not None, "a table without is refused before"
    kind, targets = columns.targets(table, wanted, said)
    several = any(mark in row[targets[0]] for _, row in table.body if targets[0] < len(row) for mark in table.marks)
    kind = Labels if kind is Label and several else kind
    names = tuple(table.header[i] for i in targets)
    for line, row in table.body:
        record = f"{table.path.name}:{line}"
        try:
            if len(row) <= max([columns.path, *targets]):
                raise ValueError(say("formats.row_short", cells=len(row), header=len(table.header)))
            sample = pictures.sample(row[columns.path], record)
            sample.truth = _truth(kind, [row[i] for i in targets], names, table.marks)
            sample.split = _split_of(row, columns.split, part)
            sample.group = (row[columns.group] or None) if columns.group is not None and columns.group < len(row) else None
            dataset.samples.append(sample)
        except ValueError as error:
            dataset.refused.append(Refused(record, str(error)))
    return kind, names


def _truth(kind: Kind, cells: list[str], names: tuple[str, ...], marks: str) -> Label | Labels | Numbers:
    if kind is Numbers:
        return Numbers({name: number(cell, name) for name, cell in zip(names, cells, strict=True)})
    if kind is Label:
        if not cells[0]:
            raise ValueError(say("formats.row_no_label"))
        return Label(cells[0])
    text = cells[0]
    for mark in marks[1:]:
        text = text.replace(mark, marks[0])
    return Labels(tuple(dict.fromkeys(word.strip() for word in text.split(marks[0]) if word.strip())))


def _split_of(row: list[str], column: int | None, part: str | None) -> str | None:
    if column is None or column >= len(row) or not row[column]:
        return part
    split = _split(row[column])
    if split is None:
        raise ValueError(say("formats.row_split", split=row[column][:40]))
    return split


def _settle(dataset: Dataset, kind: Kind, names: tuple[str, ...]) -> None:
    """Order, doubles, names: a picture named twice with the same truth counts once, with different ones not at all."""
    seen: dict[str, list] = {}
    for sample in dataset.samples:
        seen.setdefault(sample.id, []).append(sample)
    kept, twice = [], 0
    for rows in seen.values():
        if all(rows[0].truth.same(other.truth) for other in rows[1:]):
            kept.append(rows[0])
            twice += len(rows) - 1
        else:
            lines = ", ".join(row.record for row in rows)
            dataset.refused += [Refused(row.record, say("formats.row_contradicts", path=row.id, lines=lines)) for row in rows]
    if twice:
        dataset.notes.append(say("formats.twice", count=twice))
    dataset.samples = sorted(kept, key=lambda sample: sample.id)
    dataset.task = TASK[kind]
    if kind is Numbers:
        dataset.names = list(names)
        return
    found = {name for s in kept for name in ((s.truth.label,) if kind is Label else s.truth.labels)}
    dataset.names = in_order(found)
    place = {name: i for i, name in enumerate(dataset.names)}
    if kind is Labels:
        for sample in kept:
            sample.truth = Labels(tuple(sorted(sample.truth.labels, key=place.__getitem__)))
    elif len(kept) > 40 and len(found) > len(kept) / 2:
        dataset.notes.append(say("formats.too_many_classes", classes=len(found), count=len(kept)))


def write(dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
    """The dataset as a table (UTF-8 with mark, so that spreadsheets read it); what was lost, in words.

    A path that ends in .csv or .tsv is the table: pictures stay where they are, named relative to its folder where they lie below it. Any
    other is a folder for `labels.csv` and copies of the pictures in `images/`.

    Raises:
        DataError: the pixels lie in arrays, there is no file to name.
        DiskError: the disk does not take it.
    """
    path, lost = Path(path), []
    boxes = any(isinstance(sample.truth, Boxes) for sample in dataset.samples)
    if boxes:
        lost = _box_table.lost(dataset)
        dataset = dataset.labelled()
    if path.suffix.lower() not in _SUFFIXES:
        dataset, path = _copied(dataset, path, watch), path / "labels.csv"
    files = [sample.path.resolve() for sample in dataset.samples if sample.path is not None]
    if len(files) < len(dataset):
        raise DataError(say("formats.no_files"), dataset.root)
    inside = all(file.is_relative_to(path.parent.resolve()) for file in files)
    root = (path.parent if inside else dataset.root).resolve()
    aside = any(isinstance(sample.truth, Boxes) and sample.truth.ignored is not None for sample in dataset.samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8-sig", newline="") as table:
        if not inside:
            table.write(f"{_ROOT}{root}\n")
        out = tables_of_text.writer(table, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        out.writerow(["path", *(_box_table.TARGETS if boxes else _targets(dataset)), *(["ignored"] if aside else []), "split", "group"])
        for sample, place in zip(dataset.samples, files, strict=True):
            for cells in _box_table.cells(sample.truth, aside) if boxes else [_cells(sample.truth)]:
                out.writerow([place.relative_to(root).as_posix(), *cells, sample.split or "", sample.group or ""])
    return lost


def _copied(dataset: Dataset, folder: Path, watch: Watch | None) -> Dataset:
    """The dataset with its pictures in `folder / images`."""
    names = names_of(dataset)
    put_pictures(dataset, folder / "images", names, watch)
    samples = [replace(s, path=folder / "images" / name, row=None) for s, name in zip(dataset.samples, names, strict=True)]
    return replace(dataset, samples=samples, root=folder, pixels=None)


def _targets(dataset: Dataset) -> list[str]:
    numbers = any(isinstance(sample.truth, Numbers) for sample in dataset.samples)
    return dataset.names if numbers else ["label"] if dataset.task else []


def _cells(truth: object) -> list[object]:
    if isinstance(truth, Numbers):
        return [repr(value) for value in truth.numbers.values()]
    if isinstance(truth, Labels):
        return [";".join(truth.labels)]
    return [truth.label] if isinstance(truth, Label) else []
