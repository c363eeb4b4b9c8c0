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
        smoothing: accepted for the common signature; this loss knows no soft targets, so it must be 0.
    """
    assert smoothing == 0.0, "nll has hard targets: use cross_entropy for label smoothing"
    return F.nll_loss(F.log_softmax(outputs, dim=1), target.argmax(1), weight=weight)
