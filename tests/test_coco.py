"""COCO JSON in and out: ids never shifted, bad records named, and the tools people use read what is written."""

from __future__ import annotations

import contextlib
import io
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labelled
from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.formats import coco
from omma.formats.format import open_data, sniff

WIDTH, HEIGHT = 40, 30


put = partial(labelled.put, size=(WIDTH, HEIGHT))


def image(number: Any, name: str, **more: Any) -> dict:
    return {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT} | more


def thing(number: Any, owner: Any, category: Any = 1, box: Any = (2, 3, 10, 8), **more: Any) -> dict:
    return {"id": number, "image_id": owner, "category_id": category, "bbox": list(box), "area": 80, "iscrowd": 0} | more


def content(images: list, annotations: list | None, categories: dict[Any, str] | None = None) -> dict:
    rows = [{"id": key, "name": name, "supercategory": "thing"} for key, name in (categories or {1: "cat"}).items()]
    lists = {} if annotations is None else {"annotations": annotations}
    return {"info": {}, "images": images, **lists, "categories": rows}


def save(top: Path, data: Any, name: str = "annotations.json") -> Path:
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    return path


def one(top: Path, *rows: Any, **more: Any) -> Dataset:
    """A picture with these annotations, read."""
    put(top, "a.png")
    return coco.read(save(top, content([image(1, "a.png")], list(rows), **more)))


# what is read


def test_boxes_become_corners_and_crowds_are_ignored(tmp_path: Path) -> None:
    data = one(tmp_path, thing(1, 1), thing(2, 1, box=(0, 0, 40, 30), iscrowd=1))
    truth = data.samples[0].truth
    assert isinstance(truth, Boxes) and not isinstance(truth, Instances) and data.task == "detect" and not data.refused
    assert truth.boxes.tolist() == [[2, 3, 12, 11], [0, 0, 40, 30]] and truth.ignored.tolist() == [False, True]
    assert (truth.width, truth.height, truth.labels) == (WIDTH, HEIGHT, ["cat", "cat"])
    assert (data.samples[0].id, data.samples[0].record) == ("a.png", "annotations.json: images[0]")


IDS = {
    "gaps": {1: "person", 3: "car", 90: "toothbrush"},
    "zero-based": {0: "person", 1: "car", 2: "toothbrush"},
    "one-based": {1: "person", 2: "car", 3: "toothbrush"},
    "background": {0: "background", 1: "person", 2: "car", 7: "toothbrush"},
    "unsorted": {7: "toothbrush", 2: "person", 5: "car"},
    "words": {"p": "person", "q": "car", "r": "toothbrush"},
    "written as fractions": {1.0: "person", 2.0: "car", 3.0: "toothbrush"},
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_are_names_and_never_shifted(tmp_path: Path, kind: str) -> None:
    categories = IDS[kind] | {"z" if kind == "words" else 99: "never used"}
    rows = [thing(place, 1, key, (place, 0, 5, 5)) for place, key in enumerate(IDS[kind], 1)]
    data = one(tmp_path, *rows, categories=categories)
    assert data.samples[0].truth.labels == list(IDS[kind].values()) and not data.refused
    assert data.names == [categories[key] for key in sorted(categories)]
    target = tmp_path / "out"
    coco.write(data, target)
    again = coco.read(target)
    assert (again.names, again.samples[0].truth.labels) == (data.names, data.samples[0].truth.labels)


def test_two_ids_with_one_name_are_one_class_and_this_is_said(tmp_path: Path) -> None:
    data = one(tmp_path, thing(1, 1, 0), thing(2, 1, 1), categories={0: "raccoon", 1: "raccoon"})
    assert data.names == ["raccoon"] and data.samples[0].truth.labels == ["raccoon"] * 2
    assert any("raccoon" in note for note in data.notes)


def test_a_picture_without_objects_is_empty_and_one_of_a_bare_file_unlabelled(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png")
    save(tmp_path, content([image(1, "a.png")], []), "annotations/instances_train.json")
    save(tmp_path, content([image(1, "b.png")], None), "annotations/image_info_test.json")
    first, second = coco.read(tmp_path).samples
    assert isinstance(first.truth, Boxes) and len(first.truth) == 0 and first.split == "train"
    assert second.truth is None and second.split == "test"


SQUARE = [5.0, 5.0, 15.0, 5.0, 15.0, 20.0, 5.0, 20.0]
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[5:20, 5:15] = True
RUNS = [5 * HEIGHT + 5] + [15, 15] * 9 + [15, HEIGHT - 20 + (WIDTH - 15) * HEIGHT]


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,
        [[5, 5, 15, 5, 15, 12, 5, 12], [5, 12, 15, 12, 15, 20, 5, 20]],
        {"size": [HEIGHT, WIDTH], "counts": _rle.encode(MASK)},
        {"size": [HEIGHT, WIDTH], "counts": RUNS},
    ],
    ids=["polygon", "flat polygon", "two polygons", "compressed", "uncompressed"],
)
def test_outlines_of_every_kind_become_masks(tmp_path: Path, segmentation: Any) -> None:
    data = one(tmp_path, thing(1, 1, box=(5, 5, 10, 15), segmentation=segmentation))
    truth = data.samples[0].truth
    assert data.task == "instances" and isinstance(truth, Instances) and not data.refused
    assert np.array_equal(truth.masks()[0], MASK)
    assert truth.boxes[0].tolist() == [5, 5, 15, 20]


def test_a_missing_box_comes_from_the_outline(tmp_path: Path) -> None:
    row = thing(1, 1, segmentation=[SQUARE])
    del row["bbox"]
    assert one(tmp_path, row).samples[0].truth.boxes.tolist() == [[5, 5, 15, 20]]


def test_one_object_without_outline_makes_all_of_them_boxes_and_this_is_said(tmp_path: Path) -> None:
    data = one(tmp_path, thing(1, 1, segmentation=[SQUARE]), thing(2, 1, segmentation=[]))
    assert data.task == "detect" and type(data.samples[0].truth) is Boxes and len(data.samples[0].truth) == 2
    assert any("1 of 2" in note for note in data.notes)


def test_one_bad_outline_costs_its_object_alone(tmp_path: Path) -> None:
    data = one(tmp_path, thing(1, 1, segmentation=[SQUARE]), thing(2, 1, segmentation=[[0, 0, 1e9, 0, 5, 5]]))
    assert data.task == "instances" and len(data.samples[0].truth) == 1
    assert [row.where for row in data.refused] == ["annotations.json: annotations[1]"]
    data = one(tmp_path, thing(1, 1, segmentation=[SQUARE, [1, 1, 1, 1, 1, 1]]))
    assert len(data.samples[0].truth) == 1, "a sliver costs itself alone"
    assert [row.where for row in data.refused] == ["annotations.json: annotations[0].segmentation[1]"]


# where things lie

LAYOUTS = {
    "beside": ("annotations.json", "a.png", "a.png"),
    "official": ("annotations/instances_train2017.json", "train2017/a.png", "a.png"),
    "images below": ("annotations/instances_train2017.json", "images/train2017/a.png", "a.png"),
    "of a service": ("train/_annotations.coco.json", "train/a.png", "a.png"),
    "path in name": ("annotations/all.json", "images/深/a b.png", "深/a b.png"),
    "whole path in name": ("annotations/all.json", "images/深/a.png", "images/深/a.png"),
    "up and down": ("annotations/all.json", "images/a.png", "../images/a.png"),
    "backslashes": ("set.json", "图片/猫/一.png", "图片\\猫\\一.png"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_pictures_are_found_where_tools_put_them(tmp_path: Path, kind: str) -> None:
    file, picture, name = LAYOUTS[kind]
    put(tmp_path, picture)
    path = save(tmp_path, content([image(1, name)], [thing(1, 1)]), file)
    for where in (path, tmp_path):
        data = open_data(where)
        assert data.format == "coco" and len(data) == 1 and not data.refused, where
        assert data.samples[0].path == tmp_path / picture and len(data.samples[0].truth) == 1


def test_parts_are_known_by_file_or_folder(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        put(tmp_path, f"{part}/a.png")  # one name in three folders
        save(tmp_path, content([image(1, "a.png")], [thing(1, 1)]), f"{part}/_annotations.coco.json")
    data = open_data(tmp_path)
    assert {s.id: s.split for s in data.samples} == {"test/a.png": "test", "train/a.png": "train", "valid/a.png": "val"}
    for part in ("train", "val"):
        put(tmp_path / "o", f"{part}2017/a.png")
        save(tmp_path / "o", content([image(1, "a.png")], [thing(1, 1)]), f"annotations/instances_{part}2017.json")
    data = open_data(tmp_path / "o")
    assert {s.id: s.split for s in data.samples} == {"train2017/a.png": "train", "val2017/a.png": "val"}
    assert data.samples[0].record == "annotations/instances_train2017.json: images[0]"


def test_a_file_named_itself_leaves_its_part_open(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    path = save(tmp_path, content([image(1, "a.png")], [thing(1, 1)]), "instances_val2017.json")
    assert coco.read(path).samples[0].split is None and coco.read(tmp_path).samples[0].split == "val"


def test_companions_are_left_aside_and_named(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png")
    rows = content([image(1, "a.png")], [thing(1, 1)])
    save(tmp_path, rows, "annotations/instances_train2017.json")
    save(tmp_path, rows, "annotations/person_keypoints_train2017.json")
    save(tmp_path, {"images": [image(1, "a.png")], "annotations": [{"caption": "a cat"}]}, "annotations/captions_train2017.json")
    data = open_data(tmp_path)
    assert len(data) == 1 and not data.refused
    assert any("captions_train2017.json" in note and "person_keypoints" in note for note in data.notes)


def test_a_name_of_several_pictures_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "one/a.png", "two/a.png", "b.png")
    data = coco.read(save(tmp_path, content([image(1, "a.png"), image(2, "b.png")], []), "annotations/x.json"))
    assert [row.where for row in data.refused] == ["annotations/x.json: images[0]"] and "one/a.png" in data.refused[0].reason


def test_other_folders_are_left_to_others(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/1.png")
    save(tmp_path, {"cat": 0, "dog": 1}, "classes.json")
    assert coco.sniff(tmp_path) == 0 and sniff(tmp_path) == "folders"
    assert coco.sniff(save(tmp_path, {"version": "5", "shapes": [], "imagePath": "1.png"}, "labelme.json")) == 0
    assert coco.sniff(save(tmp_path, [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}], "results.json")) == 0
    assert coco.sniff(tmp_path / "cat/1.png") == 0 and coco.sniff(tmp_path / "nowhere") == 0


# what is refused

RLE = {"size": [HEIGHT, WIDTH], "counts": RUNS}
BAD_OBJECTS = {
    "nan": ('{"id": 5, "image_id": 1, "category_id": 1, "bbox": [NaN, 1, 5, 5]}', "not finite"),
    "infinity": ('{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 1, Infinity, 5]}', "not finite"),
    "1e999": ('{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 1, 1e999, 5]}', "not finite"),
    "endless number": ('{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 1, %s, 5]}' % ("9" * 5000), "not finite"),
    "endless id": ('{"id": 5, "image_id": %s, "category_id": 1, "bbox": [1, 1, 5, 5]}' % ("9" * 5000), "image_id"),
    "deep": ('{"id": 5, "image_id": 1, "category_id": 1, "bbox": %s}' % ("[" * 700 + "]" * 700), "four numbers"),
    "huge": (thing(5, 1, box=(0, 0, 1e12, 5)), "so large"),
    "negative side": (thing(5, 1, box=(9, 9, -4, 5)), "turned round"),
    "no area": (thing(5, 1, box=(9, 9, 0, 5)), "no area"),
    "outside": (thing(5, 1, box=(100, 100, 5, 5)), "outside"),
    "words": (thing(5, 1, box=("a", "b", "c", "d")), "four numbers"),
    "three numbers": (thing(5, 1, box=(1, 2, 3)), "four numbers"),
    "a table": (thing(5, 1, box=({}, [], None, True)), "four numbers"),
    "neither box nor outline": ({"id": 5, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2], "num_keypoints": 1}, "bbox"),
    "no picture": ({"id": 5, "category_id": 1, "bbox": [1, 1, 5, 5]}, "image_id"),
    "no class": ({"id": 5, "image_id": 1, "bbox": [1, 1, 5, 5]}, "category_id"),
    "picture unknown": (thing(5, 77), "image_id 77"),
    "class unknown": (thing(5, 1, 77), "category_id 77"),
    "list for an id": (thing([5], 1), "id"),
    "id twice": (thing(1, 1), "used before"),
    "not a record": ("17", "17"),
    "null": ("null", "None"),
    "crowd": (thing(5, 1, iscrowd="yes"), "iscrowd"),
    "outline is a word": (thing(5, 1, segmentation="round"), "segmentation"),
    "outline of two points": (thing(5, 1, segmentation=[[1, 1, 5, 5]]), "three points"),
    "outline of odd count": (thing(5, 1, segmentation=[[1, 1, 5, 5, 9, 9, 3]]), "three points"),
    "outline to the moon": (thing(5, 1, segmentation=[[1, 1, 1e9, 5, 9, 9]]), "so large"),
    "outline not finite": ('{"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, NaN, 5, 9, 9]]}', "finite"),
    "outline of words": (thing(5, 1, segmentation=[["a"] * 8]), "polygon"),
    "outline of lists": (thing(5, 1, segmentation=[[[1, 1], [5, 1], [5, 5]]]), "polygon"),
    "other size": (thing(5, 1, segmentation=RLE | {"size": [WIDTH, HEIGHT]}), "mask is"),
    "absurd size": (thing(5, 1, segmentation=RLE | {"size": [10**9, 10**9]}), "mask is"),
    "size of words": (thing(5, 1, segmentation=RLE | {"size": "large"}), "mask is"),
    "runs too long": (thing(5, 1, segmentation=RLE | {"counts": [5, 10**15]}), "run lengths"),
    "runs too short": (thing(5, 1, segmentation=RLE | {"counts": [5, 5]}), "run lengths"),
    "negative runs": (thing(5, 1, segmentation=RLE | {"counts": [-5, HEIGHT * WIDTH + 5]}), "run lengths"),
    "runs of words": (thing(5, 1, segmentation=RLE | {"counts": ["a"]}), "run lengths"),
    "garbage": (thing(5, 1, segmentation=RLE | {"counts": "\x7f\u4e2d"}), "run lengths"),
    "string too short": (thing(5, 1, segmentation=RLE | {"counts": "52"}), "run lengths"),
    "no counts": (thing(5, 1, segmentation={"size": [HEIGHT, WIDTH]}), "counts"),
    "empty mask": (thing(5, 1, segmentation=RLE | {"counts": [HEIGHT * WIDTH]}), "no pixel"),
}


@pytest.mark.parametrize("kind", BAD_OBJECTS)
def test_a_bad_object_is_named_and_the_others_stay(tmp_path: Path, kind: str) -> None:
    bad, reason = BAD_OBJECTS[kind]
    good = json.dumps(thing(1, 1, segmentation=RLE))
    text = json.dumps(content([image(1, "a.png")], ["HERE"]))
    bad = bad if isinstance(bad, str) else json.dumps(bad)
    text = text.replace('"HERE"', f"{good}, {bad}, {json.dumps(thing(9, 1, segmentation=RLE))}")
    put(tmp_path, "a.png")
    started = time.process_time()
    data = open_data(save(tmp_path, text))
    assert time.process_time() - started < 20
    assert [row.where for row in data.refused] == ["annotations.json: annotations[1]"]
    assert reason in data.refused[0].reason and len(data.refused[0].reason) < 400
    assert len(data.samples[0].truth) == 2 and data.task == "instances"


BAD_PICTURES = {
    "missing": (image(2, "none.png"), "none.png"),
    "leaves": (image(2, "../../etc/passwd"), "leaves the folder of the data"),
    "leaves from the top": (image(2, "/etc/passwd"), "leaves"),
    "link": (image(2, "link.png"), "leaves"),
    "no name": ({"id": 2}, "file_name"),
    "name is a number": (image(2, 7), "file_name"),
    "half a letter": ('{"id": 2, "file_name": "\\ud800.png"}', "file_name"),
    "no id": ({"file_name": "b.png"}, "id"),
    "id is a table": (image({}, "b.png"), "id"),
    "false size": (image(2, "b.png", width=400), "400"),
    "negative size": (image(2, "b.png", width=-40), "-40"),
    "size is a word": (image(2, "b.png", width="wide"), "width"),
    "size is endless": ('{"id": 2, "file_name": "b.png", "width": %s, "height": 3}' % ("9" * 5000), "width"),
    "no picture": (image(2, "text.png"), "PDF"),
    "named twice": (image(2, "a.png"), "images[0]"),
    "not a record": ("[]", "[]"),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_a_bad_picture_is_named_with_its_objects(tmp_path: Path, kind: str) -> None:
    bad, reason = BAD_PICTURES[kind]
    put(tmp_path, "set/a.png", "set/b.png", "outside.png")
    (tmp_path / "set/text.png").write_text("%PDF-1.7 no picture at all")
    (tmp_path / "set/link.png").symlink_to(tmp_path / "outside.png")
    text = json.dumps(content([image(1, "a.png"), "HERE"], [thing(1, 1), thing(2, 2), thing(3, 2)]))
    data = open_data(save(tmp_path / "set", text.replace('"HERE"', bad if isinstance(bad, str) else json.dumps(bad))))
    refused = {row.where: row.reason for row in data.refused}
    assert reason in refused["annotations.json: images[1]"]
    known = (isinstance(bad, dict) and bad.get("id") == 2) or kind in ("half a letter", "size is endless")
    if known:
        assert len(refused) == 1 and "2 objects" in refused["annotations.json: images[1]"]
    else:
        assert set(refused) == {f"annotations.json: {record}" for record in ("images[1]", "annotations[1]", "annotations[2]")}
    assert [sample.id for sample in data.samples] == ["a.png"] and len(data.samples[0].truth) == 1


def test_pictures_with_one_id_are_both_refused_unless_they_are_the_same(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    images = [image(1, "a.png"), image(1, "b.png"), image(2, "c.png"), image(2, "c.png")]
    data = coco.read(save(tmp_path, content(images, [thing(1, 1), thing(2, 2)])))
    assert sorted(row.where.split(": ")[1] for row in data.refused) == ["images[0]", "images[1]", "images[3]"]
    assert [(sample.id, len(sample.truth)) for sample in data.samples] == [("c.png", 1)]


def test_a_picture_of_refused_objects_alone_is_not_called_empty(tmp_path: Path) -> None:
    data = one(tmp_path, thing(1, 1, box=(0, 0, 0, 0)))
    assert data.samples[0].truth is None and data.task == "detect" and len(data.refused) == 1


BAD_CATEGORIES = {
    "no id": ({"name": "dog"}, "id"),
    "no name": ({"id": 2}, "name"),
    "name is a list": ({"id": 2, "name": ["dog"]}, "name"),
    "half a letter": ('{"id": 2, "name": "\\udfff"}', "name"),
    "id twice": ({"id": 1, "name": "dog"}, "used before"),
    "not a record": ('"dog"', "dog"),
}


@pytest.mark.parametrize("kind", BAD_CATEGORIES)
def test_a_bad_class_is_named(tmp_path: Path, kind: str) -> None:
    bad, reason = BAD_CATEGORIES[kind]
    put(tmp_path, "a.png")
    text = json.dumps(content([image(1, "a.png")], [thing(1, 1)])).replace(
        '"supercategory": "thing"}]', f'"supercategory": "thing"}}, {bad if isinstance(bad, str) else json.dumps(bad)}]'
    )
    data = coco.read(save(tmp_path, text))
    assert [row.where for row in data.refused] == ["annotations.json: categories[1]"] and reason in data.refused[0].reason
    assert data.names == ["cat"] and len(data.samples[0].truth) == 1


BAD_FILES = {
    "nothing": "",
    "not json": "<annotation></annotation>",
    "cut": json.dumps(content([image(1, "a.png")], [thing(1, 1)]))[:-30],
    "deep": "[" * 200_000,
    "deep and closed": "[" * 200_000 + "]" * 200_000,
    "deep in a key": '{"images": ' + '{"a":' * 200_000,
    "list": "[]",
    "number": "7",
    "latin-1": json.dumps({"images": [], "categories": []}).encode() + b"\xe9\xff",
    "no images": json.dumps({"annotations": [], "categories": []}),
    "no categories": json.dumps({"images": [], "annotations": []}),
    "annotations is a table": json.dumps({"images": [], "annotations": {}, "categories": []}),
    "images is a number": json.dumps({"images": 5, "annotations": [], "categories": []}),
    "no pictures": json.dumps(content([], [])),
    "no picture is there": json.dumps(content([image(1, "none.png")], [thing(1, 1)])),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_none_says_so(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path, "a.png") / "bad.json"
    path.write_bytes(BAD_FILES[kind] if isinstance(BAD_FILES[kind], bytes) else BAD_FILES[kind].encode())
    started = time.process_time()
    for where in (path, tmp_path):
        with pytest.raises(DataError, match=r"bad\.json"):
            open_data(where, format="coco")
    assert time.process_time() - started < 20


def test_many_objects_are_read_quickly(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(20)))
    rows = [thing(number, number % 20) for number in range(5000)]
    path = save(tmp_path, content([image(i, f"{i}.png") for i in range(20)], rows))
    started = time.process_time()
    assert sum(len(sample.truth) for sample in coco.read(path).samples) == 5000
    assert time.process_time() - started < 20


# what is written


def drawn(top: Path, masks: bool) -> Dataset:
    """Three pictures, one in each part, one of which holds nothing and one unlabelled."""
    put(top, "猫 1.png", "b.png", "c.png", "d.png")
    hole = MASK.copy()
    hole[10:12, 8:10] = False
    boxes = np.array([[5, 5, 15, 20], [0.25, 0.5, 30.125, 29.75]])
    kind: Any = Instances if masks else Boxes
    more = {"counts": [_rle.encode(hole), _rle.encode(~MASK)]} if masks else {}
    full = kind(WIDTH, HEIGHT, ["狗", 'never "plain"'], boxes, None, np.array([False, True]), **more)
    samples = [
        Sample("b.png", top / "b.png", truth=kind(WIDTH, HEIGHT), split="val"),
        Sample("c.png", top / "c.png", split="train"),
        Sample("d.png", top / "d.png", truth=full, split="train", group="patient 7"),
        Sample("猫 1.png", top / "猫 1.png", truth=full),
    ]
    return Dataset(samples, ["unused", "狗", 'never "plain"'], "instances" if masks else "detect", top, "coco")


def facts(data: Dataset) -> list[tuple]:
    return [(sample.id, sample.split, None if sample.truth is None else sample.truth.json()) for sample in data.samples]


@pytest.mark.parametrize("masks", [False, True])
def test_what_is_written_is_read_back(tmp_path: Path, masks: bool) -> None:
    data = drawn(tmp_path / "in", masks)
    lost = coco.write(data, tmp_path / "out")
    assert len(lost) == 1 and "1 pictures had a group" in lost[0]
    again = open_data(tmp_path / "out")
    assert (again.format, again.names, again.task, again.refused) == ("coco", data.names, data.task, [])
    assert facts(again) == [(f"images/{name}", *more) for name, *more in facts(data)]
    assert (tmp_path / "out/images/b.png").read_bytes() == (tmp_path / "in/b.png").read_bytes()


def test_reading_changes_nothing_and_is_the_same_twice(tmp_path: Path) -> None:
    coco.write(drawn(tmp_path / "in", True), tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert coco.read(tmp_path / "out").digest() == coco.read(tmp_path / "out").digest()
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@pytest.mark.parametrize("masks", [False, True])
def test_pycocotools_opens_it(tmp_path: Path, masks: bool) -> None:
    from pycocotools.coco import COCO

    data = drawn(tmp_path / "in", masks)
    coco.write(data, tmp_path / "out")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(tmp_path / "out/annotations/instances_train.json"))
    (picture,) = theirs.loadImgs(theirs.getImgIds())
    assert (picture["file_name"], picture["width"], picture["height"]) == ("d.png", WIDTH, HEIGHT)
    names = {row["id"]: row["name"] for row in theirs.loadCats(theirs.getCatIds())}
    rows = theirs.loadAnns(theirs.getAnnIds(picture["id"]))
    truth = data.samples[2].truth
    assert [names[row["category_id"]] for row in rows] == truth.labels and [row["iscrowd"] for row in rows] == [0, 1]
    boxes = np.array([row["bbox"] for row in rows])
    np.testing.assert_allclose(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1), truth.boxes)
    if masks:
        assert all(np.array_equal(theirs.annToMask(row), mask) for row, mask in zip(rows, truth.masks(), strict=True))
        assert [row["area"] for row in rows] == truth.masks().sum((1, 2)).tolist()


@pytest.mark.parametrize("masks", [False, True])
def test_supervision_opens_it(tmp_path: Path, masks: bool) -> None:
    import supervision

    data = drawn(tmp_path / "in", masks)
    coco.write(data, tmp_path / "out")
    theirs = supervision.DetectionDataset.from_coco(
        str(tmp_path / "out/images"), str(tmp_path / "out/annotations/instances_train.json"), force_masks=masks
    )
    ((_, _, found),) = list(theirs)
    truth = data.samples[2].truth
    assert theirs.classes == data.names and [theirs.classes[i] for i in found.class_id] == truth.labels
    np.testing.assert_allclose(found.xyxy, truth.boxes, atol=1e-4)
    if masks:
        assert np.array_equal(found.mask, truth.masks())


@pytest.mark.slow
def test_torchvision_opens_it(tmp_path: Path) -> None:
    from torchvision.datasets import CocoDetection

    data = drawn(tmp_path / "in", True)
    coco.write(data, tmp_path / "out")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = CocoDetection(tmp_path / "out/images", str(tmp_path / "out/annotations/instances_train.json"))
    picture, rows = theirs[0]
    assert picture.size == (WIDTH, HEIGHT) and [row["bbox"] for row in rows] == [[5, 5, 10, 15], [0.25, 0.5, 29.875, 29.25]]


corner = st.floats(0, 1, width=32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(corner, corner, corner, corner, st.booleans()), max_size=6))
def test_round_trip_by_way_of_voc_stays_within_half_a_pixel(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    from omma.formats import voc

    top = tmp_path_factory.mktemp("trip")
    put(top / "in", "a.jpg")
    low = [(a * (WIDTH - 2), b * (HEIGHT - 2)) for a, b, *_ in rows]
    far = [(1.5 + c * (WIDTH - x - 1.5), 1.5 + d * (HEIGHT - y - 1.5)) for (x, y), (_, _, c, d, _) in zip(low, rows, strict=True)]
    boxes = [(x, y, x + width, y + height) for (x, y), (width, height) in zip(low, far, strict=True)]
    labels = ["a" if row[4] else "<b> & 'c'" for row in rows]
    truth = Boxes(WIDTH, HEIGHT, labels, np.array(boxes).reshape(-1, 4), None, np.array([row[4] for row in rows]) if rows else None)
    data = Dataset([Sample("a.jpg", top / "in/a.jpg", truth=truth)], ["a", "<b> & 'c'", "unused"], "detect", top, "coco")
    for step, module in enumerate((coco, voc, coco)):
        assert module.write(data, top / str(step)) == []
        data = module.read(top / str(step))
        assert not data.refused and set(data.names) >= {"a", "<b> & 'c'", "unused"}
    found = data.samples[0].truth
    assert found.labels == labels and np.abs(found.boxes - truth.boxes).max(initial=0) < 0.5
    assert np.array_equal(found.ignored, truth.ignored) or not any(row[4] for row in rows)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(corner, corner, corner, corner, st.booleans()), max_size=5))
def test_a_ring_of_formats_stays_within_half_a_pixel(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    low = np.array([(a * (WIDTH - 2), b * (HEIGHT - 2)) for a, b, *_ in rows]).reshape(-1, 2)
    far = low + 1.5 + np.array([(c, d) for _, _, c, d, _ in rows]).reshape(-1, 2) * ((WIDTH, HEIGHT) - low - 1.5)
    truth = Boxes(WIDTH, HEIGHT, ["1" if row[4] else "0: <b>" for row in rows], np.concatenate([low, far], 1))
    found = around(tmp_path_factory.mktemp("ring"), truth)
    _, first = np.unique(np.round(truth.boxes, 3), axis=0, return_index=True)
    if len(first) == len(truth):  # the same object twice counts once
        assert found.labels == truth.labels and np.abs(found.boxes - truth.boxes).max(initial=0) < 0.5


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_outlines_come_round_a_ring_of_formats(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, count + 1, (HEIGHT // 5, WIDTH // 5)).repeat(5, 0).repeat(5, 1)
    counts = [_rle.encode(coarse == place) for place in range(1, count + 1) if (coarse == place).any()]
    truth = Instances(WIDTH, HEIGHT, ["1", "0: <b>", "1", "1"][: len(counts)], np.zeros((len(counts), 4)), counts=counts).fitted()
    found = around(tmp_path_factory.mktemp("ring"), truth)
    assert found.labels == truth.labels and np.array_equal(found.masks(), truth.masks())
    assert np.abs(found.boxes - truth.boxes).max(initial=0) < 0.5


def around(top: Path, truth: Boxes) -> Boxes:
    """COCO → VOC → YOLO → COCO."""
    from omma.formats import voc, yolo

    put(top / "in", "a.jpg")
    names = ["0: <b>", "1"]
    data = Dataset([Sample("a.jpg", top / "in/a.jpg", truth=truth)], names, {"boxes": "detect"}.get(truth.kind, truth.kind), top, "coco")
    for step, module in enumerate((coco, voc, yolo, coco)):
        module.write(data, top / str(step))
        masks = module is voc and truth.kind == "instances"
        data = module.read(top / str(step) / ("SegmentationObject" if masks else ""))
        assert data.names == names and not data.refused
    assert type(data.samples[0].truth) is type(truth)
    return data.samples[0].truth
