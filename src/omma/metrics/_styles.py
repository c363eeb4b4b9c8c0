"""What styles are measured by: an encoder that nothing was optimised by."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from omma.models.eyes import Eyes, eyes, freed, unlearned

SEED = 1  # of the random weights that judge, where nobody names a judge: pictures are made by those of seed 0
SIDE = 512  # pixels on the longer side of what is looked at; larger pictures are reduced


@lru_cache(maxsize=4)
def judging(name: str) -> Eyes:
    """The encoder of this name, see `eyes`; "" = random weights of another seed than those that learn.

    Raises:
        OmmaError: no such encoder.
    """
    with torch.inference_mode(False):
        return freed(eyes(name) if name else unlearned(SEED), name)


def entering(pixels: np.ndarray) -> torch.Tensor:
    """(H, W, C) uint8, uint16 or float of 0–255 → (1, 3, h, w), 0–1, alpha left out, no side longer than `SIDE`."""
    colour = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1]
    planes = torch.from_numpy(colour.astype(np.float32) / (65535 if pixels.dtype == np.uint16 else 255)).permute(2, 0, 1)[None]
    planes = planes.expand(-1, 3, -1, -1)
    share = SIDE / max(planes.shape[2:])
    if share >= 1:
        return planes
    sides = [max(1, round(length * share)) for length in planes.shape[2:]]
    return F.interpolate(planes, sides, mode="bilinear", antialias=True, align_corners=False)
