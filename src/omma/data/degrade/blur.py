"""Blur by a Gaussian kernel."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from omma.parts.bicubic import mirrored


def blur(pictures: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) blurred; borders are mirrored, the pixel at the edge twice.

    Picture by picture: in one convolution of all, a picture's last bits would depend on its neighbours' kernels.

    Args:
        sigma: (B,) deviation of the kernel, pixels; it reaches ⌈3σ⌉ pixels to each side.
    """
    return torch.stack([_blurred(picture, float(one)) for picture, one in zip(pictures, sigma, strict=True)])


def kernel(sigma: float) -> torch.Tensor:
    """(2⌈3σ⌉ + 1,) float32, of sum 1."""
    reach = math.ceil(3 * sigma)
    line = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = (-(line**2) / (2 * sigma**2)).exp()
    return (weights / weights.sum()).float()


def _blurred(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    """(C, H, W), rows and then columns."""
    weights = kernel(sigma).to(picture.device)
    reach = len(weights) // 2
    wide = mirrored(mirrored(picture, 1, reach, reach), 2, reach, reach)[:, None]
    return F.conv2d(F.conv2d(wide, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))[:, 0]
