"""Dice loss of a segmentation: overlap of regions, so that small classes count as much as large ones (Milletari et al. 2016)."""

from __future__ import annotations

import torch

from omma.losses._pixels import Weight, one_hot, over_present, scored


def dice(outputs: torch.Tensor, target: torch.Tensor, *, weight: Weight = None, smoothing: float = 0.0) -> torch.Tensor:
    """1 − 2 Σ p g / (Σ p² + Σ g²), sums over all pixels of the batch that are not void, mean over the classes the truth shows.

    Args:
        outputs: (B, C, H, W) logits.
        target: (B, H, W) uint8 classes, 255 = void.
        weight: (C,) of each class.
        smoothing: share of the truth given to all classes alike.
    """
    there, truth = scored(target), one_hot(target, outputs.shape[1])
    share = outputs.softmax(1) * there
    goal = (truth * (1 - smoothing) + smoothing / outputs.shape[1]) * there
    both, each = (share * goal).sum((0, 2, 3)), (share.square() + goal.square()).sum((0, 2, 3))
    return over_present(1 - 2 * both / each.clamp_min(1e-12), truth.any(3).any(2).any(0), weight)
