"""Negative log-likelihood of the one class that is true."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def nll(outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0) -> torch.Tensor:
    """Mean over the batch, weighted by class; a blended row counts as its largest class.

    Args:
        outputs: (B, C) logits.
        target: (B, C) class shares.
        weight: (C,) of each class.
        smoothing: of the common signature; this loss has hard targets and leaves it aside (`train` warns).
    """
    return F.nll_loss(F.log_softmax(outputs, dim=1), target.argmax(1), weight=weight)
