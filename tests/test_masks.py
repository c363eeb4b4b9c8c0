"""Mask pictures in every way they lie on disk, built here in small, each with its planted fault; written and read back exactly."""

from __future__ import annotations

import os
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from omma.answers import _rle
from omma.answers.instances import Instances
from omma.answers.mask import VOID, Mask
from omma.data.decode import stored
from omma.data.sample import Dataset, Sample
from omma.errors import DataError
from omma.formats import masks
from omma.formats.format import describe, open_data, sniff
from omma.progress import Watch
from omma.testing import check_format

WIDE, HIGH = 12, 8
MIRROR = Path(os.environ.get("OMMA_MIRROR", ""))
needs_mirror = pytest.mark.skipif("OMMA_MIRROR" not in os.environ, reason="OMMA_MIRROR names no folder with the real sets")


def pictures(top: Path, *names: str, size: tuple[int, int] = (WIDE, HIGH)) -> Path:
    """Photographs: no two pixels alike."""
    for seed, name in enumerate(names):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(top / name)
    return top


def put(path: Path, values: np.ndarray, palette: list[int] | None = None, **how: object) -> Path:
    """A mask file with these values: (H, W) or (H, W, 3), uint8 or uint16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette is not None:
        image.putpalette(palette)
    image.save(path, **how)
    return path


def halves(left: int, right: int, kind: type = np.uint8) -> np.ndarray:
    """(HIGH, WIDE): one value on the left, another on the right."""
    values = np.full((HIGH, WIDE), left, kind)
    values[:, WIDE // 2 :] = right
    return values


def blobs(*values: int, kind: type = np.uint8) -> np.ndarray:
    """(HIGH, WIDE): a square of 2×2 for each value, none touching another."""
    out = np.zeros((HIGH, WIDE), kind)
    for place, value in enumerate(values):
        row, column = divmod(place, WIDE // 3)
        out[3 * row : 3 * row + 2, 3 * column : 3 * column + 2] = value
    return out


def shown(data: Dataset) -> dict[str, list[int] | None]:
    """id → the values of the mask's first row."""
    return {s.id: None if s.truth is None else s.truth.pixels[0].tolist() for s in data.samples}


def reasons(data: Dataset) -> dict[str, str]:
    return {row.where: row.reason for row in data.refused}


def said(data: Dataset, *words: str) -> bool:
    return all(any(word in note for note in data.notes) for word in words)


# layouts


LAYOUTS = {
    "below": ("images/{split}/{name}.jpg", "labels/{split}/{name}.png"),
    "above": ("{split}/images/{name}.jpg", "{split}/masks/{name}.png"),
    "beside": ("{split}/{name}.jpg", "{split}_labels/{name}.png"),
    "suffix": ("images/{split}/{name}.jpg", "masks/{split}/{name}_mask.png"),
    "seg": ("imgs/{split}/{name}.png", "gt/{split}/{name}-seg.png"),
    "both suffixes": ("images/{split}/{name}_image.png", "annotations/{split}/{name}_label.png"),
    "a name of its own": ("images/{split}/{name}.png", "leaves/{split}/{name}.png"),
    "whole names": ("images/{split}/{name}.jpg", "masks/{split}/{name}.jpg.png"),
    "pictures of any name": ("scans/{split}/{name}.png", "masks/{split}/{name}.png"),
    "中文": ("图片/{split}/{name}.png", "掩膜/{split}/{name}.png"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_pictures_find_their_masks(tmp_path: Path, kind: str) -> None:
    here, there = LAYOUTS[kind]
    top = tmp_path / "数据"
    for value, (split, name) in enumerate((("train", "a"), ("train", "猫 2"), ("val", "a"))):
        pictures(top, here.format(split=split, name=name))
        put(top / there.format(split=split, name=name), halves(0, value))
    (top / "classes.txt").write_text("ground\nleaf\nstem\n", "utf-8")
    assert sniff(top) == "masks" and masks.sniff(top) == 0.85
    data = open_data(top)
    assert (data.task, data.format, data.names, data.counts()) == ("segment", "masks", ["ground", "leaf", "stem"], {"train": 2, "val": 1})
    found = {(s.split, s.truth.pixels[0, -1], s.record) for s in data.samples}
    wanted = [("train", 0, "a"), ("train", 1, "猫 2"), ("val", 2, "a")]
    assert found == {(split, value, there.format(split=split, name=name)) for split, value, name in wanted}
    assert [s.id for s in data.samples] == sorted(here.format(split=split, name=name) for split, _, name in wanted) and not data.refused


def test_a_set_that_keeps_every_promise(tmp_path: Path) -> None:
    pictures(tmp_path / "set", "images/a.png", "images/b.png")
    put(tmp_path / "set/masks/a.png", halves(0, 1))
    put(tmp_path / "set/masks/b.png", halves(2, 255))
    (tmp_path / "set/classes.txt").write_text("x\ny\nz\n")
    data = masks.read(tmp_path / "set")
    assert shown(data)["images/b.png"] == [2] * 6 + [VOID] * 6 and said(data, "255")


def test_exact_names_go_before_similar_ones(tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png", "images/a_image.png", "images/b.png")
    for value, name in enumerate(("a", "a_mask", "b_mask", "b_seg")):
        put(tmp_path / f"masks/{name}.png", halves(0, value))
    (tmp_path / "classes.txt").write_text("0\n1\n2\n3\n")
    data = open_data(tmp_path)
    assert {s.id: s.record for s in data.samples} == {
        "images/a.png": "masks/a.png", "images/a_image.png": "masks/a_mask.png", "images/b.png": "masks/b_mask.png",
    }  # fmt: skip
    assert reasons(data) == {"masks/b_seg.png": "there is no picture for this mask"}


def test_a_part_without_masks_is_unlabelled(tmp_path: Path) -> None:
    pictures(tmp_path, "train/images/a.png", "test/images/b.png", "cover.png")
    put(tmp_path / "train/masks/a.png", halves(0, 255))
    data = open_data(tmp_path)
    assert {s.id: (s.split, s.truth is None, s.record) for s in data.samples} == {
        "train/images/a.png": ("train", False, "train/masks/a.png"), "test/images/b.png": ("test", True, None),
    }  # fmt: skip
    assert said(data, "1 pictures have no mask", "1 pictures are neither")


# names and values


def one(top: Path, values: np.ndarray, folder: str = "masks", palette: list[int] | None = None, **how: object) -> Path:
    """A set of one picture."""
    pictures(top, "images/a.png", size=(values.shape[1], values.shape[0]))
    put(top / folder / "a.png", values, palette, **how)
    return top


def test_what_is_called_unlabelled_is_not_scored_and_no_other_class_moves(tmp_path: Path) -> None:
    values = np.repeat(np.arange(4, dtype=np.uint8)[None], HIGH, 0)
    for word in ("Unlabelled", "unlabeled", "VOID", "ignore", "未标注"):
        top = one(tmp_path / word, values)
        (top / "classes.txt").write_text(f"sky\n{word}\nroad\n树\n", "utf-8")
        data = open_data(top)
        assert data.names == ["sky", "road", "树"] and said(data, word)
        assert shown(data)["images/a.png"] == [0, VOID, 1, 2]
    (top / "classes.txt").write_text("sky\nvoided\nroad\ntree\n")
    assert shown(open_data(top))["images/a.png"] == [0, 1, 2, 3], "negative control: only those very words"


def test_an_empty_line_keeps_its_place(tmp_path: Path) -> None:
    (one(tmp_path, halves(0, 2)) / "classes.txt").write_text("ground\n\nleaf\n\n")
    data = open_data(tmp_path)
    assert data.names == ["ground", "1", "leaf"] and shown(data)["images/a.png"][-1] == 2 and said(data, "line 2 of classes.txt")
    (tmp_path / "classes.txt").write_text("ground\nleaf\nleaf\n")
    data = open_data(tmp_path)
    assert data.names == ["ground", "leaf"] and shown(data)["images/a.png"][-1] == 1 and said(data, "alike")


@pytest.mark.parametrize(("folder", "name"), [("vessels", "vessels"), ("masks", "object"), ("mask", "object"), ("病灶", "病灶")])
@pytest.mark.parametrize("white", [255, 1, 65535])
def test_black_and_white_is_an_object_on_its_background(tmp_path: Path, folder: str, name: str, white: int) -> None:
    data = open_data(one(tmp_path, halves(0, white, np.uint16 if white > 255 else np.uint8), folder))
    assert (data.task, data.names) == ("segment", ["background", name]) and shown(data)["images/a.png"] == [0] * 6 + [1] * 6
    assert said(data, f"0 is background, everything else {name}")
    (tmp_path / "classes.txt").write_text("skin\nlesion\n")
    assert open_data(tmp_path).names == ["skin", "lesion"]
    (tmp_path / "classes.txt").write_text("lesion\n")
    assert open_data(tmp_path).names == ["background", "lesion"]


def test_a_mask_without_the_object_is_all_background(tmp_path: Path) -> None:
    one(tmp_path, halves(0, 255))
    pictures(tmp_path, "images/b.png")
    put(tmp_path / "masks/b.png", halves(0, 0))
    assert shown(open_data(tmp_path))["images/b.png"] == [0] * WIDE
    assert open_data(one(tmp_path / "none", halves(0, 0))).names == ["background", "object"]


def test_a_third_value_among_black_and_white_is_named(tmp_path: Path) -> None:
    for number in range(12):
        pictures(tmp_path, f"images/{number}.png")
        put(tmp_path / f"masks/{number}.png", halves(0, 128 if number == 7 else 255))
    data = open_data(tmp_path)
    assert data.names == ["background", "object"] and list(reasons(data)) == ["masks/7.png"]
    assert "128" in data.refused[0].reason and "0, 255" in data.refused[0].reason
    assert sum(s.truth is None for s in data.samples) == 1
    for number in range(5):
        put(tmp_path / f"masks/{number}.png", halves(0, 128))
    assert open_data(tmp_path).names == ["0", "128", "255"], "negative control: many of them are a class"


def test_soft_edges_are_cut_in_the_middle(tmp_path: Path) -> None:
    values = np.zeros((64, 64), np.uint8)
    values[20:40, 20:44] = 255
    small = np.asarray(Image.fromarray(values).resize((300, 300), Image.Resampling.BICUBIC))
    assert len(np.unique(small)) > 16
    data = open_data(one(tmp_path, small))
    assert np.array_equal(data.samples[0].truth.pixels, small >= 128) and said(data, "soft edges")


def test_jpeg_masks_of_two_classes_are_read_and_others_refused(tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png", size=(64, 48))
    values = np.zeros((48, 64), np.uint8)
    values[13:31, 10:37] = 255
    put(tmp_path / "masks/a.jpg", values, quality=90)
    data = open_data(tmp_path)
    assert np.array_equal(data.samples[0].truth.pixels, values > 0) and masks.sniff(tmp_path) == 0.85
    pictures(tmp_path, "images/b.png", "images/c.png", size=(64, 48))
    put(tmp_path / "masks/a.png", values // 255 * 2)
    (tmp_path / "masks/a.jpg").unlink()
    put(tmp_path / "masks/b.png", values // 255)
    put(tmp_path / "masks/c.jpg", values // 255 * 90, quality=50)
    data = open_data(tmp_path)
    assert list(reasons(data)) == ["masks/c.jpg"] and "JPEG" in data.refused[0].reason


def test_without_names_every_value_is_called_by_its_number(tmp_path: Path) -> None:
    values = np.repeat(np.array([[0, 2, 7, 255]], np.uint8), HIGH, 0)
    data = open_data(one(tmp_path, values))
    assert data.names == ["0", "2", "7"] and shown(data)["images/a.png"] == [0, 1, 2, VOID] and said(data, "classes.txt", "255")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_hold_places_not_colours(tmp_path: Path, bits: int) -> None:
    rng = np.random.default_rng(bits)
    values = rng.integers(0, 2**bits if bits < 8 else 20, (HIGH, WIDE)).astype(np.uint8)
    colours = rng.integers(0, 256, 3 * 256).tolist()
    # Two places of the same colour, and an order that sorts otherwise.
    colours[3:6] = colours[0:3]
    one(tmp_path, values, palette=colours, bits=bits)
    (tmp_path / "classes.txt").write_text("".join(f"class {i}\n" for i in range(20)))
    assert stored(tmp_path / "masks/a.png").palette[0].tolist() == colours[:3]
    assert np.array_equal(open_data(tmp_path).samples[0].truth.pixels, values)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_not_stretched(tmp_path: Path, bits: int) -> None:
    import struct
    import zlib

    values = np.arange(HIGH * 8, dtype=np.uint8).reshape(HIGH, 8) % (1 << bits)
    packed = np.packbits(np.unpackbits(values[..., None], axis=2)[..., -bits:].reshape(HIGH, -1), axis=1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    head = struct.pack(">IIBBBBB", 8, HIGH, bits, 0, 0, 0, 0)
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert np.array_equal(stored(raw).values[..., 0], values)
    assert np.asarray(Image.open(one(tmp_path, values[:, :8]) / "masks/a.png")).max() == (1 << bits) - 1, "negative control"


# colours

TABLES = {
    "label_colors.txt": "64 128 64\tanimal\n128 128 128\tsky\n0 0 0\tVoid\n\n",
    "class_dict.csv": "name,r,g,b\nanimal,64,128,64\nsky,128,128,128\nVoid,0,0,0\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nanimal:64,128,64::\nsky:128,128,128::\nVoid:0,0,0::\n",
    "classes.txt": "animal 64 128 64\nsky 128 128 128\nVoid 0 0 0\n",
}


def painted(*columns: tuple[int, int, int]) -> np.ndarray:
    return np.repeat(np.array([columns], np.uint8), HIGH, 0)


@pytest.mark.parametrize("file", TABLES)
def test_colours_of_a_table(tmp_path: Path, file: str) -> None:
    one(tmp_path, painted((64, 128, 64), (128, 128, 128), (0, 0, 0), (64, 128, 64)))
    pictures(tmp_path, "images/grey.png", "images/odd.png", size=(4, HIGH))
    put(tmp_path / "masks/grey.png", painted(*[(128, 128, 128)] * 4))
    put(tmp_path / "masks/odd.png", painted(*[(64, 128, 64)] * 3, (64, 128, 65)))
    (tmp_path / file).write_text(TABLES[file])
    assert masks.sniff(tmp_path) == 0.85
    data = open_data(tmp_path)
    assert data.names == ["animal", "sky"] and said(data, file, "Void")
    assert shown(data) == {"images/a.png": [0, 1, VOID, 0], "images/grey.png": [1] * 4, "images/odd.png": None}
    assert reasons(data) == {"masks/odd.png": "the colour 64 128 65 is that of no class"}


def test_lines_of_a_table_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    one(tmp_path, painted((1, 2, 3), (4, 5, 6), (1, 2, 3), (1, 2, 3)))
    text = "name r g b\nzone 1 4 5 6\ncar 1 2 3\nbus 1 2 3\nvan 300 2 3\njust words\n"
    (tmp_path / "label_colors.txt").write_text(text)
    data = open_data(tmp_path)
    assert data.names == ["zone 1", "car"] and shown(data)["images/a.png"] == [1, 0, 1, 1]
    assert list(reasons(data)) == [f"label_colors.txt:{line}" for line in (4, 5, 6)] and "car" in data.refused[0].reason


def test_palettes_are_looked_up_where_only_colours_have_names(tmp_path: Path) -> None:
    one(tmp_path, halves(3, 1), palette=[0, 0, 0, 9, 9, 8, 5, 5, 5, 70, 130, 180])
    (tmp_path / "label_colors.txt").write_text("sky 70 130 180\nroad 9 9 8\n")
    data = open_data(tmp_path)
    assert data.names == ["sky", "road"] and shown(data)["images/a.png"] == [0] * 6 + [1] * 6
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    assert shown(open_data(tmp_path))["images/a.png"] == [3] * 6 + [1] * 6, "a list of values goes before a table of colours"


def test_colours_without_a_table(tmp_path: Path) -> None:
    top = one(tmp_path / "few", painted((255, 0, 0), (0, 0, 255), (0, 0, 0), (0, 0, 0)))
    assert masks.sniff(top) == 0.6
    data = open_data(top)
    assert (
        data.names == ["#000000", "#0000ff", "#ff0000"] and shown(data)["images/a.png"] == [2, 1, 0, 0] and said(data, "label_colors.txt")
    )
    assert open_data(one(tmp_path / "two", painted((0, 0, 0), (0, 99, 0)))).names == ["background", "object"]
    many = np.zeros((HIGH, 80, 3), np.uint8)
    many[..., 0], many[..., 2] = np.arange(80), 1
    with pytest.raises(DataError, match=r"80 colours.*label_colors\.txt"):
        open_data(one(tmp_path / "many", many), "masks")


def test_colours_among_numbers_are_named(tmp_path: Path) -> None:
    for number in range(3):
        pictures(tmp_path, f"images/{number}.png")
        put(tmp_path / f"masks/{number}.png", halves(0, 2))
    put(tmp_path / "masks/1.png", np.stack([halves(0, 2), halves(0, 9), halves(0, 2)], 2))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert reasons(open_data(tmp_path)) == {"masks/1.png": "it holds colours, the other masks numbers"}


# objects


def test_sixteen_bits_number_objects(tmp_path: Path) -> None:
    data = open_data(one(tmp_path, blobs(1, 2, 700, kind=np.uint16), "labels"))
    truth = data.samples[0].truth
    assert (data.task, data.names, truth.kind, truth.labels) == ("instances", ["object"], "instances", ["object"] * 3)
    assert truth.boxes.tolist() == [[0, 0, 2, 2], [3, 0, 5, 2], [6, 0, 8, 2]] and truth.masks().sum() == 12
    assert said(data, "16 bits", "classes.txt")
    (tmp_path / "classes.txt").write_text("background\nnucleus\n")
    assert open_data(tmp_path).names == ["nucleus"]


def test_sixteen_bits_with_a_name_for_every_value_are_classes(tmp_path: Path) -> None:
    one(tmp_path, blobs(1, 2, 2, kind=np.uint16))
    (tmp_path / "classes.txt").write_text("ground\nleaf\nstem\n")
    data = open_data(tmp_path)
    assert data.task == "segment" and sorted(np.unique(data.samples[0].truth.pixels)) == [0, 1, 2]
    put(tmp_path / "masks/a.png", blobs(1, 2, 3, kind=np.uint16))
    assert open_data(tmp_path).task == "instances", "negative control: one value more than there are names"


def test_a_label_map_without_objects_is_known_to_hold_none(tmp_path: Path) -> None:
    data = open_data(one(tmp_path, halves(0, 0, np.uint16)))
    assert data.task == "instances" and len(data.samples[0].truth) == 0


def test_eight_bits_that_count_up_number_objects(tmp_path: Path) -> None:
    for number, count in enumerate((12, 5, 8, 11)):
        pictures(tmp_path, f"images/{number}.png")
        put(tmp_path / f"labels/{number}.png", blobs(*range(1, count + 1)))
    data = open_data(tmp_path)
    assert data.task == "instances" and [len(s.truth) for s in data.samples] == [12, 5, 8, 11] and said(data, "one region")
    (tmp_path / "classes.txt").write_text("".join(f"{i}\n" for i in range(13)))
    assert open_data(tmp_path).task == "segment", "names for every value say otherwise"
    (tmp_path / "labels").rename(tmp_path / "instances")
    assert open_data(tmp_path).task == "instances", "so does the folder's name"


def test_classes_in_many_regions_are_no_objects(tmp_path: Path) -> None:
    for number, count in enumerate((12, 5, 8, 11)):
        pictures(tmp_path, f"images/{number}.png")
        values = blobs(*range(1, count + 1))
        values[-1] = np.arange(WIDE) % (count + 1)
        put(tmp_path / f"labels/{number}.png", values)
    assert open_data(tmp_path).task == "segment"


def test_classes_of_objects_stand_in_a_list(tmp_path: Path) -> None:
    one(tmp_path, blobs(1, 2, 9, 10), "instances")
    rows = ["mask,value,label", "instances/a.png,1,猫", "instances/a.png,2,dog", "instances/a.png,9,猫"]
    rows += [
        "instances/a.png,2,cow",
        "instances/a.png,x,cow",
        "instances/a.png,5,cow",
        "instances/none.png,1,cow",
        "instances/a.png,8,",
        "short",
    ]
    (tmp_path / "objects.csv").write_text("\n".join(rows), "utf-8")
    (tmp_path / "classes.txt").write_text("dog\n猫\n", "utf-8")
    data = open_data(tmp_path)
    assert data.names == ["dog", "猫", "cow"] and data.samples[0].truth.labels == ["猫", "dog", "猫"]
    assert set(reasons(data)) == {*(f"objects.csv:{line}" for line in (5, 6, 7, 8, 9, 10)), "instances/a.png: 10"}
    assert "used before" in reasons(data)["objects.csv:5"] and "no class" in reasons(data)["instances/a.png: 10"]


EACH = {"a folder a picture": ("{n}/images/{n}.png", "{n}/masks/{i}.png"), "folders of masks": ("images/{n}.png", "masks/{n}/{i}.png")}


@pytest.mark.parametrize("kind", EACH)
def test_one_file_an_object(tmp_path: Path, kind: str) -> None:
    here, there = EACH[kind]
    pictures(tmp_path, *(here.format(n=n) for n in ("p1", "p2", "p3")))
    for n, count in (("p1", 3), ("p2", 1)):
        for i in range(count):
            put(tmp_path / there.format(n=n, i=f"{i:02d}x"), np.roll(blobs(255), 3 * i, 1))
    bad = {"empty": halves(0, 0), "size": np.full((3, 3), 255, np.uint8)}
    for name, values in bad.items():
        put(tmp_path / there.format(n="p1", i=name), values)
    (tmp_path / there.format(n="p1", i="torn")).write_bytes(b"\x89PNG\r\n\x1a\n")
    assert masks.sniff(tmp_path) == 0.85
    data = open_data(tmp_path)
    assert data.task == "instances" and [s.truth and len(s.truth) for s in data.samples] == [3, 1, None]
    assert data.samples[0].truth.boxes[:, 0].tolist() == [0, 3, 6] and said(data, "white is the object")
    assert set(reasons(data)) == {there.format(n="p1", i=i) for i in ("empty", "size", "torn")}
    assert "3 × 3" in reasons(data)[there.format(n="p1", i="size")]


# the field of view, tables beside


@pytest.mark.parametrize("field", ["fov", "roi", "mask"])
def test_outside_the_field_of_view_nothing_is_scored(tmp_path: Path, field: str) -> None:
    one(tmp_path, halves(0, 255), "vessels")
    view = np.zeros((HIGH, WIDE), np.uint8)
    view[:, 3:9] = 255
    put(tmp_path / field / "a.png", view)
    data = open_data(tmp_path)
    assert data.names == ["background", "vessels"] and shown(data)["images/a.png"] == [VOID] * 3 + [0] * 3 + [1] * 3 + [VOID] * 3
    assert said(data, f"{field} is taken for the field of view")
    (tmp_path / field / "a.png").write_bytes(b"no picture")
    data = open_data(tmp_path)
    assert list(reasons(data)) == [f"{field}/a.png"] and VOID not in shown(data)["images/a.png"]


def test_alone_a_folder_called_mask_holds_the_truth(tmp_path: Path) -> None:
    data = open_data(one(tmp_path, halves(0, 255), "mask"))
    assert shown(data)["images/a.png"] == [0] * 6 + [1] * 6 and not said(data, "field of view")


def test_second_opinions_are_left_aside_aloud(tmp_path: Path) -> None:
    one(tmp_path, halves(0, 255), "1st_manual")
    put(tmp_path / "2nd_manual/a.png", halves(255, 0))
    data = open_data(tmp_path)
    assert data.samples[0].record == "1st_manual/a.png" and said(data, "2nd_manual")


def test_a_table_beside_gives_groups_and_another_task(tmp_path: Path) -> None:
    pictures(tmp_path, "images/a.png", "images/b.png")
    for name in "ab":
        put(tmp_path / f"masks/{name}.png", halves(0, 255))
    (tmp_path / "labels.csv").write_text("id,diagnosis,patient,split\na,benign,p1,train\nb,malignant,p2,test\nc,benign,p1,train\n")
    data = open_data(tmp_path)
    assert data.task == "segment" and [(s.group, s.split) for s in data.samples] == [("p1", "train"), ("p2", "test")]
    assert said(data, f"{tmp_path}:diagnosis", "--format csv", "patient")
    assert open_data(tmp_path, "csv").names == ["benign", "malignant"]
    assert open_data(f"{tmp_path}:diagnosis").task == "classify"


# faults


def test_masks_that_cannot_be_used_are_named_and_their_pictures_unlabelled(tmp_path: Path) -> None:
    names = ["good", "high", "wide", "torn", "photo", "none", "tall"]
    pictures(tmp_path, *(f"images/{name}.png" for name in names))
    (tmp_path / "images/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    for name in (*names, "stray", "broken"):
        put(tmp_path / f"labels/{name}.png", halves(0, 2))
    (tmp_path / "labels/none.png").unlink()
    put(tmp_path / "labels/high.png", halves(0, 3))
    put(tmp_path / "labels/wide.png", np.zeros((HIGH, WIDE + 1), np.uint8))
    put(tmp_path / "labels/tall.png", np.zeros((WIDE, HIGH), np.uint8))
    pictures(tmp_path, "labels/photo.png")
    (tmp_path / "labels/torn.png").write_bytes((tmp_path / "labels/good.png").read_bytes()[:-20])
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    data = open_data(tmp_path)
    assert {s.id: s.truth is not None for s in data.samples} == {f"images/{name}.png": name == "good" for name in (*names, "broken")}
    found = reasons(data)
    assert set(found) == {*(f"labels/{name}.png" for name in ("high", "wide", "tall", "torn", "photo", "stray")), "images/broken.png"}
    assert "the value 3, but there are only 3 classes" in found["labels/high.png"]
    assert "13 × 8 pixels, the picture 12 × 8" in found["labels/wide.png"] and "8 × 12" in found["labels/tall.png"]
    assert "colours" in found["labels/photo.png"] and said(data, "7 pictures have no mask that can be used")
    assert any("7 files or rows cannot be used" in line for line in describe(data))


def test_a_set_without_one_good_mask_is_refused(tmp_path: Path) -> None:
    one(tmp_path, halves(1, 2))
    (tmp_path / "classes.txt").write_text("leaf\nstem\n")
    with pytest.raises(DataError, match=r"not one mask.*masks/a\.png.*value 2.*first line of classes\.txt"):
        open_data(tmp_path)
    put(tmp_path / "masks/a.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match=r"masks/a\.png: the mask is 3 × 3 pixels"):
        open_data(tmp_path)
    with pytest.raises(DataError, match="no folder of pictures beside"):
        open_data(pictures(tmp_path / "plain", "cat/1.png", "dog/2.png"), "masks")


def test_noise_is_refused_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    for number, kind in enumerate((np.uint16, np.uint8)):
        top = one(tmp_path / str(number), halves(0, 2, kind))
        pictures(top, "images/b.png", size=(600, 500))
        put(top / "masks/b.png", rng.integers(0, np.iinfo(kind).max, (500, 600), kind, endpoint=True))
    assert list(reasons(open_data(tmp_path / "0"))) == ["masks/b.png"]
    with pytest.raises(DataError, match=r"256 values.*instances"):
        masks.read(tmp_path / "1")
    (tmp_path / "1/classes.txt").write_text("a\nb\nc\n")
    assert list(reasons(masks.read(tmp_path / "1"))) == ["masks/b.png"]
    assert time.perf_counter() - started < 30


def test_names_in_the_encoding_of_chinese_windows(tmp_path: Path) -> None:
    (one(tmp_path, halves(0, 2)) / "classes.txt").write_bytes("背景\n草地\n树木\n".encode("gbk"))
    data = open_data(tmp_path)
    assert data.names == ["背景", "草地", "树木"] and said(data, "GBK")


def test_lists_that_are_links_out_of_the_folder_are_not_read(tmp_path: Path) -> None:
    top = one(tmp_path / "set", halves(0, 2))
    (tmp_path / "secret.txt").write_text("a\nb\nc\n")
    (top / "classes.txt").symlink_to(tmp_path / "secret.txt")
    data = open_data(top)
    assert data.names == ["background", "object"] and list(reasons(data)) == ["classes.txt"]


def test_what_only_looks_like_masks_is_left_to_others(tmp_path: Path) -> None:
    pairs = pictures(tmp_path / "pairs", "images/1.png", "masks/1.png")
    classes = pictures(tmp_path / "classes", "mask/1.png", "no_mask/1.png", "mask/2.png", "no_mask/2.png", size=(40, 40))
    yolo = pictures(tmp_path / "yolo", "images/1.png")
    (yolo / "labels").mkdir()
    (yolo / "labels/1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    other = pictures(tmp_path / "other", "images/1.png")
    put(other / "masks/unlike.png", halves(0, 255))
    for top in (pairs, classes, yolo, other):
        assert masks.sniff(top) == 0.0, top
    assert open_data(classes).task == "classify"
    assert masks.sniff(tmp_path / "nothing") == 0.0


# written and read back


NAMES = ["background", "草", "a b", "x"]


def dataset(
    truths: list[Mask | Instances | None], names: list[str], splits: tuple[str | None, ...] = (None,), size=(WIDE, HIGH)
) -> Dataset:
    """Truths on packed pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(truths), size[1], size[0], 3), np.uint8)
    samples = [Sample(f"s/{i:02d}", row=i, truth=truth, split=splits[i % len(splits)]) for i, truth in enumerate(truths)]
    task = next((truth.kind for truth in truths if truth), "mask")
    return Dataset(samples, names, task, Path("made"), "made", pixels)


@settings(max_examples=25, deadline=None)
@given(
    values=arrays.arrays(np.uint8, (2, HIGH, WIDE), elements=st.sampled_from([0, 1, 2, 3, VOID])),
    count=st.integers(1, 4),
    parts=st.booleans(),
)
def test_masks_come_back_exactly(values: np.ndarray, count: int, parts: bool) -> None:
    values = np.where(values < count, values, VOID)
    first = dataset([*(Mask.of(one, NAMES[:count]) for one in values), None], NAMES[:count], ("val", "train", None) if parts else (None,))
    with tempfile.TemporaryDirectory() as folder:
        assert masks.write(first, Path(folder) / "out") == []
        again = masks.read(Path(folder) / "out")
        truths = {s.id.rpartition("/")[2][:2]: s for s in again.samples}
        for sample in first.samples:
            mine, back = sample.truth, truths[sample.id[-2:]].truth
            assert (mine is None) == (back is None) and (mine is None or np.array_equal(mine.pixels, back.pixels))
            assert truths[sample.id[-2:]].split == sample.split
        assert again.names == NAMES[:count] and again.task == "segment" and not again.refused


def squares(*corners: tuple[int, int], labels: list[str] | None = None, side: int = 2, ignored: list[bool] | None = None) -> Instances:
    shapes = np.zeros((len(corners), HIGH, WIDE), bool)
    for shape, (x, y) in zip(shapes, corners, strict=True):
        shape[y : y + side, x : x + side] = True
    boxes = np.array([(x, y, x + side, y + side) for x, y in corners], float).reshape(-1, 4)
    aside = None if ignored is None else np.array(ignored)
    return Instances(WIDE, HIGH, labels or ["猫"] * len(corners), boxes, None, aside, [_rle.encode(shape) for shape in shapes])


@pytest.mark.parametrize("several", [False, True])
def test_objects_come_back_exactly_where_none_covers_another(tmp_path: Path, several: bool) -> None:
    labels = ["猫", "dog", "猫"] if several else None
    first = dataset(
        [squares((0, 0), (2, 0), (4, 4), labels=labels), squares(), None], ["猫", "dog"] if several else ["猫"], ("train", "test")
    )
    assert masks.write(first, tmp_path / "out") == []
    again = open_data(tmp_path / "out")
    assert (again.format, again.task, again.names, again.counts()) == ("masks", "instances", first.names, {"train": 2, "test": 1})
    back = {s.id[-6:-4]: s.truth for s in again.samples}
    assert back["00"].labels == first.samples[0].truth.labels and np.array_equal(back["00"].boxes, first.samples[0].truth.boxes)
    assert list(back["00"].counts) == list(first.samples[0].truth.counts) and len(back["01"]) == 0 and back["02"] is None
    assert (tmp_path / "out/objects.csv").exists() == several
    values = np.asarray(Image.open(tmp_path / "out/instances/train/00.png"))
    assert values.dtype == np.uint16 and values[0, 0] == 1 and values[0, 2] == 2


def test_what_a_label_map_cannot_hold_is_said(tmp_path: Path) -> None:
    first = dataset([squares((0, 0), (1, 1), (5, 5), (5, 5), (8, 0), ignored=[False] * 4 + [True])], ["猫"])
    lost = " ".join(masks.write(first, tmp_path))
    assert "5 pixels" in lost and "1 objects lie wholly" in lost and "1 objects that do not count" in lost
    back = open_data(tmp_path).samples[0].truth
    assert len(back) == 3 and back.masks()[1].sum() == 4 and back.masks()[0].sum() == 3, "the later one keeps the pixels"


def test_palette_order_and_void_as_other_tools_see_them(tmp_path: Path) -> None:
    from omma.answers._marks import palette

    values = halves(2, VOID)
    values[0] = [0, 1, 2, 3] * 3
    masks.write(dataset([Mask.of(values, NAMES)], NAMES), tmp_path)
    with Image.open(tmp_path / "masks/00.png") as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image), values)
        colours = np.array(image.getpalette()).reshape(-1, 3)
        assert np.array_equal(np.asarray(image.convert("RGB"))[0, 1], colours[1])
    shades = palette(NAMES)
    assert colours[0].tolist() == [0, 0, 0] and [tuple(row) for row in colours[1:4].tolist()] == [shades[name] for name in NAMES[1:]]
    assert len({tuple(row) for row in [*colours[:4].tolist(), colours[VOID].tolist()]}) == 5
    assert (tmp_path / "classes.txt").read_text("utf-8") == "background\n草\na b\nx\n"


def test_classes_in_another_order_and_groups(tmp_path: Path) -> None:
    first = dataset([Mask.of(halves(0, 1), ["x", "background"]), Mask.of(halves(0, 1), NAMES)], NAMES)
    first.samples[0].group = "p1"
    masks.write(first, tmp_path)
    again = open_data(tmp_path)
    assert [s.truth.pixels[0, [0, -1]].tolist() for s in again.samples] == [[3, 0], [0, 1]] and again.samples[0].group == "p1"


def test_a_class_that_would_not_be_scored_is_said(tmp_path: Path) -> None:
    assert "void" in " ".join(masks.write(dataset([Mask.of(halves(0, 1), ["x", "void"])], ["x", "void"]), tmp_path))


def test_promises_of_a_format(tmp_path: Path) -> None:
    one(tmp_path / "set", halves(0, 1))
    (tmp_path / "set/classes.txt").write_text("a\nb\nc\n")
    from omma import catalog

    if "segment" in catalog.names("tasks"):
        check_format("masks", tmp_path / "set", tmp_path / "again")
    assert masks.HOLDS == ("mask", "instances")


def test_reading_tells_how_far_it_is(tmp_path: Path) -> None:
    class Seen(Watch):
        def __init__(self) -> None:
            self.steps: list[tuple[str, float, float | None]] = []

        def step(self, what: str, done: float, total: float | None = None, **facts: object) -> None:
            self.steps.append((what, done, total))

    for name in "abc":
        pictures(tmp_path, f"images/{name}.png")
        put(tmp_path / f"masks/{name}.png", halves(0, 255))
    seen = Seen()
    open_data(tmp_path, None, seen)
    assert [row for row in seen.steps if row[0] == "reading masks"] == [("reading masks", done, 3) for done in range(3)]


def test_an_archive_of_masks_is_spoken_of_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMMA_HOME", str(tmp_path / "home"))
    one(tmp_path / "set", halves(0, 255))
    (tmp_path / "set/labels.csv").write_text("id,kind\na,x\n")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "set"))
    data = open_data(tmp_path / "set.zip")
    assert data.task == "segment" and said(data, f"{tmp_path / 'set.zip'}:kind")


# real sets


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMMA_HOME", str(tmp_path_factory.getbasetemp() / "masks-home"))


@needs_mirror
def test_camvid(home: None) -> None:
    data = open_data(MIRROR / "camvid.zip")
    assert (data.task, len(data.names), data.counts()) == ("segment", 11, {"train": 184, "val": 51}) and not data.refused
    assert data.names[0] == "Sky" and data.names[-1] == "Bicyclist" and said(data, "Unlabelled")
    sample = data.samples[0]
    raw = np.asarray(Image.open(data.root / sample.record))
    assert np.array_equal(sample.truth.pixels, np.where(raw == 11, VOID, raw)) and (raw == 11).any()


@needs_mirror
def test_lesions(home: None) -> None:
    data = open_data(MIRROR / "ph2-skin-lesions.zip")
    assert (data.task, data.names, len(data)) == ("segment", ["background", "object"], 140) and not data.refused
    assert said(data, "ph2-skin-lesions.zip:diagnosis") and open_data(MIRROR / "ph2-skin-lesions.zip", "csv").task == "classify"
    assert 0.2 < np.mean([s.truth.pixels.mean() for s in data.samples]) < 0.5


@needs_mirror
def test_nuclei(home: None) -> None:
    data = open_data(MIRROR / "dsb2018-nuclei.zip")
    counts = open_data(f"{MIRROR / 'dsb2018-nuclei.zip'}:nuclei")
    assert data.task == "instances" and counts.task == "regress" and not data.refused
    told = {s.id: s.truth.numbers["nuclei"] for s in counts.samples}
    assert {s.id: float(len(s.truth)) for s in data.samples} == told and sum(told.values()) == 4178


@needs_mirror
def test_vessels(home: None) -> None:
    data = open_data(MIRROR / "drive-train.zip")
    assert (data.names, len(data)) == (["background", "vessels"], 20) and said(data, "fov")
    share = np.mean([(s.truth.pixels == VOID).mean() for s in data.samples])
    assert 0.3 < share < 0.32 and not data.refused
