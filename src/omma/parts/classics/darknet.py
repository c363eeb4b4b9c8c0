"""Darknet's layers, the boxes of its grids, and the anchors that k-means finds in the true boxes (Redmon & Farhadi 2016, 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

SLOPE = 0.1  # of leaky ReLU, below zero
Plan = Sequence[tuple[int, int, int] | str]  # (width, side of the kernel, stride) or "pool"
# Table 6 of the paper until the last pooling, whose maps are passed through, and after it.
FINE: Plan = (
    (32, 3, 1), "pool", (64, 3, 1), "pool", (128, 3, 1), (64, 1, 1), (128, 3, 1), "pool", (256, 3, 1), (128, 1, 1), (256, 3, 1), "pool",
    (512, 3, 1), (256, 1, 1), (512, 3, 1), (256, 1, 1), (512, 3, 1),
)  # fmt: skip
COARSE: Plan = ("pool", (1024, 3, 1), (512, 1, 1), (1024, 3, 1), (512, 1, 1), (1024, 3, 1))


def conv(inputs: int, width: int, side: int, stride: int = 1, norm: bool = True) -> nn.Sequential:
    """Convolution, batch norm if wanted, leaky ReLU: (B, inputs, h, w) → (B, width, ⌈h / stride⌉, ⌈w / stride⌉)."""
    layer = nn.Conv2d(inputs, width, side, stride, side // 2, bias=not norm)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, *([nn.BatchNorm2d(width)] if norm else []), nn.LeakyReLU(SLOPE))


def trunk(inputs: int, plan: Plan, norm: bool = True) -> nn.Sequential:
    """Layers one after the other; `pool` halves by the largest of 2×2."""
    layers: list[nn.Module] = []
    for step in plan:
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        else:
            width, side, stride = step
            layers.append(conv(inputs, width, side, stride, norm))
            inputs = width
    return nn.Sequential(*layers)


def cells(rows: int, columns: int, device: torch.device) -> torch.Tensor:
    """(rows · columns, 2): the x and y of each cell, counted in cells, line by line."""
    y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2).float()


def corners(middle: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
    """(…, 2) centres and (…, 2) sides → (…, 4) x1, y1, x2, y2."""
    return torch.cat([middle - sides / 2, middle + sides / 2], -1)


def owners(boxes: torch.Tensor, slots: torch.Tensor, valid: torch.Tensor, count: int) -> torch.Tensor:
    """Which object each slot learns: of several that fall into one, the largest.

    Args:
        boxes: (B, M, 4) corners.
        slots: (B, M) int64, the slot each falls into.
        valid: (B, M) bool, which are objects.
        count: of slots, A.

    Returns:
        (B, A) int64 row of the object, −1 for none.
    """
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)
    order = sides.argsort(dim=1, stable=True)  # small to large
    rank = order.argsort(dim=1, stable=True)
    found = torch.full((len(boxes), count + 1), -1, dtype=torch.int64, device=boxes.device)
    if boxes.shape[1] == 0:
        return found[:, :-1]
    # A slot more than there are takes what is no object. The largest rank wins, in whatever order they come.
    found = found.scatter_reduce(1, torch.where(valid, slots, count), torch.where(valid, rank, -1), "amax")[:, :-1]
    return torch.where(found >= 0, order.gather(1, found.clamp_min(0)), found)


def shape_iou(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes laid on one centre: (N, 2) and (K, 2) sides → (N, K)."""
    shared = torch.minimum(mine[:, None], theirs).prod(-1)
    return shared / (mine.prod(-1)[:, None] + theirs.prod(-1) - shared).clamp_min(1e-9)


def anchors_of(sides: torch.Tensor, count: int, rounds: int = 100) -> torch.Tensor:
    """k-means of box shapes with the distance 1 − IoU, so that large boxes do not outweigh small ones (section 2 of YOLO9000).

    Args:
        sides: (N, 2) widths and heights; those without area are left out.
        count: of anchors, k.
        rounds: at most; it ends when nothing changes.

    Returns:
        (k, 2) sides, by area; fewer kinds of boxes than anchors are repeated. The start is the k quantiles of the area: no draw.
    """
    sides = sides[(sides > 0).all(1)].double()
    if not len(sides):
        return torch.ones(count, 2)
    by_area = sides[sides.prod(1).argsort(stable=True)]
    places = ((torch.arange(count) + 0.5) / count * len(sides)).long().clamp_max(len(sides) - 1)
    middles = by_area[places]
    for _ in range(rounds):
        nearest = shape_iou(sides, middles).argmax(1)
        moved = torch.stack([sides[nearest == k].mean(0) if (nearest == k).any() else middles[k] for k in range(count)])
        if torch.equal(moved, middles):
            break
        middles = moved
    return middles[middles.prod(1).argsort(stable=True)].float()


def narrowed(plan: Plan, share: int) -> Plan:
    """The plan with channels divided by `share`."""
    return tuple(step if isinstance(step, str) else (step[0] // share, *step[1:]) for step in plan)
