"""What no levelling takes away again: another curve of brightness, and the grain of a sensor."""

from __future__ import annotations

from functools import lru_cache

import torch

from omma.data import chance

_TABLE = 1 << 21  # normal numbers drawn once; a picture's grain is a stretch of them, from a place of its own


def curved(pictures: torch.Tensor, level: torch.Tensor, most: float) -> torch.Tensor:
    """Gamma: (B, C, H, W), 0–255, to a power between 1 / (1 + most) and 1 + most.

    Args:
        level: (B,) in [0, 1); a half leaves pictures as they are.
    """
    power = (1 + most) ** (2 * level - 1)
    return (pictures.clamp(0, 255) / 255).pow(power.view(-1, 1, 1, 1)) * 255


def grained(
    pictures: torch.Tensor, level: torch.Tensor, most: float, seed: int, epoch: int, index: torch.Tensor, draw: int
) -> torch.Tensor:
    """Normal noise, of a deviation of `level · most` of the range: (B, C, H, W), 0–255.

    Args:
        level: in [0, 1), for each picture or pixel, (B, 1, 1, 1) or (B, 1, H, W).
        seed, epoch, index, draw: see `chance.bits`; they say where each picture's stretch begins.
    """
    count = pictures[0].numel()
    table = _normal(str(pictures.device), max(_TABLE, 2 * count))
    starts = chance.bits(seed, epoch, index, draw).remainder(len(table) - count).tolist()
    grain = torch.stack([table[start : start + count] for start in starts]).view(pictures.shape)
    return pictures + grain * (level * (most * 255))


@lru_cache(maxsize=2)
def _normal(device: str, count: int) -> torch.Tensor:
    """(count,) float32 of mean 0 and deviation 1."""
    return torch.randn(count, generator=torch.Generator().manual_seed(0)).to(device)
