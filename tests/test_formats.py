"""Every way a dataset may lie on disk, built here in small; what cannot be used is named, never dropped in silence."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import time
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omma import catalog
from omma.data.sample import Dataset
from omma.errors import DataError, OmmaError
from omma.formats import _unpickle
from omma.formats.csv import write
from omma.formats.format import describe, open_data, sniff


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMMA_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("OMMA_LANG", "en")
    monkeypatch.delenv("OMMA_MIRROR", raising=False)


def put(top: Path, *names: str) -> Path:
    """Small pictures under these names, each of another shade."""
    for shade, name in enumerate(names):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (shade % 256, 9, 9)).save(path)
    return top


def labels(dataset: Dataset) -> dict[str, str]:
    return {sample.id: sample.truth.label for sample in dataset.samples}


# folders


def test_class_folders(tmp_path: Path) -> None:
    top = put(tmp_path / "照片", "猫/1.png", "猫/深/2.png", "dog/1.JPG", "dog/.hidden.png", ".git/x.png")
    (top / "空").mkdir()
    (top / "dog/notes.txt").write_text("x")
    data = open_data(top)
    assert (data.task, data.format, data.names) == ("classify", "folders", ["dog", "猫"])
    assert labels(data) == {"dog/1.JPG": "dog", "猫/1.png": "猫", "猫/深/2.png": "猫"}
    assert data.counts() == {} and any("空" in note for note in data.notes)
    assert data.picture(0).shape == (4, 6, 3)


def test_two_spellings_of_one_name_are_one_class(tmp_path: Path) -> None:
    for number, form in enumerate(("NFC", "NFD")):
        put(tmp_path, f"{unicodedata.normalize(form, 'café')}/{number}.png")
    put(tmp_path, "thé/1.png")
    assert open_data(tmp_path).names == [unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFC", "thé")]


@pytest.mark.parametrize("layout", ["{split}/{name}/{i}.png", "{name}/{split}/{i}.png"])
@pytest.mark.parametrize("words", [("train", "val", "test"), ("Training", "valid", "testing"), ("训练集", "验证集", "测试集")])
def test_splits_in_folders(tmp_path: Path, layout: str, words: tuple[str, ...]) -> None:
    put(tmp_path, *(layout.format(split=split, name=name, i=i) for split in words for name in ("a", "b") for i in range(2)))
    data = open_data(tmp_path)
    assert data.names == ["a", "b"] and data.counts() == {"train": 4, "val": 4, "test": 4}


def test_numbered_classes_are_in_order_of_value(tmp_path: Path) -> None:
    assert open_data(put(tmp_path, "2/a.png", "10/a.png", "1/a.png")).names == ["1", "2", "10"]


def test_single_folders_around_everything_are_taken_off(tmp_path: Path) -> None:
    put(tmp_path, "archive/set/cat/1.png", "archive/set/dog/1.png")
    assert open_data(tmp_path).names == ["cat", "dog"]
    only = put(tmp_path / "other", "cat/1.png", "cat/2.png")
    data = open_data(only)
    assert data.names == ["cat"] and any("only one class" in note for note in data.notes)


def test_pictures_beside_class_folders_are_told(tmp_path: Path) -> None:
    data = open_data(put(tmp_path, "cat/1.png", "dog/1.png", "cover.png"))
    assert len(data) == 2 and any("1 pictures lie beside" in note for note in data.notes)
    data = open_data(put(tmp_path / "kaggle", "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png"))
    assert data.counts() == {"train": 2} and any("2 pictures lie beside" in note and "test" in note for note in data.notes)


def test_pictures_without_labels_get_an_answer_that_helps(tmp_path: Path) -> None:
    data = open_data(put(tmp_path, *(f"{i}.png" for i in range(12))))
    assert data.task is None and len(data) == 12 and data.names == [] and data.samples[0].truth is None
    text = " ".join(describe(data))
    assert all(word in text for word in ("12 pictures without labels", "omma predict", "labels.csv", "too few"))
    many = open_data(put(tmp_path / "images-only", *(f"images/{i}.png" for i in range(30))))
    assert many.task is None and not any("too few" in note for note in many.notes)
    parts = open_data(put(tmp_path / "parts", "train/1.png", "test/2.png"))
    assert parts.task is None and parts.counts() == {"train": 1, "test": 1}


def test_nothing_usable_says_what_was_found(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm", "readme.md"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"2 \.dcm.*1 \.md"):
        open_data(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        open_data(tmp_path / "empty")


def test_unknown_words_are_helped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "flowers/a/1.png")
    monkeypatch.chdir(tmp_path)
    for word, close in {"cifr10": "cifar10", "flower": "flowers", "digit": "digits"}.items():
        with pytest.raises(OmmaError, match=f"did you mean .*{close}"):
            open_data(word)
    with pytest.raises(OmmaError, match="the sources are"):
        open_data("nothing-like-it-at-all")
    with pytest.raises(OmmaError, match="download it first"):
        open_data("https://example.org/pictures.zip")
    with pytest.raises(OmmaError, match="did you mean"):
        open_data(tmp_path / "flowers", format="folder")
    with pytest.raises(DataError, match="predict"):
        open_data(tmp_path / "flowers/a/1.png")


def test_animations_are_told(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/1.gif")
    assert not any("first one" in note for note in open_data(tmp_path).notes)
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 100, 200)]
    frames[0].save(tmp_path / "dog/2.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "dog/3.tif", save_all=True, append_images=frames[1:])
    assert any("2.gif, 3.tif (2 such files" in note for note in open_data(tmp_path).notes)


# tables


def table(top: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    (top / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return top / name


@pytest.mark.parametrize("where", ["folder", "table"])
def test_table_of_labels(tmp_path: Path, where: str) -> None:
    put(tmp_path, "a.png", "sub/b.png", "c.png")
    path = table(tmp_path, "path,label,split,patient\na.png,cat,train,p1\nsub/b.png,dog,test,p2\n./c.png,cat,validation,p1\n")
    data = open_data(tmp_path if where == "folder" else path)
    assert (data.task, data.format, data.names) == ("classify", "csv", ["cat", "dog"])
    assert [(s.id, s.truth.label, s.split, s.group, s.record) for s in data.samples] == [
        ("a.png", "cat", "train", "p1", "labels.csv:2"),
        ("c.png", "cat", "val", "p1", "labels.csv:4"),
        ("sub/b.png", "dog", "test", "p2", "labels.csv:3"),
    ]


TEXTS = {
    "mark and CRLF": "\ufefffile,class\r\na.png,été\r\nb.png,hiver\r\n".encode(),
    "latin-1": "file,class\na.png,été\nb.png,hiver\n".encode("latin-1"),
    "utf-16": "file,class\na.png,été\nb.png,hiver\n".encode("utf-16"),
    "semicolons": "file;class\na.png;été\nb.png;hiver\n".encode(),
    "quoted": b'"file","class"\n"a.png","\xc3\xa9t\xc3\xa9"\n\n"b.png","hiver"\n',
    "no header": "a.png,été\nb.png,hiver\n".encode(),
    "no suffixes, other order": "class,image_id\nété,a\nhiver,b\n".encode(),
    "backslashes": "file,class\n.\\a.png,été\nb.png,hiver\n".encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", TEXTS)
def test_tables_as_people_write_them(tmp_path: Path, kind: str) -> None:
    put(tmp_path, "a.png", "b.png")
    data = open_data(table(tmp_path, TEXTS[kind]))
    assert labels(data) == {"a.png": "été", "b.png": "hiver"} and not data.refused


def test_tabs_and_several_labels(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.png")
    data = open_data(table(tmp_path, "image\ttags\na.png\tsun; sea\nb.png\t\nc.png\tsea\n", "t.tsv"))
    assert (data.task, data.names) == ("multilabel", ["sea", "sun"])
    assert [s.truth.labels for s in data.samples] == [("sea", "sun"), (), ("sea",)]


def test_numbers_by_the_only_column_or_by_name(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png", "labels/a.png", "labels/b.png")
    table(tmp_path, "id,kind,height,nuclei,area\na,x,4,3,1.5\nb,y,4,7,2.5\n", "index.csv")
    assert sniff(tmp_path) == "csv"
    with pytest.raises(DataError, match=rf"kind \(text\), height, nuclei, area.*{tmp_path}:nuclei"):
        open_data(tmp_path)
    for where in (f"{tmp_path}:nuclei", f"{tmp_path}/index.csv:Nuclei"):
        data = open_data(where)
        assert (data.task, data.names) == ("regress", ["nuclei"])
        assert {s.id: s.truth.numbers for s in data.samples} == {"images/a.png": {"nuclei": 3.0}, "images/b.png": {"nuclei": 7.0}}
    assert open_data(f"{tmp_path}/index.csv:nuclei,area").samples[1].truth.numbers == {"nuclei": 7.0, "area": 2.5}
    assert open_data(f"{tmp_path}/index.csv:kind").task == "classify"
    with pytest.raises(DataError, match="no column cells"):
        open_data(f"{tmp_path}/index.csv:cells")
    with pytest.raises(OmmaError, match="table"):
        open_data(f"{put(tmp_path / 'f', 'x/1.png', 'y/1.png')}:nuclei", format="folders")
    single = table(tmp_path, "id,age\na,31\nb,\nb,40\n", "ages.csv")
    data = open_data(single)
    assert data.task == "regress" and [row.where for row in data.refused] == ["ages.csv:3"]


def test_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    top = put(tmp_path / "set", "a.png", "b.png", "c.png", "d.png")
    put(tmp_path, "outside.png")
    (top / "link.png").symlink_to(tmp_path / "outside.png")
    rows = [
        "a.png,cat",
        "b.png,cat",
        "b.png,dog",
        "c.png,cat",
        "c.png,cat",
        "none.png,cat",
        "../outside.png,cat",
        f"{tmp_path}/outside.png,cat",
    ]
    rows += ["link.png,cat", "d.png,", ",cat", "d.png"]
    data = open_data(table(top, "path,label\n" + "\n".join(rows) + "\n"))
    assert labels(data) == {"a.png": "cat", "c.png": "cat"}
    refused = {row.where: row.reason for row in data.refused}
    assert set(refused) == {f"labels.csv:{line}" for line in (3, 4, 7, 8, 9, 10, 11, 12, 13)}
    assert "labels.csv:3, labels.csv:4" in refused["labels.csv:3"] and "none.png" in refused["labels.csv:7"]
    assert all("leaves" in refused[f"labels.csv:{line}"] for line in (8, 9, 10))
    assert any("counted once" in note for note in data.notes)


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(20)))
    cells = ["nan", "inf", "many", "-inf", *map(str, range(16))]
    data = open_data(table(tmp_path, "path,age\n" + "".join(f"{i}.png,{cell}\n" for i, cell in enumerate(cells))))
    assert [row.where for row in data.refused] == [f"labels.csv:{line}" for line in (2, 3, 4, 5)] and len(data) == 16


def test_tables_named_like_splits_belong_together(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/b.png")
    table(tmp_path, "image,label\na.png,x\n", "train.csv")
    table(tmp_path, "image,label\nb.png,y\n", "test.csv")
    assert {s.id: s.split for s in open_data(tmp_path).samples} == {"images/a.png": "train", "images/b.png": "test"}
    table(tmp_path, "image,label\nb.png,y\n", "other.csv")
    with pytest.raises(DataError, match=r"other\.csv.*labels\.csv"):
        open_data(tmp_path)


def test_a_table_about_something_else_does_not_hide_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/1.png")
    table(tmp_path, "epoch,loss\n1,0.5\n2,0.4\n", "log.csv")
    assert open_data(tmp_path).format == "folders"


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    cases = ("", "\n\n", "path,label\n", "path,label\nnone.png,x\n", b"path,label\0\n", 'path,label\na.png,"' + "x" * 200_000)
    for number, text in enumerate(cases):
        with pytest.raises(DataError, match=f"t{number}"):
            open_data(table(tmp_path, text, f"t{number}.csv"))


@pytest.mark.parametrize("kind", ["label", "labels", "numbers"])
@pytest.mark.parametrize("place", ["inside", "outside"])
def test_what_is_written_is_read_back(tmp_path: Path, kind: str, place: str) -> None:
    top = put(tmp_path / "数据", "猫/1.png", "狗/2.png", "狗/3.png")
    cells = {"label": ("猫", "狗", "狗"), "labels": ("a;b", "", "b"), "numbers": ("1.25", "2.5", "-1e-7")}[kind]
    column = "age" if kind == "numbers" else "label"
    names = ("猫/1.png", "狗/2.png", "狗/3.png")
    first = open_data(
        table(top, f"path,{column},split,group\n" + "".join(f"{name},{cell},train,g\n" for name, cell in zip(names, cells, strict=True)))
    )
    target = (top if place == "inside" else tmp_path / "elsewhere") / "clean.csv"
    assert write(first, target) == []
    again = open_data(target)
    assert [(s.id, s.truth.json(), s.split, s.group) for s in again.samples] == [
        (s.id, s.truth.json(), s.split, s.group) for s in first.samples
    ]
    assert (again.task, again.names, bool(again.notes)) == (first.task, first.names, place == "outside")


# arrays


def shades(count: int, size: int = 4) -> np.ndarray:
    return (np.arange(count * size * size) % 251).astype(np.uint8).reshape(count, size, size)


def test_npz_by_every_way_of_naming(tmp_path: Path) -> None:
    a, b = shades(6), shades(4)
    y, z = np.array([0, 1, 2, 0, 1, 2]), np.array([2, 1, 0, 0])
    spellings = [
        {"train_images": a, "train_labels": y[:, None], "test_images": b, "test_labels": z[:, None]},
        {"x_train": a, "y_train": y, "x_test": b, "y_test": z},
        {"X_train": a[..., None], "Y_train": y, "X_test": b[..., None], "Y_test": z},
        {
            "train_images": a / np.float32(255),
            "train_labels": np.eye(3)[y],
            "test_images": b / np.float32(255),
            "test_labels": np.eye(3)[z],
        },
    ]
    for number, arrays in enumerate(spellings):
        np.savez_compressed(tmp_path / f"{number}.npz", **arrays)
        data = open_data(tmp_path / f"{number}.npz")
        assert (data.task, data.names, data.counts()) == ("classify", ["0", "1", "2"], {"train": 6, "test": 4})
        last = next(i for i, s in enumerate(data.samples) if s.id == "train/00005")
        assert data.samples[last].truth.label == "2" and np.array_equal(data.picture(last)[..., 0], a[5])
    np.savez(tmp_path / "plain.npz", images=a, labels=y, classes=np.array(["zero", "one", "two"]))
    data = open_data(tmp_path / "plain.npz")
    assert data.names == ["zero", "one", "two"] and data.counts() == {} and data.samples[1].truth.label == "one"
    np.savez(tmp_path / "many.npz", images=a, labels=np.array([[1, 1], [0, 0], [0, 1]] * 2))
    assert [s.truth.labels for s in open_data(tmp_path / "many.npz").samples[:3]] == [("0", "1"), (), ("1",)]
    np.savez(tmp_path / "ages.npz", images=a, labels=y + 0.5)
    assert open_data(tmp_path / "ages.npz").samples[0].truth.numbers == {"target": 0.5}
    np.savez(tmp_path / "none.npz", images=a)
    assert open_data(tmp_path / "none.npz").task is None


def test_npz_that_cannot_be_used(tmp_path: Path) -> None:
    bad = {
        "objects": {"images": np.array([{}, {}], object), "labels": np.array([0, 1])},
        "counts": {"images": shades(3), "labels": np.array([0, 1])},
        "words": {"photos": shades(3)},
        "flat": {"images": np.arange(10), "labels": np.arange(10)},
        "nan": {"images": np.full((2, 3, 3), np.nan, np.float32), "labels": np.arange(2)},
        "unnamed": {"images": shades(3), "labels": np.array([0, 1, 7]), "classes": np.array(["a", "b"])},
    }
    for name, arrays in bad.items():
        np.savez(tmp_path / f"{name}.npz", **arrays, allow_pickle=True)
        with pytest.raises(DataError, match=name):
            open_data(tmp_path / f"{name}.npz")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "counts.npz").read_bytes()[:100])
    with pytest.raises(DataError, match="torn"):
        open_data(tmp_path / "torn.npz")


def idx(values: np.ndarray) -> bytes:
    return struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.astype(np.uint8).tobytes()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["train-", "train20k-", "train."])
def test_idx_pairs(tmp_path: Path, zipped: bool, prefix: str) -> None:
    pictures, truth = shades(5), np.array([3, 1, 4, 1, 5])
    for part in (prefix, "t10k-"):
        for name, values in (("images-idx3-ubyte", pictures), ("labels-idx1-ubyte", truth)):
            raw = idx(values)
            (tmp_path / f"{part}{name}{'.gz' if zipped else ''}").write_bytes(gzip.compress(raw) if zipped else raw)
    data = open_data(tmp_path)
    assert (data.format, data.names, data.counts()) == ("idx", ["1", "3", "4", "5"], {"train": 5, "test": 5})
    assert data.samples[-1].truth.label == "5" and np.array_equal(data.picture(9)[..., 0], pictures[4])
    path = next(tmp_path.glob("t10k-images*"))
    path.write_bytes(gzip.compress(idx(pictures)[:-3]) if zipped else idx(pictures)[:-3])
    with pytest.raises(DataError, match="t10k-images"):
        open_data(tmp_path)


def batch(seed: int, classes: int = 10, key: str = "labels") -> tuple[dict, np.ndarray]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (20, 3072), np.uint8)
    return {b"data": pixels, key.encode(): rng.integers(0, classes, 20).tolist(), b"filenames": [b"x.png"] * 20}, pixels


def cifar10(top: Path) -> Path:
    top.mkdir(parents=True, exist_ok=True)
    for i in range(1, 6):
        (top / f"data_batch_{i}").write_bytes(pickle.dumps(batch(i)[0], 2))
    (top / "test_batch").write_bytes(pickle.dumps(batch(6)[0], 2))
    (top / "batches.meta").write_bytes(pickle.dumps({b"label_names": [f"class {i}".encode() for i in range(10)]}, 2))
    return top


def check_cifar(data: Dataset) -> None:
    content, pixels = batch(3)
    place = next(i for i, s in enumerate(data.samples) if s.id == "train/00047")
    assert data.counts() == {"train": 100, "test": 20} and data.names[9] == "class 9"
    assert data.samples[place].truth.label == f"class {content[b'labels'][7]}"
    assert np.array_equal(data.picture(place), pixels[7].reshape(3, 32, 32).transpose(1, 2, 0))


def test_cifar_from_folder_and_archives(tmp_path: Path) -> None:
    folder = cifar10(tmp_path / "cifar-10-batches-py")
    check_cifar(open_data(folder))
    for suffix, mode in {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}.items():
        with tarfile.open(tmp_path / f"c.{suffix}", mode) as tar:
            tar.add(folder, "cifar-10-batches-py")
        before = set(tmp_path.rglob("*"))
        check_cifar(open_data(tmp_path / f"c.{suffix}"))
        assert set(tmp_path.rglob("*")) == before and not list(Path(os.environ["OMMA_HOME"]).rglob("*"))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"cifar-10-batches-py/{path.name}")
    check_cifar(open_data(tmp_path / "c.zip"))


def test_cifar_hundred(tmp_path: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        (tmp_path / name).write_bytes(pickle.dumps(batch(seed, 100, "fine_labels")[0] | {b"coarse_labels": [0] * 20}, 2))
    (tmp_path / "meta").write_bytes(pickle.dumps({b"fine_label_names": [str(i).encode() for i in range(100)]}, 2))
    data = open_data(tmp_path)
    assert (data.format, len(data.names), data.counts()) == ("cifar", 100, {"train": 20, "test": 20})


class Harm:
    def __init__(self, call: object, *arguments: object) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    flag = tmp_path / "harm"
    hostile = [
        pickle.dumps(Harm(os.system, f"touch {flag}"), protocol) for protocol in range(5)
    ] + [
        pickle.dumps(Harm(eval, f"open({str(flag)!r}, 'w')")),
        pickle.dumps({b"data": Harm(getattr, "text", "join"), b"labels": []}),
        pickle.dumps({b"data": np.array([{}], object), b"labels": [0]}),
        b"cos\nsystem\n(S'touch " + str(flag).encode() + b"'\ntR.",
        b"(S'touch " + str(flag).encode() + b"'\nios\nsystem\n.",
        b"\x80\x02Pperson\n.",
    ]  # fmt: skip
    for content in hostile:
        top = cifar10(tmp_path / "set")
        (top / "data_batch_2").write_bytes(content)
        with pytest.raises(DataError, match="data_batch_2"):
            open_data(top)
        assert not flag.exists()
    pickle.loads(hostile[0])
    assert flag.exists(), "negative control: the same bytes do harm to a plain reader"


def test_a_damaged_pickle_is_refused_at_once() -> None:
    good = pickle.dumps(batch(1)[0], 2)
    memo = b"\x80\x02]r\xff\xff\xff\x7f."
    started = time.perf_counter()
    assert _unpickle.load(memo) == []
    for content in (good[:1000], b"", b"\x80\x02.", b"garbage", b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"."):
        with pytest.raises(ValueError):
            _unpickle.load(content)
    assert time.perf_counter() - started < 1


# archives


def test_a_zip_is_data_too(tmp_path: Path) -> None:
    folder = put(tmp_path / "flowers", "daisy/1.png", "玫瑰/2.png", "__MACOSX/x.png")
    path = tmp_path / "flowers.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path))
    data = open_data(path)
    assert data.names == ["daisy", "玫瑰"]
    stamp = data.samples[0].path.stat().st_mtime_ns
    assert open_data(path).samples[0].path.stat().st_mtime_ns == stamp
    with tarfile.open(tmp_path / "flowers.tar.gz", "w:gz") as tar:
        tar.add(folder, "flowers")
    assert open_data(tmp_path / "flowers.tar.gz").names == ["daisy", "玫瑰"]


def test_names_of_a_chinese_windows_zip(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("L", (2, 2)).save(picture, "PNG")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for plain in ("XX/1.png", "YY/1.png"):
            archive.writestr(zipfile.ZipInfo(plain), picture.getvalue())
    path.write_bytes(path.read_bytes().replace(b"XX/", "猫/".encode("gbk")).replace(b"YY/", "狗/".encode("gbk")))
    assert open_data(path).names == ["狗", "猫"]


def test_hostile_archives_leave_nothing_behind(tmp_path: Path) -> None:
    home = Path(os.environ["OMMA_HOME"])
    for name in ("../evil.png", "/tmp/evil-omma.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"):
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
            archive.writestr("good/1.png", b"x")
            archive.writestr(zipfile.ZipInfo(name), b"x")
        with pytest.raises(DataError, match="leaves the folder"):
            open_data(tmp_path / "evil.zip")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("cat/1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    with pytest.raises(DataError, match="no pictures"):
        open_data(tmp_path / "link.tar")
    with zipfile.ZipFile(tmp_path / "torn.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(5000))
    raw = (tmp_path / "torn.zip").read_bytes()
    (tmp_path / "torn.zip").write_bytes(raw[:40] + b"\xff" * 10 + raw[50:])
    (tmp_path / "noise.png").write_bytes(np.random.default_rng(0).bytes(50_000))
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "noise.png", "cat/noise.png")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:30_000])
    for name in ("torn.zip", "cut.tar.gz"):
        with pytest.raises(DataError, match="damaged"):
            open_data(tmp_path / name)
    left = [path for path in home.rglob("*") if path.is_file() and path.name != "readme"]
    assert not left and not list(tmp_path.glob("evil.png")) and not Path("/tmp/evil-omma.png").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omma.data.store import archive as module

    monkeypatch.setattr(module, "FREE_RATIO", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(4):
            archive.writestr(f"a/{i}.png", bytes(1 << 20))
    with pytest.raises(DataError, match="by hand"):
        open_data(tmp_path / "bomb.zip")
    assert not list(Path(os.environ["OMMA_HOME"]).rglob("*.png"))


# all of them


def test_every_format_sniffs_modestly(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "dog/1.png")
    for name in catalog.names("formats"):
        assert catalog.module("formats", name).sniff(tmp_path) == (0.5 if name == "folders" else 0.0), name


def test_digits_come_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import load_digits

    monkeypatch.setenv("OMMA_OFFLINE", "1")
    data = open_data("digits")
    theirs = load_digits()
    assert (len(data), data.task, data.source, data.names) == (1797, "classify", "digits", [str(i) for i in range(10)])
    assert [int(s.truth.label) for s in data.samples] == theirs.target.tolist()
    assert np.abs(data.pixels[..., 0].astype(float) - theirs.images * 255 / 16).max() <= 0.5


def test_oxford_sets(tmp_path: Path) -> None:
    from scipy.io import savemat

    flowers = put(tmp_path / "flowers", *(f"jpg/image_{i:05d}.jpg" for i in range(1, 7)))
    savemat(flowers / "imagelabels.mat", {"labels": np.array([[1, 1, 2, 2, 3, 3]], np.uint8)})
    savemat(flowers / "setid.mat", {"trnid": [[1, 3, 5]], "valid": [[2]], "tstid": [[4, 6]]})
    data = open_data(flowers)
    assert (data.names, data.counts()) == (["1", "2", "3"], {"train": 3, "val": 1, "test": 2})
    assert labels(data)["jpg/image_00004.jpg"] == "2"
    pets = put(tmp_path / "pets", "images/Abyssinian_1.jpg", "images/Abyssinian_2.jpg", "images/pug_dog_1.jpg")
    (pets / "annotations").mkdir()
    (pets / "annotations/trainval.txt").write_text("# header\nAbyssinian_1 1 1 1\npug_dog_1 2 2 1\n")
    (pets / "annotations/test.txt").write_text("Abyssinian_2 1 1 1\nghost_3 1 1 1\n")
    data = open_data(pets)
    assert (data.names, data.counts()) == (["Abyssinian", "pug_dog"], {"train": 2, "test": 1})
    assert [row.where for row in data.refused] == ["test.txt:2"]
