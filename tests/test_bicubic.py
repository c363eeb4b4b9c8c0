"""Bicubic as MATLAB has it, against dense matrices of its own rules; and the numbers that papers print."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from omma.parts import bicubic, colour

MIRROR = Path(os.environ.get("OMMA_MIRROR", ""))
SIZES = [(1, 1), (1, 7), (2, 3), (5, 4), (13, 10), (24, 17)]
SCALES = [2, 3, 4, 8]


def matrix(count: int, made: int, scale: float) -> np.ndarray:
    """(made, count) float64: MATLAB's `contributions`, counted from 1, `scale` > 1 to enlarge."""
    width = 4 / min(scale, 1)
    rows = np.zeros((made, count))
    for x in range(1, made + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        for place in range(int(np.floor(u - width / 2)), int(np.floor(u - width / 2)) + int(np.ceil(width)) + 2):
            d = abs(u - place) * min(scale, 1)
            weight = (1.5 * d**3 - 2.5 * d**2 + 1) * (d <= 1) + (-0.5 * d**3 + 2.5 * d**2 - 4 * d + 2) * (1 < d <= 2)
            ring = [*range(count), *reversed(range(count))]
            rows[x - 1, ring[(place - 1) % (2 * count)]] += weight
    return rows / rows.sum(1, keepdims=True)


def rounded(values: np.ndarray) -> np.ndarray:
    """uint8() of MATLAB; a last bit short of the middle is the middle."""
    return np.floor(np.clip(values, 0, 255) + 0.5 + 1e-9)


def dense(pictures: np.ndarray, scale: float, whole: bool) -> np.ndarray:
    """imresize of (B, C, H, W)."""
    made = [int(np.ceil(count * scale)) for count in pictures.shape[2:]]
    down, right = (matrix(count, out, scale) for count, out in zip(pictures.shape[2:], made, strict=True))
    settle = rounded if whole else (lambda values: values)
    return settle(settle(down @ pictures.astype(np.float64)) @ right.T)


def photograph(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(2, 3, H, W) uint8, half of it black and white: sums overshoot."""
    chance = np.random.default_rng(seed)
    values = chance.integers(0, 256, (2, 3, *size), np.uint8)
    values[1] = chance.integers(0, 2, (3, *size), np.uint8) * 255
    return values


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", SIZES)
def test_each_number_is_that_of_dense_matrices(size, scale):
    given = photograph(size, scale)
    for ours, factor in ((bicubic.reduce, 1 / scale), (bicubic.enlarge, float(scale))):
        assert np.allclose(ours(torch.from_numpy(given).double(), scale).numpy(), dense(given, factor, False), rtol=0, atol=1e-10)
        assert np.allclose(ours(torch.from_numpy(given).float(), scale).numpy(), dense(given, factor, False), rtol=0, atol=2e-4)
    for ours, factor in ((bicubic.reduce8, 1 / scale), (bicubic.enlarge8, float(scale))):
        for kind in (torch.uint8, torch.float32):
            found = ours(torch.from_numpy(given).to(kind), scale)
            assert found.dtype == kind and np.array_equal(found.numpy(), dense(given, factor, True))


def test_rows_come_first():
    given = torch.from_numpy(photograph((16, 16)))
    assert not torch.equal(bicubic.reduce8(given, 2), bicubic.reduce8(given.mT, 2).mT)


def test_a_half_goes_up():
    # Two columns in turn: their mean is n + ½ everywhere.
    given = torch.tensor([10, 11] * 8, dtype=torch.uint8).repeat(1, 1, 16, 1)
    assert (bicubic.reduce8(given, 2)[..., 3:-3] == 11).all()


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_even_stays_even(scale):
    given = torch.full((1, 1, 8, 8), 0.7)
    assert torch.allclose(bicubic.reduce(given, scale), torch.tensor(0.7)) and torch.allclose(
        bicubic.enlarge(given, scale), torch.tensor(0.7)
    )
    assert (bicubic.enlarge8(torch.full((1, 1, 3, 3), 255, dtype=torch.uint8), scale) == 255).all()


@pytest.mark.parametrize("scale", SCALES)
def test_half_precision_around_it_changes_nothing(scale):
    given = torch.rand(1, 3, 9, 6, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = bicubic.enlarge(given, scale)
    assert torch.equal(found, bicubic.enlarge(given, scale))


@pytest.mark.parametrize(("count", "before", "after"), [(1, 3, 5), (3, 2, 2), (4, 11, 9), (5, 0, 0)])
def test_mirrored_as_often_as_it_takes(count, before, after):
    line = torch.arange(count)
    found = bicubic.mirrored(line.view(1, 1, 1, -1), 3, before, after).flatten()
    assert np.array_equal(found.numpy(), np.pad(line.numpy(), (before, after), "symmetric"))


class Enlarge(torch.nn.Module):
    """As the part of a network."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return colour.rgb(colour.ycbcr(bicubic.enlarge(pictures, self.scale)))


@pytest.mark.parametrize("scale", [3, 4])
def test_exported_for_any_size(scale):
    free = {0: torch.export.Dim("B"), 2: torch.export.Dim("H"), 3: torch.export.Dim("W")}
    program = torch.export.export(Enlarge(scale), (torch.rand(2, 3, 6, 5),), dynamic_shapes=({**free},))
    assert not [node for node in program.graph.nodes if "conv" in str(node.target)]
    for shape in ((1, 3, 1, 1), (3, 3, 1, 9), (1, 3, 40, 31)):
        given = torch.rand(shape)
        assert torch.equal(program.module(check_guards=False)(given), Enlarge(scale)(given))


def test_colour_is_that_of_the_standard_and_comes_back():
    corners = torch.tensor([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]).double().T.view(1, 3, 1, 5)
    wanted = [[16, 128, 128], [235, 128, 128], [81.481, 90.203, 240], [144.553, 53.797, 34.214], [40.966, 240, 109.786]]
    found = colour.ycbcr(corners)
    assert torch.allclose(found[0, :, 0].T, torch.tensor(wanted).double())
    assert torch.allclose(colour.luma(corners), found[:, :1])
    given = torch.rand(2, 4, 3, 5, 6, dtype=torch.float64) * 300 - 20
    assert torch.allclose(colour.rgb(colour.ycbcr(given)), given, atol=1e-10)
    assert torch.allclose(colour.rgb(colour.ycbcr(given.float())), given.float(), atol=1e-3)


# ── Set5 ────────────────────────────────────────────────────────────────────────────────────────────────


def psnr(found: torch.Tensor, wanted: torch.Tensor, border: int) -> float:
    """dB, without the border."""
    away = (found.double() - wanted.double())[..., border:-border, border:-border]
    return float(10 * torch.log10(255**2 / away.square().mean()))


@pytest.mark.skipif(not (MIRROR / "restoration-benchmarks.zip").is_file(), reason="OMMA_MIRROR holds no restoration-benchmarks.zip")
@pytest.mark.parametrize(("scale", "printed", "older"), [(2, 33.67, 33.66), (3, 30.40, 30.39), (4, 28.43, 28.42)])
def test_bicubic_on_set5_is_what_papers_print(scale, printed, older):
    in_colour, in_luma = [], []
    with zipfile.ZipFile(MIRROR / "restoration-benchmarks.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("Set5/")]
        assert len(names) == 5
        for name in names:
            pixels = np.array(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            good = torch.from_numpy(pixels).permute(2, 0, 1)[None]
            good = good[..., : good.shape[2] // scale * scale, : good.shape[3] // scale * scale]
            again = bicubic.enlarge8(bicubic.reduce8(good, scale), scale)
            in_colour.append(psnr(colour.luma(again.double()), colour.luma(good.double()), scale))
            luma = (colour.luma(good.double()) + 0.5).floor()
            again = (bicubic.enlarge(bicubic.reduce(luma, scale), scale) + 0.5).floor().clamp(0, 255)
            in_luma.append(psnr(again, luma, scale))
    assert np.mean(in_colour) == pytest.approx(printed, abs=0.005)
    assert np.mean(in_luma) == pytest.approx(older, abs=0.005)
