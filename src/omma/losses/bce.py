"""Binary cross-entropy: each class is present or absent on its own."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def bce(outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0) -> torch.Tensor:
    """Mean over batch and classes.

    Args:
        outputs: (B, C) logits.
        target: (B, C), 0–1.
        weight: (C,) of a present class.
        smoothing: distance kept from 0 and 1.
    """
    return F.binary_cross_entropy_with_logits(outputs, target * (1 - smoothing) + smoothing / 2, pos_weight=weight)
