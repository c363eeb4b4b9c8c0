"""Brightness and colour apart: BT.601 in studio range, the Y, Cb, Cr that restored pictures are measured in.

Elementwise sums, so that they are exported for any size and stay exact in half precision.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

# Rows Y, Cb, Cr of red, green and blue, each 0–255, as MATLAB's rgb2ycbcr has them: white is 235, black 16.
_ROWS = (
    (65.481 / 255, 128.553 / 255, 24.966 / 255),
    (-37.797 / 255, -74.203 / 255, 112 / 255),
    (112 / 255, -93.786 / 255, -18.214 / 255),
)
_ZERO = (16.0, 128.0, 128.0)


def _turned(rows: tuple) -> tuple:
    """The inverse of a 3 × 3 matrix, by its cofactors."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    size = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return tuple(tuple(value / size for value in row) for row in cofactors)


_BACK = _turned(_ROWS)


def luma(rgb: torch.Tensor) -> torch.Tensor:
    """(…, 3, H, W) red, green, blue, 0–255 → (…, 1, H, W) Y, 16–235, not rounded."""
    return _sum(rgb.unbind(-3), _ROWS[0]).add(_ZERO[0]).unsqueeze(-3)


def ycbcr(rgb: torch.Tensor) -> torch.Tensor:
    """(…, 3, H, W) red, green, blue, 0–255 → (…, 3, H, W) Y, 16–235, and Cb, Cr, 16–240; not rounded."""
    planes = rgb.unbind(-3)
    return torch.stack([_sum(planes, row) + zero for row, zero in zip(_ROWS, _ZERO, strict=True)], -3)


def rgb(ycbcr: torch.Tensor) -> torch.Tensor:
    """(…, 3, H, W) Y, Cb, Cr → (…, 3, H, W) red, green, blue, 0–255, neither rounded nor clipped: what `ycbcr` came from."""
    planes = [plane - zero for plane, zero in zip(ycbcr.unbind(-3), _ZERO, strict=True)]
    return torch.stack([_sum(planes, row) for row in _BACK], -3)


def _sum(planes: Sequence[torch.Tensor], row: Sequence[float]) -> torch.Tensor:
    """One row times the three planes."""
    return planes[0] * row[0] + planes[1] * row[1] + planes[2] * row[2]
