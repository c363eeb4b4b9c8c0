"""Tables of boxes under every header people give them; a row that is none is named by its line, a table of labels stays one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labelled import objects, reasons
from omma.answers import _rle
from omma.answers.boxes import Boxes
from omma.answers.instances import Instances
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.formats import csv
from omma.formats.format import open_data

WIDTH, HEIGHT = 40, 20
MIRROR = os.environ.get("OMMA_MIRROR", "")


def put(top: Path, *names: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    for shade, name in enumerate(names):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (shade % 256, 9, 9)).save(top / name)
    return top


def table(top: Path, content: str | bytes, name: str = "boxes.csv") -> Path:
    path = top / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# headers

WANTED = {"a.png": [("cat", 10, 5, 30, 15), ("狗", 0, 0, 40, 20)], "b.png": [("cat", 1.5, 2, 3, 4)], "c.png": []}
TABLES = {
    "tensorflow": "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    "a.png,40,20,cat,10,5,30,15\na.png,40,20,狗,0,0,40,20\nb.png,40,20,cat,1.5,2,3,4\nc.png,40,20,,,,,\n",
    "corners": "label,X1,Y1,X2,Y2,Image\ncat,10,5,30,15,a.png\n狗,0,0,40,20,a.png\ncat,1.5,2,3,4,b.png\n,,,,,c.png\n",
    "sides": "path,left,top,right,bottom,label\na.png,10,5,30,15,cat\na.png,0,0,40,20,狗\nb.png,1.5,2,3,4,cat\nc.png,,,,,\n",
    "sizes": "file,x,y,w,h,category\na,10,5,20,10,cat\na,0,0,40,20,狗\nb,1.5,2,1.5,2,cat\nc,,,,,\n",
    "long sizes": "file;x;y;width;height;class\na.png;10;5;20;10;cat\na.png;0;0;40;20;狗\nb.png;1,5;2;1,5;2;cat\nc.png;;;;;\n",
    "prefixed": "image_id,width,height,bbox_x,bbox_y,bbox_width,bbox_height,label\n"
    "a,40,20,10,5,20,10,cat\na,40,20,0,0,40,20,狗\nb,,,1.5,2,1.5,2,cat\nc,40,20,,,,,\n",
    "no header": "a.png,10,5,30,15,cat\na.png,0,0,40,20,狗\nb.png,1.5,2,3,4,cat\nc.png,,,,,\n",
    "shares": "path,label,x1,y1,x2,y2\na.png,cat,0.25,.25,0.75,0.75\na.png,狗,0,0,1,1\nb.png,cat,0.0375,0.1,0.075,0.2\nc.png,,,,,\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_headers(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    data = open_data(table(tmp_path, TABLES[kind]))
    assert (data.task, data.format, data.names, data.refused) == ("detect", "csv", ["cat", "狗"], [])
    assert objects(data) == WANTED and all(type(s.truth) is Boxes for s in data.samples)
    assert [s.record for s in data.samples] == [f"boxes.csv:{line}" for line in ((1, 3, 4) if kind == "no header" else (2, 4, 5))]
    assert bool(data.notes) == (kind == "shares")


NAMES = {
    "gaps": ["0", "1", "3"],
    "zero-based": ["0", "1", "2", "10"],
    "one-based": ["1", "2", "3"],
    "background": ["background", "cat"],
}


@pytest.mark.parametrize("header", ["path,x1,y1,x2,y2,label\n", ""])
@pytest.mark.parametrize("kind", NAMES)
def test_names_are_kept_and_never_shifted(tmp_path: Path, kind: str, header: str) -> None:
    names, labels = NAMES[kind], NAMES[kind][::-1]
    put(tmp_path, "a.png")
    data = open_data(table(tmp_path, header + "".join(f"a.png,{place},2,30,15,{label}\n" for place, label in enumerate(labels))))
    assert (data.task, data.names, data.samples[0].truth.labels, data.refused) == ("detect", names, labels, [])
    assert csv.write(data, tmp_path / "out") == []
    again = open_data(tmp_path / "out")
    assert (again.names, again.samples[0].truth.labels) == (names, labels)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk", "utf-16"])
def test_chinese_tables(tmp_path: Path, encoding: str) -> None:
    put(tmp_path, "图片/一.png")
    data = open_data(table(tmp_path, "文件,xmin,ymin,xmax,ymax,类别\r\n图片/一.png,1,2,3,4,猫\r\n".encode(encoding)))
    assert objects(data) == {"图片/一.png": [("猫", 1, 2, 3, 4)]}
    assert any("GBK" in note for note in data.notes) == (encoding == "gbk")


def test_parts_and_groups(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    rows = "a.png,1,2,3,4,x,train,p1\na.png,4,2,8,4,x,,\nb.png,1,2,3,4,x,val,p2\nc.png,,,,,,test,p2\n"
    data = open_data(table(tmp_path, "path,x1,y1,x2,y2,label,split,patient\n" + rows))
    assert [(s.split, s.group, len(s.truth)) for s in data.samples] == [("train", "p1", 2), ("val", "p2", 1), ("test", "p2", 0)]
    table(tmp_path, "path,x1,y1,x2,y2,label,split\na.png,1,2,3,4,x,train\na.png,4,2,8,4,x,test\nb.png,1,2,3,4,x,oops\n")
    data = open_data(tmp_path)
    assert set(reasons(data)) == {"boxes.csv:3", "boxes.csv:4"} and "in train and in test" in reasons(data)["boxes.csv:3"]


def test_tables_called_like_parts(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png")
    table(tmp_path, "image,x,y,w,h,label\na.png,1,2,3,4,x\n", "train.csv")
    table(tmp_path, "image,x,y,w,h,label\nb.png,1,2,3,4,y\n", "test.csv")
    data = open_data(tmp_path)
    assert (data.task, data.counts(), data.names) == ("detect", {"train": 1, "test": 1}, ["x", "y"])


def test_objects_without_a_class_have_one(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    data = open_data(table(tmp_path, "file\tx\ty\tw\th\ttext\na.png\t1\t2\t3\t4\tAB 12\n", "plates.tsv"))
    assert data.names == ["object"] and any("no column label or class" in note for note in data.notes)


def test_ignored_objects(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    data = open_data(table(tmp_path, "file,x,y,w,h,label,difficult\na.png,1,2,3,4,x,1\na.png,2,2,3,4,x,0\na.png,3,2,3,4,x,\n"))
    assert data.samples[0].truth.ignored.tolist() == [True, False, False]


@pytest.mark.parametrize(("spelling", "task", "names"), [("label", "classify", ["x", "y"]), ("xmin", "regress", ["xmin"])])
def test_named_columns_are_what_they_were(tmp_path: Path, spelling: str, task: str, names: list[str]) -> None:
    put(tmp_path, "a.png", "b.png")
    path = table(tmp_path, "path,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4,x\nb.png,2,2,3,4,y\n")
    data = open_data(f"{path}:{spelling}")
    assert (data.task, data.names) == (task, names)


NO_BOXES = {
    "a centre alone": "path,x,y,label\na.png,1,2,s\nb.png,3,4,t\n",
    "a size alone": "path,width,height,label\na.png,40,20,s\nb.png,40,20,t\n",
    "one corner": "path,xmin,ymin,label\na.png,1,2,s\nb.png,3,4,t\n",
    "no header": "a.png,s\nb.png,t\n",
}


@pytest.mark.parametrize("kind", NO_BOXES)
def test_other_tables_stay_what_they_were(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "a.png", "b.png")
    data = open_data(table(tmp_path, NO_BOXES[kind]))
    assert (data.task, data.names) == ("classify", ["s", "t"])


# rows that are none

BAD = {
    "nan": ("a.png,nan,2,3,4,x", "not finite"),
    "inf": ("a.png,1,2,inf,4,x", "not finite"),
    "words": ("a.png,one,2,3,4,x", "not a number"),
    "a number missing": ("a.png,1,,3,4,x", "not a number"),
    "huge": ("a.png,1,2,1e300,4,x", "no picture is so large"),
    "outside": ("a.png,1,2,3,400,x", "lies outside"),
    "below zero": ("a.png,-9,2,3,4,x", "lies outside"),
    "turned round": ("a.png,5,2,3,4,x", "turned round"),
    "no area": ("a.png,3,2,3,4,x", "no area"),
    "no class": ("a.png,1,2,3,4,", "no class"),
    "no picture": ("none.png,1,2,3,4,x", "no picture none.png"),
    "no path": (",1,2,3,4,x", "no path"),
    "outside the folder": ("../outside.png,1,2,3,4,x", "leaves the folder"),
    "short": ("a.png,1,2", "3 cells"),
    "a picture that is none": ("junk.png,1,2,3,4,x", "junk"),
    "endless": (f"a.png,{'9' * 100_000},2,3,4,x", "not finite"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_row_that_is_none_is_named_and_the_others_stay(tmp_path: Path, kind: str) -> None:
    row, word = BAD[kind]
    top = put(tmp_path / "set", "a.png", "b.png")
    put(tmp_path, "outside.png")
    (top / "junk.png").write_bytes(b"junk")
    start = time.process_time()
    data = open_data(table(top, f"path,x1,y1,x2,y2,label\na.png,10,5,30,15,x\n{row}\nb.png,,,,,\n"))
    assert time.process_time() - start < 20
    assert list(reasons(data)) == ["boxes.csv:3"] and (word in reasons(data)["boxes.csv:3"] or kind == "a picture that is none")
    assert objects(data) == {"a.png": [("x", 10, 5, 30, 15)], "b.png": []}


def test_a_picture_of_which_no_row_can_be_used_is_unlabelled(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    data = open_data(table(tmp_path, "path,x1,y1,x2,y2,label\na.png,9,5,3,15,x\nb.png,1,2,3,4,x\n"))
    assert [s.truth is None for s in data.samples] == [True, False] and any("1 pictures have no labels" in n for n in data.notes)
    with pytest.raises(DataError, match=r"boxes\.csv:2.*turned round"):
        open_data(table(tmp_path, "path,x1,y1,x2,y2,label\na.png,9,5,3,15,x\n"))


def test_a_false_size_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    rows = "a.png,41,20,x,1,2,3,4\na.png,40,20,x,1,2,3,4\nb.png,,,x,1,2,3,4\nb.png,nan,20,x,2,2,3,4\n"
    data = open_data(table(tmp_path, "filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows))
    assert set(reasons(data)) == {"boxes.csv:2", "boxes.csv:5"} and "41 × 20" in reasons(data)["boxes.csv:2"]
    assert [len(s.truth) for s in data.samples] == [1, 1]


def test_objects_that_are_there_twice_count_once(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    data = open_data(table(tmp_path, "path,x1,y1,x2,y2,label\na.png,1,2,3,4,x\na.png,1.0,2,3,4,x\na.png,1,2,3,4,y\n"))
    assert len(data.samples[0].truth) == 2 and any("boxes.csv:3" in note for note in data.notes)


# what is written


@st.composite
def truths(draw: st.DrawFn) -> list[Boxes]:
    found = []
    names = st.sampled_from(["猫", "0", 'a,"b"', "-"])
    for _ in range(draw(st.integers(1, 4))):
        rows = {}  # the same object twice counts once
        for _ in range(draw(st.integers(0, 4))):
            x, y = draw(st.floats(0, 38)), draw(st.floats(0, 18))
            corners = x, y, draw(st.floats(x + 1, 40)), draw(st.floats(y + 1, 20))
            rows[draw(names), *(round(value, 3) for value in corners)] = draw(st.booleans())
        aside = np.array(list(rows.values()), bool)
        boxes = np.array([row[1:] for row in rows], float).reshape(-1, 4)
        found.append(Boxes(WIDTH, HEIGHT, [row[0] for row in rows], boxes, None, aside if aside.any() else None))
    return found


@given(truths=truths(), where=st.sampled_from(["out", "out/t.csv", "out/t.tsv"]))
@settings(deadline=None, max_examples=40)
def test_boxes_come_back(tmp_path_factory: pytest.TempPathFactory, truths: list[Boxes], where: str) -> None:
    top = tmp_path_factory.mktemp("table")
    put(top / "in", *(f"{i}.png" for i in range(len(truths))))
    splits = ("train", None, "test")
    samples = [Sample(f"{i}.png", top / f"in/{i}.png", None, truth, splits[i % 3], f"g{i}") for i, truth in enumerate(truths)]
    assert csv.write(Dataset(samples, ["猫"], "detect", top / "in", "x"), top / where) == []
    if any(len(truth) for truth in truths):
        back = open_data(top / where)
        assert back.refused == [] and [(s.split, s.group) for s in back.samples] == [(s.split, s.group) for s in samples]
        assert all(twin.truth.same(sample.truth, 1e-6) for twin, sample in zip(back.samples, samples, strict=True))
    assert (top / "out/images/0.png").exists() == (where == "out")


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.png", "b.png")
    mask = _rle.encode(np.ones((HEIGHT, WIDTH), bool))
    truth = Instances(WIDTH, HEIGHT, ["x"], np.array([[0, 0, 40, 20.0]]), None, None, [mask])
    samples = [Sample("a.png", tmp_path / "in/a.png", truth=truth), Sample("b.png", tmp_path / "in/b.png")]
    lines = csv.write(Dataset(samples, ["x"], "instances", tmp_path, "x"), tmp_path / "out")
    assert len(lines) == 2 and "1 pictures nobody" in lines[0] and "1 outlines" in lines[1]
    assert objects(open_data(tmp_path / "out")) == {"images/a.png": [("x", 0, 0, 40, 20)]}


def test_pictures_in_arrays_are_written_beside_the_table(tmp_path: Path) -> None:
    pixels = np.arange(2 * HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(2, HEIGHT, WIDTH, 3)
    samples = [Sample(f"all/{i}", row=i, truth=Boxes(WIDTH, HEIGHT, ["x"], np.array([[1, 2, 3, 4.0]]))) for i in range(2)]
    dataset = Dataset(samples, ["x"], "detect", tmp_path, "npz", pixels)
    csv.write(dataset, tmp_path / "out")
    back = open_data(tmp_path / "out")
    assert len(back) == 2 and (back.picture(1) == pixels[1]).all()
    with pytest.raises(DataError, match="arrays"):
        csv.write(dataset, tmp_path / "t.csv")


@pytest.mark.skipif(not Path(MIRROR, "plates-eu.zip").is_file() or not MIRROR, reason="OMMA_MIRROR holds no plates-eu.zip")
def test_plates() -> None:
    data = open_data(Path(MIRROR, "plates-eu.zip"))
    assert (data.task, data.names, len(data)) == ("detect", ["object"], 108)
    assert len(data.refused) + sum(len(s.truth) for s in data.samples if s.truth) == 108 and len(data.refused) <= 1
    assert any("object" in note for note in data.notes)
