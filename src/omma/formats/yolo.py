"""YOLO: a text file a picture with a row an object, boxes or outlines as shares of the picture; data.yaml or classes.txt has the names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from omma.answers.boxes import Boxes
from omma.data.decode import PICTURE_SUFFIXES
from omma.data.sample import SPLITS, Dataset, Refused, Sample
from omma.errors import DiskError
from omma.formats import _yolo_layout, _yolo_rows
from omma.formats._objects import size_of
from omma.formats._texts import find_files, head, read_text
from omma.formats._written import names_of, put_pictures
from omma.formats._yolo_layout import SUFFIXES, Layout, keyed, label_files
from omma.formats._yolo_rows import Row
from omma.progress import Watch
from omma.words import say

HOLDS = ("boxes", "instances")
_SOME, _MANY = 12, 20_000  # label files looked into, entries looked at, to guess
_MOST = 4 << 20  # bytes of a label file: a hundred thousand boxes


def sniff(path: Path) -> float:
    """0.9 for label files whose rows are YOLO's, or a data.yaml itself; 0.6 for text files in `labels` or a data.yaml alone."""
    if path.is_file():
        return 0.9 if path.suffix.lower() in SUFFIXES else 0.0
    if not path.is_dir():
        return 0.0
    told = [_looks(label) for label in _likely(path)]
    if any(told) and told.count(True) * 2 >= told.count(False):
        return 0.9
    named = any(map(_yolo_layout.names_parts, _yolo_layout.candidates(path)))
    apart = any("labels" in label.parts[len(path.parts) : -1] for label in _likely(path))
    return 0.6 if named or apart else 0.0


def _likely(path: Path) -> list[Path]:
    """A few text files that have a picture to them."""
    files = find_files(path, (".txt", *PICTURE_SUFFIXES), _MANY)
    texts = keyed([file for file in files if file.suffix.lower() == ".txt"], path)
    pictures = keyed([file for file in files if file.suffix.lower() != ".txt"], path) if texts else {}
    found = (texts[name] for picture in pictures for name in label_files(picture) if name in texts)
    return [label for label, _ in zip(dict.fromkeys(found), range(_SOME), strict=False)]


def _looks(label: Path) -> bool | None:
    """Whether the first row is a whole number and at least four more numbers; None where there is no row."""
    line = next((line for line in head(label).decode("latin-1").splitlines() if line.strip()), None)
    try:
        numbers = [float(cell[:40]) for cell in line.split()[:5]] if line is not None else []
    except ValueError:
        return False
    return None if line is None else len(numbers) == 5 and numbers[0] >= 0 and numbers[0].is_integer()


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """Samples sorted by id; a row that cannot be used is refused as `labels/a.txt:12`.

    `Instances` where every row is a polygon, else `Boxes`. A picture without a label file shows nothing if others in its folder have one
    (YOLO's convention), else nobody has labelled it; so too where not one row of its label file can be used.

    Args:
        path: a folder with a data.yaml, with `images` and `labels`, or with label files beside the pictures; or a data.yaml.
        watch: told how far reading is.

    Raises:
        DataError: no pictures, or a data.yaml or class list that cannot be read.
    """
    watch, path = watch or Watch(), Path(path)
    plan = _yolo_layout.layout(path)
    twice: list[str] = []
    rows = {picture: _rows(plan, picture, twice) for picture in watch.each(say("formats.reading", name=path.name), sorted(plan.pictures))}
    every = [row for found in rows.values() for row in found or ()]
    masks = bool(every) and all(row.polygon is not None for row in every)
    classes = plan.classes if plan.classes is not None else {number: str(number) for number in sorted({row.number for row in every})}
    samples = []
    for picture, found in rows.items():
        sample = Sample(plan.pictures[picture].relative_to(plan.root).as_posix(), plan.pictures[picture], split=plan.splits.get(picture))
        sample.record = plan.labels[picture].relative_to(plan.root).as_posix() if picture in plan.labels else None
        if found is not None:
            try:
                sample.truth = _yolo_rows.answer(found, classes, size_of(plan.pictures[picture]), masks, plan.refused)
            except ValueError as error:
                plan.refused.append(Refused(sample.id, str(error)))
        samples.append(sample)
    samples.sort(key=lambda sample: sample.id)
    known = any(sample.truth is not None for sample in samples)
    task = ("instances" if masks else "detect") if known else None
    plan.notes += _notes(plan, rows, masks, twice, samples)
    names = list(dict.fromkeys(classes.values())) if known else []
    return Dataset(samples, names, task, path, "yolo", refused=plan.refused, notes=plan.notes)


def _rows(plan: Layout, picture: str, twice: list[str]) -> list[Row] | None:
    """The rows of a picture; None where nobody has labelled it, or its label file is none."""
    label = plan.labels.get(picture)
    if label is None:
        return [] if any(name.rpartition("/")[0] in plan.homes for name in label_files(picture)) else None
    name = label.relative_to(plan.root).as_posix()
    try:
        text, _ = read_text(label, plan.top, _MOST)
    except ValueError as error:
        plan.refused.append(Refused(name, str(error)))
        return None
    before = len(plan.refused)
    rows = _yolo_rows.rows_of(text, name, plan.classes, plan.extra, plan.refused, twice)
    return rows or (None if len(plan.refused) > before else [])


def _notes(plan: Layout, rows: dict[str, list[Row] | None], masks: bool, twice: list[str], samples: list[Sample]) -> Iterator[str]:
    """What a person should know about how it was understood."""
    every = [row for found in rows.values() for row in found or ()]
    if plan.classes is None and every:
        yield say("formats.yolo_no_names")
    elif plan.classes and len(set(plan.classes.values())) < len(plan.classes):
        doubles = [name for name, count in Counter(plan.classes.values()).items() if count > 1]
        yield say("formats.same_name", file=plan.root.name, names=", ".join(doubles[:5]))
    empty = sum(found is not None and picture not in plan.labels for picture, found in rows.items())
    if empty:
        yield say("formats.yolo_background", count=empty)
    open_ = sum(sample.truth is None for sample in samples)
    if open_:
        yield say("formats.no_truth", count=open_)
    outlines = sum(row.polygon is not None for row in every)
    if outlines and not masks:
        yield say("formats.some_outlines", bare=len(every) - outlines, count=len(every))
    if masks and all(row.polygon is not None and len(row.polygon) == 4 for row in every):
        yield say("formats.yolo_quads", count=outlines)
    if twice:
        yield say("formats.rows_twice", count=len(twice), first=twice[0])
    if plan.extra:
        yield say("formats.yolo_points")


def write(dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
    """`data.yaml`, `images/` and `labels/`, each with train, val and test below where there are parts; what was lost, in words.

    Parts and holes of an object are joined to one outline by seams without width. Pictures nobody has labelled are put into a folder
    `unlabelled`, for YOLO would take them to show nothing.

    Raises:
        DiskError: the disk does not take it.
    """
    path = Path(path)
    parts = bool(dataset.counts())
    open_ = sum(sample.split is None and sample.truth is not None for sample in dataset.samples) if parts else 0
    placed = replace(dataset, samples=[replace(s, split=s.split or "train") for s in dataset.samples]) if parts else dataset
    homes = ["unlabelled" if sample.truth is None else "images" for sample in placed.samples]
    names = [PurePosixPath(home) / name for home, name in zip(homes, names_of(placed, splits=True), strict=True)]
    put_pictures(placed, path, names, watch)
    try:
        lost = _put_labels(placed, path, names)
    except OSError as error:
        raise DiskError(say("formats.not_written", reason=error.strerror or error), path) from None
    lines = [say(f"formats.yolo_lost.{key}", count=count) for key, count in lost.items() if count]
    if groups := sum(bool(sample.group) for sample in dataset.samples):
        lines.append(say("formats.lost_groups", count=groups))
    if open_:
        lines.append(say("formats.yolo_open", count=open_))
    return lines if parts else [*lines, say("formats.yolo_no_split")]


def _put_labels(dataset: Dataset, path: Path, names: list[PurePosixPath]) -> dict[str, int]:
    """The label files and data.yaml; how much of what was lost."""
    import yaml

    rows = zip(dataset.samples, names, strict=True)
    labelled = [(sample.truth, sample.split, name) for sample, name in rows if isinstance(sample.truth, Boxes)]
    classes = list(dict.fromkeys([*dataset.names, *(label for truth, _, _ in labelled for label in truth.labels)]))
    number = {name: place for place, name in enumerate(classes)}
    lost = {"nobody": len(names) - len(labelled), "aside": 0, "joined": 0, "blank": 0}
    for truth, _, name in labelled:
        label = path.joinpath("labels", *name.parts[1:]).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(_yolo_rows.written(truth, number, lost), "utf-8")
    held = {split for _, split, _ in labelled}
    about = {split: f"images/{split}" for split in SPLITS if split in held} | {"nc": len(classes), "names": classes}
    path.mkdir(parents=True, exist_ok=True)
    path.joinpath("data.yaml").write_text(yaml.safe_dump(about, allow_unicode=True, sort_keys=False), "utf-8")
    return lost
