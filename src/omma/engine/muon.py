"""Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024), for convolutions too.

The library's own Muon takes matrices only; a convolution's kernel is read as (out, in · kh · kw). Vectors use Nesterov momentum.
"""

from __future__ import annotations

from typing import Any

import torch

# Coefficients of the quintic Newton–Schulz iteration, from the method's publication.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonal(matrix: torch.Tensor, steps: int = 3) -> torch.Tensor:
    """(M, N) → nearly the nearest (semi-)orthogonal matrix, by Newton–Schulz."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Args: groups with `matrix` true are made orthogonal, the others follow Nesterov momentum; weight decay is decoupled."""

    def __init__(self, params: Any, lr: float = 0.02, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "matrix": True})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                memory = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                memory.mul_(group["momentum"]).add_(p.grad)
                update = p.grad.add(memory, alpha=group["momentum"])
                if group["matrix"]:
                    flat = orthogonal(update.reshape(len(p), -1))
                    # The root makes a step as long for wide kernels as for narrow ones.
                    update = flat.mul_(max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5).reshape(p.shape)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"])
