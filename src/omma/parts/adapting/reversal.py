"""Gradient reversal (Ganin & Lempitsky 2015): nothing on the way there, the opposite on the way back; and what tells two domains apart."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

STEEP = 10.0  # γ of the paper
WIDEST = 1024  # units of the paper's classifier beside AlexNet; 100 beside its network for digits, whose features are 100 wide


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, strength: float) -> torch.Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.strength * slopes[0], None


def reverse(values: torch.Tensor, strength: float) -> torch.Tensor:
    """Itself, of any shape; the gradient that comes back through it is multiplied by −`strength`."""
    found: torch.Tensor = _Reverse.apply(values, strength)
    return found


def strength_at(progress: float) -> float:
    """λ = 2 / (1 + exp(−10 p)) − 1: from 0, while a classifier of domains knows nothing, to 1 (Ganin et al. 2016, section 5.2.2).

    Args:
        progress: p, share of the steps that are done, 0–1.
    """
    return 2 / (1 + math.exp(-STEEP * min(max(progress, 0.0), 1.0))) - 1


class Domains(nn.Module):
    """Which of two domains features come from: (B, width) → (B,) logits, positive for the source.

    Args:
        width: of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(width, min(width, WIDEST)), nn.Linear(min(width, WIDEST), 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.head(self.hidden(features).relu()).flatten()
