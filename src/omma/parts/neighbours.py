"""Denoising learned from noisy pictures alone: noise differs from pixel to pixel, pictures hardly do (Huang et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

# Of a cell's pixels 0 1 / 2 3: the two that touch each.
_BESIDE = ((1, 2), (0, 3), (0, 3), (1, 2))


def neighbours(net: Callable[[torch.Tensor], torch.Tensor], pictures: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
    """(B, C, H, W) noisy → scalar: what the network makes of one pixel of each cell of four should be its neighbour.

    What a cell's two pixels truly differ by is not noise: it is read off the denoised picture and taken out (Neighbor2Neighbor, eq. 11).

    Args:
        net: denoises.
        weight: of that second term.
    """
    first, second = pairs(pictures)
    made = net(_taken(pictures, first)).float()
    off = made - _taken(pictures, second)
    with torch.no_grad():
        whole = net(pictures).float()
        apart = _taken(whole, first) - _taken(whole, second)
    return off.square().mean() + weight * (off - apart).square().mean()


def pairs(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two (B, ⌊H/2⌋, ⌊W/2⌋) int64, which pixel of each cell of four: two that touch, drawn from torch's own chance."""
    shape = (len(pictures), pictures.shape[2] // 2, pictures.shape[3] // 2)
    first = torch.randint(4, shape, device=pictures.device)
    side = torch.randint(2, shape, device=pictures.device)
    return first, torch.tensor(_BESIDE, device=pictures.device)[first, side]


def _taken(pictures: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) → (B, C, ⌊H/2⌋, ⌊W/2⌋), one pixel of each cell."""
    tall, wide = (side // 2 * 2 for side in pictures.shape[2:])
    cells = F.pixel_unshuffle(pictures[:, :, :tall, :wide], 2).unflatten(1, (-1, 4))
    return cells.gather(2, place[:, None, None].expand(-1, cells.shape[1], 1, -1, -1)).squeeze(2)
