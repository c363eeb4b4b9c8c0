"""Pascal VOC: XML beside pictures or in `Annotations/`, parts in `ImageSets/`, masks in `SegmentationClass/` and `SegmentationObject/`."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Set as AbstractSet
from itertools import islice
from pathlib import Path

from omma.answers.boxes import Boxes
from omma.answers.mask import BACKGROUND, Mask
from omma.data.decode import hidden
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DataError
from omma.formats._beside import split_of
from omma.formats._objects import Objects, size_of
from omma.formats._texts import read_bytes
from omma.formats._voc_folder import ANNOTATIONS, CLASS, OBJECT, Folder, look, parts_of
from omma.formats._voc_masks import NUMBERS, Classes, classes_of, semantic, separate
from omma.formats._voc_write import write
from omma.formats._voc_xml import Annotation, parse
from omma.formats.folders import PLAIN, in_order
from omma.progress import Watch
from omma.words import say

__all__ = ["HOLDS", "read", "sniff", "write"]

HOLDS = ("boxes", "instances", "mask")
_LOOK = 4096


def sniff(path: Path) -> float:
    """0.9 for a folder with VOC annotations or `SegmentationClass` in it or one level below, or for such a mask folder itself; else 0."""
    if not path.is_dir():
        return 0.0
    if _mask_folder(path):
        return 0.9 if _has(path.parent, PLAIN) else 0.0
    below = [folder for folder in _folders(path) if split_of(folder.name) or folder.name.lower().startswith("voc2")]
    tops = [path, *below]
    aside = [folder for top in tops for folder in _folders(top) if folder.name.lower() in ANNOTATIONS]
    deeper = [folder for top in aside for folder in _folders(top)[:3]]
    masked = any(_has(top, {CLASS, OBJECT}) and _has(top, PLAIN) for top in tops)
    return 0.9 if masked or any(map(_annotated, [*tops, *aside, *deeper])) else 0.0


def _folders(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(entry) for entry in entries if entry.is_dir() and not hidden(entry.name))


def _has(path: Path, names: AbstractSet[str]) -> bool:
    return any(folder.name.lower() in names for folder in _folders(path))


def _mask_folder(path: Path) -> bool:
    return path.name.lower() in (CLASS, OBJECT)


def _annotated(path: Path) -> bool:
    """Whether one of the first XML files in a folder is a VOC annotation."""
    found = (entry for entry in path.iterdir() if entry.suffix.lower() == ".xml" and entry.is_file() and not hidden(entry.name))
    for file in islice(found, 4):
        try:
            with open(file, "rb") as stream:
                if b"<annotation>" in (head := stream.read(_LOOK).replace(b"\0", b"")) or b"<annotation " in head:
                    return True
        except OSError:
            continue
    return False


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """`Boxes` from the annotations; where there are none, or for the folder `SegmentationClass` or `SegmentationObject` itself, masks.

    Corners in a file are 1-based and inclusive: `xmin − 1, ymin − 1, xmax, ymax` are read. A `difficult` object is ignored. A picture
    without an annotation is unlabelled; one whose annotation names no object holds nothing. Classes are those of `labelmap.txt`, else
    those found, sorted.

    Raises:
        DataError: not one picture, or not one file that says something of one.
    """
    path, watch = Path(path), watch or Watch()
    root = path.parent if _mask_folder(path) else path
    refused: list[Refused] = []
    folder = look(root, refused)
    if not folder.pictures:
        from omma.formats.folders import found

        raise DataError(say("formats.no_pictures", found=found(root)), path, say("formats.no_pictures_fix"))
    if not (folder.annotations or folder.classes or folder.objects):
        raise DataError(say("formats.no_annotations"), path)
    named = path.name.lower() if _mask_folder(path) else CLASS if folder.classes else OBJECT
    if folder.annotations and not _mask_folder(path):
        dataset = _boxes(folder, refused, watch)
    elif named == CLASS:
        dataset = _masks(folder, refused, watch)
    else:
        dataset = _instances(folder, refused, watch)
    dataset.samples.sort(key=lambda sample: sample.id)
    if not dataset.samples:
        shown = "; ".join(f"{row.where}: {row.reason}" for row in refused[:3])
        raise DataError(say("formats.no_rows", shown=shown or "–"), path)
    dataset.notes += _notes(folder, dataset, path)
    return dataset


def _notes(folder: Folder, dataset: Dataset, path: Path) -> list[str]:
    """What a person should know about how the folder was understood."""
    notes = []
    there = {name: files for name, files in {"SegmentationClass": folder.classes, "SegmentationObject": folder.objects}.items() if files}
    if not _mask_folder(path) and (others := [name for name in there if folder.annotations or (name.lower() == OBJECT and len(there) > 1)]):
        notes.append(say("formats.voc_masks", names=", ".join(others), spelling=path / others[0]))
    open_ = sum(sample.split is None for sample in dataset.samples)
    if 0 < open_ < len(dataset):
        notes.append(say("formats.voc_open", count=open_))
    return notes


def _parsed(folder: Folder, refused: list[Refused]) -> dict[str, Annotation]:
    """Key → annotation, of the files that are sound."""
    top, rows = os.path.realpath(folder.root), {}
    for key, path in folder.annotations.items():
        try:
            rows[key] = parse(read_bytes(path, top))
            if ".." in rows[key].filename.replace("\\", "/").split("/"):
                refused.append(Refused(f"{folder.where(path)}: filename", say("formats.row_leaves", path=rows[key].filename[:120])))
        except ValueError as error:
            refused.append(Refused(folder.where(path), str(error)))
    return rows


def _claimed(folder: Folder, rows: dict[str, Annotation], refused: list[Refused]) -> dict[Path, str]:
    """Picture → key of its annotation: by path first, then by the file name it gives, if that is the name of one picture only."""
    by_name: dict[str, list[Path]] = {}
    for paths in folder.pictures.values():
        for path in paths:
            by_name.setdefault(unicodedata.normalize("NFC", path.name), []).append(path)
    claimed: dict[Path, str] = {}
    for key in sorted(folder.annotations, key=lambda key: (key not in folder.pictures, key)):
        name = unicodedata.normalize("NFC", rows[key].filename.replace("\\", "/").rpartition("/")[2]) if key in rows else ""
        found = folder.pictures.get(key) or by_name.get(name, [])
        found = [path for path in found if unicodedata.normalize("NFC", path.name) == name] or found
        where = folder.where(folder.annotations[key])
        if len(found) > 1:
            refused.append(Refused(where, say("objects.ambiguous", path=key, found=", ".join(map(folder.where, found[:3])))))
        elif found and found[0] not in claimed:
            claimed[found[0]] = key
        elif found:
            first = folder.where(folder.annotations[claimed[found[0]]])
            refused.append(Refused(where, say("objects.named_twice", path=folder.where(found[0]), record=first)))
        elif key in rows:
            refused.append(Refused(where, say("objects.missing", path=name or key)))
    return claimed


def _boxes(folder: Folder, refused: list[Refused], watch: Watch) -> Dataset:
    """A picture whose annotation cannot be used, or not one object of it, is as good as unlabelled: nobody knows what it shows."""
    rows = _parsed(folder, refused)
    claimed = _claimed(folder, rows, refused)
    parts = parts_of(folder, False, refused)
    samples, aside = [], Counter[str]()
    pictures = [(path, key) for key, paths in folder.pictures.items() for path in paths]
    for path, key in watch.each(say("formats.reading", name=folder.root.name), pictures):
        sample = Sample(folder.where(path), path, split=parts.get(key))
        samples.append(sample)
        if (owner := claimed.get(path)) is None:
            continue
        sample.record = folder.where(folder.annotations[owner])
        if owner in rows:
            sample.truth = _truth(path, rows[owner], sample.record, refused)
            aside.update(rows[owner].aside)
    notes = [say("formats.voc_aside", count=count, tag=f"<{tag}>") for tag, count in sorted(aside.items())]
    names = _names(folder, classes_of(folder, refused), samples)
    return Dataset(samples, names, "detect", folder.root, "voc", refused=refused, notes=notes)


def _truth(path: Path, annotation: Annotation, where: str, refused: list[Refused]) -> Boxes | None:
    try:
        objects = Objects(*size_of(path, annotation.size), refused)
    except ValueError as error:
        refused.append(Refused(where, say("objects.with_it", reason=str(error), count=len(annotation.things))))
        return None
    for number, thing in enumerate(annotation.things, 1):
        if thing.fault:
            refused.append(Refused(f"{where}: object {number}", thing.fault))
        else:
            x1, y1, x2, y2 = thing.corners
            objects.add(f"{where}: object {number}", thing.label, (x1 - 1, y1 - 1, x2, y2), thing.difficult)
    return objects.answer() if objects.labels or not annotation.things else None


def _names(folder: Folder, classes: Classes, samples: list[Sample]) -> list[str]:
    """Classes of objects: those of `labelmap.txt` in its order, then those found; its background only where an object is called so."""
    found = {label for sample in samples if isinstance(sample.truth, Boxes) for label in sample.truth.labels}
    said = [name for name in classes.names or [] if folder.labelmap and (name in found or name != BACKGROUND[0])]
    return said + in_order(found - set(said))


def _masks(folder: Folder, refused: list[Refused], watch: Watch) -> Dataset:
    """The class of every pixel; a picture without a mask is unlabelled."""
    classes = classes_of(folder, refused)
    parts = parts_of(folder, True, refused)
    samples, highest = [], 0
    for path, key in watch.each(say("formats.reading", name=folder.root.name), _single(folder, folder.classes, refused)):
        sample = Sample(folder.where(path), path, split=parts.get(key))
        if key in folder.classes:
            sample.record = folder.where(folder.classes[key])
            try:
                sample.truth, most = semantic(folder.classes[key], size_of(path), classes)
                highest = max(highest, most)
            except ValueError as error:
                refused.append(Refused(sample.record, str(error)))
        samples.append(sample)
    names = classes.names or NUMBERS[: highest + 1]
    for sample in samples:
        if isinstance(sample.truth, Mask):
            sample.truth.classes = names
    notes = [] if classes.names else [say("formats.voc_numbers", count=len(names))]
    return Dataset(samples, names, "segment", folder.root, "voc", refused=refused, notes=notes)


def _instances(folder: Folder, refused: list[Refused], watch: Watch) -> Dataset:
    """Objects with their outlines, classes from the annotations or from `SegmentationClass`."""
    classes = classes_of(folder, refused)
    rows = _parsed(folder, refused)
    parts = parts_of(folder, True, refused)
    samples = []
    for path, key in watch.each(say("formats.reading", name=folder.root.name), _single(folder, folder.objects, refused)):
        sample = Sample(folder.where(path), path, split=parts.get(key))
        if key in folder.objects:
            sample.record = where = folder.where(folder.objects[key])
            try:
                objects = Objects(*size_of(path), refused)
                separate(folder.objects[key], objects, where, rows.get(key), folder.classes.get(key), classes)
                sample.truth = objects.answer(masks=True)
            except ValueError as error:
                refused.append(Refused(where, str(error)))
        samples.append(sample)
    return Dataset(samples, _names(folder, classes, samples), "instances", folder.root, "voc", refused=refused)


def _single(folder: Folder, masks: dict[str, Path], refused: list[Refused]) -> list[tuple[Path, str]]:
    """(picture, key); masks of no picture, or of several, are refused."""
    for key, path in masks.items():
        if key not in folder.pictures:
            refused.append(Refused(folder.where(path), say("objects.missing", path=key)))
        elif len(found := folder.pictures[key]) > 1:
            refused.append(Refused(folder.where(path), say("objects.ambiguous", path=key, found=", ".join(map(folder.where, found[:3])))))
    return [(path, key) for key, paths in folder.pictures.items() for path in paths if len(paths) == 1 or key not in masks]
