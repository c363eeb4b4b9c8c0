"""Noise: normal, and that of a sensor that counts photons. Neither is clipped nor rounded."""

from __future__ import annotations

import torch

from omma.data import chance
from omma.data.variation import grain

PATCH = 1 << 20  # numbers up to which a picture's noise is a stretch of a table; a larger one draws its own
MEASURED = 1 << 30  # seeds from here on are of what is measured: its noise is from no table that a run learned from
READ = 2.0  # levels: deviation of what reading a sensor adds, whatever the light


def normal(pictures: torch.Tensor, sigma: torch.Tensor, seed: int, epoch: int, index: torch.Tensor, draw: int) -> torch.Tensor:
    """Add normal noise: (B, C, H, W), 0–255.

    Args:
        sigma: (B,) its deviation, levels.
        seed, epoch, index, draw: see `chance.bits`; pictures of one shape that share them have the same noise.
    """
    if pictures[0].numel() <= PATCH and seed < MEASURED:
        return grain.grained(pictures, sigma.view(-1, 1, 1, 1) / 255, 1.0, seed, epoch, index, draw)
    field = torch.stack([torch.randn(pictures.shape[1:], generator=one) for one in _generators(seed, epoch, index, draw)])
    return pictures + field.to(pictures.device) * sigma.view(-1, 1, 1, 1)


def photons(pictures: torch.Tensor, peak: torch.Tensor, seed: int, epoch: int, index: torch.Tensor, draw: int, read: int) -> torch.Tensor:
    """Poisson and normal noise (Foi et al. 2008): what arrives is counted, and reading adds noise of `READ` levels. (B, C, H, W), 0–255.

    Args:
        peak: (B,) photons of a white pixel.
        draw, read: draws of the one noise and of the other.
    """
    share = peak.view(-1, 1, 1, 1) / 255
    rates = (pictures.clamp_min(0) * share).cpu()
    ways = _generators(seed, epoch, index, draw)
    counts = torch.stack([torch.poisson(one, generator=way) for one, way in zip(rates, ways, strict=True)])
    return normal(counts.to(pictures.device) / share, torch.full_like(peak, READ), seed, epoch, index, read)


def _generators(seed: int, epoch: int, index: torch.Tensor, draw: int) -> list[torch.Generator]:
    """One for each picture, on the CPU: the same numbers wherever the pictures are."""
    return [torch.Generator().manual_seed(one) for one in chance.bits(seed, epoch, index, draw).tolist()]
