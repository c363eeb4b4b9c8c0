"""Squared hinge: every class against all others with a margin of one, a linear support vector machine's (Fan et al. 2008, LIBLINEAR)."""

from __future__ import annotations

import torch


def hinge(outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0) -> torch.Tensor:
    """Mean over the batch of Σ max(0, 1 − s·z)² over the classes, s = +1 for the true one and −1 for the others.

    Args:
        outputs: (B, C), z.
        target: (B, C), 0–1; between them, both sides are asked for their share.
        weight: (C,) of each class.
        smoothing: share given to all classes alike.
    """
    share = target * (1 - smoothing) + smoothing / target.shape[1]
    terms = share * (1 - outputs).relu().square() + (1 - share) * (1 + outputs).relu().square()
    return (terms if weight is None else terms * weight).sum(1).mean()
