"""Boxes as tensors: their overlaps, and how far one is from another as a loss."""

from __future__ import annotations

import math

import torch

# Square pixels (or pixels, for sides): what keeps a division by a box without area finite.
TINY = 1e-7


def area(boxes: torch.Tensor) -> torch.Tensor:
    """(…, 4) corners x1, y1, x2, y2 → (…) areas; 0 where a box is inside out."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(0)
    return sides[..., 0] * sides[..., 1]


def pairs(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Intersection over union of every box with every other: (…, M, 4) and (…, N, 4) → (…, M, N), 0 where both are empty."""
    low = torch.maximum(mine[..., :, None, :2], theirs[..., None, :, :2])
    high = torch.minimum(mine[..., :, None, 2:], theirs[..., None, :, 2:])
    sides = (high - low).clamp_min(0)
    shared = sides[..., 0] * sides[..., 1]
    union = area(mine)[..., :, None] + area(theirs)[..., None, :] - shared
    return shared / union.clamp_min(torch.finfo(union.dtype).tiny)


def iou(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Intersection over union, box by box: (…, 4) and (…, 4) → (…)."""
    sides = (torch.minimum(mine[..., 2:], theirs[..., 2:]) - torch.maximum(mine[..., :2], theirs[..., :2])).clamp_min(0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (area(mine) + area(theirs) - shared).clamp_min(TINY)


def giou(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Generalised IoU, −1 to 1: apart boxes still know in which direction to grow (Rezatofighi et al. 2019). (…, 4), (…, 4) → (…)."""
    sides = (torch.minimum(mine[..., 2:], theirs[..., 2:]) - torch.maximum(mine[..., :2], theirs[..., :2])).clamp_min(0)
    shared = sides[..., 0] * sides[..., 1]
    union = (area(mine) + area(theirs) - shared).clamp_min(TINY)
    around = torch.maximum(mine[..., 2:], theirs[..., 2:]) - torch.minimum(mine[..., :2], theirs[..., :2])
    hull = (around[..., 0] * around[..., 1]).clamp_min(TINY)
    return shared / union - (hull - union) / hull


def ciou(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Complete IoU: less the distance of the centres and the difference in shape (Zheng et al. 2020). (…, 4), (…, 4) → (…)."""
    found = iou(mine, theirs)
    around = torch.maximum(mine[..., 2:], theirs[..., 2:]) - torch.minimum(mine[..., :2], theirs[..., :2])
    apart = ((mine[..., :2] + mine[..., 2:] - theirs[..., :2] - theirs[..., 2:]) / 2).square().sum(-1)
    far = apart / around.square().sum(-1).clamp_min(TINY)
    slant = _slant(theirs) - _slant(mine)
    shape = slant.square() * (4 / math.pi**2)
    with torch.no_grad():  # as in the paper: how much the shape counts is no way to make the loss small
        share = shape / (1 - found + shape).clamp_min(TINY)
    return found - far - share * shape


def _slant(boxes: torch.Tensor) -> torch.Tensor:
    """(…, 4) → (…): the angle of a box's diagonal."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(TINY)
    return torch.atan(sides[..., 0] / sides[..., 1])


def inside(points: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Which points lie in which boxes: (A, 2) x, y and (…, M, 4) → (…, M, A) bool, the rim not counted."""
    low = points - boxes[..., :, None, :2]
    high = boxes[..., :, None, 2:] - points
    return torch.minimum(low, high).amin(-1) > 0
