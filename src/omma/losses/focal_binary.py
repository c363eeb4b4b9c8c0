"""Focal loss for classes that are present or absent on their own (Lin et al. 2017)."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def focal_binary(
    outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0, gamma: float = 2.0
) -> torch.Tensor:
    """Mean over batch and classes.

    Args:
        outputs: (B, C) logits.
        target: (B, C), 0–1.
        weight: (C,) of a present class.
        smoothing: distance kept from 0 and 1.
        gamma: how fast easy pictures fade.
    """
    target = target * (1 - smoothing) + smoothing / 2
    share = outputs.sigmoid()
    miss = target * (1 - share) + (1 - target) * share
    terms = F.binary_cross_entropy_with_logits(outputs, target, pos_weight=weight, reduction="none")
    return (miss**gamma * terms).mean()
