"""Variation that a critic sees of true and made pictures alike, so that few pictures are not learned by heart (Zhao et al. 2020)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

BRIGHT = 0.25  # of 0–1: brightness changes by up to this
MOVED = 1 / 8  # of the side: pictures move by up to this
HOLE = 1 / 2  # of the side: the square that is cut out
FILLING = 0.5  # grey, the paper's zero between -1 and 1


def augment(pictures: torch.Tensor) -> torch.Tensor:
    """(B, C, S, S), 0–1 → the same shape, a little beyond 0–1: colour, translation and cutout of DiffAugment; gradients pass.

    Each picture varies for itself; the draws are torch's own.
    """
    return cut_out(moved(recoloured(pictures)))


def recoloured(pictures: torch.Tensor) -> torch.Tensor:
    """Brightness by ±0.25, contrast by 0.5 to 1.5 and, where there is colour, saturation by 0 to 2."""
    bright, strong, colourful = torch.rand(3, len(pictures), 1, 1, 1, device=pictures.device)
    pictures = pictures + (2 * bright - 1) * BRIGHT
    if pictures.shape[1] > 1:
        grey = pictures.mean(1, keepdim=True)
        pictures = torch.lerp(grey, pictures, 2 * colourful)
    return torch.lerp(pictures.mean((1, 2, 3), keepdim=True), pictures, 0.5 + strong)


def moved(pictures: torch.Tensor) -> torch.Tensor:
    """Each picture by up to an eighth of its side, down and across, grey behind it."""
    count, _, height, width = pictures.shape
    most = round(width * MOVED)
    wide = F.pad(pictures, (most,) * 4, value=FILLING)
    down, across = torch.randint(0, 2 * most + 1, (2, count, 1), device=pictures.device)
    rows, columns = down + torch.arange(height, device=pictures.device), across + torch.arange(width, device=pictures.device)
    wide = wide.gather(2, rows[:, None, :, None].expand(-1, wide.shape[1], -1, wide.shape[3]))
    return wide.gather(3, columns[:, None, None, :].expand(-1, wide.shape[1], height, -1))


def cut_out(pictures: torch.Tensor) -> torch.Tensor:
    """A grey square of half of the side somewhere, across the border too (DeVries & Taylor 2017)."""
    count, side = len(pictures), pictures.shape[3]
    half = side * HOLE / 2
    middle = torch.randint(0, side + 1, (2, count, 1), device=pictures.device)
    down, across = ((torch.arange(side, device=pictures.device) + 0.5 - one).abs() < half for one in middle)
    hole = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(hole, FILLING, pictures)
