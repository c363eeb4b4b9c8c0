"""Gaussian negative log-likelihood with a predicted variance (Nix & Weigend 1994)."""

from __future__ import annotations

import torch


def gaussian(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over batch and numbers of ½ (log σ² + (y − μ)² / σ²).

    Args:
        outputs: (B, 2K): K means, then K logarithms of the variance (held within ±10).
        target: (B, K) standardised numbers.
    """
    mean, log_variance = outputs.chunk(2, dim=1)
    log_variance = log_variance.clamp(-10, 10)
    return 0.5 * (log_variance + (target - mean) ** 2 * (-log_variance).exp()).mean()
