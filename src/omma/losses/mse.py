"""Mean squared error, for numbers and for class shares alike (Hui & Belkin 2021)."""

from __future__ import annotations

import torch


def mse(outputs: torch.Tensor, target: torch.Tensor, *, weight: torch.Tensor | None = None, smoothing: float = 0.0) -> torch.Tensor:
    """Mean over batch and outputs.

    Args:
        outputs: (B, K).
        target: (B, K).
        weight: (K,) of each output.
        smoothing: share given to all outputs alike (class targets).
    """
    terms = (outputs - (target * (1 - smoothing) + smoothing / target.shape[1])) ** 2
    return (terms if weight is None else terms * weight).mean()
