"""Pascal VOC in and out: corners 1-based and inclusive, hostile XML refused by name, masks beside boxes, and the tools people use."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import labelled
from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.answers.mask import VOID, Mask
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.formats import voc
from omma.formats._voc_masks import palette
from omma.formats.format import open_data, sniff

WIDTH, HEIGHT = 40, 30


put = partial(labelled.put, size=(WIDTH, HEIGHT))


def thing(name: str = "cat", box: tuple = (3, 4, 12, 11), more: str = "") -> str:
    corners = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>"


def xml(
    *things: str, size: str = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>", filename: str = ""
) -> str:
    return f"<annotation><filename>{filename}</filename>{size}{''.join(things)}</annotation>"


def save(top: Path, text: str | bytes, name: str = "Annotations/a.xml") -> Path:
    (top / name).parent.mkdir(parents=True, exist_ok=True)
    (top / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return top


def one(top: Path, text: str | bytes) -> Dataset:
    return voc.read(save(put(top, "JPEGImages/a.jpg"), text))


# what is read


def test_corners_are_one_based_and_inclusive(tmp_path: Path) -> None:
    rows = thing(), thing("dog", (1, 1, WIDTH, HEIGHT), "<difficult>1</difficult>"), thing("cat", ("3.5", "4.25", " 12 ", "11.75"))
    data = one(tmp_path, xml(*rows))
    truth = data.samples[0].truth
    assert type(truth) is Boxes and (data.task, data.names, data.refused) == ("detect", ["cat", "dog"], [])
    assert truth.boxes.tolist() == [[2, 3, 12, 11], [0, 0, WIDTH, HEIGHT], [2.5, 3.25, 12, 11.75]]
    assert truth.labels == ["cat", "dog", "cat"] and truth.ignored.tolist() == [False, True, False]
    assert (data.samples[0].id, data.samples[0].record) == ("JPEGImages/a.jpg", "Annotations/a.xml")


NAMES = {
    "gaps": ["class 1", "class 3", "class 90"],
    "zero-based": ["0", "1", "10", "2"],
    "one-based": ["1", "2", "3"],
    "background": ["background", "person"],
    "escaped": ['<a> & "b"', "猫", "a:b", "#1"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_kept_and_never_shifted(tmp_path: Path, kind: str) -> None:
    from xml.sax.saxutils import escape

    names = NAMES[kind]
    data = one(tmp_path / "in", xml(*(thing(escape(name)) for name in names)))
    assert data.samples[0].truth.labels == names
    assert data.names == (sorted(names, key=int) if names[0].isdecimal() else sorted(names))
    data.names = [*data.names[::-1], "unused"]
    assert voc.write(data, tmp_path / "out") == []
    again = voc.read(tmp_path / "out")
    assert again.names == data.names and again.samples[0].truth.labels == names and not again.refused


def test_a_picture_without_annotation_is_unlabelled_and_one_without_objects_empty(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/a.jpg", "JPEGImages/b.png", "JPEGImages/c.jpg")
    save(tmp_path, xml(thing()))
    save(tmp_path, xml(), "Annotations/b.xml")
    first, second, third = open_data(tmp_path).samples
    assert len(first.truth) == 1 and isinstance(second.truth, Boxes) and len(second.truth) == 0 and third.truth is None


LAYOUTS = {
    "voc": ("JPEGImages/a.jpg", "Annotations/a.xml"),
    "flat": ("a.jpg", "a.xml"),
    "lower case": ("images/a.png", "annotations/a.xml"),
    "deeper": ("JPEGImages/深/一 二.jpg", "Annotations/深/一 二.xml"),
    "xmls": ("images/a.jpg", "annotations/xmls/a.xml"),
    "several years": ("VOC2007/JPEGImages/a.jpg", "VOC2007/Annotations/a.xml"),
    "parts": ("train/a.jpg", "train/a.xml"),
    "dots": ("a.rf.12.jpg", "a.rf.12.xml"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_pictures_are_found_where_tools_put_them(tmp_path: Path, kind: str) -> None:
    picture, annotation = LAYOUTS[kind]
    save(put(tmp_path, picture, "README/logo.gif" if "/" in picture else "z.jpg"), xml(thing(), filename="other.jpg"), annotation)
    data = open_data(tmp_path)
    found = {sample.id: sample for sample in data.samples}[picture]
    assert data.format == "voc" and not data.refused and len(found.truth) == 1
    assert found.split == ("train" if kind == "parts" else None)


def test_the_file_name_in_the_annotation_counts_where_the_path_does_not(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/b.png", "JPEGImages/c.jpg")
    save(tmp_path, xml(thing("one"), filename="a.jpg"), "Annotations/0001.xml")
    save(tmp_path, xml(thing("two"), filename="b.png"), "Annotations/b.xml")
    save(tmp_path, xml(thing("three"), filename="C:\\x\\c.jpg"), "Annotations/0003.xml")
    data = voc.read(tmp_path)
    found = {s.id[11:]: s.truth and s.truth.labels for s in data.samples}
    assert found == {"a.jpg": ["one"], "b.jpg": None, "b.png": ["two"], "c.jpg": ["three"]}
    save(tmp_path, xml(thing("two"), filename="nothing.png"), "Annotations/b.xml")
    save(tmp_path, xml(thing("four"), filename="a.jpg"), "Annotations/0004.xml")
    save(tmp_path, xml(thing("five"), filename="gone.jpg"), "Annotations/0005.xml")
    refused = {row.where: row.reason for row in voc.read(tmp_path).refused}
    assert set(refused) == {f"Annotations/{name}.xml" for name in ("b", "0004", "0005")}
    for name, word in {"b": "several", "0004": "0001.xml", "0005": "gone"}.items():
        assert word in refused[f"Annotations/{name}.xml"]


def lists(top: Path, **parts: str) -> Path:
    for name, text in parts.items():
        save(top, text, f"ImageSets/Main/{name}.txt")
    return top


def test_lists_say_the_parts(tmp_path: Path) -> None:
    stems = ("a", "b", "c c", "2007_01", "e")
    put(tmp_path, *(f"JPEGImages/{stem}.jpg" for stem in stems))
    for stem in stems:
        save(tmp_path, xml(thing()), f"Annotations/{stem}.xml")
    lists(tmp_path, train="a\n", val="b  1\r\nc c\n\n", trainval="a\nb\nc c\n2007_01\n", test="JPEGImages/e.jpg\n", cat_train="e -1\n")
    data = voc.read(tmp_path)
    assert {Path(s.id).stem: s.split for s in data.samples} == {"a": "train", "b": "val", "c c": "val", "2007_01": "train", "e": "test"}
    assert not data.refused and not data.notes


def test_val_alone_leaves_the_others_open(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/a.jpg", "JPEGImages/b.jpg")
    save(lists(tmp_path, val="b\n"), xml(thing()))
    data = voc.read(tmp_path)
    assert [s.split for s in data.samples] == [None, "val"] and any("1 pictures" in note for note in data.notes)


def test_lines_of_lists_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/a.jpg", "JPEGImages/b.jpg")
    save(lists(tmp_path, train="a\nghost\n../../etc/passwd\n", test="b\na\n", trainval="b\n"), xml(thing()))
    data = voc.read(tmp_path)
    refused = {row.where: row.reason for row in data.refused}
    assert set(refused) == {f"ImageSets/Main/{row}" for row in ("train.txt:2", "train.txt:3", "train.txt:1", "trainval.txt:1")}
    assert "in test and in train" in refused["ImageSets/Main/train.txt:1"]
    assert {s.id[11:]: s.split for s in data.samples} == {"a.jpg": "test", "b.jpg": "test"}


def test_parts_and_outlines_within_objects_are_said(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    data = one(tmp_path, xml(thing(more=part * 2), thing(more="<polygon><x1>1</x1></polygon>")))
    assert len(data.samples[0].truth) == 2 and data.names == ["cat"]
    assert any("2 <part>" in note for note in data.notes) and any("1 <polygon>" in note for note in data.notes)


def test_class_folders_stay_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/1.png")
    assert voc.sniff(tmp_path) == 0
    save(tmp_path, "<project><name>x</name></project>", ".idea/x.xml")
    save(tmp_path, "<project><name>x</name></project>", "pom.xml")
    assert voc.sniff(tmp_path) == 0 and sniff(tmp_path) == "folders"
    assert voc.sniff(save(tmp_path, xml(thing()), "train/1.xml")) == 0.9


def test_sizes_are_checked_unless_nothing_is_said(tmp_path: Path) -> None:
    for number, size in enumerate(("", "<size/>", "<size><width>0</width><height>0</height></size>", "<size><width/><height/></size>")):
        data = one(tmp_path / str(number), xml(thing(), size=size))
        assert len(data.samples[0].truth) == 1 and not data.refused
    data = one(tmp_path / "false", xml(thing(), thing(), size="<size><width>41</width><height>30</height></size>"))
    (row,) = data.refused
    assert row.where == "Annotations/a.xml" and "41 × 30" in row.reason and "2 objects" in row.reason and data.samples[0].truth is None


# what is refused

BAD_OBJECTS = {
    "nan": (thing(box=("nan", 1, 5, 5)), "not finite"),
    "infinity": (thing(box=(1, 1, "inf", 5)), "not finite"),
    "endless": (thing(box=(1, 1, "9" * 5000, 5)), "not finite"),
    "huge": (thing(box=(1, 1, 10**12, 5)), "so large"),
    "turned round": (thing(box=(20, 4, 10, 11)), "turned round"),
    "a click": (thing(box=(20, 4, 20, 4)), "no area"),
    "no width": (thing(box=(20, 4, 19, 11)), "no area"),
    "outside": (thing(box=(100, 100, 120, 120)), "outside"),
    "over the edge": (thing(box=(1, 1, WIDTH + 5, 9)), "outside"),
    "words": (thing(box=("a", "b", "c", "d")), "four numbers"),
    "empty corners": (thing(box=("", "", "", "")), "four numbers"),
    "no corners": ("<object><name>cat</name><bndbox/></object>", "four numbers"),
    "no box": ("<object><name>cat</name></object>", "bndbox"),
    "turned box": ("<object><name>cat</name><robndbox><cx>3</cx></robndbox></object>", "bndbox"),
    "no name": ("<object><bndbox><xmin>1</xmin></bndbox></object>", "no class"),
    "blank name": (thing("  "), "no class"),
    "nothing": ("<object/>", "no class"),
}


@pytest.mark.parametrize("kind", BAD_OBJECTS)
def test_a_bad_object_is_named_and_the_others_stay(tmp_path: Path, kind: str) -> None:
    bad, reason = BAD_OBJECTS[kind]
    data = one(tmp_path, xml(thing(), bad, thing("dog")))
    assert [row.where for row in data.refused] == ["Annotations/a.xml: object 2"] and reason in data.refused[0].reason
    assert len(data.refused[0].reason) < 300 and data.samples[0].truth.labels == ["cat", "dog"]


def test_a_pixel_over_the_border_is_forgiven_and_a_line_is_an_object(tmp_path: Path) -> None:
    data = one(tmp_path, xml(thing(box=(0, 0, WIDTH + 1, 9)), thing(box=(7, 3, 7, 20))))
    assert data.samples[0].truth.boxes.tolist() == [[0, 0, WIDTH, 9], [6, 2, 7, 20]] and not data.refused


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha" * 10}">' for i in range(10))
HOSTILE = {
    "billion laughs": (f"<!DOCTYPE x [{LAUGHS}]>" + xml(thing("&l9;")), "expanded"),
    "quadratic": (f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>' + xml(thing("&a;" * 50_000)), "expanded"),
    "file": ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + xml(thing("&a;")), "expanded"),
    "parameter": ('<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>' + xml(thing()), "expanded"),
    "fetch": ('<!DOCTYPE annotation SYSTEM "http://127.0.0.1/x.dtd">' + xml(thing()), "expanded"),
    "not xml": ('{"annotations": []}', "sound XML"),
    "empty": ("", "sound XML"),
    "cut": (xml(thing())[:-30], "sound XML"),
    "binary": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "sound XML"),
    "wrong letters": (xml(thing("caf")).encode() + b"\xe9\xff", "sound XML"),
    "unknown encoding": ('<?xml version="1.0" encoding="klingon"?>' + xml(thing()), "sound XML"),
    "not utf-8": (xml(thing("狗")).encode("gbk"), "sound XML"),
    "another tool": ("<annotations><image/></annotations>", "annotations"),
    "size of words": (xml(thing(), size="<size><width>wide</width><height>3</height></size>"), "width"),
    "negative size": (xml(thing(), size="<size><width>-40</width><height>3</height></size>"), "width"),
    "endless size": (xml(thing(), size=f"<size><width>{'9' * 5000}</width><height>3</height></size>"), "width"),
    "false size": (xml(thing(), size="<size><width>400</width><height>300</height></size>"), "400"),
    "deep": ("<annotation>" + "<a>" * 200_000, "sound XML"),
    "a forest": ("<annotation>" + "<a/>" * 1_000_000 + "</annotation>", "1,000,002 tags"),
    "far too large": ("<annotation>" + " " * (9 << 20) + "</annotation>", "too large"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_or_broken_file_is_named_and_nothing_else_suffers(tmp_path: Path, kind: str) -> None:
    bad, reason = HOSTILE[kind]
    put(tmp_path, "JPEGImages/b.jpg")
    save(tmp_path, xml(thing()), "Annotations/b.xml")
    started = time.process_time()
    data = one(tmp_path, bad)
    assert time.process_time() - started < 20
    assert [row.where for row in data.refused] == ["Annotations/a.xml"] and reason in data.refused[0].reason
    assert len(data.refused[0].reason) < 300
    assert [(s.id, s.truth is None) for s in data.samples] == [("JPEGImages/a.jpg", True), ("JPEGImages/b.jpg", False)]


def test_a_closed_abyss_is_named(tmp_path: Path) -> None:
    data = one(tmp_path, xml(thing(), "<a>" * 100_000 + "</a>" * 100_000))
    assert data.samples[0].truth is None and "nested" in data.refused[0].reason


def test_what_leaves_the_folder_is_named(tmp_path: Path) -> None:
    put(tmp_path, "set/JPEGImages/a.jpg", "set/JPEGImages/b.jpg", "secret.jpg")
    save(tmp_path, xml(thing()), "secret.xml")
    save(tmp_path / "set", xml(thing(), filename="../../secret.jpg"), "Annotations/a.xml")
    (tmp_path / "set/Annotations/b.xml").symlink_to(tmp_path / "secret.xml")
    data = voc.read(tmp_path / "set")
    refused = {row.where: row.reason for row in data.refused}
    assert set(refused) == {"Annotations/a.xml: filename", "Annotations/b.xml"} and all("leaves" in reason for reason in refused.values())
    assert [s.id for s in data.samples] == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"] and data.samples[1].truth is None


def test_a_chinese_encoding_is_read(tmp_path: Path) -> None:
    for number, code in enumerate(("gbk", "GB2312", "gb18030", "utf-8", "utf-16")):
        text = f'<?xml version="1.0" encoding="{code}"?>\n' + xml(thing("猫"))
        assert one(tmp_path / str(number), text.encode(code)).names == ["猫"], code


def test_nothing_to_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        voc.read(save(tmp_path / "a", xml(thing())))
    with pytest.raises(DataError, match="neither annotations"):
        voc.read(put(tmp_path / "b", "JPEGImages/a.jpg"))


# masks


def png(path: Path, values: np.ndarray, colours: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8))
    if values.ndim == 2:
        picture.putpalette((palette() if colours is None else colours).tobytes())
    picture.save(path)


KINDS = np.zeros((HEIGHT, WIDTH), np.uint8)
KINDS[2:9, 3:20], KINDS[15:25, 3:20], KINDS[15:25, 25:40], KINDS[9] = 1, 2, 1, VOID
OBJECTS = np.zeros_like(KINDS)
OBJECTS[2:9, 3:20], OBJECTS[15:25, 3:20], OBJECTS[15:25, 25:40], OBJECTS[9] = 1, 2, 3, VOID


def masked(top: Path) -> Path:
    put(top, "JPEGImages/a.jpg", "JPEGImages/b.jpg")
    png(top / "SegmentationClass/a.png", KINDS)
    save(top, "a\n", "ImageSets/Segmentation/train.txt")
    return top


def test_masks_are_read_where_there_are_no_boxes(tmp_path: Path) -> None:
    masked(tmp_path)
    data = open_data(tmp_path)
    truth = data.samples[0].truth
    assert (data.format, data.task, data.names) == ("voc", "segment", ["0", "1", "2"])
    assert isinstance(truth, Mask) and np.array_equal(truth.pixels, KINDS) and list(truth.classes) == data.names
    assert [s.split for s in data.samples] == ["train", None] and data.samples[1].truth is None
    assert any("numbers" in note for note in data.notes)


def test_boxes_win_and_the_masks_are_told_and_reached(tmp_path: Path) -> None:
    save(masked(tmp_path), xml(thing("cat"), thing("dog"), thing("cat", more="<difficult>1</difficult>")))
    png(tmp_path / "SegmentationObject/a.png", OBJECTS)
    data = open_data(tmp_path)
    assert data.task == "detect" and any(f"{tmp_path}/SegmentationClass" in note for note in data.notes)
    assert open_data(tmp_path / "SegmentationClass").task == "segment"
    data = open_data(tmp_path / "SegmentationObject")
    truth = data.samples[0].truth
    assert (data.format, data.task, data.names) == ("voc", "instances", ["cat", "dog"]) and not data.refused
    assert truth.labels == ["cat", "dog", "cat"] and truth.ignored.tolist() == [False, False, True]
    assert np.array_equal(truth.masks(), [k == OBJECTS for k in (1, 2, 3)])
    assert truth.boxes.tolist() == [[3, 2, 20, 9], [3, 15, 20, 25], [25, 15, 40, 25]]


@pytest.mark.parametrize("kinds", [True, False])
def test_objects_without_annotations_take_their_class_from_the_masks(tmp_path: Path, kinds: bool) -> None:
    put(tmp_path, "JPEGImages/a.jpg")
    png(tmp_path / "SegmentationObject/a.png", OBJECTS)
    if kinds:
        png(tmp_path / "SegmentationClass/a.png", KINDS)
        save(tmp_path, "background:0,0,0::\n猫:128,0,0::\n狗:0,128,0::\n", "labelmap.txt")
    data = open_data(tmp_path / "SegmentationObject")
    assert data.samples[0].truth.labels == (["猫", "狗", "猫"] if kinds else ["object"] * 3)
    assert data.names == (["猫", "狗"] if kinds else ["object"])


@pytest.mark.parametrize("painted", [True, False])
def test_a_labelmap_names_values_and_colours(tmp_path: Path, painted: bool) -> None:
    colours = {0: (0, 0, 0), 1: (250, 50, 83), 2: (51, 221, 255), VOID: (224, 224, 192)}
    table = np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    put(tmp_path, "JPEGImages/a.jpg")
    png(tmp_path / "SegmentationClass/a.png", table[KINDS] if painted else KINDS, table)
    # In another order than the values: only the colours can tell.
    save(tmp_path, "# label:color_rgb:parts:actions\ndog:51,221,255::\nbackground:0,0,0::\ncat:250,50,83::\n", "labelmap.txt")
    data = open_data(tmp_path)
    assert data.names == ["dog", "background", "cat"] and not data.refused
    assert np.array_equal(data.samples[0].truth.pixels, np.array([1, 2, 0] + [VOID] * 253)[KINDS])


def test_the_challenge_is_known_by_its_folder(tmp_path: Path) -> None:
    data = open_data(masked(tmp_path / "VOC2012"))
    assert len(data.names) == 21 and data.names[:3] == ["background", "aeroplane", "bicycle"]


def test_masks_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    masked(tmp_path)
    save(tmp_path, "background:::\ncat:::\n", "labelmap.txt")
    png(tmp_path / "SegmentationClass/b.png", KINDS[:, 1:])
    png(tmp_path / "SegmentationClass/ghost.png", KINDS)
    save(put(tmp_path, "JPEGImages/c.jpg"), b"no picture", "SegmentationClass/c.png")
    data = open_data(tmp_path)
    refused = {row.where: row.reason for row in data.refused}
    assert set(refused) == {f"SegmentationClass/{name}.png" for name in ("a", "b", "ghost", "c")}
    assert "value 2" in refused["SegmentationClass/a.png"] and "39 × 30" in refused["SegmentationClass/b.png"]
    assert len(data) == 3 and not any(sample.truth for sample in data.samples)


# what is written


def drawn(top: Path, kind: str) -> Dataset:
    put(top, "猫 1.jpg", "b.jpg", "c.jpg", "d.jpg")
    names = ["unused", "dog & <cat>", "猫"]
    boxes = np.array([[5, 5, 15, 20], [0.25, 0.5, 30.125, 29.75]])
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 5:20, 5:15] = masks[1, 2:8, 20:30] = True
    masks[0, 8:10, 8:10] = False
    empty: Any = Boxes(WIDTH, HEIGHT)
    full: Any = Boxes(WIDTH, HEIGHT, names[1:], boxes, None, np.array([False, True]))
    if kind == "instances":
        empty = Instances(WIDTH, HEIGHT)
        full = Instances(WIDTH, HEIGHT, names[1:], np.array([[5, 5, 15, 20], [20, 2, 30, 8.0]]), counts=list(map(_rle.encode, masks)))
    if kind == "segment":
        empty, full = Mask.of(np.zeros_like(KINDS), names), Mask.of(KINDS, names)
    samples = [Sample(name, top / name) for name in ("b.jpg", "c.jpg", "d.jpg", "猫 1.jpg")]
    for sample, truth, split in zip(samples, (empty, None, full, full), ("val", "train", "train", None), strict=True):
        sample.truth, sample.split = truth, split
    return Dataset(samples, names, kind, top, "voc")


def facts(data: Dataset) -> list[tuple]:
    return [
        (Path(s.id).name, s.split, s.truth if s.truth is None else s.truth.pixels.tolist() if isinstance(s.truth, Mask) else s.truth.json())
        for s in data.samples
    ]


@pytest.mark.parametrize("kind", ["detect", "instances", "segment"])
def test_what_is_written_is_read_back(tmp_path: Path, kind: str) -> None:
    data = drawn(tmp_path / "in", kind)
    assert voc.write(data, tmp_path / "out") == []
    again = open_data(tmp_path / "out" / ("SegmentationObject" if kind == "instances" else ""))
    assert (again.format, again.task, again.names, again.refused) == ("voc", kind, data.names, [])
    assert facts(again) == facts(data)
    assert (tmp_path / "out/JPEGImages/猫 1.jpg").read_bytes() == (tmp_path / "in/猫 1.jpg").read_bytes()
    if kind == "instances":
        boxes = open_data(tmp_path / "out")
        assert boxes.task == "detect" and boxes.names == data.names and len(boxes.samples[2].truth) == 2
        kinds = open_data(tmp_path / "out/SegmentationClass").samples[2].truth
        assert kinds.classes == ["background", *data.names] and kinds.pixels[6, 6] == 2 and kinds.pixels[9, 9] == 0


def test_what_gets_lost_is_said(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.png")
    whole = _rle.encode(np.ones((HEIGHT, WIDTH), bool))
    truth = Instances(
        WIDTH, HEIGHT, ["a\x07b"] * 2, np.array([[0, 0, WIDTH, HEIGHT], [3, 3, 4, 4.0]]), counts=[whole, _rle.encode(OBJECTS == 3)]
    )
    data = Dataset([Sample("a.png", tmp_path / "in/a.png", truth=truth, group="g")], ["a\x07b"], "instances", tmp_path, "coco")
    lost = " ".join(voc.write(data, tmp_path / "out"))
    for word in ("1 pictures had a group", "1 pictures are no .jpg", "1 boxes are one pixel", "150 pixels", "mended"):
        assert word in lost, word
    assert voc.read(tmp_path / "out").samples[0].truth.labels == ["a\ufffdb"]


def test_more_objects_than_a_palette_holds(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.jpg")
    mask = np.zeros((HEIGHT, WIDTH), bool)
    counts, boxes = [], []
    for place in range(300):
        mask[:] = False
        y, x = place // WIDTH * 2, place % WIDTH
        mask[y : y + 2, x] = True
        counts.append(_rle.encode(mask))
        boxes.append([x, y, x + 1, y + 2])
    truth = Instances(WIDTH, HEIGHT, ["a"] * 300, np.array(boxes, float), counts=counts)
    data = Dataset([Sample("a.jpg", tmp_path / "in/a.jpg", truth=truth)], ["a"], "instances", tmp_path, "coco")
    assert "46 outlines" in " ".join(voc.write(data, tmp_path / "out"))
    assert len(voc.read(tmp_path / "out").samples[0].truth) == 300
    assert len(voc.read(tmp_path / "out/SegmentationObject").samples[0].truth) == 254


def test_supervision_opens_it(tmp_path: Path) -> None:
    import supervision

    data = drawn(tmp_path / "in", "detect")
    voc.write(data, tmp_path / "out")
    theirs = supervision.DetectionDataset.from_pascal_voc(str(tmp_path / "out/JPEGImages"), str(tmp_path / "out/Annotations"))
    found = {Path(path).name: rows for path, _, rows in theirs}
    truth = data.samples[2].truth
    assert [theirs.classes[i] for i in found["d.jpg"].class_id] == truth.labels and len(found["b.jpg"]) == 0
    np.testing.assert_allclose(found["d.jpg"].xyxy, truth.boxes, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["detect", "segment"])
def test_torchvision_opens_it(tmp_path: Path, kind: str) -> None:
    from torchvision.datasets import VOCDetection, VOCSegmentation

    data = drawn(tmp_path / "in", kind)
    data.samples[1].truth = data.samples[2].truth
    voc.write(data, tmp_path / "VOCdevkit/VOC2012")
    if kind == "segment":
        theirs = VOCSegmentation(tmp_path, "2012", "train")
        assert (
            all(np.array_equal(np.asarray(mask), KINDS) and picture.size == (WIDTH, HEIGHT) for picture, mask in theirs)
            and len(theirs) == 2
        )
        return
    _, found = VOCDetection(tmp_path, "2012", "train")[1]
    rows = found["annotation"]["object"]
    assert [row["name"] for row in rows] == data.names[1:] and [row["difficult"] for row in rows] == ["0", "1"]
    corners = [[float(row["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax")] for row in rows]
    np.testing.assert_allclose(corners, data.samples[2].truth.boxes + np.array([1, 1, 0, 0]))


side = st.floats(0, 1, width=32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(side, side, side, side), max_size=6))
def test_round_trip_is_exact_to_the_fourth_digit(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    top = tmp_path_factory.mktemp("trip")
    put(top / "in", "a.jpg")
    low = [(a * (WIDTH - 2), b * (HEIGHT - 2)) for a, b, _, _ in rows]
    boxes = [
        (x, y, x + 1.5 + c * (WIDTH - x - 1.5), y + 1.5 + d * (HEIGHT - y - 1.5)) for (x, y), (*_, c, d) in zip(low, rows, strict=True)
    ]
    truth = Boxes(WIDTH, HEIGHT, ["a"] * len(rows), np.array(boxes).reshape(-1, 4))
    voc.write(Dataset([Sample("a.jpg", top / "in/a.jpg", truth=truth)], ["a"], "detect", top, "voc"), top / "out")
    found = voc.read(top / "out").samples[0].truth
    assert np.abs(found.boxes - truth.boxes).max(initial=0) <= 6e-5


# real data


@pytest.mark.skipif(not os.environ.get("OMMA_MIRROR"), reason="OMMA_MIRROR names no folder with real data")
def test_real_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    mirror = Path(os.environ["OMMA_MIRROR"])
    if not (mirror / "bccd.zip").is_file():
        pytest.skip("the mirror has no bccd.zip")
    data = open_data(mirror / "bccd.zip")
    assert (data.format, data.names, data.counts()) == ("voc", ["Platelets", "RBC", "WBC"], {"train": 205, "val": 87})
    assert sum(len(sample.truth) for sample in data.samples) == 3943 - 2
    assert [row.where for row in data.refused] == [
        f"Annotations/BloodImage_00{number}.xml: object {place}" for number, place in ((338, 13), (343, 4))
    ]
    assert all("no area" in row.reason for row in data.refused)
    data = open_data(mirror / "raccoon.zip")
    assert (data.format, data.names, len(data), data.counts(), data.refused) == ("voc", ["raccoon"], 200, {}, [])
    assert sum(len(sample.truth) for sample in data.samples) == 217
