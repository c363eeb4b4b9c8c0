"""LabelMe files as people have them: shapes of every kind, groups, copies of pictures; what is no object is named by file and place."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from labelled import objects, reasons
from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.formats import labelme
from omma.formats.format import open_data, sniff

WIDTH, HEIGHT = 40, 20
SQUARE = [[10, 5], [30, 5], [30, 15], [10, 15]]


def picture(path: Path, width: int = WIDTH, height: int = HEIGHT, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (shade, 90, 9)).save(path)
    return path


def shape(points: Any, label: Any = "cat", kind: Any = "polygon", group: Any = None, **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}} | more


def content(shapes: Any, name: Any = "a.png", **more: Any) -> dict[str, Any]:
    sizes = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None} | sizes | more


def make(top: Path, files: dict[str, Any]) -> Path:
    """A picture and a label file for each name: shapes, a whole content, or text."""
    for number, (stem, what) in enumerate(files.items()):
        file = picture(top / f"{stem}.png", shade=number)
        whole = content(what, file.name) if isinstance(what, list) else what
        raw = whole if isinstance(whole, bytes) else json.dumps(whole, ensure_ascii=False).encode()
        file.with_suffix(".json").write_bytes(raw)
    return top


def pixels(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def png(mask: np.ndarray) -> str:
    store = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(store, "PNG")
    return base64.b64encode(store.getvalue()).decode()


# what is read


def test_polygons_are_instances(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"一": [shape(SQUARE), shape([[0, 0], [8, 0], [8, 8]], "狗")], "b": []}))
    assert (data.format, data.task, data.names, data.refused, data.notes) == ("labelme", "instances", ["cat", "狗"], [], [])
    assert objects(data) == {"b.png": [], "一.png": [("cat", 10, 5, 30, 15), ("狗", 0, 0, 8, 8)]}
    truth = data.samples[1].truth
    assert isinstance(truth, Instances) and (truth.masks()[0] == pixels(10, 5, 30, 15)).all()
    assert isinstance(data.samples[0].truth, Instances) and data.samples[1].record == "一.json"


NAMES = {
    "gaps": ["0", "1", "3"],
    "zero-based": ["0", "1", "2", "10"],
    "one-based": ["1", "2", "3"],
    "background": ["_background_", "background", "cat"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_kept_and_never_shifted(tmp_path: Path, kind: str) -> None:
    names, labels = NAMES[kind], NAMES[kind][::-1]
    data = open_data(make(tmp_path / "in", {"a": [shape(SQUARE, name) for name in labels]}))
    assert (data.names, data.samples[0].truth.labels, data.refused) == (names, labels, [])
    assert labelme.write(data, tmp_path / "out") == []
    again = open_data(tmp_path / "out")
    assert (again.names, again.samples[0].truth.labels) == (names, labels)


def test_rectangles_are_boxes_whichever_corner_came_first(tmp_path: Path) -> None:
    rows = [shape([[30, 15], [10, 5]], kind="rectangle"), shape([[10, 15], [30, 5]], kind="rectangle"), shape(SQUARE, kind="rectangle")]
    data = open_data(make(tmp_path, {"a": rows}))
    assert data.task == "detect" and type(data.samples[0].truth) is Boxes
    assert objects(data) == {"a.png": [("cat", 10, 5, 30, 15)] * 3}


def test_rectangles_among_outlines_make_boxes(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": [shape(SQUARE), shape([[1, 1], [5, 5]], kind="rectangle")]}))
    assert data.task == "detect" and any("1 of 2 objects have no outline" in note for note in data.notes)


def test_circles(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": [shape([[20, 10], [28, 10]], kind="circle"), shape([[0, 0], [6, 8]], kind="circle")]}))
    inner, corner = data.samples[0].truth.masks()
    assert abs(inner.sum() - np.pi * 64) < 10 and abs(corner.sum() - np.pi * 25) < 8
    assert np.allclose(data.samples[0].truth.boxes, [[12, 2, 28, 18], [0, 0, 10, 10]], atol=0.02)


def test_pixel_masks(tmp_path: Path) -> None:
    disc = np.zeros((6, 9), bool)
    disc[1:5, 2:8] = True
    data = open_data(make(tmp_path, {"a": [shape([[3, 4], [11, 9]], kind="mask", mask=png(disc))]}))
    assert objects(data) == {"a.png": [("cat", 5, 5, 11, 9)]} and (data.samples[0].truth.masks()[0] == pixels(5, 5, 11, 9)).all()


def test_shapes_of_one_group_are_one_object(tmp_path: Path) -> None:
    left, right = [[1, 1], [5, 1], [5, 5], [1, 5]], [[20, 10], [30, 10], [30, 18], [20, 18]]
    rows = [shape(left, group=1), shape(right, group=1), shape(right, "dog", group=1), shape(left), shape(right)]
    patch = shape([[32, 0], [34, 2]], kind="mask", mask=png(np.ones((3, 3), bool)), group=1)
    data = open_data(make(tmp_path, {"a": [*rows, patch], "b": [shape(left, group=1)]}))
    first, second = data.samples
    assert list(first.truth.labels) == ["cat", "dog", "cat", "cat"] and len(second.truth) == 1
    assert (first.truth.masks()[0] == pixels(1, 1, 5, 5) | pixels(20, 10, 30, 18) | pixels(32, 0, 35, 3)).all()
    assert first.truth.boxes[0].tolist() == [1, 0, 35, 18]


@pytest.mark.parametrize("mark", [{"flags": {"difficult": True}}, {"flags": {"ignored": True}}, {"difficult": True}])
def test_difficult_objects_are_ignored(tmp_path: Path, mark: dict) -> None:
    data = open_data(make(tmp_path, {"a": [shape(SQUARE, **mark), shape(SQUARE, "dog", flags={"difficult": False})]}))
    assert data.samples[0].truth.ignored.tolist() == [True, False]


def test_old_files_say_less(tmp_path: Path) -> None:
    row = {"label": "cat", "points": SQUARE, "line_color": None}
    data = open_data(make(tmp_path, {"a": {"shapes": [row], "imagePath": "a.png"}}))
    assert objects(data) == {"a.png": [("cat", 10, 5, 30, 15)]}


def test_pictures_without_a_file_are_unlabelled(tmp_path: Path) -> None:
    picture(make(tmp_path, {"a": []}) / "b.png")
    data = open_data(tmp_path)
    assert [s.truth is None for s in data.samples] == [False, True] and any("1 pictures have no labels" in note for note in data.notes)


@pytest.mark.parametrize("name", ["../images/a.png", "..\\images\\a.png", "/data/set/images/a.png", "C:\\x\\a.png", "a.png"])
def test_files_in_a_folder_of_their_own(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "images/a.png")
    (tmp_path / "json").mkdir()
    (tmp_path / "json/a.json").write_text(json.dumps(content([shape(SQUARE)], name)))
    data = open_data(tmp_path)
    outside = name.startswith(("/", "C:"))
    assert data.format == "labelme" and (bool(data.refused) if outside else objects(data) == {"images/a.png": [("cat", 10, 5, 30, 15)]})


def test_a_picture_under_another_name_is_found_beside_the_file(tmp_path: Path) -> None:
    make(tmp_path, {"a": content([shape(SQUARE)], "/somewhere/else/IMG_1.png")})
    data = open_data(tmp_path)
    assert len(data.samples[0].truth) == 1 and any("a.json" in note for note in data.notes) and not data.refused


def test_parts_by_folder(tmp_path: Path) -> None:
    make(tmp_path / "train", {"a": [shape(SQUARE)]})
    make(tmp_path / "val", {"a": [shape(SQUARE)]})
    data = open_data(tmp_path)
    assert {s.id: s.split for s in data.samples} == {"train/a.png": "train", "val/a.png": "val"} and not data.refused


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    raw = json.dumps(content([shape(SQUARE, "白猫")], "a.png"), ensure_ascii=False).encode(encoding)
    data = labelme.read(make(tmp_path, {"a": raw}))
    assert data.names == ["白猫"] and any("GBK" in note for note in data.notes) == (encoding == "gbk")


def test_a_copy_of_the_picture_is_not_in_the_way(tmp_path: Path) -> None:
    data = base64.b64encode(os.urandom(9 << 20)).decode()
    make(tmp_path, {"a": {"imageData": data} | content([shape(SQUARE)], imageData=data)})
    start = time.process_time()
    assert len(open_data(tmp_path).samples[0].truth) == 1 and time.process_time() - start < 20
    (tmp_path / "a.png").unlink()
    picture(tmp_path / "other.png")
    [why] = reasons(open_data(tmp_path)).values()
    assert "imageData" in why and "labelme_export_json" in why


# shapes and files that are none

HUGE = int("9" * 400)
BAD_SHAPES = {
    "a point": (shape([[1, 1]], kind="point"), "kind point"),
    "a line": (shape([[1, 1], [5, 5]], kind="line"), "kind line"),
    "a line strip": (shape(SQUARE, kind="linestrip"), "kind linestrip"),
    "points": (shape(SQUARE, kind="points"), "kind points"),
    "an unknown kind": (shape(SQUARE, kind={"x": 1}), "kind"),
    "no class": (shape(SQUARE, None), "no class"),
    "an empty class": (shape(SQUARE, "  "), "no class"),
    "a class that is no text": (shape(SQUARE, ["x"]), "no class"),
    "half a character": (shape(SQUARE, "\ud800"), "no class"),
    "two corners": (shape([[1, 1], [5, 5]]), "three points"),
    "no points": (shape(None), "list of numbers"),
    "words": (shape([["a", "b"], [1, 2], [3, 4]]), "list of numbers"),
    "numbers in words": (shape([["1", "2"], [1, 2], [3, 4]]), "list of numbers"),
    "truth values": (shape([[True, False], [1, 2], [3, 4]]), "list of numbers"),
    "three numbers": (shape([[1, 2, 3], [1, 2, 3], [3, 4, 5]]), "list of numbers"),
    "flat": (shape([1, 2, 3, 4, 5, 6]), "list of numbers"),
    "nan": (shape([[1, float("nan")], [5, 5], [1, 5]]), "not finite"),
    "inf": (shape([[1, float("inf")], [5, 5], [1, 5]]), "not finite"),
    "endless": (shape([[1, HUGE], [5, 5], [1, 5]]), "not finite"),
    "huge": (shape([[1, 1e30], [5, 5], [1, 5]]), "no picture is so large"),
    "outside": (shape([[100, 100], [150, 100], [150, 150]]), "lies outside"),
    "over the border": (shape([[30, 5], [60, 5], [60, 15], [30, 15]]), "lies outside"),
    "no area": (shape([[1, 1], [5, 1], [9, 1]]), "no area"),
    "between the pixels": (shape([[1.6, 1.6], [2.2, 1.6], [1.6, 2.2]]), "no area"),
    "half a rectangle": (shape([[1, 1]], kind="rectangle"), "1 points"),
    "a flat rectangle": (shape([[1, 1], [1, 5]], kind="rectangle"), "no area"),
    "a circle of no size": (shape([[5, 5], [5, 5]], kind="circle"), "no area"),
    "a circle elsewhere": (shape([[500, 5], [505, 5]], kind="circle"), "lies outside"),
    "a mask without pixels": (shape([[1, 1], [5, 5]], kind="mask"), ""),
    "a mask that is no picture": (shape([[1, 1], [5, 5]], kind="mask", mask="QUJD"), ""),
    "a mask that is no base64": (shape([[1, 1], [5, 5]], kind="mask", mask="***"), "not a sound record"),
    "a mask of another size": (shape([[1, 1], [5, 5]], kind="mask", mask=png(np.ones((2, 2), bool))), "2 × 2"),
    "a mask outside": (shape([[38, 1], [42, 5]], kind="mask", mask=png(np.ones((5, 5), bool))), "lies outside"),
    "an empty mask": (shape([[1, 1], [5, 5]], kind="mask", mask=png(np.zeros((5, 5), bool))), "no area"),
    "no record": (17, "not a sound record"),
    "endless outline": (shape([[0, 0], [40, 20]] * 50_000), "long"),
}


@pytest.mark.parametrize("kind", BAD_SHAPES)
def test_a_shape_that_is_none_is_named_and_the_others_stay(tmp_path: Path, kind: str) -> None:
    bad, word = BAD_SHAPES[kind]
    raw = json.dumps(content([shape(SQUARE, "ok"), bad, shape(SQUARE, "ok")])).encode()
    make(tmp_path, {"a": raw, "b": json.dumps(content([bad], "b.png")).encode()})
    start = time.process_time()
    data = open_data(tmp_path)
    assert time.process_time() - start < 20
    assert set(reasons(data)) == {"a.json: shapes[1]", "b.json: shapes[0]"} and all(word in why for why in reasons(data).values())
    assert list(data.samples[0].truth.labels) == ["ok", "ok"] and data.samples[1].truth is None and data.names == ["ok"]


BAD_FILES = {
    "empty": b"",
    "binary": b"\x80\x00\xff\x01" * 100,
    "half": b'{"shapes": [',
    "another kind": b'{"images": [], "annotations": []}',
    "a list": b"[]",
    "deep": b"[" * 200_000,
    "deep inside": b'{"shapes": ' + b'[{"a":' * 100_000,
    "a false size": content([shape(SQUARE)], "b.png", imageWidth=41),
    "a size in words": content([shape(SQUARE)], "b.png", imageWidth="40"),
    "a size of no number": content([shape(SQUARE)], "b.png", imageWidth=float("nan")),
    "a size without end": content([shape(SQUARE)], "b.png", imageWidth=HUGE),
    "another's picture": content([shape(SQUARE)], "a.png"),
    "shapes that are none": content({"a": 1}, "b.png"),
    "endless digits": b'{"shapes": [], "imagePath": "b.png", "imageWidth": ' + b"9" * 100_000 + b"}",
    "half a character": json.dumps(content([], "b.png", imageWidth="\ud800")).encode(),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_none_is_named_and_its_picture_unlabelled(tmp_path: Path, kind: str) -> None:
    make(tmp_path, {"a": [shape(SQUARE)], "b": BAD_FILES[kind], "c": [shape(SQUARE)]})
    start = time.process_time()
    data = open_data(tmp_path)
    assert time.process_time() - start < 20 and data.format == "labelme"
    assert list(reasons(data)) == ["b.json"] and [s.truth is None for s in data.samples] == [False, True, False]


def test_a_hundred_megabytes_are_refused_at_once(tmp_path: Path) -> None:
    make(tmp_path, {"a": [shape(SQUARE)], "b": [], "c": [], "d": []})
    with open(tmp_path / "b.json", "wb") as file:
        file.truncate(100 << 20)
    (tmp_path / "c.json").write_bytes(b'{"shapes": [' + b"1," * (10 << 20) + b"1]}")
    (tmp_path / "d.json").unlink()
    os.mkfifo(tmp_path / "d.json")
    start = time.process_time()
    data = open_data(tmp_path)
    assert time.process_time() - start < 20 and set(reasons(data)) == {"b.json", "c.json", "d.json"}


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    top = make(tmp_path / "set", {"b": [shape(SQUARE)]})
    for name, path in {"up": "../secret.png", "whole": f"{tmp_path}/secret.png", "null": "\0", "none": None, "number": 3}.items():
        (top / f"{name}.json").write_text(json.dumps(content([], path)))
    (top / "link.json").symlink_to(tmp_path / "link.json")
    (tmp_path / "link.json").write_text(json.dumps(content([], "b.png")))
    data = open_data(top)
    assert set(reasons(data)) == {"up.json", "whole.json", "null.json", "none.json", "number.json", "link.json"}
    assert [s.id for s in data.samples] == ["b.png"]


def test_a_folder_without_pictures_or_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pictures"):
        labelme.read(tmp_path)
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="JSON"):
        labelme.read(tmp_path)


def test_other_datasets_are_not_taken(tmp_path: Path) -> None:
    picture(tmp_path / "classes/cat/1.png")
    picture(tmp_path / "classes/dog/1.png")
    (tmp_path / "classes/cat/info.json").write_text('{"name": "cat"}')
    picture(tmp_path / "coco/images/a.png")
    (tmp_path / "coco/annotations.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert labelme.sniff(tmp_path / "classes") == labelme.sniff(tmp_path / "coco") == labelme.sniff(tmp_path / "none") == 0.0
    assert sniff(tmp_path / "classes") == "folders"


# what is written


def blob(seed: int, height: int, width: int) -> np.ndarray:
    """A soft region with a pixel set."""
    rng = np.random.default_rng(seed)
    canvas = Image.new("L", (width, height))
    for _ in range(int(rng.integers(1, 4))):
        x, y, r, s = rng.uniform((0, 0, 3, 3), (width, height, width / 2, height / 2))
        ImageDraw.Draw(canvas).ellipse((x - r, y - s, x + r, y + s), fill=255)
    if rng.random() < 0.5:
        ImageDraw.Draw(canvas).ellipse((width / 2 - 2, height / 2 - 2, width / 2 + 2, height / 2 + 2), fill=0)
    mask = np.array(canvas) > 0
    mask[:2, :2] = True
    return mask


@given(seeds=st.lists(st.integers(0, 9999), max_size=3), height=st.integers(8, 50), width=st.integers(8, 50), aside=st.booleans())
@settings(deadline=None, max_examples=40)
def test_masks_come_back(tmp_path_factory: pytest.TempPathFactory, seeds: list[int], height: int, width: int, aside: bool) -> None:
    top = tmp_path_factory.mktemp("labelme")
    masks = [blob(seed, height, width) for seed in seeds]
    counts = [_rle.encode(mask) for mask in masks]
    boxes = np.array([_rle.box(text, height, width) for text in counts], float).reshape(-1, 4)
    ignored = np.array([aside] * len(masks), bool) if aside and masks else None
    truth = Instances(width, height, ["猫", "x", "猫"][: len(masks)], boxes, None, ignored, counts)
    samples = [
        Sample("a.png", picture(top / "in/a.png", width, height), truth=truth, split="train"),
        Sample("b.png", picture(top / "in/b.png", width, height, 7)),
    ]
    labelme.write(Dataset(samples, ["x", "猫"], "instances", top, "x"), top / "out")
    back = labelme.read(top / "out")
    first, second = (next(s for s in back.samples if s.path.name == name) for name in ("a.png", "b.png"))
    assert second.truth is None and first.split == "train" and not back.refused
    assert list(first.truth.labels) == list(truth.labels) and (first.truth.ignored is None) == (ignored is None)
    if masks:
        assert (first.truth.masks() == np.stack(masks)).all() and np.abs(first.truth.boxes - boxes).max() < 0.5


@given(boxes=st.lists(st.tuples(st.floats(0, 39), st.floats(0, 19), st.floats(1, 40), st.floats(1, 20)), max_size=4))
@settings(deadline=None, max_examples=30)
def test_boxes_come_back(tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[float, ...]]) -> None:
    top = tmp_path_factory.mktemp("labelme")
    rows = [(x, y, min(x + w, 40), min(y + h, 20)) for x, y, w, h in boxes]
    truth = Boxes(WIDTH, HEIGHT, ["a"] * len(rows), np.array(rows, float).reshape(-1, 4))
    assert labelme.write(Dataset([Sample("a", picture(top / "in/a.png"), truth=truth)], ["a"], "detect", top, "x"), top / "out") == []
    back = labelme.read(top / "out").samples[0].truth
    assert type(back) is Boxes and np.abs(back.boxes - truth.boxes).max(initial=0) < 1e-3


def test_what_is_lost_is_said_with_its_count(tmp_path: Path) -> None:
    mask = pixels(2, 2, 12, 12) & ~pixels(5, 5, 8, 8)
    truth = Instances(WIDTH, HEIGHT, ["x"], np.array([[2, 2, 12, 12.0]]), None, None, [_rle.encode(mask)])
    samples = [Sample("a", picture(tmp_path / "in/a.png"), truth=truth, group="g")]
    lines = labelme.write(Dataset(samples, ["x"], "instances", tmp_path, "x"), tmp_path / "out")
    assert len(lines) == 2 and lines[0].startswith("1 objects have holes") and "1 pictures had" in lines[1]
    assert (labelme.read(tmp_path / "out").samples[0].truth.masks()[0] == mask).all()


def test_the_written_file_is_what_labelme_reads(tmp_path: Path) -> None:
    """The keys, types and paths LabelMe 5 asks for when it opens a file."""
    parts = pixels(2, 2, 8, 8) | pixels(20, 5, 30, 15)
    truth = Instances(WIDTH, HEIGHT, ["狗"], np.array([[2, 2, 30, 15.0]]), None, np.array([True]), [_rle.encode(parts)])
    sample = Sample("照.png", picture(tmp_path / "in/照.png"), truth=truth, split="val")
    labelme.write(Dataset([sample], ["狗"], "instances", tmp_path, "x"), tmp_path / "out")
    file = tmp_path / "out/val/照.json"
    told = json.loads(file.read_text("utf-8"))
    assert told.keys() == {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
    assert (file.parent / told["imagePath"]).is_file() and told["imageData"] is None
    assert (told["imageHeight"], told["imageWidth"]) == (HEIGHT, WIDTH)
    drawn = np.zeros((HEIGHT, WIDTH), bool)
    for row in told["shapes"]:
        assert row["shape_type"] == "polygon" and row["label"] == "狗" and row["group_id"] == 0 and row["flags"] == {"difficult": True}
        canvas = Image.new("L", (WIDTH, HEIGHT))
        ImageDraw.Draw(canvas).polygon([tuple(point) for point in row["points"]], fill=1)
        drawn |= np.array(canvas) > 0
    assert len(told["shapes"]) == 2 and (drawn & parts).sum() / (drawn | parts).sum() > 0.75, "LabelMe's own pen takes in the border"
