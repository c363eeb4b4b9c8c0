"""Small sound datasets of every annotation format — two pictures, two objects each — and the ways in which one file of them is spoilt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 30
NAMES = ("cat", "狗")
CORNERS = ((2.0, 3.0, 12.0, 13.0), (20.0, 10.0, 36.0, 28.0))
COCO, XML, TXT, PAGE, TABLE, MASK = "annotations.json", "Annotations/a.xml", "labels/a.txt", "a.json", "boxes.csv", "masks/a.png"

Spoil = Callable[[Path], None]


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


# ── sound ───────────────────────────────────────────────────────────────────────────────────────────────


def pictures(folder: Path) -> None:
    for shade, name in enumerate("ab"):
        png(folder / f"{name}.png", np.full((HEIGHT, WIDTH, 3), 60 + 90 * shade, np.uint8))


def coco(folder: Path) -> None:
    pictures(folder / "images")
    rows: list[dict[str, Any]] = []
    for image in (7, 8):
        for category, (x1, y1, x2, y2) in zip((0, 3), CORNERS, strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            row = {"id": len(rows) + 1, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            rows.append(row | {"segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]})
    images = [{"id": number, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT} for number, name in ((7, "a"), (8, "b"))]
    categories = [{"id": number, "name": name} for number, name in zip((0, 3), NAMES, strict=True)]
    write(folder / COCO, json.dumps({"images": images, "annotations": rows, "categories": categories}))


def voc(folder: Path) -> None:
    pictures(folder / "JPEGImages")
    for name in "ab":
        objects = "".join(thing(label, box) for label, box in zip(NAMES, CORNERS, strict=True))
        write(folder / "Annotations" / f"{name}.xml", page(objects, f"{name}.png"))


def thing(label: str | None, corners: Any) -> str:
    """A VOC object."""
    tags = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False))
    said = "" if label is None else f"<name>{label}</name>"
    return f"<object>{said}<difficult>0</difficult><bndbox>{tags}</bndbox></object>"


def page(objects: str, filename: str = "a.png", size: tuple[Any, Any] = (WIDTH, HEIGHT)) -> str:
    """A VOC annotation."""
    said = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{filename}</filename>{said}{objects}</annotation>"


def yolo(folder: Path) -> None:
    pictures(folder / "images")
    write(folder / "data.yaml", "path: .\ntrain: images\nnames:\n  0: cat\n  1: 狗\n")
    for name in "ab":
        write(folder / "labels" / f"{name}.txt", "0 0.2 0.3 0.2 0.2\n1 0.7 0.6 0.4 0.5\n")


def labelme(folder: Path) -> None:
    pictures(folder)
    shapes = [
        {"label": label, "points": [[x1, y1], [x2, y1], [x2, y2], [x1, y2]], "shape_type": "polygon", "group_id": None, "flags": {}}
        for label, (x1, y1, x2, y2) in zip(NAMES, CORNERS, strict=True)
    ]
    about = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
    for name in "ab":
        write(folder / f"{name}.json", json.dumps(about | {"imagePath": f"{name}.png"}))


def csv(folder: Path) -> None:
    pictures(folder)
    rows = [f"{name}.png,{label},{','.join(map(str, box))}" for name in "ab" for label, box in zip(NAMES, CORNERS, strict=True)]
    write(folder / TABLE, "\n".join(["path,label,x1,y1,x2,y2", *rows]) + "\n")


def masks(folder: Path) -> None:
    pictures(folder / "images")
    write(folder / "classes.txt", "background\ncat\n狗\n")
    for name in "ab":
        pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
        pixels[3:13, 2:12], pixels[10:28, 20:36] = 1, 2
        png(folder / "masks" / f"{name}.png", pixels)


SOUND = {"coco": coco, "voc": voc, "yolo": yolo, "labelme": labelme, "csv": csv, "masks": masks}


# ── spoilt ──────────────────────────────────────────────────────────────────────────────────────────────


def replaced(file: str, content: str | bytes) -> Spoil:
    return lambda folder: write(folder / file, content)


def turned(file: str, turn: Callable[[bytes], bytes]) -> Spoil:
    return lambda folder: write(folder / file, turn((folder / file).read_bytes()))


def edited(file: str, change: Callable[[Any], Any]) -> Spoil:
    """A JSON file read, changed in place, written again."""

    def spoil(folder: Path) -> None:
        content = json.loads((folder / file).read_text("utf-8"))
        change(content)
        write(folder / file, json.dumps(content))

    return spoil


def marked(file: str, encoding: str, spoil: Spoil) -> Spoil:
    """Another encoding, its mark in front, and something wrong inside: the mark must not hide it."""

    def both(folder: Path) -> None:
        spoil(folder)
        write(folder / file, (folder / file).read_text("utf-8").encode(encoding))

    return both


def moved(file: str, to: str, spoil: Spoil) -> Spoil:
    """Under a name that no picture has, so that only what the file says can lead to one."""

    def both(folder: Path) -> None:
        spoil(folder)
        (folder / file).rename(folder / to)

    return both


def elsewhere(file: str) -> Spoil:
    """A link out of the folder, to a file that would read well."""

    def spoil(folder: Path) -> None:
        outside = folder.parent / "outside" / Path(file).name
        write(outside, (folder / file).read_bytes())
        (folder / file).unlink()
        (folder / file).symlink_to(outside)

    return spoil


def gone(file: str) -> Spoil:
    return lambda folder: (folder / file).unlink()


JUNK = bytes(range(256)) * 40
FILES: dict[str, Callable[[str], Spoil]] = {
    "empty": lambda file: replaced(file, b""),
    "binary junk": lambda file: replaced(file, JUNK),
    "zeros": lambda file: replaced(file, bytes(4096)),
    "truncated": lambda file: turned(file, lambda blob: blob[: len(blob) * 3 // 5]),
}
