"""Suppression as tensor arithmetic gives what the sequential algorithm gives, in an exported graph, too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from omma.parts import boxes as geometry
from omma.parts.suppress import FLOOR, ROUNDS, pick, suppress


def crowd(count: int, spread: float, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` boxes around a few centres in 300 × 300 pixels, best first."""
    chance = torch.Generator().manual_seed(seed)
    middle = torch.rand(1 + count // 20, 2, generator=chance).repeat(20, 1)[:count] * 300
    middle = middle + spread * torch.randn(count, 2, generator=chance)
    half = 10 + 30 * torch.rand(count, 2, generator=chance)
    return torch.cat([middle - half, middle + half], 1), torch.randint(classes, (count,), generator=chance)


def one_by_one(boxes: torch.Tensor, classes: torch.Tensor, overlap: float) -> torch.Tensor:
    """torchvision's answer, class by class, for boxes that lie best first."""
    kept = torch.zeros(len(boxes), dtype=torch.bool)
    falling = torch.linspace(1, 0.5, len(boxes))
    for label in classes.unique():
        rows = (classes == label).nonzero()[:, 0]
        kept[rows[torchvision.ops.nms(boxes[rows], falling[rows], overlap)]] = True
    return kept


@pytest.mark.parametrize("overlap", [0.3, 0.5, 0.65])
@pytest.mark.parametrize("spread", [0.0, 3.0, 15.0, 100.0])
@pytest.mark.parametrize("classes", [1, 4])
def test_as_the_sequential_algorithm(overlap, spread, classes):
    for seed in range(6):
        boxes, labels = crowd(400, spread, classes, seed)
        assert torch.equal(suppress(boxes[None], labels[None], overlap)[0], one_by_one(boxes, labels, overlap))


def rounds_needed(boxes: torch.Tensor, classes: torch.Tensor, overlap: float) -> int:
    """After how many rounds nothing changes any more."""
    last = suppress(boxes[None], classes[None], overlap, len(boxes))
    return next(n for n in range(len(boxes) + 1) if torch.equal(suppress(boxes[None], classes[None], overlap, n), last))


def test_chains_of_crowds_are_shorter_than_the_rounds():
    deepest = max(rounds_needed(*crowd(300, spread, 1, seed), 0.5) for spread in (3.0, 15.0, 60.0) for seed in range(4))
    assert 3 <= deepest <= ROUNDS // 2, deepest


def stairs(count: int) -> torch.Tensor:
    """Each box overlaps only the next: the longest chain there is."""
    x = torch.arange(count) * 4.0
    return torch.stack([x, torch.zeros(count), x + 10, torch.full((count,), 10.0)], 1)


def test_a_chain_as_long_as_the_rounds_is_settled_and_a_longer_one_keeps_a_box_too_many():
    one = torch.zeros(1, 200, dtype=torch.long)
    boxes = stairs(200)
    exact = one_by_one(boxes, one[0], 0.4)
    assert torch.equal(suppress(boxes[None], one, 0.4, 200)[0], exact), "as many rounds as boxes always suffice"
    found = suppress(boxes[None], one, 0.4)[0]
    assert torch.equal(found[:ROUNDS], exact[:ROUNDS]) and bool((found | ~exact).all())


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_hostile_boxes(overlap):
    same = torch.tensor([[10.0, 10, 20, 20]]).repeat(50, 1)
    empty = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 9], [5, 5, 5, 5]])
    touching = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [0, 0, 20, 10], [0, 0, 10, 20]])
    pixel = torch.tensor([[3.0, 3, 4, 4], [3, 3, 4, 4], [4, 3, 5, 4]])
    huge = torch.tensor([[0.0, 0, 4096, 4096], [1, 1, 4096, 4096]])
    boxes = torch.cat([touching, same, empty, pixel, huge])
    for seed in range(5):
        order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(seed))
        labels = (torch.arange(len(boxes)) % 3)[order]
        assert torch.equal(suppress(boxes[order][None], labels[None], overlap)[0], one_by_one(boxes[order], labels, overlap))


def test_an_overlap_as_large_as_allowed_is_allowed():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])  # IoU is 0.5 exactly
    both, one = (suppress(boxes[None], torch.zeros(1, 2, dtype=torch.long), overlap)[0].tolist() for overlap in (0.5, 0.49))
    assert both == [True, True] and one == [True, False]


def test_pictures_of_a_batch_do_not_meet():
    rows = [crowd(100, 5.0, 2, seed) for seed in range(3)]
    together = suppress(torch.stack([b for b, _ in rows]), torch.stack([c for _, c in rows]), 0.5)
    for found, (boxes, labels) in zip(together, rows, strict=True):
        assert torch.equal(found, one_by_one(boxes, labels, 0.5))


def dense(batch: int, places: int, outputs: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """What a detector might say."""
    torch.manual_seed(seed)
    boxes = torch.stack([crowd(places, 6.0, 1, seed + n)[0] for n in range(batch)])
    return torch.randn(batch, places, outputs) * 3 - 3, boxes


def test_detections_are_the_best_ones_in_falling_order():
    logits, boxes = dense(2, 250, 3)
    found = pick(logits, boxes, most=40, overlap=0.5, candidates=750)
    assert found["boxes"].shape == (2, 40, 4) and found["classes"].dtype == torch.int64
    for n in range(2):
        sure, flat = logits[n].flatten().sigmoid(), torch.arange(750)
        rows = flat[sure.argsort(descending=True)]
        kept = rows[one_by_one(boxes[n][rows // 3], rows % 3, 0.5)][:40]
        assert torch.equal(found["classes"][n], kept % 3)
        torch.testing.assert_close(found["probabilities"][n], sure[kept])
        torch.testing.assert_close(found["boxes"][n], boxes[n][kept // 3])


def test_what_is_improbable_or_empty_is_no_object_and_rows_are_filled_up():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 80, 90]]])
    logits = torch.tensor([[[2.0], [-8.0], [3.0]]])
    found = pick(logits, boxes, most=5, overlap=0.5)
    assert found["probabilities"].shape == (1, 5) and int((found["probabilities"] > 0).sum()) == 1
    assert found["boxes"][0, 0].tolist() == [0, 0, 10, 10] and FLOOR == 1e-3
    extreme = pick(torch.full((1, 3, 2), 200.0), boxes, most=4, overlap=0.5)
    assert extreme["probabilities"].isfinite().all() and extreme["probabilities"].max() == 1


class Picked(nn.Module):
    def forward(self, said: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found = pick(said["logits"], said["boxes"], most=30, overlap=0.5)
        return {f"found {key}": value for key, value in found.items()}


def test_an_exported_graph_says_the_same(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from omma.runtimes._graphs import write_onnx

    logits, boxes = dense(2, 200, 3)
    path = write_onnx(
        Picked(), {"logits": logits, "boxes": boxes}, tmp_path / "pick.onnx", source=["logits", "boxes"],
        outputs=["found boxes", "found probabilities", "found classes"], dynamic={0: "N"},
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        logits, boxes = dense(count, 200, 3, seed=count)
        found = session.run(None, {entry.name: value.numpy() for entry, value in zip(session.get_inputs(), (logits, boxes), strict=True)})
        for wanted, value in zip(pick(logits, boxes, most=30, overlap=0.5).values(), found, strict=True):
            np.testing.assert_allclose(value, wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_overlaps_are_torchvisions():
    mine, theirs = crowd(30, 20.0, 1, 0)[0], crowd(40, 20.0, 1, 1)[0]
    torch.testing.assert_close(geometry.pairs(mine, theirs), torchvision.ops.box_iou(mine, theirs))
    theirs = theirs[:30]
    torch.testing.assert_close(geometry.iou(mine, theirs), torchvision.ops.box_iou(mine, theirs).diagonal())
    torch.testing.assert_close(geometry.giou(mine, theirs), torchvision.ops.generalized_box_iou(mine, theirs).diagonal())
    torch.testing.assert_close(1 - geometry.ciou(mine, theirs), torchvision.ops.complete_box_iou_loss(mine, theirs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [geometry.iou, geometry.giou, geometry.ciou])
def test_overlaps_of_hostile_boxes_are_finite_and_so_are_their_slopes(kind):
    hostile = torch.tensor([[0.0, 0, 0, 0], [5, 5, 6, 6], [0, 0, 1e4, 1e4], [3, 3, 3, 9], [-50, -50, -49, -49]])
    mine = hostile.repeat_interleave(5, 0).requires_grad_(True)
    value = kind(mine, hostile.repeat(5, 1))
    value.sum().backward()
    assert value.isfinite().all() and mine.grad.isfinite().all() and value.max() <= 1
