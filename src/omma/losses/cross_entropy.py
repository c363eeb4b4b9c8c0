"""Cross-entropy between soft class targets and the softmax of the outputs."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def cross_entropy(
    outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean over the batch.

    Args:
        outputs: (B, C) logits.
        target: (B, C), rows that sum to 1 (blended pictures have blended rows).
        weight: (C,) of each class.
        smoothing: share given to all classes alike (Szegedy et al. 2016).
    """
    return F.cross_entropy(outputs, target, weight=weight, label_smoothing=smoothing)
