"""Metrics of restoration say what their papers, a slow count, or the field's own tools say."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from omma.answers.picture import Picture
from omma.metrics.bootstrap import compare, interval, measure, scores
from omma.metrics.gain import enlarged
from omma.metrics.metric import Metric, Score
from omma.metrics.sets import restoration
from omma.metrics.ssim import similarity
from omma.report.evaluation import Evaluation, shown
from omma.words import LANGUAGES, room
from scenes import scene

NAMES = ["picture"]


def noisy(picture: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """Rounded and cut to the picture's own type."""
    top = np.iinfo(picture.dtype).max
    noise = np.random.default_rng(seed).normal(0, sigma * top / 255, picture.shape)
    return np.clip(np.rint(picture + noise), 0, top).astype(picture.dtype)


def value(key: str, said: np.ndarray, true: np.ndarray | Picture, channel: str = "auto", border: int = 0) -> float:
    metric = restoration(NAMES, channel, border)[key]
    truth = true if isinstance(true, Picture) else Picture.of(true)
    return metric.summary(metric.records([Picture.of(said)], [truth]), np.ones(1))


# ── PSNR ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [1, 5, 20])
def test_psnr_of_an_even_error(error):
    true = np.full((20, 30, 3), 100, np.uint8)
    assert value("psnr", true + np.uint8(error), true) == pytest.approx(20 * np.log10(255 / error), abs=1e-9)


def test_y_is_that_of_matlab():
    """rgb2ycbcr of MATLAB's documentation: white is 235, black 16, red 81.481; grey is compared as it is."""
    black = np.zeros((9, 9, 3), np.uint8)
    for colour, level in (((255, 255, 255), 219.0), ((255, 0, 0), 65.481), ((0, 255, 0), 128.553), ((0, 0, 255), 24.966)):
        picture = np.broadcast_to(np.array(colour, np.uint8), black.shape)
        assert value("psnr", picture, black, "Y") == pytest.approx(20 * np.log10(255 / level), abs=1e-9)
    grey = np.full((9, 9, 1), 7, np.uint8)
    assert value("psnr", grey, grey * 0, "Y") == value("psnr", grey, grey * 0) == pytest.approx(20 * np.log10(255 / 7))


def test_channels_together_are_one_error_and_alpha_is_none():
    true = scene(1)
    said = noisy(true, 12)
    error = np.square(said.astype(float) - true).mean()
    assert value("psnr", said, true) == value("psnr", said, true, "RGB") == pytest.approx(10 * np.log10(255**2 / error), abs=1e-9)
    alpha = np.random.default_rng(0).integers(0, 256, (*true.shape[:2], 1), np.uint8)
    assert value("psnr", np.concatenate([said, alpha], 2), np.concatenate([true, 255 - alpha], 2)) == value("psnr", said, true)
    grey, covered = true[..., :1], np.concatenate([true[..., :1], alpha], 2)
    assert value("psnr", covered, grey) == 100


def test_a_border_is_left_out_on_each_side():
    true = scene(2)
    said = true.copy()
    said[:3] = 255 - said[:3]
    said[:, -4:] = 0
    assert value("psnr", said, true, border=3) < 100 == value("psnr", said, true, border=4)
    inner = noisy(true, 20)
    assert value("psnr", inner, true, "Y", 5) == value("psnr", inner[5:-5, 5:-5], true[5:-5, 5:-5], "Y")
    assert np.isnan(value("psnr", true[:8, :8], true[:8, :8], border=4)) and np.isnan(value("ssim", true[:8], true[:8], border=4))


def test_equal_pictures_have_a_hundred_decibels_and_nearly_equal_ones_no_more():
    true = scene(0, 150, 200)
    said = true.copy()
    said[5, 7, 1] ^= 1
    assert value("psnr", true, true) == 100 and 95 < value("psnr", said, true) < 100
    big = np.zeros((20, 20, 1), np.uint16)
    one = big.copy()
    one[3, 3] = 1
    assert value("psnr", one, big) == 100


def test_depths():
    """The answer is rounded to the truth's depth; white is white in both."""
    true = scene(3)
    deep = true.astype(np.uint16) * 257
    said = noisy(deep, 10)
    rounded = ((said.astype(np.uint32) + 128) // 257).astype(np.uint8)
    assert value("psnr", said, true) == value("psnr", rounded, true)
    assert value("psnr", rounded, deep) == pytest.approx(value("psnr", rounded, true), abs=1e-9)
    error = np.square((said.astype(float) - deep) / 65535).mean()
    assert value("psnr", said, deep) == pytest.approx(-10 * np.log10(error), abs=1e-9)
    assert value("psnr", true / np.float32(255), true) == 100, "floats of 0–1 come back exactly"


def test_grey_beside_colour():
    true = scene(4)
    grey = np.rint(true @ [0.299, 0.587, 0.114]).astype(np.uint8)[..., None]
    assert value("psnr", true, grey) > 55, "the brightness of a colour answer is what a grey truth asks for"
    assert value("psnr", grey, true) == value("psnr", grey.repeat(3, 2), true) < 40


@pytest.mark.parametrize("key", ["psnr", "ssim", "gain"])
def test_pictures_of_two_sizes_are_our_own_error(key):
    true = replace(Picture.of(scene(0, 40, 50)), given=lambda: scene(0, 40, 50))
    with pytest.raises(AssertionError, match="the answer has 50 × 44 pixels, the truth 50 × 40"):
        value(key, scene(0, 44, 50), true)
    with pytest.raises(AssertionError, match="channel"):
        restoration(NAMES, "L")


@given(st.integers(0, 2**32 - 1), st.floats(1, 60), st.sampled_from(["Y", "RGB", "auto"]), st.integers(0, 6))
@settings(max_examples=15, deadline=None)
def test_psnr_falls_as_noise_grows_and_does_not_ask_which_is_which(seed, sigma, channel, border):
    true = scene(seed, 24, 31)
    a, b = noisy(true, sigma, seed), noisy(true, 3 * sigma, seed)
    near, far = (value("psnr", said, true, channel, border) for said in (a, b))
    assert near > far and near == pytest.approx(value("psnr", true, a, channel, border))
    assert value("ssim", a, true, channel, border) > value("ssim", b, true, channel, border)


# ── SSIM ────────────────────────────────────────────────────────────────────────────────────────────────


def slow(one: np.ndarray, two: np.ndarray) -> float:
    """Equation 13 of Wang et al. 2004, window by window."""
    a, b = one.astype(float), two.astype(float)
    places = np.arange(11) - 5
    window = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for row in range(a.shape[0] - 10):
        for column in range(a.shape[1] - 10):
            x, y = (picture[row : row + 11, column : column + 11] for picture in (a, b))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy, both = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum(), (window * (x - mx) * (y - my)).sum()
            found.append((2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(found))


@pytest.mark.parametrize("sigma", [3, 25, 80])
def test_ssim_is_the_paper_s(sigma):
    true = scene(5, 26, 33)
    said = noisy(true, sigma)
    assert value("ssim", said[..., :1], true[..., :1]) == pytest.approx(slow(said[..., 0], true[..., 0]), abs=1e-9)
    mean = np.mean([slow(said[..., c], true[..., c]) for c in range(3)])
    assert value("ssim", said, true) == pytest.approx(mean, abs=1e-9)
    luma = [16 + picture @ np.array([65.481, 128.553, 24.966]) / 255 for picture in (said, true)]
    assert value("ssim", said, true, "Y") == pytest.approx(slow(*luma), abs=1e-9)
    cut = [picture[4:-4, 4:-4] for picture in luma]
    assert value("ssim", said, true, "Y", 4) == pytest.approx(slow(*cut), abs=1e-9)


def test_ssim_agrees_with_scikit_image():
    skimage = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    true = scene(6)
    said = noisy(true, 30)
    kind = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert value("ssim", said, true) == pytest.approx(skimage.structural_similarity(true, said, channel_axis=2, **kind), abs=1e-6)
    found = skimage.structural_similarity(true[3:-3, 3:-3, 0], said[3:-3, 3:-3, 0], **kind)
    assert value("ssim", said[..., :1], true[..., :1], border=3) == pytest.approx(found, abs=1e-6)


def test_ssim_of_small_pictures():
    true = scene(7, 8, 20)
    assert value("ssim", true, true) == 1 and value("ssim", true[:1, :1], true[:1, :1]) == 1
    assert 0 < value("ssim", noisy(true, 20), true) < 1
    one, two = (np.array([[level]], float) for level in (100, 150))
    assert similarity(one, two) == pytest.approx((2 * 100 * 150 + 6.5025) / (100**2 + 150**2 + 6.5025))


def test_turned_contrast_is_below_zero():
    true = scene(8)[..., :1]
    assert value("ssim", 255 - true, true) < 0
    records = {"value": np.array([-0.4, 0.2, 0.9, 0.5, 0.3])}
    score = interval(restoration(NAMES)["ssim"], records)
    assert score.low < score.value < score.high <= 1


# ── gain ────────────────────────────────────────────────────────────────────────────────────────────────


def test_gain_is_what_was_gained():
    true = scene(9)
    bad, said = noisy(true, 25, 1), noisy(true, 10, 2)
    truth = replace(Picture.of(true), given=lambda: bad)
    for channel, border in (("RGB", 0), ("Y", 3)):
        wanted = value("psnr", said, true, channel, border) - value("psnr", bad, true, channel, border)
        assert value("gain", said, truth, channel, border) == pytest.approx(wanted, abs=1e-9) and wanted > 5
    assert value("gain", bad, truth) == 0


def test_what_was_given_is_neither_rounded_nor_cut():
    true = np.full((64, 64, 1), 250, np.uint8)
    noise = np.random.default_rng(0).normal(0, 25, true.shape).astype(np.float32)
    truth = replace(Picture.of(true), given=lambda: true + noise)
    wanted = 100 - 10 * np.log10(255**2 / np.square(noise.astype(float)).mean())
    assert value("gain", true, truth) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_small_picture_is_enlarged_as_pillow_does_it(scale):
    """Pillow's bicubic has a = −0.5, as MATLAB's."""
    small, size = scene(10, 30, 40), (40 * scale, 30 * scale)
    large = enlarged(small, 30 * scale, 40 * scale)
    channels = [Image.fromarray(small[..., c].astype(np.float32)).resize(size, Image.Resampling.BICUBIC) for c in range(3)]
    off = np.abs(large - np.clip(np.stack(channels, 2), 0, 255))
    assert off.max() < 0.501 and off.mean() < 0.26 and (large == large.round()).all(), "rounded, else the same"
    true = scene(10, 30 * scale, 40 * scale)
    truth = replace(Picture.of(true), given=lambda: small)
    assert value("gain", large.astype(np.uint8), truth, "Y", scale) == pytest.approx(0, abs=1e-9)
    deep = enlarged(small.astype(np.uint16) * 257, 30 * scale, 40 * scale, 16)
    assert np.abs(deep - large).max() <= 0.5 + 1 / 257 and not (deep == deep.round()).all()


def test_where_nobody_knows_what_was_given_there_is_no_gain():
    true, other = scene(11), scene(12)
    known = replace(Picture.of(true), given=lambda: noisy(true, 25))
    metric = restoration(NAMES)["gain"]
    records = metric.records([Picture.of(noisy(true, 5)), Picture.of(other)], [known, Picture.of(other)])
    assert np.isnan(records["value"]).tolist() == [False, True]
    assert metric.summary(records, np.ones(2)) == records["value"][0] and np.isnan(metric.summary(records, np.array([0.0, 1.0])))
    assert metric.carriers(records).tolist() == [1]
    nothing = interval(metric, {"value": np.full(5, np.nan)})
    assert np.isnan(nothing.value) and nothing.json()["value"] is None and nothing.json()["unit"] == "dB"
    rows = np.random.default_rng(0).normal(3, 1, 40)
    assert interval(metric, {"value": np.r_[rows, np.full(9, np.nan)]}).value == pytest.approx(rows.mean())


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_mean_is_over_pictures_each_as_often_as_it_is_drawn():
    true = [scene(i, 30 + i, 40) for i in range(4)]
    said = [noisy(picture, 5 + 5 * i, i) for i, picture in enumerate(true)]
    truths = [replace(Picture.of(picture), given=lambda picture=picture: noisy(picture, 40)) for picture in true]
    weight = np.array([1.0, 0, 2, 5])
    for key, metric in restoration(NAMES, "Y", 2).items():
        each = [value(key, one, two, "Y", 2) for one, two in zip(said, truths, strict=True)]
        records = metric.records([Picture.of(one) for one in said], truths)
        assert metric.summary(records, weight) == pytest.approx(np.average(each, weights=weight), abs=1e-9)
        assert metric.each(records, np.ones((4, 1))) is None and metric.better == "higher"
    assert list(restoration(NAMES)) == ["psnr", "ssim", "gain"], "PSNR decides"


def test_the_worst_are_shown_first_and_perfect_ones_never():
    metric = restoration(NAMES)["psnr"]
    gallery = metric.galleries({"value": np.array([30.0, np.nan, 22.0, 100.0, 25.0])}, 5)[0]
    assert gallery.places == [2, 4, 0] and gallery.title == "worst_restored"
    assert metric.galleries({"value": np.array([100.0])}) == []
    for tongue in LANGUAGES:
        assert "gallery.worst_restored" in room(tongue, "evaluate")
        assert all(f"{kind}.{key}" in room(tongue, "metrics") for kind in ("name", "means") for key in restoration(NAMES))


def test_intervals_cover_the_mean():
    rng, hits = np.random.default_rng(0), 0
    metric = restoration(NAMES)["psnr"]
    for _ in range(150):
        score = interval(metric, {"value": rng.normal(30, 2, 25)}, draws=200)
        hits += score.low <= 30 <= score.high
    assert 0.91 <= hits / 150 <= 0.985


def test_two_models_are_compared_picture_by_picture():
    metric = restoration(NAMES)["psnr"]
    level = np.random.default_rng(1).normal(30, 4, 30)
    better = compare(metric, {"value": level + 0.3 + 0.05 * np.sin(level)}, {"value": level})
    assert better.word == "better" and better.difference.value == pytest.approx(0.3, abs=0.05)


@pytest.mark.skipif("OMMA_MIRROR" not in os.environ, reason="OMMA_MIRROR names no folder with the real sets")
@pytest.mark.parametrize(("scale", "decibels", "similarity"), [(2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)])
def test_enlarging_set5_has_the_numbers_of_every_paper_s_first_row(scale, decibels, similarity):
    """Bicubic on Set5, measured on Y without a border of the scale, as papers on enlarging print it since Dong et al. 2014."""
    archive = zipfile.ZipFile(Path(os.environ["OMMA_MIRROR"]) / "restoration-benchmarks.zip")
    truths, said = [], []
    for name in sorted(name for name in archive.namelist() if "Set5/" in name and name.endswith(".png")):
        whole = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
        high, wide = (side // scale * scale for side in whole.shape[:2])
        image = Image.fromarray(whole[:high, :wide])
        small = np.asarray(image.resize((wide // scale, high // scale), Image.Resampling.BICUBIC))
        truths.append(replace(Picture.of(whole[:high, :wide]), given=lambda small=small: small))
        said.append(Picture.of(enlarged(small, high, wide).astype(np.uint8)))
    assert len(truths) == 5
    found = {key: metric.summary(metric.records(said, truths), np.ones(5)) for key, metric in restoration(NAMES, "Y", scale).items()}
    assert found["psnr"] == pytest.approx(decibels, abs=0.05) and found["ssim"] == pytest.approx(similarity, abs=0.002)
    assert found["gain"] == pytest.approx(0, abs=1e-9)


# ── protocol ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_protocol_travels_with_the_number(monkeypatch):
    monkeypatch.setenv("OMMA_LANG", "en")
    metrics = restoration(NAMES, "Y", 2)
    truths = [Picture.of(scene(i, 30, 40)) for i in range(5)]
    said = [Picture.of(noisy(truth.pixels, 8, i)) for i, truth in enumerate(truths)]
    measured = measure(metrics, said, truths)
    score = measured.scores["psnr"]
    assert score.protocol == {"channel": "Y", "border": 2} == metrics["psnr"].protocol and score.unit == "dB"
    assert score.json()["protocol"] == {"channel": "Y", "border": 2} and Score.from_json(score.json()) == score
    assert scores(metrics, said, truths)["ssim"].protocol == interval(metrics["ssim"], measured.records["ssim"]).protocol == score.protocol
    assert interval(metrics["ssim"], {"value": np.array([0.5])}).protocol == score.protocol, "of one picture too"
    line = shown(score, metrics["psnr"])
    assert line.startswith(f"{score.value:.4g} dB (") and line.endswith(") [Y, border 2]")
    assert shown(score, metrics["psnr"], "zh").endswith("[Y, 裁边 2]")
    whole = restoration(NAMES)["psnr"]
    assert shown(interval(whole, measured.records["psnr"]), whole).endswith("[all channels, border 0]")
    assert shown(replace(score, protocol={"channel": "RGB", "window": 8}), whole).endswith("[RGB, window 8]")
    evaluation = Evaluation("set", "test", None, [], [], [], metrics, measured)
    assert any(row.startswith("  PSNR") and row.endswith("[Y, border 2]") for row in evaluation.lines())


def test_a_number_without_protocol_is_as_it_was():
    plain = Score(0.5, 0.4, 0.6, 10)
    assert "protocol" not in plain.json() and plain.protocol is None and Score.from_json(plain.json()) == plain
    told = replace(plain, protocol={"border": 1})
    assert told != plain and len({plain, told, replace(told)}) == 2, "hashed and told apart"
    assert Metric.protocol == {} and restoration(NAMES)["psnr"].protocol is not Metric.protocol
