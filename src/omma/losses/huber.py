"""Huber loss: squared near the truth, linear far from it (Huber 1964)."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def huber(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over batch and numbers; the bend lies at one standard deviation of the data.

    Args:
        outputs: (B, K) standardised numbers.
        target: (B, K) standardised numbers.
    """
    return F.huber_loss(outputs, target)
