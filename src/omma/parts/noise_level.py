"""How noisy a picture is, from the picture alone (Immerkær 1996)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

# What is left of a picture after two second differences: of edges and slopes nothing, of noise six times its deviation.
_MASK = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))


def noise_level(pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) → (B,): the deviation of white noise, in the unit of the pictures; fine texture counts as noise.

    J. Immerkær, Fast noise variance estimation, 1996: √(π / 2) / 6 times the mean size of what a mask of second differences leaves.
    Pictures of fewer than four pixels a side are widened by repeating their border, so that more than one place is left: a graph for any
    size has no sides of a single one.
    """
    channels, height, width = pictures.shape[1:]
    least: list[Any] = [torch.sym_max(4 - side, 0) for side in (width, height)]
    wide = F.pad(pictures, (0, least[0], 0, least[1]), mode="replicate")
    mask = torch.tensor(_MASK, dtype=pictures.dtype, device=pictures.device).expand(channels, 1, 3, 3)
    return F.conv2d(wide, mask, groups=channels).abs().mean((1, 2, 3)) * (math.sqrt(math.pi / 2) / 6)
