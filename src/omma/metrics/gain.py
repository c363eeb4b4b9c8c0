"""Gain: by how many decibels an answer is nearer to the good picture than what was given."""

from __future__ import annotations

from typing import Any

import numpy as np

from omma.metrics._reference import AgainstReference, compared
from omma.metrics.psnr import decibels


class Gain(AgainstReference):
    """PSNR of the answer less the PSNR of what was given, of each picture; the mean of that.

    What was given is compared as it is, neither rounded nor cut; where it is smaller than the good picture, it is enlarged by bicubic
    interpolation (Keys 1981, a = −0.5) and rounded. A truth that does not know what was given has no number.
    """

    unit = "dB"
    scale = "free"

    def value(self, said: Any, true: Any) -> float:
        if true.given is None:
            return float("nan")
        good, given = true.pixels, true.given()
        if given.shape[:2] != good.shape[:2]:
            given = enlarged(given, good.shape[0], good.shape[1], 8 * good.dtype.itemsize)
        return decibels(*self.planes(said, true)) - decibels(*compared(given, good, self.channel, self.border))


def enlarged(pixels: np.ndarray, height: int, width: int, bits: int = 8) -> np.ndarray:
    """(h, w, C) uint8, uint16 or float on 0–255 → (height, width, C) float64 on 0–255, rounded to a depth of `bits`."""
    import torch
    from torch.nn import functional as F

    values = torch.from_numpy(pixels.astype(np.float64) / (257 if pixels.dtype == np.uint16 else 1)).permute(2, 0, 1)[None]
    # With `antialias`, which changes nothing else where pictures grow, a is −0.5; without it −0.75.
    large = F.interpolate(values, (height, width), mode="bicubic", align_corners=False, antialias=True)
    steps = 1 if bits == 8 else 257
    return ((large * steps).round() / steps).clamp(0, 255)[0].permute(1, 2, 0).numpy()
