"""The records of one COCO file: every picture, object and class is looked at, and named where it is not sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.data.sample import Refused, Sample
from omma.errors import DataError
from omma.formats._beside import Beside
from omma.formats._json import load, numbers, shown, text, whole
from omma.formats._objects import Objects, size_of, sound_polygon
from omma.progress import Watch
from omma.words import say

Key = int | str  # an id
_STRIDE = 1024  # objects between two words about how far we are


@dataclass(slots=True)
class Entry:
    """A picture and its objects.

    Args:
        labelled: its file says what it shows.
        rows: how many objects the file gives it, sound or not.
    """

    sample: Sample
    objects: Objects
    labelled: bool
    rows: int = 0

    def answer(self, masks: bool) -> Boxes | None:
        """Its truth; None where nobody knows what it shows: no list of objects, or not one that can be used."""
        known = self.labelled and (self.objects.labels or not self.rows)
        return self.objects.answer(masks) if known else None


@dataclass(slots=True)
class Document:
    """One file.

    Args:
        path: the file.
        where: how its records are named: path below the root.
        split: the part its pictures belong to.
        refused: where records that cannot be used are named.
        names: of the classes in the order of their ids, one for each id.
        entries: id → picture.
        keypoints: objects that also have points, which are not read.
    """

    path: Path
    where: str
    split: str | None
    refused: list[Refused]
    names: list[str] = field(default_factory=list)
    entries: dict[Key, Entry] = field(default_factory=dict)
    keypoints: int = 0
    _classes: dict[Key, str] = field(default_factory=dict)
    _named: dict[Key, str] = field(default_factory=dict)
    _spoiled: dict[Key, Refused] = field(default_factory=dict)

    def read(self, pictures: Beside, near: str, taken: dict[Path, str], watch: Watch) -> None:
        """Fill `entries`.

        Args:
            pictures: to be found by name.
            near: folder of the file below the root, where its pictures probably lie.
            taken: picture → record that named it, over all files.
            watch: told how far we are.

        Raises:
            DataError: not JSON, or a list is missing.
        """
        content = load(self.path)
        if not isinstance(content, dict):
            raise DataError(say("formats.json_object"), self.path)
        for name in ("images", "categories"):
            if not isinstance(content.get(name), list):
                raise DataError(say("formats.json_list", name=name), self.path)
        objects = content.get("annotations")
        if objects is not None and not isinstance(objects, list):
            raise DataError(say("formats.json_list", name="annotations"), self.path)
        for record, row in self._rows("categories", content["categories"]):
            self._category(record, row)
        self.names = [self._classes[key] for key in sorted(self._classes, key=lambda key: (isinstance(key, str), key))]
        reading = say("formats.reading", name=self.where)
        for record, row in watch.each(reading, self._rows("images", content["images"]), len(content["images"])):
            self._picture(record, row, pictures, near, taken, objects is not None)
        self._objects(objects or [], reading, watch)

    def _rows(self, name: str, rows: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """(record, row) of every row that is an object."""
        for place, row in enumerate(rows):
            record = f"{self.where}: {name}[{place}]"
            if isinstance(row, dict):
                yield record, row
            else:
                self._refuse(record, say("objects.malformed", reason=shown(row)))

    def _refuse(self, record: str, reason: str) -> Refused:
        self.refused.append(Refused(record, reason))
        return self.refused[-1]

    def _category(self, record: str, row: dict[str, Any]) -> None:
        try:
            key, name = _id(row, "id"), row.get("name")
            name = text(str(name) if whole(name) is not None else name)
            if name is None:
                raise ValueError(say("objects.no_field", name="name"))
            if key in self._classes:
                raise ValueError(say("objects.duplicate_id", id=shown(key)))
            self._classes[key] = name
        except ValueError as error:
            self._refuse(record, str(error))

    def _picture(self, record: str, row: dict[str, Any], pictures: Beside, near: str, taken: dict[Path, str], labelled: bool) -> None:
        key: Key | None = None
        try:
            key = _id(row, "id")
            name = text(row.get("file_name"))
            if name is None:
                raise ValueError(say("objects.no_field", name="file_name"))
            if key in self._named:
                self._apart(key, name)
            self._named[key] = name
            path = pictures.locate(name, near, self.split)
            if path in taken:
                raise ValueError(say("objects.named_twice", path=shown(name), record=taken[path]))
            size = size_of(path, (_side(row, "width"), _side(row, "height")))
        except ValueError as error:
            mine = self._refuse(record, str(error))
            if key is not None and key not in self.entries:
                self._spoiled.setdefault(key, mine)
            return
        taken[path] = record
        sample = Sample(path.relative_to(pictures.root).as_posix(), path, split=self.split, record=record)
        self.entries[key] = Entry(sample, Objects(*size, self.refused), labelled)

    def _apart(self, key: Key, name: str) -> None:
        """Where two pictures have one id, nobody can say whose its objects are: neither stays."""
        reason = say("objects.duplicate_id", id=shown(key))
        if self._named[key] != name and key in self.entries:
            self._spoiled[key] = self._refuse(str(self.entries.pop(key).sample.record), reason)
        raise ValueError(reason)

    def _objects(self, rows: list[Any], reading: str, watch: Watch) -> None:
        """Give every picture its objects; those of a refused picture are counted in its reason."""
        seen: set[Key] = set()
        orphans = Counter[Key]()
        for place, (record, row) in enumerate(self._rows("annotations", rows)):
            if place % _STRIDE == 0:
                watch.step(reading, place, len(rows))
            try:
                owner = _id(row, "image_id")
                if row.get("id") is not None:
                    if (key := _id(row, "id")) in seen:
                        raise ValueError(say("objects.duplicate_id", id=shown(key)))
                    seen.add(key)
                if owner in self._spoiled:
                    orphans[owner] += 1
                    continue
                if owner not in self.entries:
                    raise ValueError(say("objects.dangling", what="image_id", id=shown(owner)))
                self.entries[owner].rows += 1
                self._object(record, row, self.entries[owner].objects)
            except ValueError as error:
                self._refuse(record, str(error))
        watch.end(reading)
        for key, count in orphans.items():
            mine = self._spoiled[key]
            mine.reason = say("objects.with_it", reason=mine.reason, count=count)

    def _object(self, record: str, row: dict[str, Any], objects: Objects) -> None:
        """Add one object to its picture.

        Raises:
            ValueError: it is none.
        """
        category = _id(row, "category_id")
        if category not in self._classes:
            raise ValueError(say("objects.dangling", what="category_id", id=shown(category)))
        crowd = row.get("iscrowd")
        if crowd not in (None, 0, 1):
            raise ValueError(say("objects.no_field", name="iscrowd"))
        self.keypoints += bool(row.get("keypoints"))
        box = row.get("bbox")
        corners = None if box is None or box == [] else _corners(box)
        counts = self._outline(record, row.get("segmentation"), objects)
        if corners is None:
            if counts is None:
                raise ValueError(say("objects.no_field", name="bbox"))
            corners = _rle.box(counts, objects.height, objects.width)
        objects.add(record, self._classes[category], corners, bool(crowd), counts)

    def _outline(self, record: str, segmentation: object, objects: Objects) -> str | None:
        """The mask of an object as compressed run lengths; None where it has none."""
        height, width = objects.height, objects.width
        if segmentation in (None, [], [[]]):
            return None
        if isinstance(segmentation, dict):
            counts = _runs(segmentation, height, width)
        elif isinstance(segmentation, list):
            parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
            sound, bad = [], []
            for place, part in enumerate(parts):
                try:
                    if not isinstance(part, list) or any(type(value) not in (int, float) for value in part):
                        raise ValueError(say("objects.polygon_numbers"))
                    sound.append(sound_polygon(part, width, height))
                except ValueError as error:
                    bad.append((f"{record}.segmentation[{place}]", str(error)))
            if not sound:
                raise ValueError(bad[0][1])
            counts = _rle.from_polygons(sound, height, width)
            for where, reason in bad:
                self._refuse(where, reason)
        else:
            raise ValueError(say("objects.no_field", name="segmentation"))
        if not _rle.area(counts, height, width):
            raise ValueError(say("objects.empty_mask"))
        return counts


def _id(row: dict[str, Any], name: str) -> Key:
    """An id: a whole number or a word.

    Raises:
        ValueError: neither.
    """
    value = row.get(name)
    key = whole(value) if not isinstance(value, str) else text(value)
    if key is None:
        raise ValueError(say("objects.no_field", name=name))
    return key


def _side(row: dict[str, Any], name: str) -> int:
    """A declared side in pixels; 0 where nothing is said."""
    value = row.get(name)
    side = 0 if value is None else whole(value)
    if side is None:
        raise ValueError(say("objects.no_field", name=name))
    return side


def _corners(box: object) -> tuple[float, float, float, float]:
    """x, y, width, height → corners."""
    x, y, width, height = numbers(box, 4)
    return x, y, x + width, y + height


def _runs(segmentation: dict[str, Any], height: int, width: int) -> str:
    """Run lengths, a string or a list of whole numbers, → a string.

    Raises:
        ValueError: of another size than the picture, or not so many pixels.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        found = " × ".join(map(shown, size[::-1])) if isinstance(size, list) and len(size) == 2 else shown(size)
        raise ValueError(say("objects.mask_size", found=found, wanted=f"{width} × {height}"))
    if isinstance(counts, list):
        return _rle.from_runs([value if (value := whole(one)) is not None else -1 for one in counts], height, width)
    if not isinstance(counts, str):
        raise ValueError(say("objects.no_field", name="counts"))
    _rle.area(counts, height, width)
    return counts
