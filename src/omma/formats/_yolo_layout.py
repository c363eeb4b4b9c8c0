"""Which picture belongs to which YOLO label file, part and class list: by data.yaml, by folders called images and labels, or side by side.

Nothing outside the opened folder is read, whatever data.yaml or a list of pictures says: they are written on other machines, often by
strangers. Their paths are looked up by their end instead, so that `../train/images` and `/content/data/train/images` are the folder
`train/images` here, if there is one, and a note says so.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from omma.data.decode import find_pictures
from omma.data.sample import SPLITS, Refused
from omma.errors import DataError
from omma.formats._beside import split_of
from omma.formats._texts import find_files, read_text
from omma.formats.folders import PLAIN
from omma.words import say

SUFFIXES = (".yaml", ".yml")
_LISTS = {"train.txt": "train", "val.txt": "val", "valid.txt": "val", "test.txt": "test"}
_CLASSES = ("classes.txt", "obj.names", "classes.names")
_HOMES = ("labels", "Labels")
_MOST_YAML, _MOST_LIST = 64 << 10, 64 << 20  # bytes; PyYAML takes half a second for the first
# Brackets, commas, colons and lines of a data.yaml: PyYAML's time grows with the square of the nesting, and it is slow anyway.
_DEEPEST, _ENTRIES = 500, 10_000
_YAML, _KEYS = ("data", "dataset"), ("names:", "nc:", "'names':", '"names":')
_PLAIN = "tag:yaml.org,2002:"
_PART = {"train": "train", "val": "val", "valid": "val", "test": "test"}


@dataclass(slots=True)
class Layout:
    """What lies where.

    Args:
        root: the folder everything is below.
        pictures: path below the root → file, those of no part left out where data.yaml names parts.
        splits: path below the root → part, where it is known.
        labels: path of a picture below the root → its label file.
        homes: folders that hold label files: a picture without one there shows nothing.
        classes: name of each class number; None where nobody says.
        extra: numbers of key points behind each box.
        notes, refused: as in `Dataset`.
    """

    root: Path
    top: str
    pictures: dict[str, Path] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)
    homes: set[str] = field(default_factory=set)
    classes: dict[int, str] | None = None
    extra: int = 0
    notes: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def layout(path: Path) -> Layout:
    """The layout of a folder, or of the folder a data.yaml lies in.

    Raises:
        DataError: no pictures, a data.yaml or class list that cannot be read, several that could be meant.
    """
    root = path if path.is_dir() else path.parent
    plan = Layout(root, os.path.realpath(root))
    plan.pictures, texts = keyed(find_pictures(root), root), keyed(find_files(root, (".txt", ".names")), root)
    _pair(plan, texts)
    said = path if path.is_file() else _yaml(root)
    parts = _read_yaml(said, plan) if said is not None else {}
    if plan.classes is None:
        _read_classes(plan, texts)
    if said is not None and parts:
        _take_parts(plan, texts, parts, said.name)
    else:
        _find_parts(plan, texts)
    if not plan.pictures:
        from omma.formats.folders import found

        raise DataError(say("formats.no_pictures", found=found(root)), path, say("formats.no_pictures_fix"))
    _strays(plan, texts)
    return plan


def label_files(picture: str) -> list[str]:
    """Where the label file of a picture may lie, paths below the root: below `labels` for `images`, else beside it."""
    folder, _, name = picture.rpartition("/")
    stem, parts = f"{name.rpartition('.')[0]}.txt", folder.split("/") if folder else []
    places = [place for place in range(len(parts) - 1, -1, -1) if parts[place].lower() in PLAIN]
    swapped = ["/".join([*parts[:place], home, *parts[place + 1 :], stem]) for place in places for home in _HOMES]
    return [*swapped, "/".join([*parts, stem])]


def keyed(paths: list[Path], root: Path) -> dict[str, Path]:
    """Path below the root → file; the same name in two spellings of Unicode stays two."""
    keyed: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(root).as_posix()
        key = unicodedata.normalize("NFC", name)
        keyed[name if key in keyed else key] = path
    return keyed


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _is_helper(name: str) -> bool:
    """A text file of a dataset that is no label file."""
    base = name.rpartition("/")[2].lower()
    return base in _LISTS or base in _CLASSES or base.endswith(".names") or base.startswith(("readme", "licen", "notes"))


def _pair(plan: Layout, texts: dict[str, Path]) -> None:
    for picture in plan.pictures:
        label = next((name for name in label_files(picture) if name in texts), None)
        if label is not None:
            plan.labels[picture] = texts[label]
            plan.homes.add(_folder(label))
    shared = len(plan.labels) - len(set(plan.labels.values()))
    if shared:
        plan.notes.append(say("formats.yolo_shared", count=shared))


# data.yaml


def candidates(root: Path) -> list[Path]:
    """The files at the top of a folder that may be its data.yaml: they are called so, or speak of classes."""
    found = []
    for path in sorted(root.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file():
            try:
                lines = read_text(path, os.path.realpath(root), _MOST_YAML)[0].splitlines()
            except ValueError:
                lines = []
            if path.stem.lower() in _YAML or any(line.startswith(_KEYS) for line in lines):
                found.append(path)
    return found


def names_parts(path: Path) -> bool:
    """Whether a YAML file speaks of parts as well as of classes, as only a data.yaml does."""
    try:
        lines = read_text(path, os.path.realpath(path.parent), _MOST_YAML)[0].splitlines()
    except ValueError:
        return False
    return all(any(line.startswith(keys) for line in lines) for keys in (_KEYS, ("train:", "val:", "test:")))


def _yaml(root: Path) -> Path | None:
    found = candidates(root)
    usual = [path for path in found if path.stem.lower() in _YAML]
    if len(found) > 1 and len(usual) != 1:
        raise DataError(say("formats.yolo_several", names=", ".join(path.name for path in found)), root, say("formats.yolo_several_fix"))
    return next(iter(usual or found), None)


def _read_yaml(path: Path, plan: Layout) -> dict[str, list[str]]:
    """Classes and key points into the plan; the folders and lists of each part as written."""
    try:
        text, _ = read_text(path, plan.top, _MOST_YAML)
        # The tree of what is written, not what YAML makes of it: a class called `no` or `1.0` stays one. Nothing is constructed.
        if sum(map(text.count, "[{")) > _DEEPEST:
            raise ValueError(say("formats.json_deep"))
        if sum(map(text.count, ",:\n")) > _ENTRIES:
            raise ValueError(say("formats.yolo_busy"))
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(say("formats.yaml_broken", reason=reason), path) from None
    if not isinstance(tree, yaml.MappingNode):
        raise DataError(say("formats.yaml_broken", reason=type(tree).__name__), path)
    keys = {key.value: value for key, value in tree.value if isinstance(key, yaml.ScalarNode)}
    plan.classes = _classes(keys, path, plan.notes)
    plan.extra = _key_points(keys.get("kpt_shape"), path)
    base = _scalars(keys.get("path"))
    parts: dict[str, list[str]] = {}
    for word, split in _PART.items():
        entries = _scalars(keys.get(word))
        parts.setdefault(split, []).extend(f"{base[0]}/{entry}" if base else entry for entry in entries)
    return {split: entries for split, entries in parts.items() if entries}


def _scalars(node: yaml.Node | None) -> list[str]:
    """The texts of a scalar or of a list of them; nothing for null."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [one.value for one in nodes if isinstance(one, yaml.ScalarNode) and one.tag != f"{_PLAIN}null"]


def _is_plain(node: yaml.Node) -> bool:
    """Whether a node is of YAML's own kinds, not one that asks for a Python object."""
    return node.tag.startswith(_PLAIN) and ":python/" not in node.tag


def _classes(keys: dict[str, yaml.Node], path: Path, notes: list[str]) -> dict[int, str] | None:
    """Class names by number; None where there are none."""
    node, count = keys.get("names"), "".join(_scalars(keys.get("nc"))).strip()
    if count and not (count.isdecimal() and len(count) < 6):
        raise DataError(say("formats.yolo_count", count=count[:40]), f"{path}: nc")
    names: dict[int, str] = {}
    if node is not None and not _is_plain(node):
        raise DataError(say("formats.yolo_names"), f"{path}: names")
    if isinstance(node, yaml.SequenceNode):
        pairs = [(str(place), value) for place, value in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        pairs = [(key.value if isinstance(key, yaml.ScalarNode) else "?", value) for key, value in node.value]
    elif node is None or not node.value:
        return {place: str(place) for place in range(int(count))} if count else None
    else:
        raise DataError(say("formats.yolo_names"), f"{path}: names")
    for key, value in pairs:
        sound = isinstance(value, yaml.ScalarNode) and _is_plain(value) and value.value.strip()
        if not sound or not key.isdecimal() or len(key) > 9 or int(key) in names:
            raise DataError(say("formats.yolo_name", number=key[:40]), f"{path}: names")
        names[int(key)] = value.value
    if count and int(count) != len(names):
        notes.append(say("formats.yolo_nc", name=path.name, count=count, names=len(names)))
    return dict(sorted(names.items()))


def _key_points(node: yaml.Node | None, path: Path) -> int:
    sizes = _scalars(node)
    if node is None:
        return 0
    if len(sizes) != 2 or not all(size.isdecimal() and 0 < int(size[:9]) < 1000 for size in sizes):
        raise DataError(say("formats.yolo_key_points"), f"{path}: kpt_shape")
    return int(sizes[0]) * int(sizes[1])


# class lists


def _read_classes(plan: Layout, texts: dict[str, Path]) -> None:
    """Class names out of classes.txt or obj.names, wherever below the root; several must agree.

    Raises:
        DataError: they do not, or one cannot be read.
    """
    known: dict[str, dict[int, str]] = {}
    for name, path in texts.items():
        if name.rpartition("/")[2].lower() not in _CLASSES and not name.lower().endswith(".names"):
            continue
        try:
            text, encoding = read_text(path, plan.top, _MOST_YAML)
        except ValueError as error:
            raise DataError(str(error), path) from None
        if encoding in ("Latin-1", "GBK"):
            plan.notes.append(say("formats.latin", name=name, encoding=encoding))
        known[name] = {number: line.strip() for number, line in enumerate(text.splitlines()) if line.strip()}
    if len({tuple(names.items()) for names in known.values()}) > 1:
        raise DataError(say("formats.yolo_differ", names=", ".join(known)), plan.root, say("formats.yolo_differ_fix"))
    plan.classes = next(iter(known.values()), None)


# parts


def tail(text: str, known: Collection[str]) -> str | None:
    """The longest end of a path that is known; `..` and `.` are resolved, those that lead outside dropped."""
    parts: list[str] = []
    for part in unicodedata.normalize("NFC", text.strip().replace("\\", "/")).split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    if not parts:
        return "" if ".." not in text and not text.startswith("/") and "" in known else None
    ends = ("/".join(parts[start:]) for start in range(max(0, len(parts) - 64), len(parts)))
    return next((end for end in ends if end in known), None)


def _take_parts(plan: Layout, texts: dict[str, Path], parts: dict[str, list[str]], name: str) -> None:
    """Only the pictures of the parts that data.yaml names."""
    folders = {""} | {"/".join(key.split("/")[:depth]) for key in plan.pictures for depth in range(1, key.count("/") + 1)}
    again = 0
    for split in SPLITS:
        for entry in parts.get(split, []):
            is_list = entry.lower().endswith(".txt")
            found = tail(entry, texts.keys() if is_list else folders)
            if found is None:
                _lost(plan, f"{name}: {split}", entry)
                continue
            if found != os.path.normpath(entry.replace("\\", "/")) and found:
                plan.notes.append(say("formats.yolo_moved", key=f"{name}: {split}", path=entry[:120], found=found))
            listed = _listed(plan, found, texts[found]) if is_list else [k for k in plan.pictures if not found or k.startswith(f"{found}/")]
            again += sum(plan.splits.get(key, split) != split for key in listed)
            for key in listed:
                plan.splits.setdefault(key, split)
    if again:
        plan.notes.append(say("formats.yolo_again", count=again))
    if not plan.splits:
        shown = "; ".join(entry for entries in parts.values() for entry in entries)[:200]
        raise DataError(say("formats.yolo_no_parts", parts=shown), plan.root / name, say("formats.yolo_no_parts_fix", root=plan.root))
    if aside := len(plan.pictures) - len(plan.splits):
        plan.notes.append(say("formats.yolo_aside", count=aside, name=name))
    plan.pictures = {key: path for key, path in plan.pictures.items() if key in plan.splits}


def _lost(plan: Layout, where: str, entry: str) -> None:
    """A folder or list that is not here: refused where it would lead outside, else told."""
    away = entry.startswith(("/", "\\")) or entry[1:2] == ":" or os.path.normpath(entry.replace("\\", "/")).startswith("..")
    if away:
        plan.refused.append(Refused(where, say("formats.leaves", path=entry[:120])))
    else:
        plan.notes.append(say("formats.yolo_absent", key=where, path=entry[:120]))


def _listed(plan: Layout, name: str, path: Path) -> list[str]:
    """The pictures of a list, one path a line; a line that names none is refused."""
    try:
        text, _ = read_text(path, plan.top, _MOST_LIST)
    except ValueError as error:
        plan.refused.append(Refused(name, str(error)))
        return []
    found = []
    for line, entry in enumerate(text.splitlines(), 1):
        if not entry.strip():
            continue
        key = tail(entry[:4096], plan.pictures.keys())
        if key is None:
            plan.refused.append(Refused(f"{name}:{line}", say("formats.row_absent", path=entry.strip()[:120])))
        else:
            found.append(key)
    return found


def _find_parts(plan: Layout, texts: dict[str, Path]) -> None:
    """Parts without a data.yaml: lists at the top, else folders called train, val and test."""
    used = set(plan.labels.values())
    lists = {name: split for name, split in _LISTS.items() if name in texts and texts[name] not in used}
    for name, split in lists.items():
        for key in _listed(plan, name, texts[name]):
            plan.splits.setdefault(key, split)
    if not lists:
        for key in plan.pictures:
            if split_found := split_of(*key.split("/")[-2::-1]):
                plan.splits[key] = split_found


def _strays(plan: Layout, texts: dict[str, Path]) -> None:
    """Label files that no picture belongs to, those of parts left out aside: named."""
    used = set(plan.labels.values())
    for name, path in texts.items():
        in_labels = any(part in _HOMES for part in name.split("/")[:-1])
        if path not in used and not _is_helper(name) and (in_labels or _folder(name) in plan.homes):
            plan.refused.append(Refused(name, say("formats.yolo_stray")))
