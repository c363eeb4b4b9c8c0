"""Fewer pixels: MATLAB's bicubic reduction, which super-resolution is measured with."""

from __future__ import annotations

import torch

from omma.parts import bicubic


def levels(pictures: torch.Tensor) -> torch.Tensor:
    """The nearest of the whole numbers from 0 to 255, as a file of 8 bits holds them; a half goes up."""
    return (pictures + 0.5).floor().clamp(0, 255)


def reduce(pictures: torch.Tensor, scale: int) -> torch.Tensor:
    """(B, C, H, W), 0–255, rounded to levels and reduced → (B, C, H / scale, W / scale) levels; H and W are multiples of `scale`."""
    assert pictures.shape[2] % scale == 0 and pictures.shape[3] % scale == 0, f"{tuple(pictures.shape)} by {scale}"
    return bicubic.reduce8(levels(pictures), scale)
