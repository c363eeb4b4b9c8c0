"""Focal loss: easy pictures count less (Lin et al. 2017), for one class out of several."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def focal(
    outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0, gamma: float = 2.0
) -> torch.Tensor:
    """Mean over the batch of −(1 − p)^γ · log p, summed over the shares of the classes.

    Args:
        outputs: (B, C) logits.
        target: (B, C), rows that sum to 1.
        weight: (C,) of each class.
        smoothing: share given to all classes alike.
        gamma: how fast easy pictures fade.
    """
    target = target * (1 - smoothing) + smoothing / target.shape[1]
    log_share = F.log_softmax(outputs, dim=1)
    terms = -target * (1 - log_share.exp()) ** gamma * log_share
    return (terms if weight is None else terms * weight).sum(1).mean()
