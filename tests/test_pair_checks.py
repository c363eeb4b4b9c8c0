"""What `omma check` says of pairs of pictures: every planted fault is found and named, sound pairs have none."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from omma import cli
from omma.answers.label import Label
from omma.answers.picture import Picture
from omma.checks import _pairs
from omma.checks._pairs import LOOKED, look_at_pairs
from omma.checks.already_compressed import quality_of
from omma.checks.findings import Findings, inspect, write_clean
from omma.checks.pair_shift import FAR
from omma.data.likeness.pairing import apart, likeness, shift
from omma.data.sample import Dataset, Sample
from omma.formats.format import open_data
from omma.report.dataset import dataset_page
from omma.words import say
from scenes import changed, scene

WIDE, HIGH, SPARE = 144, 112, 16
KINDS = {"pair_wrong", "pair_shift", "good_unreadable", "too_small", "already_compressed"}


def noisy(picture: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(seed).normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def views(seed: int, right: int = 0, down: int = 0, scale: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two windows on one large scene; the first shows everything that much further right and down, in pixels `scale` times smaller."""
    large = scene(seed, (HIGH + SPARE) * scale, (WIDE + SPARE) * scale)
    middle = SPARE // 2 * scale
    top, left = middle - down * scale, middle - right * scale
    first = large[top : top + HIGH * scale, left : left + WIDE * scale]
    second = large[middle : middle + HIGH * scale, middle : middle + WIDE * scale]
    return np.asarray(Image.fromarray(first).resize((WIDE, HIGH), Image.Resampling.BICUBIC)), second


def saved(top: Path, rows: list[tuple[np.ndarray, np.ndarray]]) -> Path:
    for place, (bad, good) in enumerate(rows):
        for side, pixels in (("input", bad), ("target", good)):
            (top / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(top / side / f"{place:02}.png")
    return top


def found(data: Dataset) -> tuple[Findings, dict]:
    told = inspect(data, "set")
    return told, {finding.kind: finding for finding in told.findings}


def sound(count: int = 8, scale: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = [views(seed, scale=scale) for seed in range(count)]
    return [(noisy(bad, 15, seed), good) for seed, (bad, good) in enumerate(rows)]


# ── likeness and shift ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spoil", ["nothing", "noise", "blur", "jpeg", "dark", "grey"])
def test_what_was_spoiled_still_shows_the_same_thing_in_the_same_place(seed, spoil):
    bad, good = views(seed)
    bad = {
        "nothing": lambda: bad,
        "noise": lambda: noisy(bad, 40, seed),
        "blur": lambda: np.asarray(Image.fromarray(bad).filter(ImageFilter.GaussianBlur(3))),
        "jpeg": lambda: changed(bad, "jpeg"),
        "dark": lambda: noisy(bad.astype(float) ** 2 / 255 / 5, 2, seed),
        "grey": lambda: bad[..., 1:2],
    }[spoil]()
    assert likeness(bad, good) > 0.9 and shift(bad, good) == (0, 0)
    assert likeness(bad, scene(seed + 50, HIGH, WIDE)) < 0.5


def test_a_motion_blur_is_no_shift():
    """A box has zeros and turns the phase beyond them: phase correlation alone would see a shift."""
    large = scene(5, 200, 260).astype(float)
    bad = np.stack([large[:, 12 + k : 240 + k] for k in range(-6, 7)]).mean(0).astype(np.uint8)
    assert shift(bad, large[:, 12:240].astype(np.uint8)) == (0, 0)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, -3), (-4, 5)])
def test_a_shift_is_measured(scale, right, down):
    for seed in range(3):
        bad, good = views(seed, right, down, scale)
        for picture in (bad, noisy(bad, 10, seed)):
            assert shift(picture, good) == pytest.approx((right, down), abs=0.6)
    assert apart((3, -4)) == 5


@pytest.mark.skipif("OMMA_MIRROR" not in os.environ, reason="OMMA_MIRROR names no folder with the real sets")
def test_photographs():
    """Of real pictures no spoiled one is called shifted or wrong, every shifted one is found, and other pictures are nearly always."""
    archive = zipfile.ZipFile(Path(os.environ["OMMA_MIRROR"]) / "restoration-benchmarks.zip")
    names = sorted(name for name in archive.namelist() if "CBSD68/" in name)[::7]
    whole = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    assert len(whole) == 10
    for seed, picture in enumerate(whole):
        good = picture[8:-8, 8:-8]
        blurred = np.asarray(Image.fromarray(good).filter(ImageFilter.BoxBlur(6)))
        for bad in (noisy(good, 50, seed), blurred, changed(good, "jpeg")):
            assert likeness(bad, good) > 0.8 and shift(bad, good) == (0, 0)
        assert shift(noisy(picture[11:-5, 6:-10], 25, seed), good) == pytest.approx((2, -3), abs=0.5)
    same = [one.shape == two.shape and likeness(one, two) >= 0.5 for i, one in enumerate(whole) for two in whole[:i]]
    assert sum(same) <= 0.05 * len(same)


@pytest.mark.parametrize("right", [0, 1])
def test_less_than_a_pixel_and_a_half_is_none(right):
    for seed in range(4):
        assert apart(shift(*views(seed, right))) < FAR


def test_what_cannot_be_told():
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert np.isnan(likeness(flat, scene(0, 64, 64))) and np.isnan(likeness(scene(0, 64, 64), flat))
    assert shift(flat, flat) == shift(scene(0, 20, 90), scene(0, 20, 90)) == (0, 0)
    assert shift(noisy(flat, 30), scene(0, 64, 64)) == (0, 0), "no peak stands out"
    with pytest.raises(AssertionError, match="whole number"):
        shift(scene(0, 40, 40), scene(0, 60, 60))


# ── findings ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scale", [1, 2])
def test_sound_pairs_have_nothing_to_remark(tmp_path, scale):
    told, kinds = found(open_data(saved(tmp_path, sound(scale=scale))))
    assert told.code == 0 and kinds.keys() == {"few"}, "8 pairs are few, and that is all"
    assert "restor" not in str(told.lines()).lower()
    html = dataset_page(told).html()
    assert say("check.readable", "zh") in html and say("check.classes", "en") + "</" not in html


def test_every_planted_fault_is_found_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", "en")
    rows = sound(14)
    rows[3] = rows[3][0], rows[9][1]
    rows[5] = views(5, right=4, down=-2)
    rows[6] = noisy(views(6, right=-6)[0], 10), rows[6][1]
    saved(tmp_path, rows)
    for name, quality in (("07", 40), ("08", 90)):
        (tmp_path / f"target/{name}.png").unlink()
        Image.fromarray(rows[int(name)][1]).save(tmp_path / f"target/{name}.jpg", quality=quality)
    small = scene(40, 50, 90)
    for side, picture in (("input", noisy(small, 10)), ("target", small)):
        Image.fromarray(picture).save(tmp_path / side / "small.png")
    for side in ("input", "target"):
        Image.fromarray(rows[11][side == "target"]).save(tmp_path / side / "cut.jpg", quality=95)
    (tmp_path / "target/cut.jpg").write_bytes((tmp_path / "target/cut.jpg").read_bytes()[:2000])
    told, kinds = found(open_data(tmp_path))
    assert kinds.keys() >= KINDS and told.code == 1
    names = {kind: finding.names(told.seen.dataset) for kind, finding in kinds.items()}
    assert names["pair_wrong"] == ["input/03.png"] and names["pair_shift"] == ["input/05.png", "input/06.png"]
    assert names["good_unreadable"] == ["input/cut.jpg"] and names["too_small"] == ["input/small.png"]
    assert names["already_compressed"] == ["input/07.png"]
    assert {kind: kinds[kind].severity for kind in KINDS} == dict.fromkeys(KINDS, "fault") | dict.fromkeys(
        ("too_small", "already_compressed"), "advice"
    )
    reasons = {name: reason for kind in KINDS for name, reason in kinds[kind].reasons.items()}
    assert reasons["input/05.png"] == "target/05.png, x +4.0 y -2.0" and reasons["input/06.png"].startswith("target/06.png, x -6")
    assert reasons["input/03.png"].startswith("target/03.png, r = ") and reasons["input/cut.jpg"].startswith("target/cut.jpg: ")
    assert reasons["input/small.png"] == "90×50" and reasons["input/07.png"] == "target/07.jpg, q = 40"
    assert (
        kinds["pair_shift"].what().startswith("in 2 of 16 pairs that were looked at") and "(16 pairs in all)" in kinds["pair_wrong"].what()
    )
    assert told.json()["faults"] == 3
    write_clean(told, tmp_path / "clean.csv")
    assert not (tmp_path / "clean.csv").exists() and "a list cannot hold good pictures" in told.notes[-1]


def test_of_many_pairs_some_are_looked_at_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", "en")
    monkeypatch.setattr(_pairs, "LOOKED", 6)
    rows = [(scene(seed, 80, 80), 255 - scene(seed, 80, 80)) for seed in range(20)]
    data = open_data(saved(tmp_path, rows))
    looks = look_at_pairs(data)
    assert len(looks) == 6 and min(looks) == 0 and max(looks) == 19 and look_at_pairs(data.choose([])) == {}
    _, kinds = found(data)
    assert kinds["pair_wrong"].what() == "6 of 6 pairs that were looked at do not show the same thing (20 pairs in all)"
    assert LOOKED == 64


def test_frames_of_one_film_are_no_conflict(tmp_path):
    """Near-duplicates have good pictures that differ, as they should."""
    rows = sound(6)
    good = rows[0][1]
    rows.append((changed(rows[0][0], "jpeg"), noisy(good, 12)))
    _, kinds = found(open_data(saved(tmp_path, rows)))
    assert "near" in kinds and "near_conflict" not in kinds and "conflict" not in kinds
    saved(tmp_path / "same", [*sound(6), (rows[0][0], noisy(good, 12))])
    _, kinds = found(open_data(tmp_path / "same"))
    assert kinds["conflict"].groups == [[0, 6]], "one picture that should become two"


def test_pairs_in_memory(tmp_path):
    rows = [views(seed, right=5 * (seed == 2)) for seed in range(4)]
    samples = [Sample(f"{place}", row=place, truth=Picture.of(good)) for place, (_, good) in enumerate(rows)]
    data = Dataset(samples, ["picture"], "-", tmp_path, "memory", pixels=np.stack([bad for bad, _ in rows]))
    _, kinds = found(data)
    assert kinds["pair_shift"].names(data) == ["2"] and not kinds.keys() & {"pair_wrong", "already_compressed", "too_small"}


def test_other_truths_are_not_asked(tmp_path):
    """Compressed and small pictures are no news where classes are learned."""
    for place in range(3):
        Image.fromarray(scene(place, 40, 50)).save(tmp_path / f"{place}.jpg", quality=20)
    samples = [Sample(f"{place}.jpg", tmp_path / f"{place}.jpg", truth=Label("a") if place else None) for place in range(3)]
    _, kinds = found(Dataset(samples, ["a"], "classify", tmp_path, "folders"))
    assert not kinds.keys() & KINDS


@pytest.mark.parametrize(("tongue", "words"), [("en", "--task restore"), ("zh", "若要学习修复")])
def test_a_folder_of_good_pictures_is_asked_what_restoration_needs(tmp_path, monkeypatch, capsys, tongue, words):
    """As a person asks: nobody labelled them, so they may be good pictures to learn from."""
    top = tmp_path / "好图"
    top.mkdir()
    for place in range(5):
        Image.fromarray(scene(place, 96, 120)).save(top / f"{place}.png")
    Image.fromarray(scene(7, 40, 120)).save(top / "小.png")
    Image.fromarray(scene(8, 96, 120)).save(top / "压.jpg", quality=30)
    monkeypatch.setenv("OMMA_LANG", tongue)
    assert cli.run(["check", str(top), "--out", str(tmp_path / "seen")]) == 0
    told = capsys.readouterr().out
    assert told.count(words) == 2 and "小.png" in told and "压.jpg" in told
    rows = {row["kind"]: row for row in json.loads((tmp_path / "seen" / "findings.json").read_text("utf-8"))["findings"]}
    assert rows["too_small_source"]["files"] == ["小.png"] and rows["too_small_source"]["reasons"] == {"小.png": "120×40"}
    assert rows["already_compressed_source"]["reasons"] == {"压.jpg": "压.jpg, q = 30"}


@pytest.mark.parametrize("quality", [1, 10, 25, 49, 50, 60, 74, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_read_off_its_table(tmp_path, quality):
    for mode in ("RGB", "L", "CMYK"):
        Image.fromarray(scene(0)).convert(mode).save(tmp_path / "x.jpg", quality=quality, progressive=quality > 50)
        assert quality_of(tmp_path / "x.jpg") == quality


def test_a_file_without_a_table_has_no_quality(tmp_path):
    for blob in (b"\xff\xd8\xff\xe0\x00\x10", b"nothing", b"\xff\xd8\xff\xd9"):
        (tmp_path / "x.jpg").write_bytes(blob)
        assert quality_of(tmp_path / "x.jpg") is None
