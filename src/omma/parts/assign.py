"""Which points of a dense detector learn which object, chosen anew at every step by what the network says (SimOTA)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from omma.parts import boxes as geometry

# At most so many points an object, and so many of its best boxes vote on how many (Ge et al. 2021 look at 10, Lyu et al. 2022 at 13).
POINTS = 13
# How much a box's misfit counts beside its class's.
MISFIT = 3.0
# Strides from the centre at which a point costs as much as a class that is off by one; each further stride costs ten times as much.
NEAR = 3.0
_EPS = 1e-7


@torch.no_grad()
def assign(
    logits: torch.Tensor, boxes: torch.Tensor, points: torch.Tensor, strides: torch.Tensor, wanted: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """SimOTA (YOLOX, Ge et al. 2021) with the soft costs of RTMDet (Lyu et al. 2022), for the objects of one picture.

    A point may learn an object if it lies inside its box or within one stride of its centre (so that an object smaller than the grid has
    points, too). Each object asks for as many points as the IoUs of its best boxes add up to, and takes the cheapest; a point wanted by
    several goes to the one it costs least.

    Args:
        logits: (A, C) what the network says at each point.
        boxes: (A, 4) the boxes it says, frame pixels.
        points: (A, 2) where they are, x, y in frame pixels.
        strides: (A,) pixels between neighbouring points of the same level.
        wanted: (m, 4) true boxes.
        classes: (m,) int64 true classes.

    Returns:
        (A,) int64: row of `wanted` that each point learns; −1 for none.
    """
    owner = torch.full((len(points),), -1, dtype=torch.long, device=points.device)
    if not len(wanted):
        return owner
    middle = (wanted[:, :2] + wanted[:, 2:]) / 2
    offset = (points - middle[:, None]) / strides[:, None]  # (m, A, 2), strides
    open_to = geometry.inside(points, wanted) | (offset.abs().amax(-1) < 1)
    at = open_to.any(0).nonzero()[:, 0]  # everything below looks at these points only
    if not len(at):
        return owner
    open_to, far = open_to[:, at], offset[:, at].square().sum(-1).sqrt()
    fit = geometry.pairs(wanted, boxes[at]) * open_to
    cost = _cost(logits[at][:, classes].T, fit, far).masked_fill(~open_to, torch.inf)
    most = min(POINTS, len(at))
    asked = fit.topk(most, 1).values.sum(1).long().clamp_min(1)
    cheap = cost.topk(most, 1, largest=False)
    taken = (torch.arange(most, device=at.device) < asked[:, None]) & cheap.values.isfinite()
    bids = torch.full_like(cost, torch.inf).scatter(1, cheap.indices, cheap.values.masked_fill(~taken, torch.inf))
    price, row = bids.min(0)
    owner[at] = torch.where(price.isfinite(), row, -1)
    return owner


def _cost(said: torch.Tensor, fit: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """What it would cost that a point learns an object, (m, a).

    Args:
        said: logits of the object's class.
        fit: IoU of the point's box with the object's.
        far: distance from the object's centre, strides.
    """
    surprise = F.binary_cross_entropy_with_logits(said, fit, reduction="none") * (fit - said.sigmoid()).square()
    # Beyond some strides every point is as bad as the other: nothing overflows.
    return surprise - MISFIT * (fit + _EPS).log() + 10 ** (far - NEAR).clamp_max(6)


def assign_batch(
    logits: torch.Tensor, boxes: torch.Tensor, points: torch.Tensor, strides: torch.Tensor, truth: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """`assign` for every picture of a batch.

    Args:
        logits, boxes: (B, A, C), (B, A, 4).
        points, strides: see `assign`.
        truth: "boxes" (B, M, 4), "classes" (B, M) with −1 in rows without an object, "ignored" (B, M) bool.

    Returns:
        (B, A) int64, the row of `truth` that each point learns or −1; (B, A) bool, the points that learn nothing at all: those in an
        ignored object that no other object wants.
    """
    real = (truth["classes"] >= 0) & ~truth["ignored"]
    owners = torch.full(logits.shape[:2], -1, dtype=torch.long, device=logits.device)
    for place in range(len(logits)):
        rows = real[place].nonzero()[:, 0]
        wanted, classes = truth["boxes"][place, rows].float(), truth["classes"][place, rows]
        found = assign(logits[place].detach().float(), boxes[place].detach().float(), points, strides, wanted, classes)
        if len(rows):
            owners[place] = torch.where(found >= 0, rows[found.clamp_min(0)], -1)
    aside = (truth["ignored"] & (truth["classes"] >= 0))[..., None]
    covered = torch.zeros_like(owners, dtype=torch.bool)
    if aside.any():
        covered = (geometry.inside(points, truth["boxes"].float()) & aside).any(1)
    return owners, covered & (owners < 0)
