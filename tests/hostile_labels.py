"""220 hostile annotation files, made by script: each lies in a sound little dataset and has one thing wrong with it.

`CASES` maps a name to a `Case`. `make` writes one; `outcome` reads it and says what is amiss: nothing where the file and the record are
named and everything sound is still there.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hostile_sound import (
    COCO,
    CORNERS,
    FILES,
    HEIGHT,
    JUNK,
    MASK,
    NAMES,
    PAGE,
    SOUND,
    TABLE,
    TXT,
    WIDTH,
    XML,
    Spoil,
    edited,
    elsewhere,
    gone,
    marked,
    moved,
    page,
    png,
    replaced,
    thing,
    turned,
    write,
)

DIGITS = "9" * 5000  # int() of so many digits raises in Python, float() gives infinity
DEEP = 200_000
MARK = "omma-was-here"
ODD = {"nan": float("nan"), "inf": float("inf"), "minus inf": -float("inf"), "1e308": 1e308, "1e9": 1e9}


@dataclass(frozen=True)
class Case:
    """One hostile file.

    Args:
        format: the reader it is given to.
        spoil: does it, to a sound dataset in a folder.
        file: its name must be named.
        record: pattern that must be named with it.
        keeps: picture without suffix → objects that must be left of it (masks count one); None where all may fall with the file.
    """

    format: str
    spoil: Spoil
    file: str
    record: str = ""
    keeps: dict[str, int] | None = None


CASES: dict[str, Case] = {}
ONE_OF_A, ONLY_B, MASK_B = {"a": 1, "b": 2}, {"b": 2}, {"b": 1}


def add(format: str, name: str, spoil: Spoil, file: str, record: str = "", keeps: dict[str, int] | None = None) -> None:
    key = f"{format}: {name}"
    assert key not in CASES, key
    CASES[key] = Case(format, spoil, file, record, keeps)


for _name, _made in FILES.items():
    add("coco", _name, _made(COCO), COCO)
    add("voc", _name, _made(XML), "a.xml", "", ONLY_B)
    add("labelme", _name, _made(PAGE), PAGE, "", ONLY_B)
    add("masks", _name, _made(MASK), "a.png", "masks", MASK_B)
for _name, _text in {
    "deep lists": "[" * DEEP, "deep objects": '{"a":' * DEEP, "null": "null",
    "5,000 digits": '{"images": [], "shapes": [], "version": ' + DIGITS + "}",
}.items():  # fmt: skip
    add("coco", _name, replaced(COCO, _text), COCO)
    add("labelme", _name, replaced(PAGE, _text), PAGE, "", ONLY_B)


# ── COCO: 84 ────────────────────────────────────────────────────────────────────────────────────────────


def coco(name: str, change: Any, record: str = r"annotations\[1\]", keeps: dict[str, int] | None = ONE_OF_A) -> None:
    add("coco", name, edited(COCO, change) if not isinstance(change, dict) else annotation(change), COCO, record, keeps)


def annotation(values: dict[str, Any]) -> Spoil:
    return edited(COCO, lambda content: content["annotations"][1].update(values))


def image(values: dict[str, Any]) -> Spoil:
    return edited(COCO, lambda content: content["images"][0].update(values))


def row(name: str, place: int, value: Any) -> Spoil:
    return edited(COCO, lambda content: content[name].__setitem__(place, value))


for _name, _box in {
    "outside": [100, 100, 10, 10], "before the edge": [-20, -20, 10, 10], "inverted": [20, 10, -10, -5], "no width": [5, 5, 0, 10],
    "words": ["left", "top", "w", "h"], "null": None, "three": [1, 2, 3], "nan as corner": [float("nan"), 2, 5, 5],
    **{name: [2, 2, value, 5] for name, value in ODD.items()},
}.items():  # fmt: skip
    coco(f"box, {_name}", {"bbox": _box, "segmentation": []})
coco("no box and no outline", lambda content: [content["annotations"][1].pop(key) for key in ("bbox", "segmentation")])
for _name, _polygon in {
    "two points": [[1, 1, 5, 5]], "odd count": [[1, 1, 5, 1, 5, 5, 2]], "words": [["a"] * 6], "flat": [[1, 1, 5, 1, 9, 1]],
    "outside": [[100, 100, 110, 100, 110, 110]], "too deep": [[[1, 1], [5, 1], [5, 5]]],
    **{name: [[1, 1, value, 1, 5, 5]] for name, value in ODD.items()},
}.items():  # fmt: skip
    coco(f"polygon, {_name}", {"segmentation": _polygon})
for _name, _counts in {
    "too short": [5, 5], "too long": [5, 5000], "negative": [-5, 5, WIDTH * HEIGHT], "nan": [float("nan"), 1200], "garbage": "~~not runs~~",
    "cut short": "oooo", "bomb in letters": "o" * 100_000, "not ascii": "行程",
}.items():  # fmt: skip
    coco(f"runs, {_name}", {"segmentation": {"size": [HEIGHT, WIDTH], "counts": _counts}})
for _name, _runs in {
    "other size": {"size": [HEIGHT + 1, WIDTH], "counts": [WIDTH * (HEIGHT + 1)]}, "no size": {"counts": [0, 1200]},
    "size bomb": {"size": [10**9, 10**9], "counts": [10**18]}, "size of words": {"size": ["a", "b"], "counts": [1200]},
    "no counts": {"size": [HEIGHT, WIDTH]},
}.items():  # fmt: skip
    coco(f"runs, {_name}", {"segmentation": _runs})
for _name, _value in {"unknown": 99, "null": None, "half": 0.5}.items():
    coco(f"class {_name}", {"category_id": _value})
for _name, _value in {"dangling": 99, "null": None}.items():
    coco(f"image {_name}", {"image_id": _value})
for _name, _value in {"null": None, "empty": {}}.items():
    add("coco", f"record {_name}", row("annotations", 1, _value), COCO, r"annotations\[1\]", ONE_OF_A)
coco("object twice", {"id": 1})
coco("crowd of words", {"iscrowd": "yes"})
for _name, _key in {"class": b'"category_id": 3', "corner": b'"bbox": [20.0'}.items():
    _spoil = turned(COCO, lambda blob, key=_key: blob.replace(key, re.sub(rb"[\d.]+$", DIGITS.encode(), key), 1))
    add("coco", f"{_name} of 5,000 digits", _spoil, COCO, r"annotations\[1\]", ONE_OF_A)
for _name, _list, _change in (
    ("picture twice", "images", lambda rows: rows[1].update(id=7)),
    ("picture without id", "images", lambda rows: rows[0].pop("id")),
    ("picture without name", "images", lambda rows: rows[0].pop("file_name")),
    ("picture is null", "images", lambda rows: rows.__setitem__(0, None)),
    ("class twice", "categories", lambda rows: rows.append({"id": 3, "name": "dog"})),
    ("class without id", "categories", lambda rows: rows[0].pop("id")),
    ("class without name", "categories", lambda rows: rows[0].pop("name")),
):
    add("coco", _name, edited(COCO, lambda content, name=_list, change=_change: change(content[name])), COCO, rf"{_list}\[\d\]")
for _name, _file in {
    "above": "../outside/a.png", "absolute": "/etc/passwd", "drive": "C:\\Windows\\a.png", "backslashes": "..\\outside\\a.png",
    "nul": "a.png\0.jpg", "long": "x" * 100_000, "missing": "gone.png", "a number": 5, "lone surrogate": "\ud800.png",
}.items():  # fmt: skip
    add("coco", f"path, {_name}", image({"file_name": _file}), COCO, r"images\[0\]", ONLY_B)
for _name, _size in {"other": 400, "negative": -WIDTH, "huge": 10**12, "nan": float("nan")}.items():
    add("coco", f"size, {_name}", image({"width": _size}), COCO, r"images\[0\]", ONLY_B)
for _list in ("images", "annotations", "categories"):
    add("coco", f"{_list} an object", edited(COCO, lambda content, name=_list: content.update({name: {}})), COCO)
add("coco", "a picture that is a link", elsewhere("images/a.png"), COCO, r"images\[0\]", ONLY_B)
add("coco", "a picture that is none", replaced("images/a.png", JUNK), COCO, r"images\[0\]", ONLY_B)
for _mark in ("utf-8-sig", "utf-16"):
    add("coco", f"mark of {_mark}", marked(COCO, _mark, annotation({"category_id": 99})), COCO, r"annotations\[1\]", ONE_OF_A)


# ── VOC: 36 ─────────────────────────────────────────────────────────────────────────────────────────────

WELL = thing("cat", CORNERS[0])


def second(text: str) -> Spoil:
    return replaced(XML, page(WELL + text))


for _name, _corners in {
    "outside": (100, 100, 120, 120), "inverted": (20, 20, 10, 10), "no width": (20, 5, 19, 9), "words": ("left", "top", "right", "down"),
    "empty": ("", "", "", ""), "5,000 digits": (1, 1, DIGITS, 9), "nested": ("<a/>", "<a/>", "<a/>", "<a/>"), "1e999": (1, 1, "1e999", 9),
    **{name: (1, 1, value, 9) for name, value in ODD.items()},
}.items():  # fmt: skip
    add("voc", f"corners, {_name}", second(thing("cat", _corners)), "a.xml", "object 2", ONE_OF_A)
add("voc", "no box", second("<object><name>cat</name></object>"), "a.xml", "object 2", ONE_OF_A)
add("voc", "no class", second(thing(None, CORNERS[1])), "a.xml", "object 2", ONE_OF_A)
_LAUGHS = "".join(f"<!ENTITY x{n + 1} '{f'&x{n};' * 10}'>" for n in range(30))
for _name, _text in {
    "billion laughs": f"<!DOCTYPE a [<!ENTITY x0 'ha'>{_LAUGHS}]>" + page(thing("&x30;", CORNERS[0])),
    "quadratic": f"<!DOCTYPE a [<!ENTITY x '{'ha' * 50_000}'>]>" + page(thing("&x;" * 50_000, CORNERS[0])),
    "external entity": "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + page(thing("&x;", CORNERS[0])),
    "parameter entity": "<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]>" + page(WELL),
    "unknown entity": page(thing("&nbsp;", CORNERS[0])), "deep": "<a>" * DEEP + "</a>" * DEEP, "other root": "<html><body/></html>",
    "size of words": page(WELL, size=("wide", "high")), "other size": page(WELL, size=(400, 300)), "two roots": page(WELL) * 2,
}.items():  # fmt: skip
    add("voc", _name, replaced(XML, _text), "a.xml", "", ONLY_B)
for _mark in ("utf-8-sig", "utf-16"):
    add("voc", f"mark of {_mark}", marked(XML, _mark, second(thing("cat", (9, 9, 1, 1)))), "a.xml", "object 2", ONE_OF_A)
for _name, _file in {"above": "../../outside/a.png", "absolute": "/etc/passwd"}.items():
    add("voc", f"path, {_name}", moved(XML, "Annotations/c.xml", replaced(XML, page(WELL, _file))), "c.xml", "", ONLY_B)
add("voc", "no picture", gone("JPEGImages/a.png"), "a.xml", "", ONLY_B)
add("voc", "a picture that is none", replaced("JPEGImages/a.png", JUNK), "a.", "", ONLY_B)
add("voc", "a file that is a link", elsewhere(XML), "a.xml", "", ONLY_B)


# ── YOLO: 34 ────────────────────────────────────────────────────────────────────────────────────────────

for _name, _row in {
    "nan": "1 nan 0.5 0.1 0.1", "inf": "1 0.5 inf 0.1 0.1", "1e308": "1 0.5 0.5 1e308 0.1", "pixels": "1 20 10 16 18",
    "outside": "1 1.5 1.5 0.1 0.1", "over the edge": "1 0.9 0.5 0.6 0.1", "negative size": "1 0.5 0.5 -0.2 0.2",
    "no width": "1 0.5 0.5 0 0.2", "words": "cat left top right down", "four": "1 0.5 0.5 0.2",
    "six": "1 0.5 0.5 0.2 0.2 0.9", "unknown class": "7 0.5 0.5 0.2 0.2",
    "class -1": "-1 0.5 0.5 0.2 0.2", "half a class": "0.5 0.5 0.5 0.2 0.2", "class nan": "nan 0.5 0.5 0.2 0.2",
    "class of 5,000 digits": f"{DIGITS} 0.5 0.5 0.2 0.2", "corner of digits": f"1 0.{DIGITS}e{DIGITS} 0.5 0.2 0.2",
    "polygon nan": "1 0.1 0.1 0.5 nan 0.5 0.5", "polygon outside": "1 5 5 6 5 6 6", "polygon flat": "1 0.1 0.1 0.5 0.1 0.9 0.1",
    "a long line": "1 " + "0.5 " * 200_001, "cut short": "1 0.7 0.6 0.",
}.items():  # fmt: skip
    add("yolo", _name, replaced(TXT, f"0 0.2 0.3 0.2 0.2\n{_row}"), "a.txt", ":2", ONE_OF_A)
_spoil = marked(TXT, "utf-8-sig", replaced(TXT, "0 0.2 0.3 0.2 0.2\n9 0.5 0.5 0.2 0.2\n"))
add("yolo", "mark of utf-8-sig", _spoil, "a.txt", ":2", ONE_OF_A)
add("yolo", "binary junk", replaced(TXT, JUNK), "a.txt", "", ONLY_B)
add("yolo", "labels without picture", replaced("labels/ghost.txt", "0 0.5 0.5 0.2 0.2\n"), "ghost.txt", "", {"a": 2, "b": 2})
add("yolo", "a file that is a link", elsewhere(TXT), "a.txt", "", ONLY_B)
add("yolo", "a picture that is none", replaced("images/a.png", JUNK), "a.", "", ONLY_B)
_ANCHORS = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(30))
for _name, _text in {
    "anchors": f"a0: &a0 [ha]\n{_ANCHORS}names: *a30\n", "deep": "names: " + "[" * DEEP, "junk": JUNK,
    "path above": "path: ../..\ntrain: etc\nnames: [cat, 狗]\n", "absolute path": "train: /etc\nnames: [cat, 狗]\n",
    "class twice": "train: images\nnames: {0: cat, 0: dog, 1: 狗}\n",
    "a program": f"names: !!python/object/apply:os.system ['touch {MARK}']\n",
}.items():  # fmt: skip
    add("yolo", f"data.yaml, {_name}", replaced("data.yaml", _text), "data.yaml")


# ── LabelMe: 30 ─────────────────────────────────────────────────────────────────────────────────────────


def shape(values: dict[str, Any]) -> Spoil:
    return edited(PAGE, lambda content: content["shapes"][1].update(values))


for _name, _points in {
    "outside": [[100, 100], [120, 100], [120, 120]], "one": [[5, 5]], "flat": [[1, 1], [5, 1], [9, 1]], "words": [["a", "b"]] * 3,
    "null": None, "numbers": [1, 2, 3, 4, 5, 6], **{name: [[1, 1], [value, 1], [5, 5]] for name, value in ODD.items()},
}.items():  # fmt: skip
    add("labelme", f"points, {_name}", shape({"points": _points}), PAGE, r"shapes\[1\]", ONE_OF_A)
for _name, _label in {"null": None, "an object": {}}.items():
    add("labelme", f"label {_name}", shape({"label": _label}), PAGE, r"shapes\[1\]", ONE_OF_A)
add("labelme", "a shape nobody knows", shape({"shape_type": "blob"}), PAGE, r"shapes\[1\]", ONE_OF_A)
add("labelme", "shape null", edited(PAGE, lambda content: content["shapes"].__setitem__(1, None)), PAGE, r"shapes\[1\]", ONE_OF_A)
add("labelme", "shapes an object", edited(PAGE, lambda content: content.update(shapes={})), PAGE, "", ONLY_B)
for _name, _file in {"above": "../outside/a.png", "absolute": "/etc/passwd", "missing": "gone.png"}.items():
    _spoil = edited(PAGE, lambda content, file=_file: content.update(imagePath=file))
    add("labelme", f"path, {_name}", moved(PAGE, "c.json", _spoil), "c.json", "", ONLY_B)
for _name, _size in {"other": 400, "nan": float("nan")}.items():
    add("labelme", f"size, {_name}", edited(PAGE, lambda content, size=_size: content.update(imageWidth=size)), PAGE, "", ONLY_B)
add("labelme", "mark of utf-16", marked(PAGE, "utf-16", shape({"label": None})), PAGE, r"shapes\[1\]", ONE_OF_A)


# ── CSV: 20 ─────────────────────────────────────────────────────────────────────────────────────────────

HEAD = "path,label,x1,y1,x2,y2\na.png,cat,2,3,12,13\n"
REST = "".join(f"b.png,{name},{','.join(map(str, box))}\n" for name, box in zip(NAMES, CORNERS, strict=True))
for _name, _row in {
    "nan": "a.png,cat,nan,2,9,9", "inf": "a.png,cat,2,2,inf,9", "5,000 digits": f"a.png,cat,2,2,{DIGITS},9",
    "outside": "a.png,cat,100,100,120,120", "inverted": "a.png,cat,20,20,5,5", "words": "a.png,cat,a,b,c,d",
    "half empty": "a.png,cat,5,,9,9", "no class": "a.png,,2,2,9,9", "path above": "../outside/a.png,cat,2,2,9,9",
    "absolute path": "/etc/passwd,cat,2,2,9,9",
    "missing picture": "gone.png,cat,2,2,9,9", "no path": ",cat,2,2,9,9", "a long path": f"{'x' * 60_000}.png,cat,2,2,9,9",
}.items():  # fmt: skip
    add("csv", _name, replaced(TABLE, f"{HEAD}{_row}\n{REST}"), TABLE, ":3", ONE_OF_A)
for _mark in ("utf-8-sig", "utf-16"):
    _spoil = marked(TABLE, _mark, replaced(TABLE, f"{HEAD}a.png,cat,9,9,1,1\n{REST}"))
    add("csv", f"mark of {_mark}", _spoil, TABLE, ":3", ONE_OF_A)
add("csv", "nul", replaced(TABLE, f"{HEAD}a\0.png,cat,2,2,9,9\n{REST}"), TABLE)
add("csv", "empty", replaced(TABLE, b""), TABLE)
add("csv", "binary junk", replaced(TABLE, JUNK), TABLE)
add("csv", "an endless cell", replaced(TABLE, f'{HEAD}a.png,"{"x" * 200_000}'), TABLE)
add("csv", "a picture that is none", replaced("a.png", JUNK), TABLE, ":", ONLY_B)


# ── masks: 16 ───────────────────────────────────────────────────────────────────────────────────────────


def bomb(folder: Path) -> None:
    """A few bytes that say they are 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    write(folder / MASK, b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(60_000))) + chunk(b"IEND", b""))


def painted(value: int, shape: tuple[int, int] = (HEIGHT, WIDTH), kind: Any = np.uint8) -> Spoil:
    pixels = np.zeros(shape, kind)
    pixels[3:13, 2:12] = value
    return lambda folder: png(folder / MASK, pixels)


for _name, _spoil in {
    "size bomb": bomb, "one row more": painted(1, (HEIGHT + 1, WIDTH)), "turned": painted(1, (WIDTH, HEIGHT)),
    "one pixel": painted(1, (1, 1)), "a class too many": painted(3), "value 254": painted(254),
    "value 60,000": painted(60_000, kind=np.uint16),
}.items():  # fmt: skip
    add("masks", _name, _spoil, "a.png", "masks", MASK_B)
_ghost = np.ones((9, 9), np.uint8)
add("masks", "mask without picture", lambda folder: png(folder / "masks" / "ghost.png", _ghost), "ghost.png", "", {"a": 1, "b": 1})
add("masks", "no picture", gone("images/a.png"), "a.png", "masks", MASK_B)
add("masks", "a picture that is none", replaced("images/a.png", JUNK), "a.png", "", MASK_B)
add("masks", "classes of junk", replaced("classes.txt", JUNK), "classes.txt")
add("masks", "classes that are a link", elsewhere("classes.txt"), "classes.txt")


# ── the judge ───────────────────────────────────────────────────────────────────────────────────────────


def make(name: str, folder: Path) -> None:
    """Write a case's files below a folder that does not exist yet."""
    SOUND[CASES[name].format](folder)
    CASES[name].spoil(folder)


def outcome(name: str, folder: Path) -> str:
    """What is amiss when a case that lies in a folder is read; empty where all is as it should be."""
    from omma.errors import DataError
    from omma.formats.format import open_data

    case = CASES[name]
    try:
        dataset = open_data(folder, case.format)
    except DataError as error:
        if case.keeps is not None:
            return f"nothing is left: {error}"[:400]
        return "" if case.file in str(error) and "\n" not in str(error) else f"not named: {error}"[:400]
    named = [row for row in dataset.refused if case.file in row.where and re.search(case.record, row.where) and row.reason.strip()]
    if not named:
        return f"not named: {[(row.where, row.reason) for row in dataset.refused]}"[:400]
    if any(len(row.where) + len(row.reason) > 1000 or "\n" in row.where + row.reason for row in dataset.refused):
        return "not named in one readable line"
    left = {Path(sample.id).stem: size_of(sample.truth) for sample in dataset.samples}
    short = {stem: left.get(stem) for stem, count in (case.keeps or {}).items() if left.get(stem) != count}
    return f"of what was sound is left {short}" if short else ""


def size_of(truth: Any) -> int | None:
    """How many objects a truth holds; a mask counts one."""
    return None if truth is None else len(truth) if hasattr(truth, "__len__") else 1
