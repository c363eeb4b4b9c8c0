"""Bad light: too little of it, too little contrast, haze. Pictures are (B, C, H, W), 0–255, and are not rounded.

Powers and means are taken picture by picture: of a whole batch, their last bits would depend on where in it a picture lies.
"""

from __future__ import annotations

import torch


def dark(pictures: torch.Tensor, exposure: torch.Tensor) -> torch.Tensor:
    """As a shutter lets in less light: values, clipped to 0–255, become light (IEC 61966-2-1, sRGB), are multiplied, and turn back.

    Args:
        exposure: (B,) share of the light that is left.
    """
    return torch.stack([_dimmed(picture, share) for picture, share in zip(pictures, exposure, strict=True)])


def flat(pictures: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Values pulled together around each picture's own mean.

    Args:
        contrast: (B,) share of their distance from it that is left.
    """
    middle = _each(torch.stack([picture.mean() for picture in pictures]))
    return middle + (pictures - middle) * _each(contrast)


def haze(pictures: torch.Tensor, transmission: torch.Tensor, air: torch.Tensor) -> torch.Tensor:
    """An even haze (Koschmieder 1924; He et al. 2009): what is seen comes from the scene or from the air before it.

    Args:
        transmission: (B,) share of the scene that arrives.
        air: (B,) brightness of the air, 0–1.
    """
    share = _each(transmission)
    return pictures * share + 255 * _each(air) * (1 - share)


def _dimmed(picture: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """`dark` of one picture, (C, H, W)."""
    value = picture.clamp(0, 255) / 255
    light = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055).pow(2.4)) * share
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(0.0031308).pow(1 / 2.4) - 0.055) * 255


def _each(level: torch.Tensor) -> torch.Tensor:
    """(B,) → (B, 1, 1, 1)."""
    return level.view(-1, 1, 1, 1)
