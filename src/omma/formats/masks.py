"""Mask pictures: `images/` beside `labels/` or `masks/`, a class or an object's number for every pixel, or a file for every object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from omma.answers.answer import Answer
from omma.data.crew import in_threads
from omma.data.decode import probe
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DataError
from omma.formats import _mask_layout as layouts
from omma.formats import _mask_truth as truths
from omma.formats._columns import columns_of
from omma.formats._mask_files import MaskFile, open_mask
from omma.formats._mask_layout import Layout
from omma.formats._mask_meaning import decide, numbering, two_ended
from omma.formats._mask_names import COLOURS, OBJECTS, Legend, read_legend
from omma.formats._mask_write import write as write
from omma.formats._paths import Pictures
from omma.formats.csv import open_table
from omma.formats.folders import PLAIN, SPLITS
from omma.progress import Watch
from omma.words import say

HOLDS = ("mask", "instances")
_SURE, _LIKELY = 0.85, 0.6  # above a table beside the pictures (0.7), below label files (0.9); above class folders (0.5)
_LOOK, _FEW = 3, 64
_VOC = frozenset({"segmentationclass", "segmentationobject"})  # these have a format of their own

A = TypeVar("A")
B = TypeVar("B")


def sniff(path: Path) -> float:
    """0.85 for pictures beside masks of the same names, 0.6 where the masks could be other pictures: colours without a table."""
    if not path.is_dir() or not layouts.promising(path):
        return 0.0
    layout = layouts.find(path)
    pairs = [(picture, masks[0]) for picture, masks in layout.pairs if masks] if layout else []
    if layout is None or len(pairs) < len(layout.strays):
        return 0.0
    table = bool(read_legend(_around(path, layout), [], []).colours)
    sure = [_like(picture, mask, table) for picture, mask in pairs[:: max(1, len(pairs) // _LOOK)][:_LOOK]]
    seen = [score for score in sure if score is not None]
    if not seen:  # not one could be looked at: their folders' names speak for them
        named = layout.truth.casefold() in layouts.TRUTHS and any(part.casefold() in PLAIN for part in pairs[0][0].relative_to(path).parts)
        return _LIKELY if named else 0.0
    if not any(seen) or sum(map(bool, seen)) * 2 < len(seen):
        return 0.0
    return min(_LIKELY if layout.truth.casefold() in _VOC else _SURE, max(seen))


def _like(picture: Path, path: Path, table: bool) -> float | None:
    """How much a file looks like the mask of a picture; None where it cannot be read or is not as large."""
    try:
        head, mask = probe(picture), open_mask(path)
    except DataError:
        return None
    except ValueError:
        return 0.0
    if (mask.width, mask.height) != (head.width, head.height):
        return None
    # Neighbours are alike in a mask, in a photograph hardly ever.
    flat = len(mask.codes) <= _FEW or 4 * mask.runs < mask.width * mask.height
    if not (two_ended([mask]) if mask.lossy else flat):
        return 0.0
    return _LIKELY if mask.colour and not table else _SURE


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """`Mask` (task segment) or, from label maps and from one file an object, `Instances` (task instances); the notes say what was decided.

    Every mask is decoded once. A mask that cannot be used is refused by its path, and its picture counts as unlabelled.

    Args:
        path: the folder; `classes.txt`, a colour table or `objects.csv` (of label maps) lie at its top or with the masks.
        watch: is told about reading.

    Raises:
        DataError: no folder of pictures beside a folder of masks, or not one mask that can be used; colours no table names.
    """
    root, watch = Path(path), watch or Watch()
    layout = layouts.find(root)
    if layout is None:
        raise DataError(say("masks.none"), root, say("masks.none_fix"))
    data = Dataset([], [], "segment", root, "masks")
    data.refused += [Refused(_name(root, stray), say("masks.no_picture")) for stray in layout.strays]
    legend = read_legend(_around(root, layout), data.refused, data.notes)
    found = (_of_files if layout.each else _of_pixels)(layout, legend, data, watch)
    for picture, masks in layout.pairs:
        record = _name(root, masks[0].parent if layout.each else masks[0]) if masks else None
        truth = found.get(picture)
        data.samples.append(
            Sample(_name(root, picture), picture, truth=truth, split=_split(root, picture), record=record if truth is not None else None)
        )
    data.samples.sort(key=lambda sample: sample.id)
    bare = sum(sample.truth is None for sample in data.samples)
    if bare == len(data):
        shown = "; ".join(f"{row.where}: {row.reason}" for row in data.refused[:3])
        raise DataError(say("masks.unusable", count=len(data.refused), shown=shown), root, say("masks.unusable_fix"))
    data.notes += [say("masks.unlabelled", count=bare)] if bare else []
    data.notes += [*_layout_notes(layout), *_beside(data)]
    return data


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _split(root: Path, picture: Path) -> str | None:
    parts = picture.relative_to(root).parts[:-1]
    return next((SPLITS[part.lower()] for part in parts if part.lower() in SPLITS), None)


def _around(root: Path, layout: Layout) -> list[Path]:
    """Where names of classes may lie: at the top, and with the masks."""
    first = next((masks[0] for _, masks in layout.pairs if masks), root)
    return [root, *(folder for folder in first.parents if root in folder.parents)]


def _watched(watch: Watch, what: str, work: Callable[[A], B], things: list[A]) -> Iterable[B]:
    for done, result in enumerate(in_threads(work, things)):
        watch.step(what, done, len(things))
        yield result
    watch.end(what)


def _of_files(layout: Layout, legend: Legend, data: Dataset, watch: Watch) -> dict[Path, Answer]:
    """picture → its objects, where every object has a file."""
    meaning = numbering(legend, layout.truth, say("masks.each", truth=layout.truth))
    data.task, data.names, data.notes = "instances", meaning.names, data.notes + meaning.notes
    pairs = [(picture, masks) for picture, masks in layout.pairs if masks]
    told = _watched(watch, say("masks.reading"), lambda pair: truths.each(*pair, meaning.names[0], data.root), pairs)
    return _kept([picture for picture, _ in pairs], told, data)


def _of_pixels(layout: Layout, legend: Legend, data: Dataset, watch: Watch) -> dict[Path, Answer]:
    """picture → its truth, where one file holds the classes, or the numbered objects, of a whole picture."""
    pairs = [(picture, masks[0]) for picture, masks in layout.pairs if masks]
    masks: dict[Path, tuple[str, MaskFile]] = {}
    for (picture, path), found in zip(
        pairs, _watched(watch, say("masks.reading"), lambda pair: _open(data.root, *pair), pairs), strict=True
    ):
        if isinstance(found, Refused):
            data.refused.append(found)
        else:
            masks[picture] = _name(data.root, path), found
    if not masks:
        return {}
    meaning = decide([mask for _, mask in masks.values()], legend, layout.truth, data.root)
    data.task, data.names, data.notes = "instances" if meaning.objects else "segment", meaning.names, data.notes + meaning.notes

    def turn(picture: Path) -> truths.Told:
        record, mask = masks[picture]
        try:
            meaning.sound(mask)
            if meaning.objects:
                return truths.objects(mask, meaning, legend, record)
            return truths.classes(mask, meaning, layout.fields.get(picture), data.root)
        except ValueError as error:
            return None, [Refused(record, str(error))]

    found_truths = _kept(list(masks), in_threads(turn, masks), data)
    _dangling(legend, masks.values(), data)
    return found_truths


def _open(root: Path, picture: Path, path: Path) -> MaskFile | Refused:
    """The mask of a picture, or why it is none."""
    try:
        head = probe(picture)
    except DataError as error:
        return Refused(_name(root, picture), error.what)
    try:
        return truths.opened(path, (head.width, head.height))
    except (DataError, ValueError) as error:
        return Refused(_name(root, path), truths.reason(error))


def _kept(pictures: list[Path], told: Iterable[truths.Told], data: Dataset) -> dict[Path, Answer]:
    """The truths there are; what was refused goes to the dataset."""
    kept: dict[Path, Answer] = {}
    for picture, (truth, refused) in zip(pictures, told, strict=True):
        data.refused += refused
        if truth is not None:
            kept[picture] = truth
    return kept


def _dangling(legend: Legend, masks: Iterable[tuple[str, MaskFile]], data: Dataset) -> None:
    """Lines of `objects.csv` about objects that no map holds; maps that were refused have been named already."""
    held = {(record, code) for record, mask in masks for code in mask.codes.tolist()}
    gone = {row.where for row in data.refused}
    for key, line in legend.lines.items():
        if key not in held and key[0] not in gone:
            data.refused.append(Refused(f"{OBJECTS}:{line}", say("masks.no_object", mask=key[0], value=key[1])))


# words for people


def _layout_notes(layout: Layout) -> list[str]:
    """What a person should know about how the folder was understood, beside what its masks mean."""
    notes = [say("masks.field", field=layout.field)] if layout.field else []
    notes += [say("masks.spare", names=", ".join(layout.spare), truth=layout.truth)] if layout.spare else []
    where = ", ".join(folder for folder, _ in layout.rest.most_common(5))
    return notes + ([say("masks.rest", count=layout.rest.total(), where=where)] if layout.rest else [])


def _beside(data: Dataset) -> list[str]:
    """Tables that also name the pictures: their groups and splits are taken over, their labels are another task; says how to get it."""
    pictures, notes, places = Pictures(data.root), [], {sample.path: sample for sample in data.samples}
    skipped = {OBJECTS, *COLOURS}
    for path in sorted(entry for entry in data.root.iterdir() if entry.suffix.lower() in (".csv", ".tsv") and entry.name not in skipped):
        try:
            table = open_table(path)
            columns = columns_of(table, pictures)
        except DataError:
            continue
        if columns.path is None:
            continue
        for _, row in table.body if columns.group is not None or columns.split is not None else ():
            found = _found(pictures, row[columns.path]) if columns.path < len(row) else None
            if found is None or (sample := places.get(found)) is None:
                continue
            if columns.group is not None and columns.group < len(row):
                sample.group = sample.group or row[columns.group] or None
            if columns.split is not None and columns.split < len(row):
                sample.split = sample.split or SPLITS.get(row[columns.split].strip().lower())
        known = (columns.path, columns.split, columns.group)
        others = [name for place, name in enumerate(table.header) if place not in known]
        if others:
            best = table.header[columns.label] if columns.label is not None else others[0]
            notes.append(say("masks.table", name=path.name, columns=", ".join(others[:6]), spelling=f"{data.root}:{best}"))
        if any(sample.group for sample in data.samples) and columns.group is not None:
            notes.append(say("masks.groups", name=path.name, column=table.header[columns.group]))
    return notes


def _found(pictures: Pictures, cell: str) -> Path | None:
    try:
        return pictures.find(cell)
    except ValueError:
        return None
