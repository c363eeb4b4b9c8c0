"""LabelMe: a JSON file a picture, beside it or in a folder of its own, with polygons, rectangles, circles and pixel masks."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.decode import PICTURE_SUFFIXES, find_pictures
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DataError, DiskError
from omma.formats._beside import Beside, split_of
from omma.formats._json import shown
from omma.formats._labelme_shapes import Thing, collect, things_of
from omma.formats._objects import size_of
from omma.formats._outlines import joined, rings
from omma.formats._texts import MOST, decoded, find_files, head, read_bytes
from omma.formats._written import names_of, put_pictures
from omma.formats.folders import in_order
from omma.progress import Watch
from omma.words import say

HOLDS = ("boxes", "instances")
_SOME, _MANY = 5, 20_000
_WHOLE = 64 << 20  # bytes of a file with the picture in it
_OURS = re.compile(rb'"(shapes|imageData|imagePath)"\s*:')
# The picture itself, in base64: large, and never read.
_PICTURE = re.compile(rb'"imageData"\s*:\s*"[^"\\]*"')


@dataclass(slots=True)
class _File:
    """One label file, read."""

    name: str
    size: tuple[int, int]
    things: list[Thing]
    bad: bool


def sniff(path: Path) -> float:
    """0.9 for a folder whose JSON files speak of shapes or of one picture each."""
    if not path.is_dir():
        return 0.0
    told = [bool(_OURS.search(head(file))) for file in find_files(path, (".json",), _MANY)[:_SOME]]
    return 0.9 if told and sum(told) * 2 >= len(told) else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """Samples sorted by id; a shape that cannot be used is refused as `a.json: shapes[3]`.

    `Instances` where every object has an outline, else `Boxes`. Shapes with the same label and `group_id` are one object. A picture without
    a JSON file is unlabelled, and so is one of whose shapes not one can be used; a file without shapes says that its picture shows nothing.
    `imageData` is not read.

    Raises:
        DataError: no pictures, or no JSON file.
    """
    watch, path = watch or Watch(), Path(path)
    top, dataset = os.path.realpath(path), Dataset([], [], None, path, "labelme")
    files, pictures = find_files(path, (".json",)), find_pictures(path)
    if not pictures or not files:
        from omma.formats.folders import found

        raise DataError(say("formats.no_pictures" if files else "formats.labelme_no_files", found=found(path)), path)
    known: dict[Path, _File] = {}
    beside, moved, odd = Beside(path), list[str](), list[tuple[str, str]]()
    for file in watch.each(say("formats.reading", name=path.name), files):
        name = file.relative_to(path).as_posix()
        try:
            content, encoding = _load(file, top)
            odd += [(name, encoding)] if encoding not in ("UTF-8", "UTF-16") else []
            picture = _picture(content, file, beside, moved)
            if picture in known:
                raise ValueError(say("objects.named_twice", path=picture.relative_to(path).as_posix(), record=known[picture].name))
            size = size_of(picture, _declared(content))
            before = len(dataset.refused)
            things = things_of(content["shapes"], name, size, dataset.refused)
            known[picture] = _File(name, size, things, len(dataset.refused) > before)
        except ValueError as error:
            dataset.refused.append(Refused(name, str(error)))
    _settle(dataset, pictures, known)
    if moved:
        dataset.notes.append(say("formats.labelme_moved", count=len(moved), first=moved[0]))
    if odd:
        dataset.notes.append(say("formats.latin", name=odd[0][0], encoding=odd[0][1]))
    return dataset


def _load(file: Path, top: str) -> tuple[dict[str, Any], str]:
    """(content with a list of shapes, encoding) of a label file.

    Raises:
        ValueError: it cannot be read, is not JSON, or no label file of LabelMe's.
    """
    raw = _PICTURE.sub(b'"imageData": ""', read_bytes(file, top, _WHOLE))
    if len(raw) > MOST:
        raise ValueError(say("formats.too_large", size=len(raw) >> 20))
    text, encoding = decoded(raw)
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(say("formats.json_deep")) from None
    except ValueError as error:
        raise ValueError(say("formats.json_broken", reason=shown(str(error)))) from None
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise ValueError(say("formats.labelme_none"))
    return content, encoding


def _picture(content: dict[str, Any], file: Path, beside: Beside, moved: list[str]) -> Path:
    """The picture of a label file: by imagePath, else the one beside it that has its name.

    Raises:
        ValueError: there is none, or only its copy inside the file.
    """
    name, folder = content.get("imagePath"), file.parent.relative_to(beside.root).as_posix()
    near = "" if folder == "." else folder
    reason = say("formats.labelme_no_picture")
    if isinstance(name, str) and name.strip():
        try:
            return beside.locate(name, near, split_of(*folder.split("/")[::-1]))
        except ValueError as error:
            reason = str(error)
    twins = (file.with_suffix(suffix) for suffix in PICTURE_SUFFIXES)
    twin = next((twin for twin in sorted(twins) if twin.is_file() and not twin.is_symlink()), None)
    if twin is None:
        raise ValueError(f"{reason} — {say('formats.labelme_inside')}" if "imageData" in content else reason)
    moved.append(file.relative_to(beside.root).as_posix())
    return twin


def _declared(content: dict[str, Any]) -> tuple[int, int] | None:
    """(width, height) as the file says; None where it says nothing.

    Raises:
        ValueError: it says something else than whole numbers.
    """
    sides = [content.get(key) for key in ("imageWidth", "imageHeight")]
    if any(side is None for side in sides):
        return None
    if not all(isinstance(side, int) and not isinstance(side, bool) and 0 < side < 1 << 31 for side in sides):
        found = " × ".join(shown(side) for side in sides)
        raise ValueError(say("formats.labelme_size", found=found))
    return int(sides[0]), int(sides[1])  # type: ignore[arg-type]


def _settle(dataset: Dataset, pictures: list[Path], known: dict[Path, _File]) -> None:
    """Truths, names, task and notes."""
    things = [thing for file in known.values() for thing in file.things]
    masks = bool(things) and not any(thing.plain for thing in things)
    for picture in pictures:
        parts = picture.relative_to(dataset.root).parts
        sample = Sample("/".join(parts), picture, split=split_of(*parts[-2::-1]))
        if file := known.get(picture):
            objects = collect(file.things, file.size, masks, dataset.refused)
            sample.record = file.name
            sample.truth = objects.answer(masks) if objects.labels or not (file.bad or file.things) else None
        dataset.samples.append(sample)
    dataset.samples.sort(key=lambda sample: sample.id)
    truths = [sample.truth for sample in dataset.samples if isinstance(sample.truth, Boxes)]
    dataset.names = in_order({label for truth in truths for label in truth.labels})
    dataset.task = ("instances" if masks else "detect") if truths else None
    if open_ := len(dataset) - len(truths):
        dataset.notes.append(say("formats.no_truth", count=open_))
    plain = sum(thing.plain for thing in things)
    if 0 < plain < len(things):
        dataset.notes.append(say("formats.some_outlines", bare=plain, count=len(things)))


def write(dataset: Dataset, path: Path, watch: Watch | None = None) -> list[str]:
    """A JSON file beside every picture that somebody has labelled, in train, val and test where there are parts; what was lost, in words.

    The parts of an object are polygons of one `group_id`; holes are joined to the outline by seams without width. Ignored objects carry the
    flag `difficult`.

    Raises:
        DiskError: the disk does not take it.
    """
    path, names = Path(path), names_of(dataset, splits=True)
    put_pictures(dataset, path, names, watch)
    cut = 0
    for sample, name in zip(dataset.samples, names, strict=True):
        if not isinstance(sample.truth, Boxes):
            continue
        shapes, holed = _shapes(sample.truth)
        cut += holed
        content: dict[str, Any] = {
            "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": name.name, "imageData": None,
            "imageHeight": sample.truth.height, "imageWidth": sample.truth.width,
        }  # fmt: skip
        try:
            path.joinpath(name).with_suffix(".json").write_text(json.dumps(content, ensure_ascii=False, indent=1), "utf-8")
        except OSError as error:
            raise DiskError(say("formats.not_written", reason=error.strerror or error), path / name) from None
    lines = [say("formats.labelme_holes", count=cut)] if cut else []
    groups = sum(bool(sample.group) for sample in dataset.samples)
    return lines + ([say("formats.lost_groups", count=groups)] if groups else [])


def _shapes(truth: Boxes) -> tuple[list[dict[str, Any]], int]:
    """(shapes of one picture, how many of its objects have holes)."""
    shapes: list[dict[str, Any]] = []
    holed = 0
    for place, label in enumerate(truth.labels):
        kind, parts, group = "rectangle", [truth.boxes[place].reshape(2, 2)], None
        if isinstance(truth, Instances):
            outer, holes = rings(truth.counts[place], truth.width, truth.height)
            holed += bool(holes)
            parts = [joined([*outer, *holes])] if holes else outer
            kind, group = "polygon", place if len(parts) > 1 else None
        flags = {"difficult": True} if truth.ignored is not None and truth.ignored[place] else {}
        shapes += [
            {"label": label, "points": np.round(points, 4).tolist(), "group_id": group, "shape_type": kind, "flags": flags}
            for points in parts
        ]
    return shapes, holed
