"""Rays to the border of objects, and back to outlines and masks: measured against slow and certain ways."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from omma.answers import _rle
from omma.parts import rays


def ball(size: int, x: float, y: float, radius: float) -> torch.Tensor:
    place = torch.arange(size) + 0.5
    return (place[None] - x) ** 2 + (place[:, None] - y) ** 2 < radius**2


def walked(objects: np.ndarray, row: int, column: int, angle: float) -> tuple[float, bool]:
    """Length of a ray in small steps, and whether it ended at what is not known."""
    length = 0.0
    while True:
        x, y = column + 0.5 + length * math.cos(angle), row + 0.5 + length * math.sin(angle)
        if not (0 <= x < objects.shape[1] and 0 <= y < objects.shape[0]) or objects[int(y), int(x)] < 0:
            return length, True
        if objects[int(y), int(x)] != objects[row, column]:
            return length, False
        length += 0.05


def drawn(corners: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return rays.paste(corners, torch.ones(height), torch.ones(width))


def stars(seed: int, count: int, size: int = 64, rays_: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, K, 2) centres and (1, K, R) smooth distances of random star polygons."""
    chance = torch.Generator().manual_seed(seed)
    angle = torch.arange(rays_) * (2 * math.pi / rays_)
    phase, swing = torch.rand(2, count, 4, generator=chance)
    waves = sum(0.25 * swing[:, k, None] * torch.sin((k + 1) * angle + 2 * math.pi * phase[:, k, None]) for k in range(4))
    reach = (4 + 10 * torch.rand(count, 1, generator=chance)) * (1 + waves)
    return size * (0.2 + 0.6 * torch.rand(1, count, 2, generator=chance)), reach[None]


@pytest.mark.parametrize("stride", [1, 2])
def test_rays_end_where_a_slow_walk_ends(stride):
    objects = torch.zeros(2, 48, 40, dtype=torch.int16)
    objects[0, 5:20, 3:25] = 1
    objects[0, 20:33, 8:25] = 2  # touches the first
    objects[0, 30:48, 30:40] = 7  # leaves the picture; numbers need not follow each other
    objects[1, ball(48, 20, 24, 15)[:, :40]] = 1
    objects[1, :, 30:] = -1
    star = rays.measure(objects, 16, stride)
    grid = objects[:, ::stride, ::stride]
    assert torch.equal(star.place, (grid.flatten() > 0).nonzero()[:, 0])
    assert torch.equal(star.label, grid.flatten()[star.place].long())
    chosen = torch.randperm(len(star.place), generator=torch.Generator().manual_seed(0))[:40]
    area, across = grid.shape[1] * grid.shape[2], grid.shape[2]
    for one in chosen.tolist():
        place = int(star.place[one])
        picture, row, column = place // area, place % area // across * stride, place % across * stride
        slow = [walked(objects[picture].numpy(), row, column, 2 * math.pi * k / 16) for k in range(16)]
        length, cut = np.array([s[0] for s in slow]), np.array([s[1] for s in slow])
        close = np.abs(star.reach[one].numpy() - length) < 1.5
        # A digital line may pass a corner on the other side.
        assert close.mean() >= 14 / 16, f"{star.reach[one]} is not {length}"
        assert (star.cut[one].numpy() == cut)[close].mean() >= 12 / 16


def test_a_disc_is_as_deep_as_its_middle():
    objects = torch.zeros(1, 41, 41, dtype=torch.int16)
    objects[0, ball(41, 20.5, 20.5, 12)] = 1
    star = rays.measure(objects, 32)
    middle = int((star.place == 20 * 41 + 20).nonzero())
    assert (star.reach[middle] - 12).abs().max() < 0.8
    assert star.depth[middle] == 1 and not star.cut.any()
    from_middle = ((star.place // 41 - 20.0) ** 2 + (star.place % 41 - 20.0) ** 2).sqrt()
    assert (star.depth - (1 - from_middle / 12)).abs().max() < 0.12


def test_all_mirror_images_measure_the_same():
    objects = torch.zeros(1, 41, 41, dtype=torch.int16)
    objects[0, ball(41, 17, 22, 12) | ball(41, 24, 19, 9)] = 1
    plain = rays.measure(objects, 32)
    mirrored = rays.measure(objects.flip(2), 32)
    back = mirrored.place // 41 * 41 + 40 - mirrored.place % 41
    order = back.argsort()
    turned = (16 - torch.arange(32)) % 32
    assert torch.equal(back[order], plain.place)
    # Halves are rounded to even places, which a mirror image does otherwise.
    assert ((mirrored.reach[order][:, turned] - plain.reach).abs() < 1e-3).float().mean() > 0.9


def test_large_objects_are_walked_in_long_steps_to_the_same_end(monkeypatch):
    objects = torch.zeros(1, 300, 300, dtype=torch.int16)
    objects[0, ball(300, 150, 140, 120)] = 1
    objects[0, ball(300, 150, 140, 20)] = 2
    quick = rays.measure(objects, 32, 4)
    monkeypatch.setattr(rays, "_STRIDES", 10**6)
    slow = rays.measure(objects, 32, 4)
    # But for rays along a border, that leave it and come back.
    assert torch.isclose(quick.reach, slow.reach).float().mean() > 0.97 and (quick.reach - slow.reach).abs().mean() < 0.2


def test_an_object_over_the_whole_picture_and_a_picture_without_any():
    full = rays.measure(torch.ones(1, 16, 16, dtype=torch.int16), 8)
    assert full.cut.all() and (full.depth == 1).all() and torch.isfinite(full.reach).all()
    for value in (0, -1):
        none = rays.measure(torch.full((2, 16, 16), value, dtype=torch.int16), 8, 2)
        assert len(none.place) == 0 and none.reach.shape == (0, 8)


def test_the_deepest_place_gives_the_object_back():
    objects = torch.zeros(1, 96, 96, dtype=torch.int16)
    place = torch.arange(96) + 0.5
    objects[0][((place[None] - 40) / 30) ** 2 + ((place[:, None] - 50) / 17) ** 2 < 1] = 1
    star = rays.measure(objects, 32)
    best = int(star.depth.argmax())
    centre = torch.stack([star.place[best] % 96, star.place[best] // 96]) + 0.5
    mask = drawn(rays.outlines(centre, star.reach[best])[None], 96, 96)[0]
    true = objects[0] > 0
    assert (mask & true).sum() / (mask | true).sum() > 0.96


def test_pasting_is_what_a_polygon_rasteriser_draws():
    centres, reach = stars(0, 12)
    corners = rays.outlines(centres, reach)[0] * torch.tensor([1.7, 0.6]) + torch.tensor([-8.0, 3.0])  # stretched, and partly outside
    masks = drawn(corners, 40, 90)
    assert masks.shape == (12, 40, 90) and masks.dtype == torch.bool
    for corner, mask in zip(corners.double().numpy(), masks.numpy(), strict=True):
        inside = np.zeros((40, 90), bool)
        x, y = np.meshgrid(np.arange(90) + 0.5, np.arange(40) + 0.5)
        for (x1, y1), (x2, y2) in zip(corner, np.roll(corner, -1, 0), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                inside ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
        assert np.array_equal(mask, inside), "even-odd and winding agree on a star polygon"
        native = _rle.decode(_rle.from_polygons([corner], 40, 90), 40, 90)
        edge = np.abs(np.roll(inside, 1, 0).astype(int) - inside) + np.abs(np.roll(inside, 1, 1).astype(int) - inside)
        assert (native != mask).sum() <= 0.25 * edge.sum() + 4


def test_each_is_pasted_within_its_box_as_all_are_at_once():
    centres, reach = stars(1, 150)
    corners = rays.outlines(centres, reach)
    corners[:, 100:] = 0  # unused rows
    corners[:, 90:100] += 100  # out of the picture
    piecewise = drawn(corners, 64, 60)
    assert piecewise.shape == (1, 150, 64, 60) and not piecewise[:, 90:].any()
    at_once = rays._pasted(corners[0], torch.ones(64), torch.ones(60))
    assert (piecewise[0] != at_once).sum() <= 2  # centres on a side, but for rounding
    assert drawn(corners[0, :0], 64, 64).shape == (0, 64, 64)


def test_pasted_areas_are_polygon_areas():
    centres, reach = stars(2, 20)
    fine = drawn(rays.outlines(centres, reach)[0] * 8, 512, 512)
    assert ((fine.sum((1, 2)) / 64 - rays.areas(reach)[0]).abs() < 0.02 * rays.areas(reach)[0] + 0.5).all()


def test_points_are_inside_where_pixels_are():
    centres, reach = stars(3, 6)
    place = torch.arange(64) + 0.5
    points = torch.stack(torch.meshgrid(place, place, indexing="xy"), 2).flatten(0, 1)
    found = rays.inside(points[None] - centres[0][:, None], reach[0]).view(6, 64, 64)
    assert (found != drawn(rays.outlines(centres, reach)[0], 64, 64)).sum() <= 2  # centres on a side, but for rounding


def test_what_two_outlines_share_is_close_to_what_fine_masks_share():
    centres, reach = stars(4, 24)
    partners = torch.arange(24).expand(1, 24, 24)
    told = rays.shared(centres, reach, partners)[0]
    fine = drawn(rays.outlines(centres, reach)[0] * 8, 512, 512).flatten(1).float()
    area = fine.sum(1)
    true = fine @ fine.T / torch.minimum(area[:, None], area)
    assert (told - true).abs().max() < 0.1 and (told - true).abs().mean() < 0.012
    assert ((told > 0.5) == (true > 0.5)).float().mean() > 0.97


class Both(nn.Module):
    """What an exported graph does with rays, whatever the size of the picture."""

    def forward(self, centres, reach, partners, picture):
        corners = rays.outlines(centres, reach)
        down, across = torch.ones_like(picture[0, :, 0]), torch.ones_like(picture[0, 0])
        return rays.shared(centres, reach, partners), rays.paste(corners * torch.tensor([1.25, 0.75]), down, across)


def test_it_is_exportable(tmp_path):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    centres, reach = stars(5, 80)
    centres, reach = torch.cat([centres, centres + 3]), torch.cat([reach, reach * 0.8])
    partners = torch.randint(0, 80, (2, 80, 5), generator=torch.Generator().manual_seed(0))
    inputs = (centres, reach, partners, torch.zeros(2, 48, 80))
    free = torch.export.Dim.DYNAMIC
    shapes = ({0: free}, {0: free}, {0: free}, {0: free, 1: free, 2: free})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Both().eval(), inputs, str(tmp_path / "rays.onnx"), dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = ort.InferenceSession(str(tmp_path / "rays.onnx"), providers=["CPUExecutionProvider"])
    for count, height, width in ((2, 48, 80), (1, 50, 33)):
        inputs = (centres[:count], reach[:count], partners[:count], torch.zeros(count, height, width))
        shared, masks = session.run(None, {put.name: value.numpy() for put, value in zip(session.get_inputs(), inputs, strict=True)})
        plain = Both()(*inputs)
        assert np.abs(shared - plain[0].numpy()).max() < 0.03  # a sample point on a side
        assert masks.shape == (count, 80, height, width) and (masks != plain[1].numpy()).sum() <= 8


@pytest.mark.parametrize("some", [slice(0, None, 2), slice(1, None, 2)])
def test_some_rays_are_as_long_as_among_all(some):
    objects = torch.zeros(2, 40, 40, dtype=torch.int16)
    objects[0, 5:30, 8:20], objects[1, 0:9, 30:], objects[1, 20:24, 3:33] = 1, 1, 2
    whole, part = rays.measure(objects, 16, 2), rays.measure(objects, 16, 2, some)
    assert (
        torch.equal(part.place, whole.place) and torch.equal(part.reach, whole.reach[:, some]) and torch.equal(part.cut, whole.cut[:, some])
    )
    assert ((part.depth - whole.depth).abs() < 0.35).all() and part.depth.max() == 1
