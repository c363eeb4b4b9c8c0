"""What losses over pixels have in common, and the two that count pixels one by one."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from omma.answers.mask import VOID
from omma.losses import focal as by_rows

Weight = torch.Tensor | None


def scored(target: torch.Tensor) -> torch.Tensor:
    """(B, H, W) uint8 → (B, 1, H, W) bool: the pixels that are not void."""
    return (target != VOID)[:, None]


def one_hot(target: torch.Tensor, classes: int) -> torch.Tensor:
    """(B, H, W) uint8 → (B, C, H, W) bool; a void pixel is of no class."""
    return target[:, None] == torch.arange(classes, dtype=torch.uint8, device=target.device)[:, None, None]


def rows(outputs: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C, H, W), (B, H, W) uint8 → (N, C) and (N) int64 of the N pixels that are not void."""
    there = target != VOID
    return outputs.permute(0, 2, 3, 1)[there], target[there].long()


def over_present(terms: torch.Tensor, present: torch.Tensor, weight: Weight = None) -> torch.Tensor:
    """(C,) terms → their mean over the present classes, weighted; 0 where none is present."""
    share = present.to(terms.dtype) if weight is None else present * weight
    return (terms * share).sum() / share.sum().clamp_min(1e-12)


def cross_entropy(outputs: torch.Tensor, target: torch.Tensor, *, weight: Weight = None, smoothing: float = 0.0) -> torch.Tensor:
    """Mean over the pixels that are not void, each weighing what its class weighs; 0 where all are void.

    Args:
        outputs: (B, C, H, W) logits.
        target: (B, H, W) uint8 classes, 255 = void.
        weight: (C,) of each class.
        smoothing: share given to all classes alike.
    """
    found = F.cross_entropy(outputs, target.long(), weight=weight, ignore_index=VOID, reduction="sum", label_smoothing=smoothing)
    count = one_hot(target, outputs.shape[1]).sum((0, 2, 3)).to(outputs.dtype)
    return found / (count if weight is None else count * weight).sum().clamp_min(1e-12)


def focal(outputs: torch.Tensor, target: torch.Tensor, *, weight: Weight = None, smoothing: float = 0.0) -> torch.Tensor:
    """Focal loss of every pixel that is not void (Lin et al. 2017), their mean; 0 where all are void. Arguments as above."""
    logits, truth = rows(outputs, target)
    if not len(truth):
        return outputs.sum() * 0
    shares = F.one_hot(truth, outputs.shape[1]).to(outputs.dtype)
    return by_rows.focal(logits, shares, weight=weight, smoothing=smoothing)
