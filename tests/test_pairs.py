"""Pairs of pictures in every way they lie on disk, each with its planted fault; what else lies in two folders is left to others."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omma import catalog
from omma.answers.picture import Picture
from omma.data import decode as decoding
from omma.data.fingerprint import take
from omma.data.recast import recast
from omma.data.sample import Dataset, Refused, Sample, good_file
from omma.errors import DataError, OmmaError
from omma.formats import pairs
from omma.formats.format import describe, open_data, sniff
from omma.formats.pairs import factor, scale_of
from omma.metrics.sets import restoration
from omma.testing import check_format
from omma.verbs.convert import convert
from scenes import scene

WIDE, HIGH = 40, 32


def put(path: Path, pixels: np.ndarray, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path, **how)
    return path


def pair(top: Path, bad: str, good: str, seed: int = 0, scale: int = 1) -> None:
    """A picture at `good`, and at `bad` the same, `scale` times smaller, with noise."""
    true = scene(seed, HIGH * scale, WIDE * scale)
    small = np.asarray(Image.fromarray(true).resize((WIDE, HIGH), Image.Resampling.BOX))
    noise = np.random.default_rng(seed).normal(0, 8, small.shape)
    put(top / good, true)
    put(top / bad, np.clip(small + noise, 0, 255).astype(np.uint8))


def made(top: Path, bad: str = "input", good: str = "target", count: int = 4, scale: int = 1) -> Path:
    for seed in range(count):
        pair(top, f"{bad}/{seed}.png", f"{good}/{seed}.png", seed, scale)
    return top


def reasons(data: Dataset) -> dict[str, str]:
    return {row.where: row.reason for row in data.refused}


# ── layouts ─────────────────────────────────────────────────────────────────────────────────────────────

LAYOUTS = {
    "beside": ("input/{name}.png", "target/{name}.png", False),
    "above": ("{split}/lq/{name}.png", "{split}/gt/{name}.png", True),
    "below": ("inputs/{split}/{name}.png", "targets/{split}/{name}.png", True),
    "another suffix": ("{split}/blur/{name}.jpg", "{split}/sharp/{name}.png", True),
    "classes are called so": ("low/{name}.png", "high/{name}.png", False),
    "capitals": ("{split}/Noisy/{name}.PNG", "{split}/Clean/{name}.png", True),
    "中文": ("{split}/输入/{name}.png", "{split}/目标/{name}.png", True),
    "folders below": ("lr/{split}/{name}/one.png", "hr/{split}/{name}/one.png", True),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_bad_pictures_find_their_good_ones(tmp_path, kind):
    here, there, split = LAYOUTS[kind]
    top = tmp_path / "数据"
    wanted = [("train", "a"), ("train", "猫 2"), ("val", "b")]
    for seed, (part, name) in enumerate(wanted):
        pair(top, here.format(split=part, name=name), there.format(split=part, name=name), seed)
    assert sniff(top) == "pairs" and pairs.sniff(top) == 0.9
    data = open_data(top)
    assert (data.task, data.format, data.names, data.refused) == ("restore", "pairs", ["picture"], [])
    assert data.counts() == ({"train": 2, "val": 1} if split else {})
    assert [s.id for s in data.samples] == sorted(here.format(split=part, name=name) for part, name in wanted)
    assert {(s.id, s.record) for s in data.samples} == {
        (here.format(split=part, name=name), there.format(split=part, name=name)) for part, name in wanted
    }
    for sample in data.samples:
        assert sample.truth.json() == {"picture": sample.record} and good_file(data, sample) == top / sample.record
        assert (sample.truth.pixels == np.asarray(Image.open(top / sample.record))).all()
        assert (sample.truth.given() == data.picture(data.samples.index(sample))).all()
    assert scale_of(data) == 1 and not any("times as large" in note for note in data.notes)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("name", ["{}x{scale}", "{}_x{scale}", "X{scale}/{}x{scale}", "{}"])
def test_enlarging(tmp_path, scale, name, monkeypatch):
    """`lr/0001x4.png` or `LR/X4/0001x4.png` beside `hr/0001.png`, as DIV2K has them."""
    monkeypatch.setenv("OMMA_LANG", "en")
    for seed in range(2):
        pair(tmp_path, f"LR/{name.format(f'000{seed}', scale=scale)}.png", f"HR/000{seed}.png", seed, scale)
    assert sniff(tmp_path) == "pairs"
    data = open_data(tmp_path)
    assert not data.refused and [s.record for s in data.samples] == ["HR/0000.png", "HR/0001.png"]
    assert scale_of(data) == scale and f"the good pictures are {scale} times as large" in data.notes
    assert scale_of(data.choose([])) == 1
    records = restoration(data.names, "Y", scale)["gain"].records(data.truths(), data.truths())
    assert (records["value"] > 40).all(), "the good picture is far better than the bad one enlarged"


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path, monkeypatch):
    made(tmp_path)
    asked = []
    monkeypatch.setattr(pairs, "decode", lambda path: asked.append(path.name) or decoding.decode(path))
    data = pairs.read(tmp_path)
    assert len(data) == 4 and scale_of(data) == 1 and not asked
    assert data.samples[2].truth.pixels.shape == (HIGH, WIDE, 3) and asked == ["2.png"]


@pytest.mark.skipif("restore" not in catalog.names("tasks"), reason="there is no task that learns from pairs")
@pytest.mark.parametrize("scale", [1, 2])
def test_a_set_that_keeps_every_promise(tmp_path, scale):
    assert len(check_format("pairs", made(tmp_path / "plain", scale=scale), tmp_path / "again")) == 4
    for seed, part in enumerate(("train", "val", "test")):
        pair(tmp_path / "parts", f"{part}/input/{seed}.png", f"{part}/target/{seed}.png", seed, scale)
    assert check_format("pairs", tmp_path / "parts", tmp_path / "more").counts() == {"train": 1, "val": 1, "test": 1}


def test_a_good_picture_that_changes_changes_the_digests(tmp_path):
    top = made(tmp_path / "set")
    before, stamp = open_data(top).digest(), open_data(top).stamp()
    content = take(open_data(top)).digest
    file = top / "target" / "2.png"
    blob = bytearray(file.read_bytes())
    pixels = np.asarray(Image.open(file)).copy()
    pixels[3, 4] ^= 1
    put(file, pixels)
    assert take(open_data(top)).digest != content and open_data(top).stamp() != stamp
    put(file, pixels, compress_level=0)
    assert file.stat().st_size > len(blob) and open_data(top).digest() != before
    file.write_bytes(blob)
    assert open_data(top).digest() == before and take(open_data(top)).digest == content


def test_what_was_written_is_read_back(tmp_path):
    top = made(tmp_path / "set")
    pair(top, "train/input/one.png", "train/target/one.png", 7)
    data = open_data(top)
    assert [s.split for s in data.samples] == [None] * 4 + ["train"] and data.digest() == open_data(top).digest()
    assert pairs.write(data, tmp_path / "out") == []
    back = open_data(tmp_path / "out")
    assert back.digest() == data.digest() and all(a.same(b) for a, b in zip(back.truths(), data.truths(), strict=True))


def test_an_archive_and_a_folder_around_it(tmp_path):
    made(tmp_path / "a" / "b")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted((tmp_path / "a").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "a"))
    for where in (tmp_path / "a", tmp_path / "set.zip"):
        data = open_data(where)
        assert data.format == "pairs" and data.truths()[1].pixels.shape == (HIGH, WIDE, 3)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────


def test_every_planted_fault_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", "en")
    made(tmp_path, count=5, scale=2)
    pair(tmp_path, "input/wrong.png", "target/wrong.png", 1, 4)
    put(tmp_path / "input/alone.png", scene(1, HIGH, WIDE))
    put(tmp_path / "target/unused.png", scene(1, HIGH, WIDE))
    put(tmp_path / "input/odd.png", scene(1, HIGH, WIDE))
    put(tmp_path / "target/odd.png", scene(1, HIGH * 2, WIDE * 2 + 1))
    put(tmp_path / "input/several.bmp", scene(1, HIGH, WIDE))
    for suffix in ("png", "jpg"):
        put(tmp_path / f"target/several.{suffix}", scene(1, 2 * HIGH, 2 * WIDE))
    for side in ("input", "target"):
        name = f"broken-{side}.png"
        pair(tmp_path, f"input/{name}", f"target/{name}", 2, 2)
        (tmp_path / side / name).write_bytes((tmp_path / side / name).read_bytes()[:300])
    Image.fromarray(np.zeros((2 * HIGH, 2 * WIDE), np.float32)).save(tmp_path / "target/deep.tif")
    put(tmp_path / "input/deep.png", scene(1, HIGH, WIDE))
    data = open_data(tmp_path)
    assert data.format == "pairs" and [s.id for s in data.samples] == [f"input/{i}.png" for i in range(5)]
    found = reasons(data)
    assert found.keys() == {
        "input/wrong.png", "input/alone.png", "target/unused.png", "input/odd.png", "input/several.bmp", "input/broken-input.png",
        "target/broken-target.png", "target/deep.tif",
    }  # fmt: skip
    assert "2 times as large" in found["input/wrong.png"] and "160×128" in found["input/wrong.png"]
    assert "40×32" in found["input/odd.png"] and "81×64" in found["input/odd.png"]
    assert "no good picture" in found["input/alone.png"] and "no bad picture" in found["target/unused.png"]
    assert "several" in found["input/several.bmp"] and "32 bits" in found["target/deep.tif"]
    assert any(line.startswith("8 files or rows cannot be used") for line in describe(data))


def test_a_part_without_good_pictures_is_unlabelled(tmp_path, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", "en")
    made(tmp_path / "train")
    put(tmp_path / "test/input/x.png", scene(3))
    put(tmp_path / "extra/y.png", scene(4))
    data = open_data(tmp_path)
    assert [(s.id, s.split) for s in data.samples if s.truth is None] == [("test/input/x.png", "test")] and len(data.labelled()) == 4
    assert any("unlabelled" in note for note in data.notes) and any("extra" in note and "left out" in note for note in data.notes)
    assert describe(data)[0] == "4 pairs of pictures read as pairs; parts: test 1, train 4"


def test_of_several_folders_those_are_read_that_belong_together(tmp_path):
    made(tmp_path, "lq", "gt", 3)
    put(tmp_path / "blur/z.png", scene(5))
    data = open_data(tmp_path)
    assert [s.id for s in data.samples] == ["lq/0.png", "lq/1.png", "lq/2.png"] and any("blur" in note for note in data.notes)


@pytest.mark.parametrize("names", [("input", "target"), ("a", "b")])
def test_nothing_to_pair_is_one_line(tmp_path, names):
    put(tmp_path / names[0] / "a.png", scene(0))
    put(tmp_path / names[1] / "b.png", scene(1))
    with pytest.raises(DataError) as error:
        open_data(tmp_path, "pairs")
    assert "\n" not in str(error.value) and "input" in str(error.value)
    put(tmp_path / "input/b.png", scene(1, 30, 30))
    put(tmp_path / "target/b.png", scene(1, 31, 30))
    with pytest.raises(DataError, match=r"30×30.*30×31" if names[0] == "input" else "30×30"):
        open_data(tmp_path, "pairs")


@pytest.mark.parametrize(
    ("bad", "good", "times"), [((4, 6), (4, 6), 1), ((4, 6), (12, 18), 3), ((4, 6), (20, 30), 0), ((4, 6), (8, 13), 0), ((4, 6), (2, 3), 0)]
)
def test_factors(bad, good, times):
    assert factor(bad, good) == times


# ── what is none of ours ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("same_names", [True, False])
def test_class_folders_are_classes(tmp_path, same_names):
    """`good/1.png` and `bad/1.png` of a line that is inspected: not the same thing twice."""
    for seed in range(8):
        put(tmp_path / f"good/{seed}.png", scene(seed, HIGH, WIDE))
        put(tmp_path / f"bad/{seed if same_names else seed + 50}.png", scene(seed + 100, HIGH, WIDE))
    assert pairs.sniff(tmp_path) == 0 and sniff(tmp_path) == "folders"
    data = open_data(tmp_path)
    assert data.task == "classify" and data.names == ["bad", "good"]


def test_a_third_class_beside_them_speaks_for_classes(tmp_path):
    made(tmp_path, "low", "high")
    assert sniff(tmp_path) == "pairs"
    put(tmp_path / "medium/1.png", scene(9))
    assert sniff(tmp_path) == "folders"


@pytest.mark.parametrize(("picture", "mask"), [("images", "masks"), ("images", "gt"), ("input", "gt"), ("input", "groundtruth")])
def test_masks_are_masks(tmp_path, picture, mask):
    for seed in range(4):
        put(tmp_path / picture / f"{seed}.png", scene(seed, HIGH, WIDE))
        put(tmp_path / mask / f"{seed}.png", (scene(seed, HIGH, WIDE)[..., :1] > 128).astype(np.uint8) * 255)
    assert pairs.sniff(tmp_path) == 0 and sniff(tmp_path) == "masks"


def test_other_folders_are_others(tmp_path):
    put(tmp_path / "plain/a.png", scene(0))
    put(tmp_path / "input/a.txt.png", scene(0))
    assert pairs.sniff(tmp_path) == 0 and pairs.sniff(tmp_path / "plain/a.png") == 0 and pairs.sniff(tmp_path / "nowhere") == 0
    (tmp_path / "target").mkdir()
    assert pairs.sniff(tmp_path) == 0


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_copied_as_they_are(tmp_path):
    top = tmp_path / "from"
    for seed, part in enumerate(("train", "val")):
        pair(top, f"{part}/noisy/{seed}x2.png", f"{part}/clean/{seed}.png", seed, 2)
    put(top / "val/noisy/photo.jpg", scene(5, HIGH, WIDE), quality=90)
    put(top / "val/clean/photo.bmp", scene(5, 2 * HIGH, 2 * WIDE))
    done = convert(str(top), str(tmp_path / "to"), format_="pairs")
    assert (done.kind, done.pictures, done.lost, done.refused) == ("picture", 3, [], [])
    files = {path.relative_to(tmp_path / "to").as_posix(): path for path in (tmp_path / "to").rglob("*.*")}
    assert files.keys() == {
        "train/input/0x2.png", "train/target/0x2.png", "val/input/1x2.png", "val/target/1x2.png", "val/input/photo.jpg",
        "val/target/photo.bmp",
    }  # fmt: skip
    assert files["val/input/photo.jpg"].read_bytes() == (top / "val/noisy/photo.jpg").read_bytes()
    assert files["val/target/1x2.png"].read_bytes() == (top / "val/clean/1.png").read_bytes()
    back = open_data(tmp_path / "to")
    assert len(back) == 3 and scale_of(back) == 2 and back.counts() == {"train": 1, "val": 2}


@pytest.mark.parametrize(
    "picture",
    [
        scene(1, 20, 30),
        scene(2, 20, 30)[..., :1],
        scene(3, 20, 30).astype(np.uint16) * 257 + 5,
        np.concatenate([scene(4, 20, 30), scene(5, 20, 30)[..., :1]], 2),
    ],
    ids=["colour", "grey", "16 bits", "alpha"],
)
def test_pictures_in_memory_come_back_exactly(tmp_path, picture):
    samples = [Sample("x", row=0, truth=Picture.of(picture)), Sample("y", row=1), Sample("z", row=2, truth=Picture.of(picture), group="g")]
    data = Dataset(samples, ["picture"], "restore", tmp_path, "memory", pixels=[picture // 2, picture, picture // 3])
    assert scale_of(data) == 1
    lost = pairs.write(data, tmp_path / "out")
    assert len(lost) == 2, "the picture without a good one, and the group"
    back = open_data(tmp_path / "out", "pairs")
    assert [s.id for s in back.samples] == ["input/x.png", "input/z.png"]
    assert (back.truths()[0].pixels == picture).all() and back.truths()[0].pixels.dtype == picture.dtype
    assert (back.picture(0) == picture // 2).all() and (back.picture(1) == picture // 3).all()


def test_what_a_png_cannot_hold_is_said(tmp_path):
    picture = np.random.default_rng(0).random((8, 9, 3)).astype(np.float32)
    sample = Sample("x", row=0, truth=Picture.of(scene(0, 8, 9)))
    lost = pairs.write(Dataset([sample], ["picture"], "restore", tmp_path, "memory", pixels=[picture]), tmp_path / "out")
    assert len(lost) == 1 and "8" in lost[0]
    assert np.abs(pairs.read(tmp_path / "out").picture(0) / 255 - picture).max() < 0.003


def test_pairs_are_no_labels_and_labels_no_pairs(tmp_path, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", "en")
    data = open_data(made(tmp_path / "set"))
    assert recast(data, "picture") == (data, [])
    with pytest.raises(OmmaError, match="good pictures do not say boxes"):
        recast(data, "boxes")
    with pytest.raises(OmmaError, match="csv cannot hold good pictures — these formats can: pairs"):
        convert(str(tmp_path / "set"), str(tmp_path / "out"), format_="csv")
    put(tmp_path / "classes/a/1.png", scene(0))
    put(tmp_path / "classes/b/1.png", scene(1))
    with pytest.raises(OmmaError, match="pairs cannot hold classes"):
        convert(str(tmp_path / "classes"), str(tmp_path / "out"), format_="pairs")
    assert not (tmp_path / "out").exists()


def test_a_truth_whose_file_is_gone_is_one_clear_line(tmp_path):
    data = open_data(made(tmp_path))
    (tmp_path / "target/2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png"):
        data.truths()[2].deep(8)
    assert scale_of(replace(data, refused=[Refused("x", "y")])) == 1
