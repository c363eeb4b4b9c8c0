"""Pictures vary as the recipe says, each by its own draws, whatever batch it comes in."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from omma.answers.label import Label
from omma.data import chance
from omma.data.frames import reflect
from omma.data.variation import trivial
from omma.data.variation.vary import Draw, Vary, mirror, whole, window
from omma.data.views import Views
from omma.recipe import Recipe

SIZE, COUNT = 32, 64
VIEWS = Views(SIZE, 3, "squash", (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
INDEX = torch.arange(COUNT) * 7 + 3
ALL = {"flip": True, "shift": 0.125, "rotate": 15.0, "scale": 0.2, "colour": 0.3, "trivial": True, "erase": 0.25}


def frames(count: int = COUNT, size: int = SIZE) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8))


def truth(count: int = COUNT) -> dict[str, torch.Tensor]:
    return {"target": torch.nn.functional.one_hot(torch.arange(count) % 5, 5).float()}


def vary(**values) -> Vary:
    return Vary(VIEWS, Recipe(seed=3).put("you", **values), Label)


def levels(pictures: torch.Tensor) -> torch.Tensor:
    """Normalised pictures back as (B, S, S, C) 0–255."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (VIEWS.mean, VIEWS.std))
    return ((pictures * std + mean) * 255).permute(0, 2, 3, 1)


def test_nothing_asked_nothing_done():
    pictures, same = vary()(frames(), truth(), INDEX, 0)
    assert torch.equal(pictures, VIEWS.finish(frames())) and torch.equal(same["target"], truth()["target"])


@pytest.mark.parametrize("values", [{}, *({key: value} for key, value in ALL.items()), ALL, ALL | {"mixup": 0.4, "cutmix": 1.0}])
def test_shape_layout_and_that_frames_stay(values):
    given, twice = frames(), [vary(**values)(frames(), truth(), INDEX, 2)[0] for _ in range(2)]
    pictures, soft = vary(**values)(given, truth(), INDEX, 2)
    assert pictures.shape == (COUNT, 3, SIZE, SIZE) and pictures.dtype == torch.float32
    assert pictures.is_contiguous(memory_format=torch.channels_last) and torch.isfinite(pictures).all()
    assert torch.equal(given, frames()), "frames are not written to"
    assert torch.equal(twice[0], twice[1]) and torch.equal(twice[0], pictures)
    torch.testing.assert_close(soft["target"].sum(1), torch.ones(COUNT))


@pytest.mark.parametrize("key", list(ALL))
def test_each_setting_changes_pictures_and_epochs_differ(key):
    plain = VIEWS.finish(frames())
    first, second = (vary(**{key: ALL[key]})(frames(), truth(), INDEX, epoch)[0] for epoch in (0, 1))
    changed = (first != plain).flatten(1).any(1).float().mean()
    assert changed > 0.35 and not torch.equal(first, second)


def test_a_sample_varies_the_same_in_any_batch():
    whole_batch = vary(**ALL)(frames(), truth(), INDEX, 4)[0]
    some = torch.tensor([60, 3, 17])
    part = vary(**ALL)(frames()[some], truth(3), INDEX[some], 4)[0]
    torch.testing.assert_close(part, whole_batch[some], rtol=1e-4, atol=1e-4)  # sums of a convolution may be ordered otherwise
    simple = {"flip": True, "shift": 0.125, "erase": 0.25}
    assert torch.equal(vary(**simple)(frames()[some], truth(3), INDEX[some], 4)[0], vary(**simple)(frames(), truth(), INDEX, 4)[0][some])
    # The control: another place in the dataset draws something else.
    assert not torch.equal(vary(**simple)(frames(), truth(), INDEX + 1, 4)[0], vary(**simple)(frames(), truth(), INDEX, 4)[0])


def test_margins_in_advance_or_on_the_spot():
    for values in (ALL, {"shift": 0.125}, {"shift": 0.5, "flip": True}):
        it = vary(**values)
        assert torch.equal(it(reflect(frames(), it.margin), truth(), INDEX, 1)[0], it(frames(), truth(), INDEX, 1)[0])


def test_flip_shows_both_sides_in_two_epochs():
    plain, turned = VIEWS.finish(frames()), VIEWS.finish(frames()).flip(3)
    seen = [vary(flip=True)(frames(), truth(), INDEX, epoch)[0] for epoch in range(2)]
    over = [(pictures == turned).flatten(1).all(1) for pictures in seen]
    assert torch.equal(over[0], ~over[1]) and 0.3 < over[0].float().mean() < 0.7
    assert all(((pictures == plain).flatten(1).all(1) | flipped).all() for pictures, flipped in zip(seen, over, strict=True))


def test_shift_takes_every_window_and_no_other():
    it, given = vary(shift=0.0625), frames()
    padded, found = reflect(given, 2), it(given, truth(), INDEX, 0)[0]
    corners = set()
    for place in range(COUNT):
        fits = [
            (y, x) for y in range(5) for x in range(5)
            if torch.equal(VIEWS.finish(padded[place : place + 1, y : y + SIZE, x : x + SIZE].contiguous())[0], found[place])
        ]  # fmt: skip
        assert len(fits) == 1
        corners.add(fits[0])
    assert len(corners) > 15


def test_both_ways_of_taking_a_window_and_mirroring():
    down, right = torch.arange(COUNT) % 9, torch.arange(COUNT) % 7
    wide = reflect(frames(), 4)
    wanted = torch.stack([wide[i, d : d + SIZE, r : r + SIZE] for i, (d, r) in enumerate(zip(down.tolist(), right.tolist(), strict=True))])
    assert torch.equal(window(wide, down, right, SIZE), wanted)
    where = torch.tensor([1, 5])
    turned = mirror(frames(), where, own=False)
    assert torch.equal(turned[where], frames()[where].flip(2)) and torch.equal(turned[0], frames()[0])


def test_erase_is_one_square_of_the_mean_colour():
    found = levels(vary(erase=0.25)(frames(), truth(), INDEX, 0)[0]).round()
    filling = torch.tensor(VIEWS.filling)
    for place in range(COUNT):
        hole = (found[place] == filling).all(-1)
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        assert hole.sum() == 64 and rows[-1] - rows[0] == 7 and columns[-1] - columns[0] == 7
        assert torch.equal(found[place][~hole], frames()[place].float()[~hole])


def test_rotation_keeps_the_centre_and_no_rotation_keeps_all():
    dot = torch.zeros(COUNT, 33, 33, 3, dtype=torch.uint8)
    dot[:, 16, 16] = 255
    views = Views(33, 3)
    turned = Vary(views, Recipe().put("you", rotate=90.0, scale=0.0), Label)(dot, truth(), INDEX, 0)[0]
    assert (turned[:, 0].flatten(1).argmax(1) == 16 * 33 + 16).all()
    still = trivial.affine(torch.zeros(1), torch.ones(1))
    assert torch.equal(still[0], torch.eye(3))
    quarter = trivial.affine(torch.tensor([math.pi / 2]), torch.ones(1))[:, :2]
    picture = torch.rand(1, 1, 9, 9)
    grid = torch.nn.functional.affine_grid(quarter, [1, 1, 9, 9], align_corners=False)
    torch.testing.assert_close(
        torch.nn.functional.grid_sample(picture, grid, align_corners=False), picture.rot90(1, (2, 3)), atol=1e-5, rtol=0
    )


def test_scale_stays_within_its_bounds():
    square = torch.zeros(COUNT, SIZE, SIZE, 3, dtype=torch.uint8)
    square[:, 8:24, 8:24] = 255
    pictures = levels(vary(scale=0.25)(square, truth(), INDEX, 0)[0])
    side = (pictures[..., 0].sum((1, 2)) / 255).sqrt() / 16
    assert side.min() > 0.74 and side.max() < 1.26 and side.std() > 0.08


# TrivialAugment against torchvision's, operation by operation.


@pytest.mark.parametrize("strength", [-1.0, -0.5, 0.3, 1.0])
@pytest.mark.parametrize("name", ["brightness", "color", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize"])
def test_colour_operations_are_torchvisions(name, strength):
    v2 = pytest.importorskip("torchvision.transforms.v2.functional")
    picture = frames(3).permute(0, 3, 1, 2)
    picture[1] = picture[1] // 3 + 40  # a dull one, whose histogram has gaps
    picture[2] = picture[2, :, :1, :1]  # a constant one
    theirs = {
        "brightness": lambda p: v2.adjust_brightness(p, 1 + 0.99 * strength),
        "color": lambda p: v2.adjust_saturation(p, 1 + 0.99 * strength),
        "contrast": lambda p: v2.adjust_contrast(p, 1 + 0.99 * strength),
        "sharpness": lambda p: v2.adjust_sharpness(p, 1 + 0.99 * strength),
        "posterize": lambda p: v2.posterize(p, 8 - round(abs(strength) * 6)),
        "solarize": lambda p: v2.solarize(p, 255 * (1 - abs(strength))),
        "autocontrast": v2.autocontrast,
        "equalize": v2.equalize,
    }[name](picture)
    ours = trivial.change(picture.float(), name, torch.full((3,), strength))
    assert (ours - theirs.float()).abs().max() < 2, name  # theirs is cut off to whole levels, twice


@pytest.mark.parametrize(
    ("name", "strength"), [("shear_x", 0.4), ("shear_y", -0.4), ("translate_x", 0.25), ("translate_y", -0.25), ("rotate", 0.3)]
)
def test_geometry_moves_as_far_as_torchvisions(name, strength):
    v2 = pytest.importorskip("torchvision.transforms.v2.functional")
    wave = torch.linspace(0, 6, SIZE).sin()
    picture = (wave[:, None] * wave[None, :]).expand(1, 3, SIZE, SIZE).contiguous()
    theta, moved = trivial.geometry(torch.tensor([trivial.OPERATIONS.index(name)]), torch.tensor([strength]), SIZE)
    grid = torch.nn.functional.affine_grid(theta[:, :2], [1, 3, SIZE, SIZE], align_corners=False)
    ours = torch.nn.functional.grid_sample(picture, grid, align_corners=False)
    slope = math.degrees(math.atan(0.99 * strength))
    candidates = []
    for sign in (1, -1):  # which way is up is a matter of taste; how far is not
        arguments = {
            "shear_x": (0.0, [0, 0], [sign * slope, 0.0]), "shear_y": (0.0, [0, 0], [0.0, sign * slope]),
            "translate_x": (0.0, [sign * round(32 * strength), 0], [0.0, 0.0]),
            "translate_y": (0.0, [0, sign * round(32 * strength)], [0.0, 0.0]), "rotate": (sign * 135 * strength, [0, 0], [0.0, 0.0]),
        }[name]  # fmt: skip
        theirs = v2.affine(picture, arguments[0], arguments[1], 1.0, arguments[2], interpolation=v2.InterpolationMode.BILINEAR)
        candidates.append((ours - theirs)[..., 12:20, 12:20].abs().max())
    assert moved.all() and min(candidates) < 0.02 and max(candidates) > 0.1


def test_trivial_takes_every_operation():
    index = torch.arange(2000)
    which = whole(chance.uniform(0, 0, index, Draw.OPERATION), len(trivial.OPERATIONS))
    counts = torch.bincount(which, minlength=14)
    assert len(counts) == 14 and counts.min() > 90
    values = {float(chance.uniform(0, 0, torch.tensor([i]), Draw.STRENGTH)) for i in range(50)}
    assert len(values) == 50
    assert int(whole(torch.tensor([1 - 2.0**-24]), 9)) == 8, "never rounds up"


def test_draws_have_numbers_of_their_own():
    assert len({int(draw) for draw in Draw}) == len(Draw) and max(Draw) < chance.ORDER
    it = vary(**ALL, mixup=0.2, cutmix=1.0)
    assert len(set(it.draws)) == len(it.draws)


# Blends.


def test_mixup_blends_pictures_and_truths_alike():
    flat = (torch.arange(COUNT, dtype=torch.uint8) * 3).view(-1, 1, 1, 1).expand(COUNT, SIZE, SIZE, 3).contiguous()
    one_each = {"target": torch.eye(COUNT)}
    pictures, soft = vary(mixup=1.0)(flat, one_each, INDEX, 0)
    values = levels(pictures)[:, 0, 0, 0]
    torch.testing.assert_close(values, soft["target"] @ (torch.arange(COUNT) * 3.0), rtol=1e-3, atol=0.05)
    assert (soft["target"] > 0).sum(1).max() == 2 and soft["target"].amax(1).std() > 0.05
    partners = (soft["target"] - torch.diag(soft["target"].diag())).argmax(1)
    assert len(partners.unique()) > COUNT * 0.9, "everyone is somebody's partner"


def test_cutmix_counts_the_pixels_it_pastes():
    flat = (torch.arange(COUNT, dtype=torch.uint8) * 3).view(-1, 1, 1, 1).expand(COUNT, SIZE, SIZE, 3).contiguous()
    pictures, soft = vary(cutmix=1.0)(flat, {"target": torch.eye(COUNT)}, INDEX, 0)
    values = levels(pictures)[..., 0].round()
    for place in range(COUNT):
        own = values[place] == place * 3
        assert abs(own.float().mean() - soft["target"][place, place]) < 1e-4
        foreign = ~own
        rows, columns = foreign.any(1).sum(), foreign.any(0).sum()
        assert foreign.sum() == rows * columns, "one box"
        assert len(values[place][foreign].unique()) <= 1


def test_both_blends_take_turns_and_zero_is_none():
    pictures, soft = vary(mixup=0.4, cutmix=1.0)(frames(), {"target": torch.eye(COUNT)}, INDEX, 0)
    exact = (pictures == VIEWS.finish(frames())).flatten(1).float().mean(1)
    assert 0.25 < ((exact > 0.01) & (exact < 1)).float().mean() < 0.75
    torch.testing.assert_close(soft["target"].sum(1), torch.ones(COUNT))
    plain, same = vary(mixup=0.0, cutmix=0.0)(frames(), truth(), INDEX, 0)
    assert torch.equal(plain, VIEWS.finish(frames())) and torch.equal(same["target"], truth()["target"])


def test_shares_follow_beta():
    it = vary(mixup=0.4)
    shares = torch.lerp(it.tables["mixup"][:-1], it.tables["mixup"][1:], 0.5)
    assert abs(shares.mean() - 0.5) < 1e-3 and abs(shares.var() - 1 / (4 * (2 * 0.4 + 1))) < 2e-3  # the variance of Beta(a, a)
    assert it.tables["mixup"].diff().min() >= 0


def test_a_batch_of_one_and_grey_pictures():
    grey = Views(16, 1, "squash", (0.5,), (0.2,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        it = Vary(grey, Recipe().put("you", **ALL, mixup=0.4, cutmix=1.0), Label)
        pictures, soft = it(frames(1, 16)[..., :1].contiguous(), truth(1), INDEX[:1], 0)
    assert pictures.shape == (1, 1, 16, 16) and torch.isfinite(pictures).all() and float(soft["target"].sum()) == pytest.approx(1)


@pytest.mark.gpu
@pytest.mark.parametrize("values", [{"flip": True, "shift": 0.125, "erase": 0.25}, ALL])
def test_the_accelerator_varies_the_same(values):
    here = vary(**values)(frames(), truth(), INDEX, 1)[0]
    there = vary(**values)(frames().cuda(), {"target": truth()["target"].cuda()}, INDEX.cuda(), 1)[0]
    assert ((here - there.cpu()).abs() < 0.02).float().mean() > 0.999
