"""YOLO as people lay it out: read whole, written so that other tools open it, and every row that is none named by file and line."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labelled import objects, reasons
from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.formats import yolo
from omma.formats._yolo_layout import label_files, tail
from omma.formats._yolo_rows import rows_of
from omma.formats.format import open_data, sniff

WIDTH, HEIGHT = 40, 20


def picture(path: Path, width: int = WIDTH, height: int = HEIGHT, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (shade, 90, 9)).save(path)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def make(top: Path, labels: dict[str, str | None], names: str | None = "names: [cat, 狗, bird]\n", split: str = "") -> Path:
    """`images/` and `labels/` with these label files, None for a picture without one."""
    for shade, (stem, rows) in enumerate(labels.items()):
        picture(top / "images" / split / f"{stem}.png", shade=shade % 256)
        if rows is not None:
            text(top / "labels" / split / f"{stem}.txt", rows)
    if names is not None:
        text(top / "data.yaml", names)
    return top


# what is read


def test_boxes_are_shares_of_the_picture(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5\n1 0.1 0.25 0.2 0.5\n", "b": "", "图": "2 0.5 0.5 1 1"}))
    assert (data.format, data.task, data.names, data.refused) == ("yolo", "detect", ["cat", "狗", "bird"], [])
    assert objects(data) == {
        "images/a.png": [("cat", 10, 5, 30, 15), ("狗", 0, 0, 8, 10)],
        "images/b.png": [],
        "images/图.png": [("bird", 0, 0, 40, 20)],
    }
    assert [s.record for s in data.samples] == ["labels/a.txt", "labels/b.txt", "labels/图.txt"]
    assert all(type(s.truth) is Boxes for s in data.samples)


def test_the_picture_is_upright_before_shares_are_taken(tmp_path: Path) -> None:
    make(tmp_path, {"b": ""})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images/a.jpg", exif=exif)
    text(tmp_path / "labels/a.txt", "0 0.25 0.25 0.5 0.5")
    truth = open_data(tmp_path).samples[0].truth
    assert (truth.width, truth.height) == (HEIGHT, WIDTH) and truth.boxes.tolist() == [[0, 0, 10, 20]]


def test_polygons_are_instances_only_where_every_row_is_one(tmp_path: Path) -> None:
    square, box = "1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75", "0 0.5 0.5 0.5 0.5"
    data = open_data(make(tmp_path / "all", {"a": square, "b": ""}))
    truth = data.samples[0].truth
    assert data.task == "instances" and isinstance(truth, Instances) and isinstance(data.samples[1].truth, Instances)
    assert truth.boxes.tolist() == [[10, 5, 30, 15]] and not data.samples[1].truth.counts
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[5:15, 10:30] = True
    assert (truth.masks() == wanted).all() and any("four points" in note for note in data.notes)
    mixed = open_data(make(tmp_path / "mixed", {"a": f"{square}\n{box}", "b": square}))
    assert mixed.task == "detect" and objects(mixed)["images/a.png"] == [("狗", 10, 5, 30, 15), ("cat", 10, 5, 30, 15)]
    assert type(mixed.samples[1].truth) is Boxes and any("1 of 3 objects have no outline" in note for note in mixed.notes)
    bad = open_data(make(tmp_path / "bad", {"a": f"{square}\n0 0.5 0.5 0.5 nan"}))
    assert bad.task == "instances" and len(bad.samples[0].truth) == 1, "a row that is refused does not decide"


ROWS = {
    "four numbers": ("0 0.5 0.5 0.5", "class number"),
    "a probability": ("0 0.5 0.5 0.5 0.5 0.9", "probability"),
    "half a point": ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.5", "points"),
    "words": ("cat 0.5 0.5 0.5 0.5", "class number"),
    "commas": ("0,0.5,0.5,0.5,0.5", "class number"),
    "a decimal comma": ("0 0,5 0,5 0,5 0,5", "class number"),
    "underscores": ("1_0 0.5 0.5 0.5 0.5", "class number"),
    "endless digits": (f"0 0.{'5' * 9000} 0.5 0.5 0.5", "class number"),
    "nan": ("0 nan 0.5 0.5 0.5", "not finite"),
    "inf": ("0 0.5 0.5 inf 0.5", "not finite"),
    "infinite class": ("inf 0.5 0.5 0.5 0.5", "not finite"),
    "nan in an outline": ("0 0.1 0.1 0.2 nan 0.2 0.2", "not finite"),
    "huge": ("0 1e300 0.5 0.5 0.5", "between 0 and 1"),
    "huge in an outline": ("0 0.1 0.1 1e30 0.1 0.2 0.2", "between 0 and 1"),
    "pixels": ("0 20 10 20 10", "between 0 and 1"),
    "over the border": ("0 0.9 0.5 0.21 0.5", "between 0 and 1"),
    "an outline over the border": ("0 0.1 0.1 1.1 0.1 0.5 0.9", "between 0 and 1"),
    "turned round": ("0 0.5 0.5 -0.5 0.5", "turned round"),
    "no width": ("0 0.5 0.5 0 0.5", "no area"),
    "a line": ("0 0.1 0.5 0.5 0.5 0.9 0.5", "no area"),
    "a class too many": ("3 0.5 0.5 0.5 0.5", "no class 3"),
    "a class far away": ("99999999999999999999 0.5 0.5 0.5 0.5", "no class 99999"),
    "a class below": ("-1 0.5 0.5 0.5 0.5", "whole number from 0"),
    "half a class": ("1.5 0.5 0.5 0.5 0.5", "whole number from 0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_that_is_none_is_named_and_the_others_stay(tmp_path: Path, kind: str) -> None:
    row, word = ROWS[kind]
    outline = "1 0.25 0.25 0.75 0.25 0.75 0.75" if "outline" in kind or kind == "a line" else "1 0.5 0.5 0.5 0.5"
    data = open_data(make(tmp_path, {"a": f"\n{outline}\n{row}\n", "b": row}))
    assert set(reasons(data)) == {"labels/a.txt:3", "labels/b.txt:1"} and all(word in why for why in reasons(data).values())
    first, second = data.samples
    assert first.truth.labels == ["狗"] and second.truth is None, "nobody knows what a picture shows of which every row is refused"
    assert any("1 pictures have no labels" in note for note in data.notes)


def test_rounding_may_lead_over_the_border_a_little(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": "0 0.5 0.5 1.0008 1.0009\n0 -0.0009 0.5 0.5 1.0009 1 0 0.2 0.2"}))
    assert not data.refused and objects(data)["images/a.png"][0] == ("cat", 0, 0, 40, 20)
    assert data.samples[0].truth.boxes.min() >= 0 and (data.samples[0].truth.boxes.max(0) <= [40, 20, 40, 20]).all()


def test_a_class_written_as_a_fraction_is_still_a_class(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": "1.000000e+00 0.5 0.5 0.5 0.5"}))
    assert data.samples[0].truth.labels == ["狗"]


def test_rows_that_are_there_twice_count_once(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5\n0 0.50 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5", "b": "0 0.5 0.5 0.5 0.5"}))
    assert [len(s.truth) for s in data.samples] == [2, 1] and any("labels/a.txt:2" in note for note in data.notes)


def test_pictures_without_label_file_show_nothing_only_where_others_have_one(tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5", "b": None, "c": None}, split="train")
    make(tmp_path, {"d": None}, split="test")
    data = open_data(tmp_path)
    empty = {s.id: None if s.truth is None else len(s.truth) for s in data.samples}
    assert empty == {"images/test/d.png": None, "images/train/a.png": 1, "images/train/b.png": 0, "images/train/c.png": 0}
    assert any(note.startswith("2 pictures have no label file") for note in data.notes)


def test_a_label_file_without_picture_is_named(tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"})
    text(tmp_path / "labels/gone.txt", "0 0.5 0.5 0.5 0.5")
    text(tmp_path / "labels/README.txt", "about")
    assert list(reasons(open_data(tmp_path))) == ["labels/gone.txt"]


def test_a_picture_that_is_none_is_named_and_stays_unlabelled(tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5", "b": "0 0.5 0.5 0.5 0.5"})
    text(tmp_path / "images/b.png", "no picture")
    data = open_data(tmp_path)
    assert list(reasons(data)) == ["images/b.png"] and [s.truth is None for s in data.samples] == [False, True]


@pytest.mark.parametrize(("one", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_two_spellings_of_one_name_belong_together(tmp_path: Path, one: str, other: str) -> None:
    picture(tmp_path / "images" / f"{unicodedata.normalize(one, 'é')}.png")
    text(tmp_path / "labels" / f"{unicodedata.normalize(other, 'é')}.txt", "0 0.5 0.5 0.5 0.5")
    data = open_data(tmp_path)
    assert len(data.samples[0].truth) == 1 and not data.refused


# classes


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("names: [a, b, c]", ["a", "c"]),
        ("names: {0: a, 1: b, 2: c}", ["a", "c"]),
        ("names:\n  0: a\n  2: c\n", ["a", "c"]),  # a gap
        ("names:\n- background\n- x\n- 猫\n", ["background", "猫"]),
        ("names: [no, 1.0, yes]", ["no", "yes"]),  # what YAML takes for truth values
        ("names: [null, b, 2020-01-01]", ["null", "2020-01-01"]),
        ("nc: 3", ["0", "2"]),
        (None, ["0", "2"]),
    ],
)
def test_class_numbers_mean_what_is_written(tmp_path: Path, names: str | None, labels: list[str]) -> None:
    data = open_data(make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5"}, names))
    assert data.samples[0].truth.labels == labels and not data.refused
    assert any("called by their numbers" in note for note in data.notes) == (names is None)


def test_a_gap_in_the_classes_is_no_class(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": "1 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5"}, "names: {0: a, 2: c}"))
    assert data.names == ["a", "c"] and "no class 1" in reasons(data)["labels/a.txt:1"]


def test_odd_counts_of_classes_are_told(tmp_path: Path) -> None:
    data = open_data(make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, "nc: 5\nnames: [a, a]"))
    assert any("5 classes (nc) but names 2" in note for note in data.notes) and any("one class: a" in note for note in data.notes)
    assert data.names == ["a"]


@pytest.mark.parametrize("where", ["classes.txt", "labels/classes.txt", "obj.names"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk", "utf-16"])
def test_class_lists(tmp_path: Path, where: str, encoding: str) -> None:
    make(tmp_path, {"a": "1 0.5 0.5 0.5 0.5"}, None)
    text(tmp_path / where, "猫\r\n白色的狗\r\n".encode(encoding))
    data = open_data(tmp_path)
    assert (data.names, data.samples[0].truth.labels, data.refused) == (["猫", "白色的狗"], ["白色的狗"], [])


def test_class_lists_that_differ_are_refused(tmp_path: Path) -> None:
    make(tmp_path, {"a": "1 0.5 0.5 0.5 0.5"}, None)
    text(tmp_path / "classes.txt", "a\nb\n")
    text(tmp_path / "labels/classes.txt", "b\na\n")
    with pytest.raises(DataError, match=r"classes\.txt, labels/classes\.txt"):
        open_data(tmp_path)


HOSTILE_YAML = {
    "a tag that would run": "names: !!python/object/apply:os.system ['touch ran']\n",
    "a list": "- names\n",
    "half a list": "names: [a, b\n",
    "deep": "names: " + "[" * 60_000,
    "deep in blocks": "names:\n" + "- " * 30_000,
    "deep in keys": "names:\n" + "".join(" " * i + "a:\n" for i in range(1, 300)),
    "a name that would run": "names: [a, !!python/name:os.system '']\n",
    "lists in lists": "names: [[a], [b]]\n",
    "names that are no numbers": "names: {a: 0}\n",
    "one number twice": "names: {0: a, 00: b}\n",
    "empty name": "names: ['', b]\n",
    "endless count": f"nc: {'9' * 5000}\nnames: [a]\n",
    "binary": b"names: [a]\0\x01\n",
    "large": b"names: [" + b"a, " * 100_000 + b"b]",
    "as large as may be": b"names: [" + b"a, " * 9_900 + b"[b]]",
    "odd key points": "names: [a]\nkpt_shape: [x, 3]\n",
}


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_a_hostile_data_yaml_is_refused_at_once(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, None)
    text(tmp_path / "data.yaml", HOSTILE_YAML[kind])
    start = time.process_time()
    with pytest.raises(DataError, match=r"data\.yaml"):
        open_data(tmp_path)
    assert time.process_time() - start < 20 and not (tmp_path / "ran").exists()


def test_anchors_do_not_grow(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)), "names: *a29"]
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, "\n".join(lines))
    start = time.process_time()
    with pytest.raises(DataError, match="names"):
        open_data(tmp_path)
    assert time.process_time() - start < 20


def test_key_points_are_left_out_and_said(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.5 0.5 0.4 0.4 2 0.6 0.6 1"
    data = open_data(make(tmp_path, {"a": row}, "names: [a]\nkpt_shape: [2, 3]\n"))
    assert objects(data) == {"images/a.png": [("a", 10, 5, 30, 15)]} and any("key points" in note for note in data.notes)


# where things lie


LAYOUTS = {
    "splits below images": ("images/{split}/{name}", "labels/{split}/{stem}"),
    "splits above images": ("{split}/images/{name}", "{split}/labels/{stem}"),
    "coco128": ("images/{split}2017/{name}", "labels/{split}2017/{stem}"),
    "side by side": ("{split}/{name}", "{split}/{stem}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("named", [True, False])
def test_layouts(tmp_path: Path, layout: str, named: bool) -> None:
    images, labels = LAYOUTS[layout]
    for number, split in enumerate(("train", "val", "test")):
        picture(tmp_path / images.format(split=split, name="一.png"), shade=number)
        text(tmp_path / f"{labels.format(split=split, stem='一')}.txt", f"{number} 0.5 0.5 0.5 0.5")
    text(tmp_path / "classes.txt", "a\nb\nc\n")
    if named:
        parts = "".join(f"{split}: {images.format(split=split, name='').rstrip('/')}\n" for split in ("train", "val", "test"))
        text(tmp_path / "data.yaml", f"{parts}names: [a, b, c]\n")
    data = open_data(tmp_path)
    assert (data.format, data.refused, data.notes) == ("yolo", [], [])
    assert {s.split: s.truth.labels for s in data.samples} == {"train": ["a"], "val": ["b"], "test": ["c"]}


def test_pictures_and_rows_in_one_folder(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
        text(tmp_path / f"{name}.txt", "0 0.5 0.5 0.5 0.5")
    data = open_data(tmp_path)
    assert (data.format, len(data), data.counts(), data.refused) == ("yolo", 2, {}, [])


def test_darknet_lists_say_the_parts(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"obj_train_data/{name}.jpg")
        text(tmp_path / f"obj_train_data/{name}.txt", "0 0.5 0.5 0.5 0.5")
    text(tmp_path / "obj.names", "猫\n")
    text(tmp_path / "train.txt", "data/obj_train_data/a.jpg\n\nC:\\data\\obj_train_data\\b.jpg\nobj_train_data/none.jpg\n")
    text(tmp_path / "valid.txt", "./obj_train_data/c.jpg\n")
    data = open_data(tmp_path)
    assert [s.split for s in data.samples] == ["train", "train", "val"] and data.names == ["猫"]
    assert list(reasons(data)) == ["train.txt:4"]


YAMLS = {
    "plain": "train: images/train\nval: images/val\n",
    "with a path": "path: .\ntrain: images/train\nval: images/val\n",
    "another machine's": "path: /content/set\ntrain: images/train\nval: images/val\n",
    "one folder up": "train: ../images/train\nval: ../images/val\n",
    "windows": "train: C:\\sets\\images\\train\nval: .\\images\\val\n",
    "lists": "train: [images/train]\nval:\n- images/val\n",
    "text lists": "train: train.txt\nval: ./lists/val.txt\n",
    "valid": "train: images/train\nvalid: images/val\ntest: null\n",
}


@pytest.mark.parametrize("kind", YAMLS)
def test_parts_of_a_data_yaml(tmp_path: Path, kind: str) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, None, "train")
    make(tmp_path, {"a": "1 0.5 0.5 0.5 0.5"}, None, "val")
    text(tmp_path / "train.txt", "./images/train/a.png\n")
    text(tmp_path / "lists/val.txt", "/data/x/set/images/val/a.png\n")
    text(tmp_path / "data.yaml", YAMLS[kind] + "names: [x, y]\n")
    for where in (tmp_path, tmp_path / "data.yaml"):
        data = open_data(where)
        assert {s.id: (s.split, s.truth.labels) for s in data.samples} == {
            "images/train/a.png": ("train", ["x"]),
            "images/val/a.png": ("val", ["y"]),
        }
        assert not data.refused and any("lies in this folder" in note for note in data.notes) == (
            kind in ("another machine's", "one folder up", "windows")
        )


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    make(tmp_path / "other", {"secret": "0 0.5 0.5 0.5 0.5"}, None)
    top = make(tmp_path / "set", {"a": "0 0.5 0.5 0.5 0.5"}, None, "train")
    text(top / "data.yaml", f"train: images/train\nval: ../other/images\ntest: {tmp_path}/other\nnames: [x]\n")
    data = open_data(top)
    assert "secret" not in str(data.samples) and "val" not in data.counts() and "test" in str(reasons(data))
    assert set(reasons(data)) <= {"data.yaml: val", "data.yaml: test"} and "lies outside" in reasons(data)["data.yaml: test"]
    (top / "labels/train/a.txt").unlink()
    (top / "labels/train/a.txt").symlink_to(tmp_path / "other/labels/secret.txt")
    assert "lies outside" in reasons(open_data(top))["labels/train/a.txt"]


def test_parts_that_are_not_here_are_told(tmp_path: Path) -> None:
    top = make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, "train: images\ntest: test/pictures\nnames: [x]\n")
    assert any("test/pictures, which is not here" in note for note in open_data(top).notes)
    text(top / "data.yaml", "train: nowhere\nnames: [x]\n")
    with pytest.raises(DataError, match="nowhere"):
        open_data(top)


def test_one_folder_for_two_parts_and_pictures_in_none(tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, None, "one")
    make(tmp_path, {"b": "0 0.5 0.5 0.5 0.5"}, None, "two")
    text(tmp_path / "data.yaml", "train: images/one\nval: images/one\nnames: [x]\n")
    data = open_data(tmp_path)
    assert [(s.id, s.split) for s in data.samples] == [("images/one/a.png", "train")] and not data.refused
    assert any("several parts" in note for note in data.notes) and any("left out" in note for note in data.notes)


def test_several_descriptions_must_be_chosen_from(tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5"}, None)
    text(tmp_path / "x.yaml", "names: [x]\n")
    text(tmp_path / "y.yaml", "names: [y]\n")
    with pytest.raises(DataError, match=r"x\.yaml, y\.yaml"):
        open_data(tmp_path)
    assert open_data(tmp_path / "y.yaml").names == ["y"]


@pytest.mark.parametrize(
    ("path", "found"),
    [("a/b", "a/b"), ("./a//b", "a/b"), ("x/../a/b", "a/b"), ("../../a/b", "a/b"), ("/r/s/a/b/", "a/b"), ("a\\b", "a/b"), ("a", None)],
)
def test_the_end_of_a_path_is_looked_up(path: str, found: str | None) -> None:
    assert tail(path, {"a/b", "b"}) == found
    assert tail("..", {"", "a"}) is None and tail("/", {""}) is None and tail(".", {""}) == ""


def test_where_a_label_file_may_lie() -> None:
    assert label_files("images/train/a.b.jpg") == ["labels/train/a.b.txt", "Labels/train/a.b.txt", "images/train/a.b.txt"]
    assert label_files("a.jpg") == ["a.txt"]


# whose it is


def test_other_datasets_are_not_taken(tmp_path: Path) -> None:
    classes = tmp_path / "classes"
    for name in ("cat/1.png", "dog/1.png"):
        picture(classes / name)
    text(classes / "cat/1.txt", "a cat on a mat")
    text(classes / "data.yaml", "outs:\n- md5: x\n")
    masks = tmp_path / "masks"
    for name in ("images/a.png", "labels/a.png", "images/b.png", "labels/b.png"):
        picture(masks / name)
    text(masks / "classes.txt", "sky\nroad\n")
    text(masks / "labels/classes.txt", "sky\nroad\n")
    plain = tmp_path / "plain"
    picture(plain / "a.png")
    text(plain / "a.txt", "1 2 3\n")
    text(plain / "notes.txt", "0 0.5 0.5 0.5 0.5\n")
    assert [yolo.sniff(path) for path in (classes, masks, plain, tmp_path / "none", classes / "cat/1.png")] == [0.0] * 5
    assert sniff(classes) == "folders" and sniff(plain) == "folders"


def test_ones_own_is_recognised(tmp_path: Path) -> None:
    assert yolo.sniff(make(tmp_path / "a", {"a": "0 0.5 0.5 0.5 0.5", "b": ""}, None)) == 0.9
    assert yolo.sniff(make(tmp_path / "b", {"a": "Car 0.00 0 1 2 3 4"}, None)) == 0.6
    assert yolo.sniff(make(tmp_path / "c", {"a": None}, "train: images\nnames: [a]\n")) == 0.6
    assert yolo.sniff(tmp_path / "c/data.yaml") == 0.9


# hostile files


@pytest.mark.parametrize(
    "kind", ["binary", "one line of 100 MB", "one token of 3 MB", "a pipe", "a folder", "lost link", "dots of an outline"]
)
def test_a_label_file_that_is_none_is_named_at_once(tmp_path: Path, kind: str) -> None:
    top = make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5", "b": None})
    path = top / "labels/b.txt"
    if kind == "binary":
        path.write_bytes(bytes(range(256)) * 50)
    elif kind == "one line of 100 MB":
        with open(path, "wb") as file:
            file.truncate(100 << 20)
    elif kind == "one token of 3 MB":
        path.write_text("0 0." + "5" * (3 << 20))
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "lost link":
        path.symlink_to(top / "labels/none.txt")
    else:
        path.write_text("0 " + "0 0 1 1 " * 200_000)
    start = time.process_time()
    data = open_data(top)
    assert time.process_time() - start < 20
    if kind == "a folder":
        assert len(data.samples[1].truth) == 0 and not data.refused
    elif kind == "dots of an outline":
        assert data.task == "detect" and not data.refused, "as a box it is sound"
    else:
        assert [row.where.partition(":")[0] for row in data.refused] == ["labels/b.txt"]
        assert data.samples[1].truth is None and len(data.samples[0].truth) == 1


def test_an_outline_without_end_never_reaches_the_rasteriser(tmp_path: Path) -> None:
    start = time.process_time()
    data = open_data(make(tmp_path, {"a": "0 " + "0 0 1 1 " * 100_000 + "\n0 0.1 0.1 0.9 0.1 0.9 0.9"}))
    assert time.process_time() - start < 20 and list(reasons(data)) == ["labels/a.txt:1"] and len(data.samples[0].truth) == 1


@pytest.mark.parametrize("content", ["x\n" * 1_000_000, "0 0.5 0.5 0.5 0.5\n" * 200_000])
def test_a_million_bad_or_equal_rows_take_no_time(tmp_path: Path, content: str) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5", "b": content})
    start = time.process_time()
    data = open_data(tmp_path)
    assert time.process_time() - start < 20 and len(data.refused) < 2
    if content[0] == "x":
        assert "first 100 rows" in reasons(data)["labels/b.txt"]
    else:
        assert len(data.samples[1].truth) == 1 and any("199999 objects" in note for note in data.notes)


@given(st.text(max_size=200) | st.lists(st.floats() | st.integers() | st.text(max_size=4), max_size=9).map(lambda v: " ".join(map(str, v))))
@settings(deadline=None, max_examples=200)
def test_whatever_a_row_says_it_is_an_object_or_refused(content: str) -> None:
    refused: list = []
    twice: list[str] = []
    rows = rows_of(content, "x.txt", {0: "a"}, 0, refused, twice)
    assert len(rows) + len(refused) + len(twice) == sum(bool(line.strip()) for line in content.splitlines())
    for row in rows:
        assert row.number == 0 and min(row.box) >= 0 and max(row.box) <= 1


# what is written


@st.composite
def box_sets(draw: st.DrawFn) -> list[tuple[int, int, list[tuple[str, tuple[float, ...]]]]]:
    names = st.sampled_from(["猫", "no", "1", "a: b", "#x"])
    found = []
    for _ in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(2, 90)), draw(st.integers(2, 90))
        rows = []
        for _ in range(draw(st.integers(0, 4))):
            x1, y1 = draw(st.floats(0, width - 1)), draw(st.floats(0, height - 1))
            x2, y2 = draw(st.floats(x1 + 0.75, width)), draw(st.floats(y1 + 0.75, height))
            rows.append((draw(names), tuple(round(value, 3) for value in (x1, y1, x2, y2))))
        found.append((width, height, list(dict.fromkeys(rows))))  # the same object twice counts once
    return found


@given(pictures=box_sets(), splits=st.sampled_from([(None,), ("train", "val"), ("test", "train", "val")]))
@settings(deadline=None, max_examples=40)
def test_boxes_come_back_within_half_a_pixel(tmp_path_factory: pytest.TempPathFactory, pictures: list, splits: tuple) -> None:
    top = tmp_path_factory.mktemp("yolo")
    samples = []
    for number, (width, height, rows) in enumerate(pictures):
        truth = Boxes(width, height, [name for name, _ in rows], np.array([box for _, box in rows], float).reshape(-1, 4))
        file = picture(top / f"in/{number}.png", width, height, number)
        samples.append(Sample(f"{number}.png", file, truth=truth, split=splits[number % len(splits)]))
    names = ["1", "#x", "a: b", "no", "猫"]
    yolo.write(Dataset(samples, names, "detect", top, "x"), top / "out")
    back = open_data(top / "out")
    assert (back.format, back.names, back.refused) == ("yolo", names, [])
    for sample in samples:
        twin = next(s for s in back.samples if s.path.name == sample.id)
        assert twin.split == sample.split and list(twin.truth.labels) == list(sample.truth.labels)
        assert np.abs(twin.truth.boxes - sample.truth.boxes).max(initial=0) < 1e-3


@given(seed=st.integers(0, 10_000), height=st.integers(6, 40), width=st.integers(6, 40), fill=st.floats(0.1, 0.9))
@settings(deadline=None, max_examples=40)
def test_masks_come_back_holes_and_parts_and_all(
    tmp_path_factory: pytest.TempPathFactory, seed: int, height: int, width: int, fill: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height // 2 + 1, width // 2 + 1)).repeat(2, 0).repeat(2, 1)[:height, :width] < fill
    mask[:2, :2] = True
    top = tmp_path_factory.mktemp("yolo")
    box = np.array([_rle.box(_rle.encode(mask), height, width)])
    truth = Instances(width, height, ["x"], box, None, None, [_rle.encode(mask)])
    yolo.write(Dataset([Sample("a", picture(top / "in/a.png", width, height), truth=truth)], ["x"], "instances", top, "x"), top / "out")
    back = open_data(top / "out").samples[0].truth
    assert (back.masks()[0] == mask).all() and np.abs(back.boxes - box).max() < 0.5


def ring() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:12, 2:12] = True
    mask[5:8, 5:8] = False
    mask[15:18, 30:38] = True
    return mask


def test_what_is_lost_is_said_with_its_count(tmp_path: Path) -> None:
    counts = [_rle.encode(ring()), _rle.encode(np.zeros((HEIGHT, WIDTH), bool)), _rle.encode(ring())]
    truth = Instances(WIDTH, HEIGHT, ["x"] * 3, np.array([[2, 2, 38, 18]] * 3, float), None, np.array([False, False, True]), counts)
    files = [picture(tmp_path / f"in/{i}.png", shade=i) for i in range(3)]
    samples = [
        Sample("0.png", files[0], truth=truth, split="test", group="g"),
        Sample("1.png", files[1]),
        Sample("2.png", files[2], truth=Instances(WIDTH, HEIGHT)),
    ]
    lines = yolo.write(Dataset(samples, ["x"], "instances", tmp_path, "x"), tmp_path / "out")
    told = " ".join(lines)
    words = ("objects have holes", "ignored", "objects without a single pixel", "pictures nobody", "pictures had", "pictures belong")
    assert len(lines) == 6 and all(f"1 {word}" in told for word in words)
    assert (tmp_path / "out/unlabelled/train/1.png").exists()
    back = open_data(tmp_path / "out")
    assert {s.id: s.split for s in back.samples} == {"images/test/0.png": "test", "images/train/2.png": "train"}
    assert (back.samples[0].truth.masks()[0] == ring()).all() and len(back.samples[1].truth) == 0
    whole = Dataset(samples[2:], ["x"], "instances", tmp_path, "x")
    assert "neither train nor val" in yolo.write(whole, tmp_path / "whole")[0]


def test_unlabelled_pictures_stay_so(tmp_path: Path) -> None:
    first = open_data(make(tmp_path / "in", {"a": "0 0.5 0.5 0.5 0.5", "b": "", "c": "nonsense"}))
    assert [s.truth is None for s in first.samples] == [False, False, True]
    yolo.write(first, tmp_path / "out")
    back = open_data(tmp_path / "out")
    assert [(Path(s.id).name, s.truth is None) for s in back.samples] == [("a.png", False), ("b.png", False), ("c.png", True)]


def test_supervision_opens_what_is_written(tmp_path: Path) -> None:
    import supervision

    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:16, 6:30] = True
    solid = Instances(WIDTH, HEIGHT, ["狗"], np.array([[6, 4, 30, 16.0]]), None, None, [_rle.encode(mask)])
    boxes = Boxes(WIDTH, HEIGHT, ["猫", "狗"], np.array([[1.5, 2, 11, 12], [20, 5, 39.5, 19]]))
    for kind, truth in (("boxes", boxes), ("instances", solid)):
        top = tmp_path / kind
        samples = [Sample("照.png", picture(top / "in/照.png"), truth=truth, split="train")]
        yolo.write(Dataset(samples, ["猫", "狗"], kind, top, "x"), top / "out")
        out = top / "out"
        loaded = supervision.DetectionDataset.from_yolo(
            str(out / "images/train"), str(out / "labels/train"), str(out / "data.yaml"), force_masks=kind == "instances"
        )
        [(_, image, found)] = list(loaded)
        assert loaded.classes == ["猫", "狗"] and image.shape == (HEIGHT, WIDTH, 3)
        assert [loaded.classes[i] for i in found.class_id] == list(truth.labels)
        np.testing.assert_allclose(found.xyxy, truth.boxes, atol=0.5)
        if kind == "instances":
            # Its rasteriser takes in the pixels on the border.
            assert (found.mask[0] & mask).sum() / (found.mask[0] | mask).sum() > 0.85


def test_the_written_data_yaml_is_plain(tmp_path: Path) -> None:
    samples = [Sample(f"{s}.png", picture(tmp_path / f"{s}.png"), truth=Boxes(WIDTH, HEIGHT), split=s) for s in ("val", "train")]
    yolo.write(Dataset(samples, ["no", "猫"], "detect", tmp_path, "x"), tmp_path / "out")
    about = yaml.safe_load((tmp_path / "out/data.yaml").read_text("utf-8"))
    assert about == {"train": "images/train", "val": "images/val", "nc": 2, "names": ["no", "猫"]}
