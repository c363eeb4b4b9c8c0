"""Which points learn which object: small ones, hidden ones, none, many."""

from __future__ import annotations

import pytest
import torch

from omma.parts.assign import POINTS, assign, assign_batch
from omma.parts.pyramid import grid

POINTS_XY, STRIDES = grid([(16, 16), (8, 8), (4, 4)], [8, 16, 32], torch.device("cpu"))  # of a frame of 128 pixels


def square(x: float, y: float, side: float) -> list[float]:
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def said(outputs: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A network that knows nothing yet: equal logits, boxes of four strides around each point."""
    half = STRIDES[:, None] * 2
    return torch.full((len(POINTS_XY), outputs), -4.0), torch.cat([POINTS_XY - half, POINTS_XY + half], 1)


def owners(rows: list[list[float]], classes: list[int] | None = None) -> torch.Tensor:
    logits, boxes = said()
    wanted = torch.tensor(rows).reshape(-1, 4)
    return assign(logits, boxes, POINTS_XY, STRIDES, wanted, torch.tensor(classes or [0] * len(rows), dtype=torch.long))


def test_grid():
    assert POINTS_XY.shape == (16 * 16 + 8 * 8 + 4 * 4, 2) and POINTS_XY[:2].tolist() == [[4, 4], [12, 4]]
    assert POINTS_XY[-1].tolist() == [112, 112] and STRIDES[-1] == 32


@pytest.mark.parametrize("side", [0.5, 1, 3, 8, 20, 60, 127])
@pytest.mark.parametrize("at", [(64.0, 64.0), (4.0, 4.0), (70.3, 33.9), (0.5, 127.5)])
def test_every_object_has_points_and_not_too_many(side, at):
    found = owners([square(*at, side)])
    assert 1 <= int((found == 0).sum()) <= POINTS and int((found > 0).sum()) == 0


def test_size_chooses_the_level():
    small, large = owners([square(64, 64, 30)]), owners([square(64, 64, 120)])
    assert STRIDES[small == 0].mean() < 10 and STRIDES[large == 0].mean() > 28


def test_points_lie_inside_or_near_the_middle():
    found = owners([square(40, 40, 30), square(100, 90, 40)])
    for row, (x, y, side) in enumerate([(40, 40, 30), (100, 90, 40)]):
        offset = (POINTS_XY[found == row] - torch.tensor([x, y])).abs().amax(1)
        assert (offset <= torch.maximum(torch.tensor(side / 2), STRIDES[found == row])).all()


def test_a_point_that_two_want_goes_to_one():
    found = owners([square(64, 64, 40), square(66, 64, 40), square(64, 66, 36)])
    assert {0, 1, 2} >= set(found[found >= 0].tolist()) and len(found) == len(POINTS_XY)
    assert len(set(found[found >= 0].tolist())) >= 2


def test_what_the_network_knows_counts():
    """Of two objects in one place, each goes to the points that name its class (as surely as their boxes are good)."""
    logits, boxes = said()
    left = POINTS_XY[:, 0] < 64
    logits[left, 0], logits[~left, 1] = 0.5, 0.5
    wanted = torch.tensor([square(64, 64, 40)] * 2)
    found = assign(logits, boxes, POINTS_XY, STRIDES, wanted, torch.tensor([0, 1]))
    assert left[found == 0].all() and not left[found == 1].any() and (found == 0).any() and (found == 1).any()


def test_the_better_the_boxes_the_more_points():
    logits, boxes = said()
    wanted = torch.tensor([square(64, 64, 50)])
    zero = torch.zeros(1, dtype=torch.long)
    few = assign(logits, boxes, POINTS_XY, STRIDES, wanted, zero)
    many = assign(logits, wanted.expand(len(boxes), 4), POINTS_XY, STRIDES, wanted, zero)
    assert (few == 0).sum() < (many == 0).sum() == POINTS


def test_order_of_the_objects_does_not_matter():
    rows = [square(20, 30, 10), square(80, 80, 50), square(90, 30, 25)]
    found, turned = owners(rows), owners(rows[::-1])
    assert torch.equal(found, torch.where(turned >= 0, 2 - turned, -1))


def test_none_and_thousands():
    assert (owners([]) == -1).all()
    torch.manual_seed(0)
    rows = [square(*at, 1.5) for at in (torch.rand(3000, 2) * 128).tolist()]
    found = owners(rows)
    assert found.max() < 3000 and (found >= 0).sum() > 100
    assert (owners([square(64, 64, 20)] * 500) >= 0).any()


def test_batches_with_padding_and_ignored_objects():
    logits, boxes = (one[None].expand(3, -1, -1) for one in said())
    truth = {
        "boxes": torch.tensor([[square(30, 30, 20), square(90, 90, 50), [0, 0, 0, 0]]] * 3),
        "classes": torch.tensor([[1, 2, -1], [1, 2, -1], [-1, -1, -1]]),
        "ignored": torch.tensor([[False, False, False], [False, True, False], [False, False, True]]),
    }
    found, aside = assign_batch(logits, boxes, POINTS_XY, STRIDES, truth)
    assert set(found[0].tolist()) == {-1, 0, 1} and set(found[1].tolist()) == {-1, 0} and (found[2] == -1).all()
    assert torch.equal(found[0] == 0, found[1] == 0), "an ignored object takes nothing from others"
    inside = ((POINTS_XY - 90).abs() < 25).all(1)
    assert torch.equal(aside[1], inside) and not aside[0].any() and not aside[2].any()


def test_a_point_that_an_object_wants_learns_it_even_where_another_is_ignored():
    logits, boxes = (one[None] for one in said())
    truth = {
        "boxes": torch.tensor([[square(64, 64, 20), square(64, 64, 60)]]), "classes": torch.tensor([[0, 0]]),
        "ignored": torch.tensor([[False, True]]),
    }  # fmt: skip
    found, aside = assign_batch(logits, boxes, POINTS_XY, STRIDES, truth)
    assert (found == 0).any() and not (aside & (found >= 0)).any() and aside.any()
