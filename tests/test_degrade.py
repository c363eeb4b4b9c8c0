"""Bad pictures: what the words mean, and that chance depends on nothing but seed, epoch and index."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from omma.data.degrade import chain as chains
from omma.data.degrade import noise
from omma.data.degrade.blur import kernel
from omma.data.degrade.chain import parse
from omma.data.variation import vary
from omma.errors import OmmaError
from omma.parts import bicubic

WORDS = [
    "noise:25", "noise", "photons:30", "photons", "blur:1.6", "blur", "reduce:2", "reduce:3", "jpeg:40", "jpeg", "dark:0.2", "dark", "flat",
    "haze", "blur:0.5-2+reduce:2+noise:0-20+jpeg:30-90", "dark+photons+noise:5", "haze+flat:0.5+jpeg",
]  # fmt: skip


def scene(count: int = 4, channels: int = 3, size: tuple[int, int] = (24, 36)) -> torch.Tensor:
    """(B, C, H, W) float32 whole numbers, smooth in parts: 0–255."""
    field = np.random.default_rng(count).normal(size=(count, channels, *size))
    field = ndimage.gaussian_filter(field, (0, 0, 2, 2))
    return torch.from_numpy(np.rint(np.clip(field / field.std() * 60 + 128, 0, 255))).float()


def even(value: float, count: int = 4, size: tuple[int, int] = (64, 64)) -> torch.Tensor:
    """Pictures of one value."""
    return torch.full((count, 1, *size), value)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", WORDS)
def test_one_spelling_that_is_read_again(text):
    found = parse(text)
    assert parse(found.text) == found and parse(found.text).text == found.text
    assert parse(text.replace("+", " + ")) == found


def test_what_a_word_alone_means():
    assert parse("noise+blur+jpeg").text == "noise:0-55+blur:0.5-2.5+jpeg:10-60"
    assert parse("noise:25-25").text == "noise:25" and parse("blur:0.50").text == "blur:0.5"
    assert parse("noise:0.00001").text == "noise:0.00001"


@pytest.mark.parametrize(
    ("text", "scale", "levels", "whole"),
    [
        ("noise:25", 1, (25, 25), False),
        ("noise", 1, (0, 55), False),
        ("reduce:4", 4, None, True),
        ("noise:3+noise:4", 1, (5, 5), False),
        ("blur+reduce:3+noise:1-2", 3, (1, 2), False),
        ("noise+jpeg:9", 1, (0, 55), True),
        ("photons", 1, None, False),
        ("reduce:8+haze", 8, None, False),
    ],
)
def test_what_a_chain_knows_of_itself(text, scale, levels, whole):
    found = parse(text)
    assert (found.scale, found.levels, found.whole) == (scale, levels, whole)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "noise, photons, blur"),
        (" + ", "noise, photons, blur"),
        ("fog", "noise, photons, blur"),
        ("noise:5++jpeg", "noise, photons, blur"),
        ("Noise:5", "noise, photons, blur"),
        ("noise:", "noise:LOW-HIGH"),
        ("noise:much", "noise:LOW-HIGH"),
        ("noise:-5", "noise:LOW-HIGH"),
        ("noise:5-", "noise:LOW-HIGH"),
        ("noise:1e2", "noise:LOW-HIGH"),
        ("noise:nan", "noise:LOW-HIGH"),
        ("noise:٣", "noise:LOW-HIGH"),
        ("noise:5:6", "noise:LOW-HIGH"),
        ("noise:50-5", "write noise:5-50"),
        ("noise:201", "0 to 200"),
        ("noise:" + "9" * 900, "0 to 200"),
        ("photons:0-5", "1 to 10000"),
        ("blur:0", "0.1 to 10"),
        ("jpeg:0", "1 to 100"),
        ("jpeg:101", "1 to 100"),
        ("jpeg:40.5", "whole numbers"),
        ("dark:2", "0.01 to 1"),
        ("flat:0", "0.05 to 1"),
        ("haze:1.5", "0.05 to 1"),
        ("reduce", "2, 3, 4, 8"),
        ("reduce:5", "2, 3, 4, 8"),
        ("reduce:2-4", "2, 3, 4, 8"),
        ("reduce:2.0", "2, 3, 4, 8"),
        ("reduce:2+blur+reduce:2", "one reduce"),
        ("x\n" * 500, "noise, photons, blur"),
    ],
)
@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_a_bad_word_is_refused_in_one_line(text, hint, tongue, monkeypatch):
    monkeypatch.setenv("OMMA_LANG", tongue)
    with pytest.raises(OmmaError) as caught:
        parse(text)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 200
    assert hint in line or tongue == "zh"


# ── chance ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_does_not_know_its_neighbours(text, channels):
    chain, index = parse(text), torch.tensor([3, 8, 5, 1, 900])
    high, wide = (24, 36) if chain.scale > 1 else (25, 37)  # odd: pictures begin anywhere in a processor's registers
    clean = scene(5, channels, (high, wide))
    before = clean.clone()
    found, facts = chain(clean, index, 7, 1)
    assert torch.equal(clean, before) and found.dtype == torch.float32
    assert found.shape == (5, channels, high // chain.scale, wide // chain.scale)
    some = torch.tensor([4, 1])
    again, more = chain(clean[some], index[some], 7, 1)
    assert torch.equal(found[some], again) and facts.keys() == more.keys()
    assert all(torch.equal(facts[key][some], more[key]) and facts[key].dtype == torch.float32 for key in facts)
    assert torch.equal(chain(clean[2:3], index[2:3], 7, 1)[0], found[2:3])
    if chain.whole:
        assert torch.equal(found, found.round().clamp(0, 255))


@pytest.mark.parametrize("text", ["noise:25", "photons:30", "blur", "jpeg", "dark", "flat", "haze"])
def test_seed_epoch_and_index_all_matter(text):
    chain, clean = parse(text), scene(1)
    key = {"index": torch.tensor([3]), "epoch": 2, "seed": 1}
    first = chain(clean, **key)[0]
    for change in ({"index": torch.tensor([4])}, {"epoch": 3}, {"seed": 2}):
        assert not torch.equal(chain(clean, **{**key, **change})[0], first)


def test_two_steps_of_one_kind_differ():
    clean, index = even(0.0), torch.arange(4)
    one, two = (parse(text)(clean, index, 0, 0)[0] for text in ("noise:10", "noise:10+noise:10"))
    again = two - one
    assert abs(np.corrcoef(one.flatten(), again.flatten())[0, 1]) < 0.05
    assert parse("noise:3-9+noise:3-9")(clean, index, 0, 0)[1]["noise"].unique().numel() == 4


def test_draws_are_set_aside_for_this():
    numbers = [int(one) for one in chains.Draw]
    assert min(numbers) > max(vary.Draw) and max(numbers) - min(numbers) < chains.STRIDE


def test_levels_fill_their_range():
    index = torch.arange(2000)
    clean = torch.zeros(2000, 1, 1, 1)
    drawn = parse("noise:5-50")(clean, index, 0, 0)[1]["noise"]
    assert drawn.min() >= 5 and drawn.max() < 50 and abs(drawn.mean() - 27.5) < 1
    quality = chains.Step("jpeg", 10, 12).drawn(lambda draw: (0, 0, index, draw))
    assert quality.unique().tolist() == [10, 11, 12] and min(quality.unique(return_counts=True)[1]) > 500
    peak = chains.Step("photons", 10, 1000).drawn(lambda draw: (0, 0, index, draw))
    assert peak.min() >= 10 and peak.max() <= 1000 and abs(peak.log10().mean() - 2) < 0.05


# ── noise ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sigma", [1, 25, 50])
def test_noise_has_the_deviation_asked_for_and_is_not_clipped(sigma):
    found, facts = parse(f"noise:{sigma}")(even(250.0), torch.arange(4), 0, 0)
    away = found - 250
    assert away.std() == pytest.approx(sigma, rel=0.03) and abs(away.mean()) < 0.03 * sigma
    assert found.max() > 250 + 3 * sigma and facts["noise"].tolist() == [sigma] * 4
    pairs = np.corrcoef([one.flatten().numpy() for one in away])
    assert np.abs(pairs - np.eye(4)).max() < 0.08
    assert abs(np.corrcoef(away[..., 1:].flatten(), away[..., :-1].flatten())[0, 1]) < 0.04


def test_each_picture_has_the_deviation_its_fact_says():
    found, facts = parse("noise:2-60")(even(100.0, 6), torch.arange(6), 3, 4)
    assert torch.allclose(found.std((1, 2, 3)), facts["noise"], rtol=0.06)
    assert facts["noise"].unique().numel() == 6


def test_large_pictures_draw_their_own(monkeypatch):
    monkeypatch.setattr(noise, "PATCH", 1000)
    chain, clean = parse("noise:25"), even(0.0, 3)
    found = chain(clean, torch.tensor([1, 2, 1]), 0, 0)[0]
    assert found.std() == pytest.approx(25, rel=0.03)
    assert torch.equal(found[0], found[2]) and abs(np.corrcoef(found[0].flatten(), found[1].flatten())[0, 1]) < 0.08


@pytest.mark.parametrize("value", [0.0, 60.0, 255.0])
def test_photons_are_counted(value):
    peak = 30
    found, facts = parse(f"photons:{peak}")(even(value, 8), torch.arange(8), 0, 0)
    variance = value * 255 / peak + noise.READ**2
    assert found.mean() == pytest.approx(value, abs=4 * (variance / found.numel()) ** 0.5)
    assert found.var() == pytest.approx(variance, rel=0.04) and not facts


# ── blur, fewer pixels, JPEG, light ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sigma", [0.4, 1.6, 9.0])
def test_blur_is_that_of_scipy(sigma):
    clean = scene(2)
    found = parse(f"blur:{sigma}")(clean, torch.arange(2), 0, 0)[0]
    reach = len(kernel(sigma)) // 2
    wanted = ndimage.gaussian_filter(clean.numpy().astype(np.float64), (0, 0, sigma, sigma), mode="reflect", radius=(0, 0, reach, reach))
    assert reach == int(np.ceil(3 * sigma)) and np.allclose(found.numpy(), wanted, rtol=0, atol=1e-3)


def test_more_blur_leaves_less():
    clean = scene(1)
    left = [parse(f"blur:{sigma}")(clean, torch.tensor([0]), 0, 0)[0].std() for sigma in (0.5, 1, 2, 4)]
    assert all(more > less for more, less in pairwise(left))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_reduce_is_matlab_s_and_rounds_what_it_is_given(scale):
    clean = scene(2)
    found = parse(f"reduce:{scale}")(clean + 0.3, torch.arange(2), 0, 0)[0]
    assert torch.equal(found, bicubic.reduce8(clean, scale))


def test_sizes_that_do_not_divide_are_our_own_mistake():
    with pytest.raises(AssertionError):
        parse("noise+reduce:4")(scene(1, size=(24, 30)), torch.tensor([0]), 0, 0)


@pytest.mark.parametrize("quality", [5, 40, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillow_there_and_back(quality, channels):
    clean = scene(2, channels, (25, 31))
    found = parse(f"jpeg:{quality}")(clean, torch.arange(2), 0, 0)[0]
    for one, bad in zip(clean, found, strict=True):
        file = io.BytesIO()
        pixels = one.permute(1, 2, 0).numpy().astype(np.uint8)
        Image.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality)  # 4:2:0 is what Pillow does by itself
        assert np.array_equal(np.array(Image.open(file)).reshape(pixels.shape), bad.permute(1, 2, 0).numpy())
    assert not torch.equal(found, clean)


def test_dark_is_less_light():
    value = torch.tensor([0.0, 5.0, 128.0, 255.0]).view(4, 1, 1, 1)
    found = parse("dark:0.25")(value, torch.arange(4), 0, 0)[0].flatten() / 255

    def light(share: float) -> float:
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    for before, after in zip((value / 255).flatten().tolist(), found.tolist(), strict=True):
        assert light(after) == pytest.approx(0.25 * light(before), abs=1e-6)
    assert torch.allclose(parse("dark:1")(scene(1), torch.tensor([0]), 0, 0)[0], scene(1), atol=1e-2)


def test_flat_pulls_values_to_their_mean():
    clean = scene(3)
    found = parse("flat:0.4")(clean, torch.arange(3), 0, 0)[0]
    middle = clean.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(found, middle + 0.4 * (clean - middle), atol=1e-3)


def test_haze_is_scene_and_air():
    black, white = (parse("haze:0.3-0.8")(even(value, 50, (1, 1)), torch.arange(50), 0, 0)[0].flatten() for value in (0.0, 255.0))
    share = (white - black) / 255
    air = black / (255 * (1 - share))
    assert 0.3 <= share.min() < 0.4 and 0.7 < share.max() <= 0.8
    assert 0.8 - 1e-4 <= air.min() < 0.82 and 0.98 < air.max() <= 1 + 1e-4
    assert abs(np.corrcoef(share, air)[0, 1]) < 0.4
