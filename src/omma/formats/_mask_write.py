"""Masks written as PNG: index pictures with a palette for classes, 16-bit label maps for objects, and the lists that name them."""

from __future__ import annotations

import csv as tables_of_text
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from omma.answers import _marks, _rle
from omma.answers.instances import Instances
from omma.answers.mask import VOID, Mask, is_background
from omma.data.crew import in_threads
from omma.data.sample import Dataset
from omma.errors import DiskError
from omma.formats._mask_names import OBJECTS, is_void
from omma.formats._written import names_of, put_pictures
from omma.progress import Watch
from omma.words import say

MOST = 0xFFFF  # objects a 16-bit label map can number
GROUPS = "groups.csv"

Row = tuple[str, int, str]  # mask, value, class


def write(dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
    """`images/` and `masks/` (classes) or `instances/` (objects), splits as folders below them; says what was lost, in words.

    Void pixels have the value 255. Where objects overlap, the later one keeps the pixels. Pictures without a truth have no mask.

    Args:
        dataset: its truths are `Mask`, or `Instances`, or None.
        path: a folder, made if need be.

    Raises:
        DiskError: the disk does not take it.
    """
    names, watch = names_of(dataset, splits=True), watch or Watch()
    put_pictures(dataset, path / "images", names, watch)
    objects = any(isinstance(sample.truth, Instances) for sample in dataset.samples)
    folder = "instances" if objects else "masks"
    colours = _palette(dataset.names)
    lost: Counter[str] = Counter()
    rows: list[Row] = []

    def put(place: int) -> tuple[Counter[str], list[Row]]:
        truth, target = dataset.samples[place].truth, (path / folder / names[place]).with_suffix(".png")
        told: tuple[Counter[str], list[Row]] = Counter(), []
        if isinstance(truth, Instances):
            values, told = _map(truth, target.relative_to(path).as_posix())
            image = Image.fromarray(values)
        elif isinstance(truth, Mask):
            image = Image.fromarray(_among(truth, dataset.names))
            image.putpalette(colours)
        else:
            return told
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target)
        return told

    try:
        for counts, found in _watched(in_threads(put, range(len(dataset))), len(dataset), watch):
            lost += counts
            rows += found
        _lists(dataset, path, names, rows if objects and len(dataset.names) > 1 else None)
    except OSError as error:
        raise DiskError(say("formats.not_written", reason=error.strerror or error), path) from None
    words = [say(f"masks.lost_{what}", count=lost[what]) for what in ("overlap", "hidden", "ignored", "beyond") if lost[what]]
    unscored = [name for name in dataset.names if is_void(name)] if not objects else []
    return words + ([say("masks.lost_void", names=", ".join(unscored))] if unscored else [])


def _watched(results: Iterator, total: int, watch: Watch) -> Iterator:
    yield from watch.each(say("masks.writing"), results, total)


def _palette(names: list[str]) -> list[int]:
    """256 colours, three values each: classes as they are drawn elsewhere, a first class called background black, void grey."""
    colours = [(0, 0, 0)] * 256
    colours[: len(names)] = list(_marks.palette(names).values())
    if names and is_background(names[0]):
        colours[0] = (0, 0, 0)
    colours[VOID] = _marks.GREY
    return [value for colour in colours for value in colour]


def _among(truth: Mask, names: list[str]) -> np.ndarray:
    """(H, W) uint8: places in the dataset's names, whatever their order in this one mask."""
    table = np.full(256, VOID, np.uint8)
    table[: len(truth.classes)] = [names.index(name) for name in truth.classes]
    return table[truth.pixels]


def _map(truth: Instances, record: str) -> tuple[np.ndarray, tuple[Counter[str], list[Row]]]:
    """(H, W) uint16: the number of the object each pixel belongs to, from 1; what was lost; what the numbers stand for."""
    values = np.zeros((truth.height, truth.width), np.uint16)
    lost: Counter[str] = Counter()
    kept: dict[int, str] = {}
    for place, counts in enumerate(truth.counts):
        if truth.ignored is not None and truth.ignored[place]:
            lost["ignored"] += 1
        elif len(kept) == MOST:
            lost["beyond"] += 1
        else:
            shape = _rle.decode(counts, truth.height, truth.width)
            lost["overlap"] += int((values[shape] > 0).sum())
            kept[len(kept) + 1] = truth.labels[place]
            values[shape] = len(kept)
    seen = set(np.unique(values).tolist())
    lost["hidden"] = len(kept.keys() - seen)
    return values, (lost, [(record, value, label) for value, label in kept.items() if value in seen])


def _lists(dataset: Dataset, path: Path, names: list[PurePosixPath], rows: list[Row] | None) -> None:
    """`classes.txt`; `objects.csv` where objects are of several classes; `groups.csv` where pictures belong together."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "classes.txt").write_text("".join(f"{name}\n" for name in dataset.names), "utf-8")
    if rows is not None:
        _table(path / OBJECTS, [("mask", "value", "label"), *rows])
    groups = [(f"images/{name}", sample.group) for name, sample in zip(names, dataset.samples, strict=True) if sample.group]
    if groups:
        _table(path / GROUPS, [("path", "group"), *groups])


def _table(path: Path, rows: list[tuple]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        tables_of_text.writer(file).writerows(rows)
