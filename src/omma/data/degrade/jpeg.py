"""What JPEG does to a picture."""

from __future__ import annotations

import io

import numpy as np
import torch

from omma.data.degrade.reduce import levels


def jpeg(pictures: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W), 0–255, rounded to levels, written as JPEG files and read again: levels.

    Args:
        pictures: of one channel, grey, or of three, whose colour is written at half the size (4:2:0).
        quality: (B,) whole numbers from 1 to 100, the IJG's scale.
    """
    assert pictures.shape[1] in (1, 3), f"JPEG of {pictures.shape[1]} channels"
    rows = levels(pictures).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    made = np.stack([_through(row, int(one)) for row, one in zip(rows, quality.tolist(), strict=True)])
    return torch.from_numpy(made).permute(0, 3, 1, 2).to(pictures.device, pictures.dtype).contiguous()


def _through(pixels: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, C) uint8 there and back."""
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    file.seek(0)
    return np.asarray(JpegImageFile(file)).reshape(pixels.shape)
