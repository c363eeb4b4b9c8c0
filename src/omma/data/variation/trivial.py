"""TrivialAugment (Müller & Hutter 2021), its wide space, on whole batches: pictures are grouped by what they drew."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate",
    "brightness", "color", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
SHEAR, TRANSLATE, ROTATE, COLOUR = 0.99, 32.0, 135.0, 0.99  # largest strengths: slope, pixels, degrees, share


def affine(angle: torch.Tensor, zoom: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) for `affine_grid`: rotation by `angle` (radians) and the source seen at `zoom`."""
    cos, sin, zero, one = angle.cos() * zoom, angle.sin() * zoom, torch.zeros_like(zoom), torch.ones_like(zoom)
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).view(-1, 3, 3)


def geometry(which: torch.Tensor, strength: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 3, 3) for `affine_grid` of the operations that move pixels, and (B,) bool where there is one."""

    def of(name: str) -> torch.Tensor:
        return strength * (which == OPERATIONS.index(name))

    theta = affine(of("rotate") * math.radians(ROTATE), torch.ones_like(strength))
    step = 2 * min(TRANSLATE, size) / size  # in the grid's unit, half a side
    extra = torch.zeros_like(theta)
    extra[:, 0, 1], extra[:, 1, 0] = of("shear_x") * SHEAR, of("shear_y") * SHEAR
    extra[:, 0, 2], extra[:, 1, 2] = of("translate_x") * step, of("translate_y") * step
    return theta + extra, (which >= OPERATIONS.index("shear_x")) & (which <= OPERATIONS.index("rotate"))


def recolour(pictures: torch.Tensor, which: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """The operations that change values: (B, C, H, W) float 0–255 → the same."""
    for place, name in enumerate(OPERATIONS):
        where = (which == place).nonzero().flatten()
        if place <= OPERATIONS.index("rotate") or not len(where):
            continue
        some, force = pictures.index_select(0, where), strength.index_select(0, where)
        pictures = pictures.index_copy(0, where, change(some, name, force))
    return pictures


def change(pictures: torch.Tensor, name: str, strength: torch.Tensor) -> torch.Tensor:
    """One operation by name on (B, C, H, W) float 0–255 at (B,) strengths in [-1, 1]."""
    if name in ("brightness", "color", "contrast", "sharpness"):
        return blend(pictures, other(pictures, name), 1 + strength * COLOUR)
    force = strength.abs().view(-1, 1, 1, 1)
    if name == "posterize":
        step = 2 ** (force * 6).round()  # 8 to 2 bits stay
        return (pictures.round() / step).floor() * step
    if name == "solarize":
        return torch.where(pictures >= 255 * (1 - force), 255 - pictures, pictures)
    return autocontrast(pictures) if name == "autocontrast" else equalize(pictures)


def blend(pictures: torch.Tensor, far: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """`far` at factor 0, the picture at 1, further away from `far` beyond; clipped to 0–255."""
    return torch.lerp(far.expand_as(pictures), pictures, factor.view(-1, 1, 1, 1)).clamp(0, 255)


def other(pictures: torch.Tensor, name: str) -> torch.Tensor:
    """What a blend goes away from: black, the picture in grey, its mean grey, or itself blurred inside its border."""
    if name == "brightness":
        return torch.zeros_like(pictures)
    if name == "sharpness":
        return _blurred(pictures)
    if pictures.shape[1] == 3:
        grey = (pictures * pictures.new_tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    else:
        grey = pictures if name == "color" else pictures.mean(1, keepdim=True)  # no colour to lose
    return grey.mean((1, 2, 3), keepdim=True) if name == "contrast" else grey


def _blurred(pictures: torch.Tensor) -> torch.Tensor:
    """Pillow's smoothing kernel, the outermost pixels left as they are."""
    channels = pictures.shape[1]
    kernel = pictures.new_ones(3, 3)
    kernel[1, 1] = 5
    blurred = pictures.clone()
    if min(pictures.shape[2:]) > 2:
        blurred[:, :, 1:-1, 1:-1] = F.conv2d(pictures, (kernel / 13).expand(channels, 1, 3, 3), groups=channels)
    return blurred


def autocontrast(pictures: torch.Tensor) -> torch.Tensor:
    """Each channel stretched to 0–255; constant ones stay."""
    low, high = pictures.amin((2, 3), keepdim=True), pictures.amax((2, 3), keepdim=True)
    gain = torch.where(high > low, 255 / (high - low).clamp_min(1e-6), torch.ones_like(high))
    return torch.where(high > low, (pictures - low) * gain, pictures).clamp(0, 255)


def equalize(pictures: torch.Tensor) -> torch.Tensor:
    """Each channel's histogram made even, as Pillow's `ImageOps.equalize` does."""
    levels = pictures.round().clamp(0, 255).long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=levels.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    last = counts.gather(2, levels.amax(2, keepdim=True))  # Pillow leaves the brightest level out of the step
    step = (levels.shape[2] - last) // 255
    table = (counts.cumsum(2) - counts + step // 2) // step.clamp_min(1)
    even = table.clamp(0, 255).gather(2, levels).view_as(pictures).to(pictures.dtype)
    return torch.where((step == 0)[..., None], pictures, even)
