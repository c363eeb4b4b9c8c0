"""How differently a network sees two pictures: LPIPS by hand, its weights from files, and what is said where they are not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import omma
from omma.answers.picture import Picture
from omma.errors import OmmaError
from omma.metrics import perceptual as measured
from omma.metrics.perceptual import Perceptual, parted
from omma.metrics.sets import restoration
from omma.models.eyes import WIDTHS, eyes
from omma.parts.drawing.perceptual import deep, lpips
from omma.tasks.restore import Restore
from test_restore import photograph


def told(metric: Perceptual, said: np.ndarray, true: np.ndarray) -> float:
    return metric.summary(metric.records([Picture.of(said)], [Picture.of(true)]), np.ones(1))


def by_hand(said: np.ndarray, true: np.ndarray, weights: list[np.ndarray] | None = None) -> float:
    """Zhang et al. 2018, equation 1, place by place: the last map of each resolution."""
    look = eyes("random")
    with torch.no_grad():
        made, wanted = (look.maps(torch.from_numpy(one.copy()).permute(2, 0, 1)[None] / 255) for one in (said, true))
    total = 0.0
    for depth, (one, other) in enumerate(zip(made, wanted, strict=True)):
        rows, columns = one.shape[2:]
        summed = 0.0
        for y in range(rows):
            for x in range(columns):
                a, b = one[0, :, y, x].double().numpy(), other[0, :, y, x].double().numpy()
                a, b = a / (np.linalg.norm(a) + 1e-10), b / (np.linalg.norm(b) + 1e-10)
                summed += float(((1 if weights is None else weights[depth]) * (a - b) ** 2).sum())
        total += summed / (rows * columns)
    return total


@pytest.fixture
def learned(tmp_path) -> tuple[str, list[np.ndarray]]:
    """A file as the authors have it, in another order, for the random eyes; and its rows."""
    rows = [np.random.default_rng(width).random(width).astype(np.float32) for width in WIDTHS]
    file = tmp_path / "lin.safetensors"
    save_file({f"lin{i}.model.1.weight": torch.from_numpy(rows[i]).view(1, -1, 1, 1).contiguous() for i in (2, 0, 3, 1)}, file)
    return str(file), rows


# ── the number ──────────────────────────────────────────────────────────────────────────────────────────


def test_as_the_paper_has_it(learned):
    true, said = photograph(40, 33, seed=1), photograph(40, 33, seed=2)
    file, rows = learned
    assert told(Perceptual(["picture"], "random"), said, true) == pytest.approx(by_hand(said, true), rel=1e-4)
    assert told(Perceptual(["picture"], f"random+{file}"), said, true) == pytest.approx(by_hand(said, true, rows), rel=1e-4)


def test_what_looks_the_same_is_nothing_and_noise_is_more_and_more():
    true, metric = photograph(64, 64), Perceptual(["picture"], "random")
    draw = np.random.default_rng(0)
    found = [told(metric, (true + draw.normal(0, sigma, true.shape)).clip(0, 255).astype(np.uint8), true) for sigma in (1, 8, 40)]
    assert told(metric, true, true) == 0 < found[0] < found[1] < found[2] and metric.better == "lower"


def test_borders_grey_depth_and_small_pictures():
    true, said = photograph(48, 50), photograph(48, 50)
    said[:4], said[-4:], said[:, :4], said[:, -4:] = 0, 255, 9, 90
    assert told(Perceptual(["picture"], "random", border=4), said, true) == 0 < told(Perceptual(["picture"], "random"), said, true)
    grey = photograph(48, 50, 1), photograph(48, 50, 1, seed=4)
    wide = tuple(np.repeat(one, 3, 2) for one in grey)
    metric = Perceptual(["picture"], "random")
    assert told(metric, *grey) == pytest.approx(told(metric, *wide), rel=1e-5)
    deeper = [one.astype(np.uint16) * 257 for one in wide]
    assert told(metric, *deeper) == pytest.approx(told(metric, *wide), rel=1e-4)
    records = metric.records([Picture.of(photograph(31, 90))], [Picture.of(photograph(31, 90, seed=1))])
    assert np.isnan(records["value"]).all() and metric.carriers(records) == [0.0], "smaller than what networks look at"


def test_a_large_picture_is_compared_in_parts(monkeypatch):
    """Each counts by its area; whole and in parts they are nearly the same number."""
    true, said, metric = photograph(70, 130), photograph(70, 130, seed=1), Perceptual(["picture"], "random")
    whole = told(metric, said, true)
    monkeypatch.setattr(measured, "MOST", 64)
    assert [(one.start, one.stop) for one in measured.parts(130)] == [(0, 43), (43, 87), (87, 130)]
    found = told(metric, said, true)
    assert found != whole and found == pytest.approx(whole, rel=0.05)


def test_the_maps_that_weights_are_for():
    """VGG by resolution; of AlexNet all five, of which three have one size; what fits neither is refused."""
    sizes = {"vgg": [(64, 32), (64, 32), (128, 16), (128, 16), (256, 8), (256, 8), (512, 4), (512, 4), (512, 2), (512, 2)]}
    sizes["alex"] = [(64, 31), (192, 15), (384, 7), (256, 7), (256, 7)]
    wide = {"vgg": (64, 128, 256, 512, 512), "alex": (64, 192, 384, 256, 256)}
    for name, shapes in sizes.items():
        maps = [torch.full((1, width, side, side), float(i)) for i, (width, side) in enumerate(shapes)]
        chosen = deep(maps, [torch.ones(width) for width in wide[name]])
        assert [int(one[0, 0, 0, 0]) for one in chosen] == ([1, 3, 5, 7, 9] if name == "vgg" else [0, 1, 2, 3, 4])
    with pytest.raises(ValueError, match="channels"):
        lpips(maps, maps, [torch.ones(3)])


@pytest.mark.slow
@pytest.mark.parametrize(("short", "long"), [("alex", "alexnet"), ("vgg", "vgg16")])
def test_with_the_weights_of_its_authors_it_is_their_number(short, long, tmp_path):
    """torchmetrics has their program and their rows; what looks is random, the same in both."""
    import torchvision
    from torchmetrics.functional.image.lpips import _LPIPS

    torch.manual_seed(0)
    theirs = _LPIPS(pretrained=True, net=short, pnet_rand=True)
    state = getattr(torchvision.models, long)(weights=None).state_dict()
    for key, value in theirs.net.state_dict().items():
        value.copy_(torch.randn(value.shape) * ((2 / value[0].numel()) ** 0.5 if value.dim() > 1 else 0.01))
        _, place, kind = key.split(".")
        state[f"features.{place}.{kind}"] = value.clone()
    save_file(state, tmp_path / "net.safetensors")
    save_file({key: value.clone() for key, value in theirs.state_dict().items() if key.startswith("lin")}, tmp_path / "lin.safetensors")
    true, said = photograph(96, 130, seed=1), photograph(96, 130, seed=2)
    with torch.no_grad():
        wanted = theirs(*(torch.from_numpy(one).permute(2, 0, 1)[None] / 255 for one in (said, true)), normalize=True)
    found = told(Perceptual(["picture"], f"torchvision/{long}:{tmp_path / 'net.safetensors'}+{tmp_path / 'lin.safetensors'}"), said, true)
    assert found == pytest.approx(float(wanted), rel=1e-4)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_word_names_the_eyes_and_the_weights(tmp_path):
    odd = tmp_path / "a+b.safetensors"
    odd.write_bytes(b"")
    assert parted("random") == ("random", "") and parted("x/y:F.safetensors+L.safetensors") == ("x/y:F.safetensors", "L.safetensors")
    assert parted(f"torchvision/vgg16:{odd}") == (f"torchvision/vgg16:{odd}", ""), "a file may have a plus in its name"


def test_only_with_its_weights_it_is_called_lpips(learned):
    plain, true = restoration(["picture"], "Y", 4, "random"), restoration(["picture"], "Y", 4, f"random+{learned[0]}")
    assert list(plain) == ["psnr", "ssim", "gain", "perceptual"] and list(true) == ["psnr", "ssim", "gain", "lpips"]
    assert plain["perceptual"].protocol == {"border": 4, "features": "random"}
    assert true["lpips"].protocol["features"].startswith("random + lin ") and list(restoration(["picture"])) == ["psnr", "ssim", "gain"]


@pytest.mark.parametrize("tensors", [{"lin0": torch.ones(1, 3, 1, 1)}, {"a": torch.ones(1, 32, 1, 1)}, {"lin0": torch.ones(32, 2)}])
def test_files_that_hold_something_else_are_refused(tensors, tmp_path):
    file = tmp_path / "lin.safetensors"
    save_file(tensors, file)
    metric = Perceptual(["picture"], f"random+{file}")
    with pytest.raises(OmmaError) as caught:
        told(metric, photograph(40, 40), photograph(40, 40))
    assert "LPIPS" in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value)


# ── evaluate ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[str, Path]:
    home = tmp_path_factory.mktemp("seen")
    (home / "good").mkdir()
    for i in range(8):
        Image.fromarray(photograph(40, 44, seed=i)).save(home / "good" / f"{i}.png")
    words = ["degrade=reduce:2", "model=span", "width=8", "depth=2", "size=12", "batch=4", "evals=1"]
    omma.train(str(home / "good"), *words, task="restore", budget="2 steps", out=str(home / "run"), device="cpu")
    return str(home / "run"), home


def test_evaluate_measures_by_the_eyes_it_is_told(run, learned):
    """A bundle that was trained without any; the network stands beside the number, as a script reads it."""
    where, home = run
    assert "perceptual" not in omma.evaluate(where).json()
    found = json.loads(json.dumps(omma.evaluate(where, features="random", out=str(home / "seen.html")).json(), allow_nan=False))
    assert found["features"] == "random" and found["perceptual"]["protocol"] == {"border": 2, "features": "random"}
    assert 0 < found["perceptual"]["low"] <= found["perceptual"]["value"] <= found["perceptual"]["high"]
    assert [one["show"] for one in found["pictures"]].count("worst_seen") == 1
    assert "seen by random" in (home / "seen.html").read_text("utf-8")
    assert "lpips" in omma.evaluate(where, features=f"random+{learned[0]}").json()
    with pytest.raises(OmmaError, match="nowhere"):
        omma.evaluate(where, features="nowhere")


def test_a_model_whose_eyes_have_gone_still_answers():
    """Nothing is opened before it is measured: predict, export and serve need none."""
    metrics = Restore(["picture"], degrade="reduce:2", features="gone/for/good").metrics()
    assert next(iter(metrics)) == "psnr" and metrics["perceptual"].protocol["features"] == "gone/for/good"
