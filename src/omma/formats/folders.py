"""Class folders, with or without train, val and test above or below them; a folder of pictures alone has no labels."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

from omma.answers.label import Label
from omma.data.decode import PICTURE_SUFFIXES, find_pictures, hidden
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.progress import Watch
from omma.words import say

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
    "训练": "train", "训练集": "train", "验证": "val", "验证集": "val", "测试": "test", "测试集": "test",
}  # fmt: skip
# Folders called like this hold pictures of every class, or masks and boxes: they are no classes.
PLAIN = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "pics", "data", "图片", "照片"})
_TRUTHS = frozenset({"labels", "masks", "mask", "annotations", "segmentations", "segmentation", "labelstr"})
FEW, A_DOZEN = 20, 24


def sniff(path: Path) -> float:
    """0.5 for class folders, 0.2 for pictures without them, 0 for anything else."""
    if not path.is_dir():
        return 0.0
    flat = False
    for here, below, files in os.walk(path):
        below[:] = [name for name in below if not hidden(name)]
        if any(os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES for name in files if not hidden(name)):
            if Path(here) != path:
                return 0.5
            flat = True
    return 0.2 if flat else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """Samples with the name of their class folder; folders below a class folder count to it.

    `train/cats/1.jpg`, `cats/train/1.jpg` and `cats/1.jpg` all are cats.

    Raises:
        DataError: no pictures at all; says what there was instead.
    """
    path = Path(path)
    pictures = find_pictures(path)
    if not pictures:
        raise DataError(say("formats.no_pictures", found=found(path)), path, say("formats.no_pictures_fix"))
    return placed(path, pictures)


def placed(path: Path, pictures: list[Path]) -> Dataset:
    """Files below a folder as samples, labelled by the names of folders, see `read`."""
    rows = [(picture, [unicodedata.normalize("NFC", part) for part in picture.relative_to(path).parts]) for picture in pictures]
    tops = {parts[0] for _, parts in rows if len(parts) > 1}
    if not tops or {top.lower() for top in tops} <= PLAIN:
        return _unlabelled(path, rows)
    cut = _split_level(rows, tops)
    samples: list[Sample] = []
    aside, counts = Counter[str](), Counter[str]()
    for picture, parts in rows:
        split, label = _place(parts, cut)
        if label is None:
            aside[parts[0] if len(parts) > 1 else "."] += 1
        else:
            counts[label] += 1
            samples.append(Sample(picture.relative_to(path).as_posix(), picture, truth=Label(label), split=split))
    if not samples:
        return _unlabelled(path, rows)
    names = in_order(set(counts))
    notes = _notes(path, counts, names, aside, cut, tops)
    return Dataset(sorted(samples, key=lambda sample: sample.id), names, "classify", path, "folders", notes=notes)


def _split_level(rows: list[tuple[Path, list[str]]], tops: set[str]) -> int | None:
    """0 where train, val, test are the top folders, 1 where every class folder holds them, None where there are none."""
    splits = {SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
    others = [top for top in tops if top.lower() not in SPLITS and top.lower() not in PLAIN]
    if len(splits) > 1 or (splits and not others):
        return 0
    below = [parts[1].lower() for _, parts in rows if len(parts) > 2]
    deep = len(below) == sum(len(parts) > 1 for _, parts in rows)
    return 1 if deep and below and set(below) <= SPLITS.keys() and len({SPLITS[name] for name in below}) > 1 else None


def _place(parts: list[str], cut: int | None) -> tuple[str | None, str | None]:
    """(split, class) of a picture by its path; no class if it lies beside the class folders."""
    if cut == 0:
        split = SPLITS.get(parts[0].lower())
        return split, parts[1] if split and len(parts) > 2 else None
    if len(parts) < 2:
        return None, None
    return SPLITS[parts[1].lower()] if cut == 1 else None, parts[0]


def in_order(names: set[str]) -> list[str]:
    """Class names sorted; by value where all are whole numbers."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)


def _unlabelled(path: Path, rows: list[tuple[Path, list[str]]]) -> Dataset:
    """Pictures without labels, and what can be done with them; folders called train, val and test still are parts."""
    kinds = Counter(picture.suffix.lower().lstrip(".") for picture, _ in rows)
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    notes = [say("formats.unlabelled", count=len(rows), kinds=shown), say("formats.unlabelled_fix", path=path)]
    if len(rows) <= A_DOZEN:
        notes.append(say("formats.a_dozen", count=len(rows)))
    samples = [
        Sample(picture.relative_to(path).as_posix(), picture, split=SPLITS.get(parts[0].lower()) if len(parts) > 1 else None)
        for picture, parts in rows
    ]
    return Dataset(sorted(samples, key=lambda sample: sample.id), [], None, path, "folders", notes=notes)


def _notes(path: Path, counts: Counter[str], names: list[str], aside: Counter[str], cut: int | None, tops: set[str]) -> list[str]:
    """What a person should know about how the folder was understood."""
    notes = []
    if aside:
        notes.append(say("formats.aside", count=sum(aside.values()), where=", ".join(sorted(aside)[:5])))
    if empty := _empty(path, cut, names):
        notes.append(say("formats.empty_classes", names=", ".join(empty[:10])))
    if {top.lower() for top in tops} & _TRUTHS:
        notes.append(say("formats.looks_like_masks", names=", ".join(sorted(tops))))
    if len(names) == 1:
        notes.append(say("formats.one_class", name=names[0]))
    few = [name for name in names if counts[name] < FEW]
    if few:
        notes.append(say("formats.few", count=counts.total(), names=", ".join(f"{name} ({counts[name]})" for name in few[:8]), want=FEW))
    return notes


def _empty(path: Path, cut: int | None, names: list[str]) -> list[str]:
    """Class folders in which there is no picture."""
    tops = [entry for entry in path.iterdir() if entry.is_dir() and not hidden(entry.name)]
    if cut == 0:
        tops = [entry for top in tops for entry in top.iterdir() if entry.is_dir() and not hidden(entry.name)]
    seen = {unicodedata.normalize("NFC", entry.name) for entry in tops}
    return sorted(seen - set(names))


def found(path: Path) -> str:
    """What lies in a folder that has no pictures: counts by suffix, for the message."""
    kinds: Counter[str] = Counter()
    folders = 0
    for _, below, files in os.walk(path):
        below[:] = [name for name in below if not hidden(name)]
        folders += len(below)
        kinds.update(os.path.splitext(name)[1].lower() or name for name in files if not hidden(name))
        if sum(kinds.values()) > 100_000:
            break
    shown = [f"{count} {kind}" for kind, count in kinds.most_common(6)]
    return ", ".join([*shown, say("formats.folders", count=folders)] if folders or not shown else shown)
