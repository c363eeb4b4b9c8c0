"""COCO JSON: boxes, polygons and run lengths in one file, or one file for each part, beside the pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from omma.data.decode import hidden
from omma.data.sample import Dataset, Refused, Sample
from omma.errors import DataError
from omma.formats._beside import Beside, split_of
from omma.formats._coco_records import Document
from omma.formats._coco_write import write
from omma.progress import Watch
from omma.words import say

__all__ = ["HOLDS", "read", "sniff", "write"]

HOLDS = ("boxes", "instances")
# Folders that hold label files and no pictures.
_ASIDE = frozenset({"annotations", "annotation", "labels", "ann", "json", "标注"})
# COCO's own files beside `instances_…`: other labels of the same pictures.
_COMPANIONS = ("captions_", "person_keypoints_", "panoptic_", "stuff_")
_LOOK = 1 << 16
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


def sniff(path: Path) -> float:
    """0.9 for a JSON file with COCO's lists, or a folder with one in it, in `annotations/` or in `train/`, `val/`, `test/`."""
    files = _candidates(path, 4) if path.is_dir() else [path] if path.suffix.lower() == ".json" and path.is_file() else []
    return 0.9 if any(map(_speaks, files)) else 0.0


def _candidates(path: Path, most: int | None = None) -> list[Path]:
    """JSON files at the top of a folder and in the folders that usually hold them; `most` from each, in no order."""
    below = [entry for entry in path.iterdir() if entry.name.lower() in _ASIDE or split_of(entry.name)]
    places = [path, *sorted(entry for entry in below if entry.is_dir())]
    files = [file for place in places for file in islice(_json_in(place), most)]
    return files if most else sorted(files)


def _json_in(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() == ".json" and file.is_file() and not hidden(file.name))


def _speaks(file: Path) -> bool:
    """Whether the first and last bytes show two of COCO's lists, or one and none of other tools' words."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(_LOOK)
            stream.seek(max(len(head), file.stat().st_size - _LOOK))
            ends = head + stream.read(_LOOK)
    except OSError:
        return False
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        ends = ends.replace(b"\0", b"")
    keys = set(_KEYS.findall(ends))
    return len(keys) > 1 or (bool(keys) and not re.search(rb'"(shapes|imagePath)"', ends))


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """`Instances` where every object has a sound outline, else `Boxes`; a bad record is refused as `FILE: annotations[17]`.

    Classes go by their names, in the order of their ids, whether they are used or not; supercategories are left aside. An `iscrowd`
    object is ignored. A picture without objects is known to hold nothing; those of a file without a list `annotations` are unlabelled.

    Args:
        path: a file, or a folder with one file, or one for each part.
        watch: told about pictures and objects.

    Raises:
        DataError: no such file, or one is not COCO's: not JSON, a list is missing; or not one picture can be used.
    """
    watch = watch or Watch()
    root, files, notes = _files(Path(path))
    pictures, documents = Beside(root), []
    refused: list[Refused] = []
    taken: dict[Path, str] = {}
    for file in files:
        folders = file.parent.relative_to(root).parts
        split = split_of(file.stem, *folders[::-1]) if Path(path).is_dir() else None
        document = Document(file, file.relative_to(root).as_posix(), split, refused)
        document.read(pictures, "/".join(folders), taken, watch)
        documents.append(document)
    entries = [entry for document in documents for entry in document.entries.values()]
    if not entries:
        shown = "; ".join(f"{row.where}: {row.reason}" for row in refused[:3])
        raise DataError(say("formats.no_rows", shown=shown or "–"), files[0] if len(files) == 1 else path)
    count = sum(len(entry.objects.labels) for entry in entries)
    outlines = sum(len(entry.objects.counts) for entry in entries)
    masks = count > 0 and outlines == count
    for entry in entries:
        entry.sample.truth = entry.answer(masks)
    samples: list[Sample] = sorted((entry.sample for entry in entries), key=lambda sample: sample.id)
    names = list(dict.fromkeys(name for document in documents for name in document.names))
    labelled = any(entry.labelled for entry in entries)
    task = None if not labelled else "instances" if masks else "detect"
    notes += _notes(documents, count, outlines)
    return Dataset(samples, names, task, root, "coco", refused=refused, notes=notes)


def _files(path: Path) -> tuple[Path, list[Path], list[str]]:
    """(root of the pictures, COCO's files, notes about files that are left aside)."""
    if not path.is_dir():
        return path.parent.parent if path.parent.name.lower() in _ASIDE else path.parent, [path], []
    all_files = _candidates(path)
    files = [file for file in all_files if _speaks(file)] or all_files[:1]
    if not files:
        raise DataError(say("formats.no_json"), path)
    leading = {file.parent for file in files if file.name.startswith("instances")}
    kept = [file for file in files if not (file.parent in leading and file.name.startswith(_COMPANIONS))]
    aside = sorted(set(all_files) - set(kept))
    notes = [say("formats.json_aside", count=len(aside), names=", ".join(file.name for file in aside[:5]))] if aside else []
    return path, kept, notes


def _notes(documents: list[Document], count: int, outlines: int) -> list[str]:
    """What a person should know about how the files were understood."""
    notes = []
    if 0 < outlines < count:
        notes.append(say("formats.some_outlines", bare=count - outlines, count=count))
    if points := sum(document.keypoints for document in documents):
        notes.append(say("formats.keypoints", count=points))
    for document in documents:
        twice = [name for name, number in Counter(document.names).items() if number > 1]
        notes += [say("formats.same_name", file=document.where, names=", ".join(twice[:5]))] if twice else []
    return notes
