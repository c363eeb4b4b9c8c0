"""Losses over pixels against numbers worked by hand and against references that count pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from omma import catalog
from omma.errors import OmmaError
from omma.losses.cldice import cldice, eroded, opened, skeleton
from omma.losses.dice import dice
from omma.losses.loss import PARTS, PIXEL_LOSSES, pixel_loss
from omma.losses.lovasz import lovasz

VOID = 255


def drawn(batch: int = 2, classes: int = 3, side: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random logits, and random classes with some void pixels."""
    chance = np.random.default_rng(seed)
    target = chance.integers(0, classes, (batch, side, side))
    target[chance.random(target.shape) < 0.2] = VOID
    return torch.from_numpy(chance.normal(0, 2, (batch, classes, side, side)).astype(np.float32)), torch.from_numpy(target.astype(np.uint8))


def sure(target: torch.Tensor, classes: int) -> torch.Tensor:
    """Logits that leave no doubt; at void pixels they tell nonsense."""
    return torch.nn.functional.one_hot(target.long() % classes, classes).permute(0, 3, 1, 2).float() * 60 - 30


def pixels(logits: torch.Tensor, target: torch.Tensor):
    """(shares of the classes, class) of every pixel that is not void, one by one."""
    shares = logits.double().softmax(1)
    for b, y, x in np.ndindex(*target.shape):
        if target[b, y, x] != VOID:
            yield shares[b, :, y, x].tolist(), int(target[b, y, x])


# ── pixel by pixel ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_cross_entropy(weight):
    logits, target = drawn()
    share = weight or [1.0] * 3
    terms = [(-math.log(p[t]) * share[t], share[t]) for p, t in pixels(logits, target)]
    want = sum(loss for loss, _ in terms) / sum(w for _, w in terms)
    found = pixel_loss("cross_entropy", logits, target, weight=None if weight is None else torch.tensor(weight))
    assert found["cross_entropy"].item() == pytest.approx(want, rel=1e-5)


def test_cross_entropy_gives_a_share_to_all_classes():
    logits, target = drawn()
    want = np.mean([-0.9 * math.log(p[t]) - sum(0.1 / 3 * math.log(q) for q in p) for p, t in pixels(logits, target)])
    assert pixel_loss("cross_entropy", logits, target, smoothing=0.1)["cross_entropy"].item() == pytest.approx(want, rel=1e-5)


def test_focal():
    logits, target = drawn()
    want = np.mean([-((1 - p[t]) ** 2) * math.log(p[t]) for p, t in pixels(logits, target)])
    assert pixel_loss("focal", logits, target)["focal"].item() == pytest.approx(want, rel=1e-5)


# ── overlap of regions ──────────────────────────────────────────────────────────────────────────────────


def test_dice_by_hand():
    """One picture of two pixels: shares (0.8, 0.2) and (0.4, 0.6), truth 0 and 1."""
    logits = torch.tensor([[[0.8, 0.4]], [[0.2, 0.6]]]).log()[None]
    target = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    first = 1 - 2 * 0.8 / (0.8**2 + 0.4**2 + 1)
    second = 1 - 2 * 0.6 / (0.2**2 + 0.6**2 + 1)
    assert dice(logits, target).item() == pytest.approx((first + second) / 2, abs=1e-6)
    assert dice(logits, target, weight=torch.tensor([3.0, 1.0])).item() == pytest.approx((3 * first + second) / 4, abs=1e-6)
    assert dice(logits, torch.tensor([[[0, VOID]]], dtype=torch.uint8)).item() == pytest.approx(1 - 2 * 0.8 / (0.8**2 + 1), abs=1e-6)


def test_dice_counts_pixel_by_pixel():
    logits, target = drawn(classes=4)
    target[target == 3] = 1  # a class that the truth does not show is not counted
    terms = []
    for c in range(3):
        rows = [(p[c], float(t == c)) for p, t in pixels(logits, target)]
        terms.append(1 - 2 * sum(p * g for p, g in rows) / sum(p * p + g * g for p, g in rows))
    assert dice(logits, target).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_dice_of_a_softened_truth_is_least_at_that_truth():
    target = drawn()[1]
    shares = torch.nn.functional.one_hot(target.long() % 3, 3).permute(0, 3, 1, 2) * 0.7 + 0.1
    assert dice(shares.log(), target, smoothing=0.3).item() == pytest.approx(0, abs=1e-6)
    assert dice(sure(target, 3), target, smoothing=0.3).item() > 0.01


def jaccard_lost(truth: list[bool], wrong: set[int]) -> float:
    """1 − IoU of a class when exactly these pixels are wrong."""
    kept = sum(t and i not in wrong for i, t in enumerate(truth))
    union = sum(t or i in wrong for i, t in enumerate(truth))
    return 1 - kept / union


@pytest.mark.parametrize("seed", range(3))
def test_lovasz_is_the_extension_of_what_iou_loses(seed):
    logits, target = drawn(side=4, seed=seed)
    terms = []
    for c in sorted({t for _, t in pixels(logits, target)}):
        rows = [(abs((t == c) - p[c]), t == c) for p, t in pixels(logits, target)]
        truth, wrong, total, before = [t for _, t in rows], set(), 0.0, 0.0
        for i in sorted(range(len(rows)), key=lambda i: -rows[i][0]):
            wrong.add(i)
            total += rows[i][0] * (jaccard_lost(truth, wrong) - before)
            before = jaccard_lost(truth, wrong)
        terms.append(total)
    assert lovasz(logits, target).item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_lovasz_of_certain_answers_is_what_iou_lacks():
    target = torch.tensor([[[0, 0, 1, 1], [0, 1, 1, VOID]]], dtype=torch.uint8)
    answer = torch.tensor([[[0, 1, 1, 1], [0, 1, 0, 1]]], dtype=torch.uint8)
    assert lovasz(sure(answer, 2), target).item() == pytest.approx(1 - (2 / 4 + 3 / 5) / 2, abs=1e-5)


# ── centrelines ─────────────────────────────────────────────────────────────────────────────────────────


def slow_skeleton(mask: np.ndarray, rounds: int) -> np.ndarray:
    """The definition, neighbour by neighbour."""

    def over(pixels, near, pick):
        high, wide = pixels.shape
        return np.array(
            [
                [pick(pixels[y + dy, x + dx] for dy, dx in near if 0 <= y + dy < high and 0 <= x + dx < wide) for x in range(wide)]
                for y in range(high)
            ]
        )

    cross = [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)]
    block = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    found = np.zeros_like(mask)
    for _ in range(rounds + 1):
        small = over(mask, cross, min)
        more = np.maximum(mask - over(small, block, max), 0)
        found = found + np.maximum(more - found * more, 0)
        mask = small
    return found


def test_the_skeleton_is_its_definition():
    mask = np.random.default_rng(3).random((9, 11)).astype(np.float32)
    found = skeleton(torch.from_numpy(mask)[None, None], 3)[0, 0].numpy()
    np.testing.assert_allclose(found, slow_skeleton(mask, 3), atol=1e-6)


def test_the_skeleton_of_a_bar_is_its_middle():
    bar = torch.zeros(1, 1, 11, 16)
    bar[..., 3:8, 3:13] = 1
    bones = skeleton(bar)[0, 0]
    assert bones[5, 5:11].eq(1).all() and bones[:5, 6:10].eq(0).all() and bones[6:, 6:10].eq(0).all()
    assert eroded(bar).sum() == 3 * 8 and (opened(bar) <= bar).all()


def vessel(thick: int, gap: bool = False) -> torch.Tensor:
    mask = torch.zeros(1, 17, 32, dtype=torch.uint8)
    mask[:, 8 - thick // 2 : 9 + thick // 2] = 1
    if gap:
        mask[:, :, 12:20] = 0
    return mask


def test_what_is_broken_costs_more_than_what_is_thin():
    truth = vessel(5)
    loss = {name: cldice(sure(answer, 2), truth, background=0).item() for name, answer in
            {"same": truth, "thin": vessel(3), "broken": vessel(5, gap=True)}.items()}  # fmt: skip
    assert loss["same"] == pytest.approx(0, abs=1e-6)
    assert loss["thin"] < 0.05 < 0.1 < loss["broken"]
    # With the background, which keeps its shape, the mean is smaller.
    assert cldice(sure(vessel(5, gap=True), 2), truth).item() < loss["broken"]


# ── the entrance ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_learned_from_what_is_not_void(name):
    logits, target = drawn(side=8)
    logits.requires_grad_(True)
    loss = pixel_loss(name, logits, target, background=0)[name]
    (slope,) = torch.autograd.grad(loss, logits)
    void = (target == VOID)[:, None].expand_as(slope)
    assert loss.dim() == 0 and loss > 0 and torch.isfinite(slope).all() and slope.abs().sum() > 0
    assert slope[void].eq(0).all(), "what lies under void pixels does not matter"
    assert pixel_loss(name, sure(target, 3), target, background=0)[name].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", PARTS)
def test_a_batch_of_void_says_nothing(name):
    logits = drawn()[0].requires_grad_(True)
    loss = pixel_loss(name, logits, torch.full((2, 6, 6), VOID, dtype=torch.uint8), weight=torch.ones(3), smoothing=0.1)[name]
    (slope,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0 and slope.eq(0).all()


@pytest.mark.parametrize("name", PARTS)
def test_pictures_may_lie_in_any_order_of_memory(name):
    logits, target = drawn(side=8)
    plain, last = (
        pixel_loss(name, logits.contiguous(memory_format=f), target)[name] for f in (torch.contiguous_format, torch.channels_last)
    )
    torch.testing.assert_close(plain, last)


def test_sums_are_told_part_by_part():
    logits, target = drawn()
    found = pixel_loss("cross_entropy+dice", logits, target)
    assert list(found) == ["cross_entropy", "dice"]
    assert found["dice"] == pixel_loss("dice", logits, target)["dice"]
    assert set(PARTS) < set(PIXEL_LOSSES) and "cross_entropy+dice+cldice" in PIXEL_LOSSES and len(PIXEL_LOSSES) == 25


def test_an_unknown_loss_is_refused_with_the_nearest():
    with pytest.raises(OmmaError, match="lovasz"):
        pixel_loss("cross_entropy+lovas", *drawn())
    assert {"dice", "lovasz", "cldice"} <= set(catalog.names("losses")) and "loss" not in catalog.names("losses")


# ── in training ─────────────────────────────────────────────────────────────────────────────────────────


class Rough(torch.nn.Module):
    """Says the same logits, one for each 2×2 pixels, of whatever it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0)))

    def rough(self, pictures):
        return self.logits

    def forward(self, pictures):
        return self.logits.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_training_asks_of_each_logit_one_of_its_pixels_at_random():
    from omma.tasks.segment import Segment
    from omma.tasks.task import Batch

    net, target = Rough(), torch.randint(0, 2, (1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    batch = Batch(torch.zeros(1, 3, 6, 6), {"mask": target}, torch.arange(1))
    task = Segment(["ground", "thing"], loss="cross_entropy")
    torch.manual_seed(0)
    draws = [float(task.loss(net.train(), batch)["cross_entropy"].detach()) for _ in range(64)]
    whole = float(task.loss(net.eval(), batch)["cross_entropy"].detach())
    assert len({round(value, 6) for value in draws}) == 4, "four pixels for each logit, all logits shifted alike"
    assert abs(sum(sorted(set(draws))) / len(set(draws)) - whole) < 1e-5, "in the mean, the loss of all pixels"
    thin = Segment(["ground", "thing"], loss="cross_entropy+cldice")
    assert float(thin.loss(net.train(), batch)["cross_entropy"].detach()) == pytest.approx(whole), "lines are not torn"
