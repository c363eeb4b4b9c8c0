"""What lies in a VOC folder: pictures, annotations, masks and lists, brought together by their paths."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omma.data.decode import PICTURE_SUFFIXES, find_pictures, hidden, inside
from omma.data.sample import Refused
from omma.formats._beside import split_of
from omma.formats._texts import read_text
from omma.formats.folders import PLAIN
from omma.words import say

CLASS, OBJECT = "segmentationclass", "segmentationobject"
ANNOTATIONS = frozenset({"annotations", "annotation", "xmls", "xml", "labels", "label", "标注"})
_LISTS = "imagesets"
_NAMELESS = PLAIN | ANNOTATIONS | {CLASS, OBJECT}
_MOST = 64 << 20  # bytes of a list


@dataclass(slots=True)
class Folder:
    """Everything by *key*: the path below the root without suffix and without folders like `JPEGImages`.

    Args:
        root: the folder.
        pictures: several may share a key (`1.jpg`, `1.png`).
        annotations: XML files.
        classes, objects: PNGs of `SegmentationClass` and `SegmentationObject`.
        lists: text files below `ImageSets`.
        labelmap: `labelmap.txt`, where there is one.
    """

    root: Path
    pictures: dict[str, list[Path]] = field(default_factory=dict)
    annotations: dict[str, Path] = field(default_factory=dict)
    classes: dict[str, Path] = field(default_factory=dict)
    objects: dict[str, Path] = field(default_factory=dict)
    lists: list[Path] = field(default_factory=list)
    labelmap: Path | None = None

    def where(self, path: Path) -> str:
        """How a file is named to people: its path below the root."""
        return path.relative_to(self.root).as_posix()


def look(root: Path, refused: list[Refused]) -> Folder:
    """List a folder. Pictures beside a `JPEGImages` or `images` folder do not count; two annotations for one picture are refused."""
    folder = Folder(root)
    for path in _files(root, refused):
        parts = {part.lower() for part in path.relative_to(root).parts[:-1]}
        suffix = path.suffix.lower()
        if path.name.lower() == "labelmap.txt":
            folder.labelmap = folder.labelmap or path
        elif suffix == ".txt" and _LISTS in parts:
            folder.lists.append(path)
        elif suffix == ".xml" and _LISTS not in parts:
            key = key_of(path, root)
            if key in folder.annotations:
                first = folder.where(folder.annotations[key])
                refused.append(Refused(folder.where(path), say("objects.named_twice", path=key, record=first)))
            folder.annotations.setdefault(key, path)
    pictures = find_pictures(root)
    lower = [{part.lower() for part in path.relative_to(root).parts[:-1]} for path in pictures]
    plain = any(parts & PLAIN for parts in lower)
    for path, parts in zip(pictures, lower, strict=True):
        key = key_of(path, root)
        if parts & {CLASS, OBJECT}:
            (folder.classes if CLASS in parts else folder.objects).setdefault(key, path)
        elif not plain or parts & PLAIN:
            folder.pictures.setdefault(key, []).append(path)
    return folder


def _files(root: Path, refused: list[Refused]) -> Iterator[Path]:
    """Text and XML files, sorted; a link that leaves the folder is refused."""
    top = os.path.realpath(root)
    for here, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not hidden(name))
        for name in sorted(files):
            path = Path(here, name)
            if hidden(name) or path.suffix.lower() not in (".xml", ".txt"):
                continue
            if path.is_symlink() and not inside(path, top):
                refused.append(Refused(path.relative_to(root).as_posix(), say("formats.row_leaves", path=name)))
            else:
                yield path


def key_of(path: Path, root: Path) -> str:
    """`train/JPEGImages/deep/1.jpg` and `train/Annotations/deep/1.xml` → `train/deep/1`."""
    *folders, name = path.relative_to(root).parts
    stem = name.rpartition(".")[0] or name
    return unicodedata.normalize("NFC", "/".join([*(part for part in folders if part.lower() not in _NAMELESS), stem]))


def parts_of(folder: Folder, masks: bool, refused: list[Refused]) -> dict[str, str]:
    """Key → train, val or test, from the lists in `ImageSets/Main` (`Segmentation` for masks), else from folders with such names.

    `trainval` counts as train where no list tells more. A line that names no picture, or one of another part, is refused.
    """
    places = {path.parent.name.lower() for path in folder.lists}
    liked = next((name for name in (("segmentation", "main") if masks else ("main", "segmentation")) if name in places), _LISTS)
    lists = {}
    for path in folder.lists:
        word = path.stem.lower()
        part = "trainval" if word == "trainval" else split_of(word) if "_" not in word else None
        if part and path.parent.name.lower() == liked:
            lists[path] = part
    held: dict[str, str] = {}
    for path, part in sorted(lists.items(), key=lambda row: (row[1] == "trainval", row[0])):
        top = path.parent if liked == _LISTS else path.parent.parent
        ahead = key_of(top.parent / ".x", folder.root).removesuffix(".x")
        _list(folder, path, part, ahead, held, refused)
    if not lists:
        held = {key: part for key in folder.pictures if (part := split_of(*key.split("/")[-2::-1]))}
    return held


def _list(folder: Folder, path: Path, part: str, ahead: str, held: dict[str, str], refused: list[Refused]) -> None:
    where = folder.where(path)
    try:
        text, _ = read_text(path, os.path.realpath(folder.root), _MOST)
    except ValueError as error:
        refused.append(Refused(where, str(error)))
        return
    for line, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        key = next((key for key in _keys(row, ahead) if key in folder.pictures), None)
        if key is None:
            refused.append(Refused(f"{where}:{line}", say("objects.missing", path=row.strip()[:120])))
            continue
        first = held.setdefault(key, "train" if part == "trainval" else part)
        if first != part and (part != "trainval" or first == "test"):
            refused.append(Refused(f"{where}:{line}", say("objects.two_parts", path=key, first=first, second=part)))


def _keys(row: str, ahead: str) -> Iterator[str]:
    """What a line may mean: a stem, a path, a picture's name; the first word of it where more follows, as lists of one class have it."""
    for text in (row, row.strip(), row.split()[0]):
        text = unicodedata.normalize("NFC", text)
        yield ahead + text
        stem = text.rpartition(".")[0] if Path(text).suffix.lower() in PICTURE_SUFFIXES | {".xml"} else text
        yield ahead + key_of(Path("/", f"{stem}.x"), Path("/"))
