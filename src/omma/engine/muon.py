"""Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024), for convolutions too.

The library's own Muon takes matrices only; a convolution's kernel is read as (out, in · kh · kw). Vectors and the head follow Adam, or
Nesterov momentum in networks whose parameters say what share of the rate suits them.
"""

from __future__ import annotations

import math
from typing import Any

import torch

# What Adam has of Muon's rate, and how long it remembers squares; the rest as published (Kingma & Ba 2015).
ADAM, SQUARES, EPS = 0.1, 0.99, 1e-8
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
    """Nesterov momentum, made orthogonal in groups with `matrix`, Adam in those with `adam`, as it is in the others; decay is decoupled.

    A group with `scale_free` holds kernels that a normalisation follows: their length does not matter, so it is kept at
    √out, which keeps the angle of a step in step with the rate.
    """

    def __init__(self, params: Any, lr: float = 0.02, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "matrix": True, "scale_free": False, "adam": False})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if group["adam"]:
                    self._adam(p, state, group)
                    continue
                memory = state["momentum_buffer"] if "momentum_buffer" in state else torch.zeros_like(p)
                state["momentum_buffer"] = memory.mul_(group["momentum"]).add_(p.grad)
                update = p.grad.add(memory, alpha=group["momentum"])
                if group["matrix"]:
                    flat = orthogonal(update.reshape(len(p), -1))
                    if not group["scale_free"]:  # a step as long for wide kernels as for narrow ones
                        flat = flat * max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5
                    update = flat.reshape(p.shape)
                p.mul_(math.sqrt(len(p)) / p.norm() if group["scale_free"] else 1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"])

    @staticmethod
    def _adam(p: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state |= {"mean": torch.zeros_like(p), "squares": torch.zeros_like(p), "count": torch.zeros((), dtype=torch.float32)}
        count = float(state["count"].add_(1))
        mean = state["mean"].lerp_(p.grad, 1 - group["momentum"]) / (1 - group["momentum"] ** count)
        squares = state["squares"].mul_(SQUARES).addcmul_(p.grad, p.grad, value=1 - SQUARES) / (1 - SQUARES**count)
        p.mul_(1 - group["lr"] * ADAM * group["weight_decay"]).addcdiv_(mean, squares.sqrt_().add_(EPS), value=-group["lr"] * ADAM)
