"""Exponential moving average of a network's weights (Polyak & Juditsky 1992)."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A second network that follows the first.

    Args:
        net: the network that learns.
        decay: per step; early on it is smaller, (1 + t) / (10 + t), so that the start is forgotten.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.net = copy.deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def follow(self, net: nn.Module) -> None:
        """One step after `net` has stepped; buffers (batch-norm statistics) are averaged too, counters copied."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        mine, theirs = self.net.state_dict(), net.state_dict()
        floats = [key for key, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[key] for key in floats], [theirs[key].to(mine[key].dtype) for key in floats], 1 - decay)
        for key in mine.keys() - set(floats):
            mine[key].copy_(theirs[key])
