"""Restoration beyond the grid: what is given and how it is measured, any size in parts, files that keep what their originals have."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import omma
from browsing import refuse_broken, see_made, served_page
from omma.answers.picture import Picture
from omma.bundle import Bundle
from omma.data.degrade.chain import parse
from omma.data.own.crops import Crops
from omma.data.own.dress import dressed
from omma.data.own.given import given, posed, spoilt
from omma.data.own.originals import Originals
from omma.data.views import Views, as_own
from omma.engine.painting.tiles import painted, parts
from omma.errors import OmmaError
from omma.explainers.places import busiest
from omma.formats.format import open_data
from omma.models.eyes import eyes, seeing, unlearned
from omma.models.making import build
from omma.models.network import Network
from omma.parts.drawing.perceptual import perceptual
from omma.parts.reach import reach
from omma.recipe import Recipe
from omma.report.evaluation import evaluate_bundle
from omma.run.verdict import verdict
from omma.tasks.restore import Restore
from omma.tasks.task import Batch


def photograph(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth colours with a little texture, (H, W, C) uint8."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), np.uint8)
    picture = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    picture = (picture + draw.integers(-6, 7, picture.shape)).clip(0, 255).astype(np.uint8)
    return picture if channels == 3 else picture[..., :channels]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six good pictures of several sizes, one grey, under a name in 中文."""
    place = tmp_path / "好图"
    place.mkdir()
    for i, (height, width) in enumerate([(40, 52), (48, 48), (37, 61), (40, 40), (64, 33), (50, 50)]):
        pixels = photograph(height, width, 1 if i == 3 else 3, i)
        Image.fromarray(pixels[..., 0] if i == 3 else pixels).save(place / f"{i}.png")
    return place


def bundle_of(model: str, channels: int, degrade: str, **settings) -> Bundle:
    """An untrained network that answers with pictures."""
    torch.manual_seed(0)
    task = Restore(["picture"], degrade=degrade)
    net = build(model, channels=channels, size=32, outputs=1, **settings).eval()
    far = reach(net.still() if net.remembers else net, channels)
    return Bundle(task, {"net": net}, Views(32, channels, "own", (0.0,), (1.0,), overlap=far or 64), {}, {"model": model})


# ── what is given ───────────────────────────────────────────────────────────────────────────────────────


def test_good_pictures_need_a_word_about_what_is_to_be_undone(folder):
    with pytest.raises(OmmaError, match="degrade"):
        omma.train(str(folder), task="restore", budget="1 step")
    assert posed(open_data(folder), "labels", {"loss": "mse"}).task is None  # other tasks are not asked


def test_frames_may_not_change_the_size(folder):
    with pytest.raises(OmmaError, match="fit=squash"):
        omma.train(str(folder), "degrade=noise:25", "fit=squash", task="restore", budget="1 step", out=str(folder.parent / "run"))


def test_what_is_measured_does_not_depend_on_order_or_company(folder):
    whole = posed(open_data(folder), "pairs", {"degrade": "noise:25"})
    some = replace(whole, samples=whole.samples[::-1]).choose([0, 2])
    for place, sample in enumerate(some.samples):
        there = [one.id for one in whole.samples].index(sample.id)
        assert (given(some, place, 3) == given(whole, there, 3)).all()
    off = given(whole, 0, 3) - whole.samples[0].truth.pixels
    assert abs(off.std() - 25) < 1 and abs(off.mean()) < 1, "noise is neither clipped nor rounded"


def test_good_pictures_are_cut_to_whole_steps(folder):
    data = spoilt(open_data(folder), parse("reduce:3"))
    for place, sample in enumerate(data.samples):
        good, bad = sample.truth.pixels, given(data, place, 3)
        assert good.shape[0] == 3 * bad.shape[0] and good.shape[1] == 3 * bad.shape[1]


def test_labels_play_no_part(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(photograph(20, 20)).save(tmp_path / name / "1.png")
    data = posed(open_data(tmp_path), "pairs", {"degrade": "jpeg:20"})
    assert data.names == ["picture"] and data.task == "restore" and all(isinstance(s.truth, Picture) for s in data.samples)


@pytest.mark.parametrize(
    ("pixels", "wanted"),
    [
        (np.full((2, 2, 4), 200, np.uint8), (3, np.uint8, 200)),
        (np.full((2, 2, 1), 65535, np.uint16), (1, np.float32, 255)),
        (np.full((2, 2, 3), 0.5, np.float32), (3, np.float32, 127.5)),
        (np.full((2, 2, 3), 300.0, np.float32), (3, np.float32, 300)),
    ],
)
def test_pictures_enter_as_deep_as_they_are(pixels, wanted):
    found = as_own(pixels, 3)
    assert (found.shape[2], found.dtype) == wanted[:2] and found[0, 0, 0] == pytest.approx(wanted[2])


# ── what is learned from ────────────────────────────────────────────────────────────────────────────────


def crops(folder: Path, degrade: str, channels: int = 3, **settings) -> Crops:
    data = posed(open_data(folder), "pairs", {"degrade": degrade})
    data = replace(data, samples=[replace(sample, split="train") for sample in data.samples])
    views = Views(16, channels, "own", (0.0,), (1.0,))
    recipe = Recipe(batch=4, seed=3, flip=True, quarter=True, **settings)
    return Crops(Originals(data, views), data, views, recipe, parse(degrade).scale)


@pytest.mark.parametrize("degrade", ["noise:25", "reduce:2", "blur:1.6+jpeg:40"])
def test_steps_are_a_function_of_seed_and_step(folder, degrade):
    one, two = crops(folder, degrade), crops(folder, degrade)
    for step in (0, 7, 2):
        a, b = one.at(step), two.at(step)
        assert torch.equal(a.pictures, b.pictures) and torch.equal(a.truth["picture"], b.truth["picture"])
    assert not torch.equal(one.at(0).pictures, one.at(one.per_epoch).pictures), "another epoch shows other parts"


def test_ranks_share_a_step(folder):
    whole = crops(folder, "noise:25").at(1)
    halves = [crops(folder, "noise:25") for _ in range(2)]
    for rank, half in enumerate(halves):
        half.rank, half.world = rank, 2
    assert torch.equal(torch.cat([half.at(1).pictures for half in halves]), whole.pictures)


def test_bad_lies_on_good(folder):
    batch = crops(folder, "reduce:2").at(0)
    grown = torch.nn.functional.interpolate(batch.pictures, scale_factor=2, mode="bicubic", antialias=True)
    assert (grown - batch.truth["picture"]).abs().mean() < 0.03


def test_a_grey_network_learns_from_luma(folder):
    assert crops(folder, "noise:25", 1).at(0).pictures.shape == (4, 1, 16, 16)


def test_larger_pictures_show_more_parts(tmp_path):
    for i, side in enumerate((16, 64)):
        Image.fromarray(photograph(side, side, seed=i)).save(tmp_path / f"{i}.png")
    counts = np.bincount(crops(tmp_path, "noise:25").places.numpy() % 2)
    assert counts.tolist() == [1, 16]


# ── any size, any number of channels ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("length", "reach_"), [(1, 5), (512, 20), (553, 20), (1400, 33), (4000, 64)])
def test_parts_cover_a_side_once_with_what_surrounds_them(length, reach_):
    found = list(parts(length, reach_))
    assert [part.first for part in found[1:]] == [part.last for part in found[:-1]]
    assert found[0].first == 0 and found[-1].last == length
    assert all(part.start == max(0, part.start) and part.first - part.start >= min(part.first, reach_) for part in found)
    assert all(part.stop >= min(length, part.last + reach_) for part in found)


@pytest.mark.parametrize(("model", "degrade", "settings"), [
    ("span", "reduce:2", {"scale": 2, "width": 8, "depth": 3}),
    ("ffdnet", "noise:25", {"width": 8, "depth": 3}),
    ("unet-restore", "jpeg:40", {"widths": (8, 12, 16)}),
])  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_parts_make_the_whole(model, degrade, settings, channels, monkeypatch):
    from omma.engine.painting import tiles

    monkeypatch.setattr(tiles, "THUMBNAIL", 100)
    bundle = bundle_of(model, channels, degrade, **settings)
    pipeline, picture = bundle.pipeline(), photograph(150, 203)

    def ask(part):
        return pipeline(torch.from_numpy(part))

    tiled = painted(ask, bundle.task, bundle.views, picture, tile=64, net=bundle.net).pixels.astype(int)
    whole = painted(ask, bundle.task, bundle.views, picture, tile=4096).pixels.astype(int)
    assert tiled.shape == whole.shape and np.abs(tiled - whole).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_parts_hear_the_noise_of_the_whole_picture(channels, monkeypatch):
    from omma.engine.painting import tiles

    monkeypatch.setattr(tiles, "THUMBNAIL", 100)
    bundle = bundle_of("ffdnet", channels, "noise:25", width=8, depth=3)
    bundle.net.body[0].weight[:, -1] *= 100  # a level that is heard
    pipeline, picture = bundle.pipeline(), photograph(150, 203)
    picture[:, 100:] = 90  # no noise there

    def off(net) -> int:
        ask = lambda part: pipeline(torch.from_numpy(part))  # noqa: E731
        tiled, whole = (painted(ask, bundle.task, bundle.views, picture, tile=side, net=net).pixels for side in (64, 4096))
        return int(np.abs(tiled.astype(int) - whole.astype(int)).max())

    assert off(bundle.net) <= 1 and off(None) > 20


@pytest.mark.parametrize("room", [True, False])
def test_a_large_answer_lies_on_disk_where_there_is_room(room, monkeypatch):
    from omma.engine.painting import tiles

    def full(*_):
        raise OSError(28, "no space left")

    monkeypatch.setattr(tiles, "IN_MEMORY", 100)
    if not room:
        monkeypatch.setattr(tiles.os, "posix_fallocate", full)
    found = tiles.large((7, 11, 3), np.dtype(np.uint16))
    assert isinstance(found, np.memmap) == room and found.shape == (7, 11, 3) and not found.any()
    found[3, 4] = 9
    assert Picture.of(found).deep(16)[3, 4].tolist() == [9, 9, 9]


@torch.no_grad()
def test_a_grey_network_takes_colour(folder):
    bundle = bundle_of("span", 1, "reduce:2", scale=2, width=8, depth=2)
    picture = torch.rand(1, 3, 9, 12)
    out = bundle.task.infer(bundle.nets, Batch(picture))["restored"]
    grey = bundle.task.infer(bundle.nets, Batch(picture.mean(1, keepdim=True)))["restored"]
    assert out.shape == (1, 3, 18, 24) and grey.shape == (1, 1, 18, 24)
    noisy = bundle_of("dncnn", 1, "noise:25", width=8, depth=3)
    each = noisy.task.infer(noisy.nets, Batch(picture))["restored"]
    alone = torch.cat([noisy.task.infer(noisy.nets, Batch(picture[:, c : c + 1]))["restored"] for c in range(3)], 1)
    torch.testing.assert_close(each, alone)


@torch.no_grad()
def test_a_colour_network_takes_grey():
    bundle = bundle_of("dncnn", 3, "noise:25", width=8, depth=3)
    picture = torch.rand(2, 1, 9, 12)
    assert bundle.task.infer(bundle.nets, Batch(picture))["restored"].shape == (2, 1, 9, 12)


@torch.no_grad()
def test_what_does_not_enlarge_is_given_larger_pictures():
    bundle = bundle_of("vdsr", 1, "reduce:3", scale=3, depth=3, width=8)
    assert bundle.task.infer(bundle.nets, Batch(torch.rand(1, 1, 7, 5)))["restored"].shape == (1, 1, 21, 15)


@pytest.mark.parametrize("model", ["span", "dncnn", "turned"])
def test_a_graph_answers_as_the_network_does(model, tmp_path, monkeypatch):
    """Of any size, grey and colour, 8 bits and deeper, by a graph that reads one channel."""
    from omma.runtimes import choose

    monkeypatch.setenv("OMMA_HOME", str(tmp_path))
    small: dict[str, Any] = {"width": 8, "depth": 3} | ({"coarse": 6} if model == "turned" else {})
    enlarges, kind = model == "span", "span" if model == "turned" else model
    bundle = bundle_of(kind, 1, "reduce:2" if enlarges else "noise:9", **small, **({"scale": 2} if enlarges else {}))
    bundle.task.settings["ensemble"] = "yes" if model == "turned" else "no"
    bundle.card["model_settings"] = small
    eager, ort = choose.named("eager", bundle), choose.named("ort", bundle)
    for picture in (photograph(9, 31), photograph(40, 7, 1), photograph(12, 12).astype(np.float32) + 0.25):
        (one,), (two,) = eager.answers([picture]), ort.answers([picture])
        assert one.same(two) and one.pixels.dtype == (np.uint8 if picture.dtype == np.uint8 else np.uint16)


@torch.no_grad()
@pytest.mark.parametrize("coarse", [0, 8])
def test_the_mean_of_eight_ways_does_not_ask_which_way_up(coarse, folder):
    """A picture turned, or mirrored, gets its answer turned, or mirrored; in parts it gets what the whole gets."""
    bundle = bundle_of("span", 1, "noise:25", width=8, depth=3, coarse=coarse)
    for p in bundle.net.parameters():
        p.add_(torch.randn_like(p) * 0.05)
    bundle.task.settings["ensemble"] = "yes"

    def told(pictures: torch.Tensor) -> torch.Tensor:
        return bundle.task.infer(bundle.nets, Batch(pictures))["restored"]

    picture = torch.rand(1, 3, 9, 14)
    said = told(picture)
    torch.testing.assert_close(told(picture.rot90(1, (2, 3))), said.rot90(1, (2, 3)))
    torch.testing.assert_close(told(picture.flip(2)), said.flip(2))
    bundle.task.settings["ensemble"] = "no"
    assert (told(picture.flip(2)) - told(picture).flip(2)).abs().max() > 1e-3, "alone it does ask"
    bundle.task.settings["ensemble"] = "yes"
    large = photograph(203, 301, 1)

    pipeline = bundle.pipeline()

    def ask(part: np.ndarray) -> dict:
        return pipeline(torch.from_numpy(part))

    one, two = (painted(ask, bundle.task, bundle.views, large, tile=tile).pixels.astype(int) for tile in (64, 4096))
    assert np.abs(one - two).max() <= 1
    with pytest.raises(OmmaError, match="ensemble"):
        omma.train(str(folder), "degrade=noise:5", "ensemble=always", task="restore", budget="1 step")


# ── scores ──────────────────────────────────────────────────────────────────────────────────────────────


class Same(Network):
    """Says what it is given."""

    channels, scale, enlarges = 3, 1, True

    def forward(self, pictures):
        return pictures


def test_a_network_that_does_nothing_has_no_gain(folder):
    task = Restore(["picture"], degrade="noise:25")
    bundle = Bundle(task, {"net": Same()}, Views(32, 3, "own", (0.0,), (1.0,)), {}, {"model": "none"})
    found = evaluate_bundle(bundle, posed(open_data(folder), task.poses, task.settings), "all")
    # As in the literature, noise is not cut where it leaves 0–255; an answer is.
    assert found.scores["psnr"].value - found.scores["gain"].value == pytest.approx(20.17, abs=0.1)
    assert 0 <= found.scores["gain"].value < 0.8
    assert found.scores["psnr"].protocol == {"channel": "auto", "border": 0}


def test_a_bundle_of_before_goes_on_in_its_own_shape(folder, tmp_path):
    """One that says nothing of a setting which a plan of today would choose."""
    words = ["degrade=noise:25", "batch=4", "evals=1", "val=0.2"]
    omma.train(
        str(folder),
        *words,
        "model=span",
        "width=8",
        "depth=3",
        "coarse=0",
        "size=12",
        task="restore",
        budget="1 step",
        out=str(tmp_path / "a"),
    )
    card = tmp_path / "a" / "bundle" / "bundle.json"
    told = json.loads(card.read_text("utf-8"))
    assert told["model_settings"].pop("coarse") == 0
    card.write_text(json.dumps(told), "utf-8")
    omma.train(str(folder), *words, task="restore", from_=str(tmp_path / "a"), budget="1 step", out=str(tmp_path / "b"))
    assert omma.open(str(tmp_path / "b")).card["model_settings"]["coarse"] == 0


@pytest.mark.parametrize(("settings", "wanted"), [
    ({"degrade": "reduce:4"}, {"channel": "Y", "border": 4}),
    ({"degrade": "reduce:4", "channel": "RGB", "border": 0}, {"channel": "RGB", "border": 0}),
    ({"degrade": "jpeg:10"}, {"channel": "auto", "border": 0}),
])  # fmt: skip
def test_the_protocol_is_that_of_the_literature(settings, wanted):
    assert Restore(["picture"], **settings).metrics()["psnr"].protocol == wanted


@pytest.mark.parametrize(("scores", "word"), [([30, 31, 31.5], "fine"), ([30, 31, 30.2], "overfit"), ([20, 22, 24, 26, 28], "early")])
def test_decibels_are_judged_by_their_course(scores, word):
    rows = [{"event": "eval", "score": score} for score in scores]
    assert verdict(rows, 25.0, share=False)["word"] == word


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """A run of a few steps that enlarges twice."""
    home = tmp_path_factory.mktemp("restore")
    (home / "good").mkdir()
    for i in range(8):
        Image.fromarray(photograph(40, 44, seed=i)).save(home / "good" / f"{i}.png")
    words = ["degrade=reduce:2", "model=span", "width=8", "depth=3", "size=12", "batch=4", "evals=1"]
    return str(omma.train(str(home / "good"), *words, task="restore", budget="12 steps", out=str(home / "run"), device="cpu").run)


def predicted(run: str, tmp_path: Path, *pictures: Path, **words) -> list[dict]:
    return [row.json() for row in omma.predict(run, *map(str, pictures), out=str(tmp_path / "out"), device="cpu", **words)]


def test_depth_alpha_profile_and_exif_are_kept(run, tmp_path):
    from omma.data.decode import decode

    profile = b"a colour profile, as far as anybody looks" * 4
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Ommatidia"  # turned, and who made the camera
    source = tmp_path / "转.jpg"
    Image.fromarray(photograph(20, 30)).save(source, exif=exif, icc_profile=profile)
    deep = tmp_path / "deep.png"
    deep.write_bytes(Picture.of(photograph(10, 12).astype(np.uint16) * 257 + 3).png())
    clear = tmp_path / "clear.png"
    cover = np.concatenate([photograph(10, 12), np.full((10, 12, 1), 77, np.uint8)], 2)
    Image.fromarray(cover).save(clear)
    rows = predicted(run, tmp_path, source, deep, clear)
    with Image.open(rows[0]["file"]) as turned:
        assert turned.size == (40, 60), "upright, and twice as large"
        assert turned.info["icc_profile"] == profile and turned.getexif()[0x010F] == "Ommatidia" and turned.getexif()[0x0112] == 1
    assert decode(Path(rows[1]["file"])).dtype == np.uint16
    opaque = decode(Path(rows[2]["file"]))
    assert opaque.shape == (20, 24, 4) and (opaque[..., 3] == 77).all()


def test_only_what_is_true_of_the_answer_is_kept(tmp_path):
    """No profile of inks for light, no strips of another file, no old size."""
    from omma.data.decode import decode
    from omma.data.own.dress import dressed

    def profile(space: bytes) -> bytes:
        return b"\0" * 12 + b"mntr" + space + b"XYZ " + b"\0" * 108

    def answered(source: Path, pixels: np.ndarray, suffix: str) -> tuple[bytes, dict, dict]:
        """What the file of an answer says: the space of its profile, EXIF, and its inner table."""
        said = dressed(Picture.of(pixels), decode(source), source)
        with Image.open(said.written(tmp_path / "out" / source.stem, suffix)["file"]) as picture:
            told = picture.getexif()
            return (picture.info.get("icc_profile") or b"")[16:20], dict(told), dict(told.get_ifd(0x8769))

    light = photograph(20, 30)
    inks, grey = tmp_path / "inks.jpg", tmp_path / "灰.png"
    Image.fromarray(light).convert("CMYK").save(inks, icc_profile=profile(b"CMYK"))
    Image.fromarray(light[..., 0]).save(grey, icc_profile=profile(b"GRAY"))
    assert answered(inks, light, ".jpg")[0] == b""
    assert answered(grey, light[..., :1], ".png")[0] == b"GRAY" and answered(grey, light, ".png")[0] == b"", "painted in colour"
    exif = Image.Exif()
    exif[0x010F], exif[0x0100] = "Ommatidia", 30
    exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003], exif.get_ifd(0x8769)[0x829A] = 30, 20, 0.5
    larger = photograph(40, 60)
    for name in ("片.tif", "photo.jpg", "w.webp"):
        source = tmp_path / name
        Image.fromarray(light).save(source, exif=exif.tobytes(), icc_profile=profile(b"RGB "))
        for suffix in (source.suffix, ".png"):
            space, told, inner = answered(source, larger, suffix)
            assert space == b"RGB " and told[0x010F] == "Ommatidia" and told[0x0112] == 1
            assert (inner[0xA002], inner[0xA003], inner[0x829A]) == (60, 40, 0.5)
            assert told.get(0x0100, 60) == 60 and (suffix != ".png" or not {0x0101, 0x0103, 0x0111, 0x0117} & set(told))


def test_files_have_the_names_of_their_originals(run, tmp_path):
    for name in ("a/1.png", "a/2.jpg", "b/1.png", "b/1.jpg"):
        place = tmp_path / "in" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(8, 8)).save(place)
    rows = predicted(run, tmp_path, tmp_path / "in")
    found = sorted(Path(row["file"]).relative_to(tmp_path / "out").as_posix() for row in rows)
    assert found == ["a/1.png", "a/2.png", "b/1.jpg.png", "b/1.png.png"], "no two become one"


def test_a_format_is_kept_where_it_holds_the_answer(run, tmp_path):
    Image.fromarray(photograph(8, 8)).save(tmp_path / "a.jpg")
    Image.fromarray(photograph(8, 8)).save(tmp_path / "b.tif")
    Image.fromarray(photograph(8, 8)).save(tmp_path / "c.gif")
    rows = predicted(run, tmp_path, *(tmp_path / name for name in ("a.jpg", "b.tif", "c.gif")), keep_format=True)
    assert [Path(row["file"]).suffix for row in rows] == [".jpg", ".tif", ".png"]
    with Image.open(rows[0]["file"]) as picture:
        assert picture.format == "JPEG" and picture.size == (16, 16)


def test_pictures_need_a_place_to_lie(run, tmp_path):
    Image.fromarray(photograph(8, 8)).save(tmp_path / "a.png")
    with pytest.raises(OmmaError, match="--out"):
        omma.predict(run, str(tmp_path / "a.png"))


def test_the_report_has_a_slider_for_each_picture(run):
    page = (Path(run) / "report.html").read_text("utf-8")
    assert 'class="slide"' in page and 'type="range"' in page and "[Y, border 2]" in page


def test_a_model_for_noise_is_measured_on_pairs_too(folder, tmp_path):
    """Real noise beside what it hides: the pairs say what is bad."""
    pairs = tmp_path / "pairs"
    for part in ("noisy", "clean"):
        (pairs / part).mkdir(parents=True)
    for i in range(3):
        good = photograph(24, 24, seed=i)
        Image.fromarray(good).save(pairs / "clean" / f"{i}.png")
        noisy = good + np.random.default_rng(i).normal(0, 20, good.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(pairs / "noisy" / f"{i}.png")
    bundle = bundle_of("dncnn", 3, "noise:25", width=8, depth=3)
    assert evaluate_bundle(bundle, posed(open_data(pairs), "pairs", bundle.task.settings), "all").scores["psnr"].n == 3


def test_pairs_say_how_much_larger(tmp_path):
    for part, side in (("lr", 8), ("hr", 24)):
        (tmp_path / "set" / part).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(photograph(side, side, seed=i)).save(tmp_path / "set" / part / f"{i}.png")
    words = ["model=fsrcnn", "size=8", "batch=2", "evals=1", "degrade=noise:3"]
    trained = omma.train(str(tmp_path / "set"), *words, task="restore", budget="2 steps", out=str(tmp_path / "run"), device="cpu")
    bundle = trained.open()
    assert bundle.task.scale == 3 and bundle.net.scale == 3 and bundle.task.settings["degrade"] == ""


def test_every_picture_is_restored_once_by_a_model_that_has_not_seen_it(goods, tmp_path):
    """Pairs made by `degrade` are the same in every fold; the score is of all pictures, the model of the last run."""
    words = ["degrade=reduce:2", "model=span", "width=8", "depth=2", "size=8", "batch=4", "evals=1", "features=random"]
    made = omma.train(str(goods), *words, task="restore", folds=3, budget="2 steps", out=str(tmp_path / "run"), device="cpu")
    assert made.split == "3 folds" and made.scores["psnr"]["n"] == 10 == made.scores["perceptual"]["n"]
    everything = posed(open_data(goods), "pairs", {"degrade": "reduce:2"})
    seen, psnr = [], []
    for fold in (1, 2, 3):
        home = tmp_path / "run" / "folds" / str(fold)
        with (home / "split.csv").open(encoding="utf-8") as rows:
            held = {row["id"] for row in csv.DictReader(rows) if row["split"] == "test"}
        part = everything.choose([place for place, sample in enumerate(everything.samples) if sample.id in held])
        seen += sorted(held)
        psnr += [evaluate_bundle(omma.open(str(home)), part, "test").scores["psnr"].value] * len(held)
    assert sorted(seen) == sorted(path.name for path in goods.iterdir()), "each is held out once"
    assert made.scores["psnr"]["value"] == pytest.approx(np.mean(psnr), abs=1e-6)
    assert "3 folds" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert len(predicted(str(tmp_path / "run"), tmp_path, goods / "0.png")) == 1


# ── why ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_busiest_place_is_asked_about():
    picture = np.zeros((64, 80, 3), np.uint8)
    picture[40:48, 50:58] = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    left, top, right, bottom = busiest(picture)
    assert left <= 50 and top <= 40 and right >= 58 and bottom >= 48 and right - left == 16


def test_a_place_is_made_from_what_surrounds_it(tmp_path):
    from omma.explainers.places import made_from

    bundle = bundle_of("span", 3, "reduce:2", scale=2, width=8, depth=3)
    _, at, heat, receipt = made_from(bundle, photograph(60, 60), "attribution", (20, 24, 28, 32))
    far = bundle.views.overlap
    assert at == (20, 24, 28, 32) and heat.shape == (60, 60)
    outside = heat.copy()
    outside[max(0, 24 - far - 1) : 33 + far, max(0, 20 - far - 1) : 29 + far] = 0
    assert heat.max() > 0 and outside.max() == 0, "nothing beyond the network's reach"
    json.dumps(receipt.json())


def test_dressed_leaves_a_plain_picture_as_it_is(tmp_path):
    Image.fromarray(photograph(5, 6)).save(tmp_path / "a.png")
    answer = dressed(Picture.of(photograph(10, 12)), photograph(5, 6), tmp_path / "a.png")
    assert answer.icc is None and answer.exif is None and answer.pixels.shape == (10, 12, 3)


# ── from noisy pictures alone, and with a critic ────────────────────────────────────────────────────────


def test_neighbours_touch_and_differ():
    from omma.parts.neighbours import _taken, pairs

    torch.manual_seed(0)
    places = torch.arange(2 * 8 * 10.0).view(2, 1, 8, 10)
    first, second = (_taken(places, one) for one in pairs(places))
    off = (first - second).abs()
    assert first.shape == (2, 1, 4, 5) and set(off.flatten().tolist()) == {1.0, 10.0}, "left and right, or above and below"


def test_noise_is_unlearned_from_noisy_pictures_alone(tmp_path):
    """Nobody shows a clean picture, and yet noise becomes less."""
    (tmp_path / "noisy").mkdir()
    clean = [photograph(48, 48, 1, seed)[..., 0] // 2 + 60 for seed in range(12)]
    for i, good in enumerate(clean):
        noisy = good + np.random.default_rng(i).normal(0, 20, good.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "noisy" / f"{i:02}.png")
    words = ["learn=noisy", "model=dncnn", "depth=4", "width=16", "size=32", "batch=8", "rate=0.01"]
    run = omma.train(str(tmp_path / "noisy"), *words, task="restore", budget="80 steps", out=str(tmp_path / "run"), device="cpu")
    rows = predicted(str(run.run), tmp_path, tmp_path / "noisy")
    before, after = [], []
    for row, good in zip(rows, clean, strict=True):
        before.append(np.square(np.asarray(Image.open(row["path"])).astype(float) - good).mean())
        after.append(np.square(np.asarray(Image.open(row["file"])).astype(float) - good).mean())
    assert np.mean(after) < 0.6 * np.mean(before), (np.mean(before), np.mean(after))


@pytest.fixture(scope="module")
def goods(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("goods")
    for i in range(10):
        Image.fromarray(photograph(40, 44, seed=i)).save(place / f"{i}.png")
    return place


CRITIC = ["degrade=reduce:2", "adversarial=0.01", "model=span", "width=8", "depth=3", "size=12", "batch=4", "micro_batch=2", "evals=2"]


SRGAN = ["degrade=reduce:2", "model=srgan", "blocks=1", "width=8", "size=12", "batch=4", "micro_batch=2", "evals=2"]


@pytest.mark.parametrize("words", [CRITIC, SRGAN], ids=["span", "srgan"])
def test_two_players_go_on_bit_for_bit(words, goods, tmp_path):
    """Stopped and gone on with, pictures and critic end where they would have; only the pictures' network is kept."""
    from omma.errors import Interrupted
    from test_grid import Stopper

    def train(out: str, **more):
        return omma.train(
            str(goods), *words, "checkpoint=4", task="restore", budget="12 steps", out=str(tmp_path / out), device="cpu", **more
        )

    whole = train("whole")
    with pytest.raises(Interrupted):
        train("stopped", watch=Stopper(6))
    resumed = omma.train(resume=str(tmp_path / "stopped"), device="cpu")
    assert resumed.open().digest == whole.open().digest and set(whole.open().nets) == {"net"}
    rows = [json.loads(line) for line in (whole.run / "events.jsonl").read_text("utf-8").splitlines()]
    told = next(row for row in rows if row["event"] == "step").keys()
    assert {"loss", "adversarial", "critic"} <= told and ("perceptual" in told) == (words is SRGAN)


def test_a_maker_leaves_no_gradient_in_its_critic(goods):
    task = Restore(["picture"], degrade="reduce:2", adversarial=0.1)
    nets = task.nets(build("span", channels=3, size=12, outputs=1, scale=2, width=8, depth=2))
    batch = crops(goods, "reduce:2").at(0)
    turns = task.turns(nets, batch, 0)
    who, loss = next(turns)
    loss.backward()
    assert who == "critic" and all(p.grad is None for p in nets["net"].parameters())
    for p in nets["critic"].parameters():
        p.grad = None
    who, terms = next(turns)
    sum(terms.values()).backward()
    assert who == "net" and all(p.grad is None for p in nets["critic"].parameters())
    assert all(p.grad is not None for p in nets["net"].parameters())


# ── by what an encoder sees ─────────────────────────────────────────────────────────────────────────────


def seen(*pictures: np.ndarray) -> list[torch.Tensor]:
    planes = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    return eyes("random").maps(planes)


def test_texture_counts_for_more_than_its_place():
    """Blurred, a texture is near by its pixels; moved by one pixel it is far, and looks the same."""
    draw = np.random.default_rng(0).integers(0, 256, (48, 49, 3)).astype(np.uint8)
    true, moved, flat = draw[:, 1:], draw[:, :-1], np.full((48, 48, 3), int(draw.mean()), np.uint8)
    off = [float(np.square(one.astype(float) - true).mean()) for one in (moved, flat)]
    apart = perceptual(seen(moved, flat, true), seen(true, true, true))
    assert off[0] > 1.5 * off[1] and apart[1] > apart[0] > 0 == apart[2]


def test_a_maker_learns_from_what_is_seen_and_the_eyes_do_not(goods):
    task = Restore(["picture"], degrade="reduce:2", loss="l1", perceptual=0.5)
    net = build("span", channels=3, size=12, outputs=1, scale=2, width=8, depth=2)
    batch = crops(goods, "reduce:2").at(0)
    before = {key: value.clone() for key, value in seeing("random").state_dict().items()}
    terms = task.loss(net, batch)
    assert set(terms) == {"loss", "perceptual"} and set(task.nets(net)) == {"net"}, "no critic unless one is asked for"
    terms["perceptual"].backward()
    assert all(p.grad is not None for p in net.parameters())
    assert all(p.grad is None for p in seeing("random").parameters())
    assert all(torch.equal(before[key], value) for key, value in seeing("random").state_dict().items())
    twice = Restore(["picture"], degrade="reduce:2", loss="l1", perceptual=1.0).loss(net, batch)
    assert twice["perceptual"].item() == pytest.approx(2 * terms["perceptual"].item()) and twice["loss"].item() == terms["loss"].item()


def test_features_come_nearer_where_they_are_learned_from(goods):
    """Noisy pictures that descend by what is seen alone come nearer by these eyes, and by others; the pixels are asked by nobody."""
    torch.manual_seed(0)
    task = Restore(["picture"], degrade="reduce:2", perceptual=1.0)
    true = crops(goods, "reduce:2").at(0).truth["picture"]
    made = (true + 0.05 * torch.randn_like(true)).requires_grad_()

    def seen() -> list[float]:
        with torch.no_grad():
            return [float(perceptual(judge.maps(made), judge.maps(true)).mean()) for judge in (unlearned(0), unlearned(1))]

    before, optimizer = seen(), torch.optim.Adam([made], 1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        task.far(made, true)["perceptual"].backward()
        optimizer.step()
    mine, others = (after / first for after, first in zip(seen(), before, strict=True))
    assert mine < 0.2 and others < 0.4, (mine, others)


def plan(*words: str) -> Recipe:
    recipe = Recipe(task="restore").tell(["degrade=reduce:2", *words])
    fingerprint = SimpleNamespace(channels=3, width=(40, 40, 40), height=(40, 40, 40), train=8)
    Restore(["picture"], **recipe.task_settings).plan(fingerprint, recipe)
    return recipe


def test_srgan_is_srresnet_that_learns_otherwise():
    """By its name alone both losses and the critic are there; a word of a person's own counts more."""
    settings = plan("model=srgan").task_settings
    assert settings["perceptual"] > 0 and settings["adversarial"] > 0 and settings["loss"] == "l1"
    plain = plan("model=srresnet").task_settings
    assert not plain.get("perceptual") and not plain.get("adversarial")
    assert plan("model=srgan", "adversarial=0", "perceptual=0.3").task_settings | {"loss": ""} == settings | {
        "adversarial": 0.0, "perceptual": 0.3, "loss": "",
    }  # fmt: skip
    build_of = {name: build(name, channels=3, size=16, outputs=1, scale=4, blocks=2, width=8) for name in ("srgan", "srresnet")}
    assert build_of["srgan"].state_dict().keys() == build_of["srresnet"].state_dict().keys()


@pytest.mark.parametrize(("words", "part"), [
    (["perceptual=-1"], "-1"), (["adversarial=-0.1"], "-0.1"), (["border=-2"], "-2"), (["channel=Z"], "auto"), (["learn=nois"], "noisy"),
    (["perceptual=0.1", "encoder=nowhere"], "nowhere"), (["perceptual=0.1", "encoder=torchvision/vgg11"], "vgg11"),
    (["features=nowhere"], "nowhere"), (["features=random+none.safetensors"], "none"),
    (["learn=noisy", "perceptual=0.1"], "true"), (["learn=noisy", "adversarial=0.1"], "true"),
])  # fmt: skip
def test_words_that_mean_nothing_are_refused_before_learning(words, part):
    with pytest.raises(OmmaError) as caught:
        plan(*words)
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_a_trained_model_may_be_the_encoder(goods, tmp_path, run):
    """Its bundle is looked through; afterwards it is not needed any more."""
    words = ["degrade=reduce:2", "perceptual=0.1", f"encoder={run}", "model=srgan", "blocks=1", "width=4", "size=12", "batch=2", "evals=1"]
    made = omma.train(str(goods), *words, task="restore", budget="2 steps", out=str(tmp_path / "run"), device="cpu")
    made.open().task.settings["encoder"] = "gone"
    assert len(predicted(str(made.run), tmp_path, goods / "0.png")) == 1


def test_the_page_shows_the_picture_that_was_made(run, tmp_path):
    """A real server, a real browser: dropped in at one size, shown at twice that."""
    from omma.progress import Watch
    from omma.verbs.serve import _service

    Image.fromarray(photograph(20, 30)).save(tmp_path / "小.png")
    service, _ = _service(run, "cpu", 8, Watch())
    with served_page(service) as (page, complaints):
        see_made(page, tmp_path / "小.png")
        size = page.evaluate("[document.getElementById('made').naturalWidth, document.getElementById('made').naturalHeight]")
        assert size == [60, 40] and page.is_visible("#keep") and not complaints
        refuse_broken(page)
