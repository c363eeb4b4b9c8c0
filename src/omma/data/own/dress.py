"""What a restored picture keeps of its original beside what a network saw: alpha, colour profile, EXIF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from omma.answers.picture import Picture
from omma.parts.bicubic import enlarge

_ORIENTATION, _UPRIGHT = 0x0112, 1


def dressed(answer: Picture, original: np.ndarray, source: Path | bytes) -> Picture:
    """The answer with its original's alpha, enlarged where the answer is, and with what the file said beside its pixels.

    Args:
        original: (H, W, C) as decoded; a fourth channel is alpha.
        source: the file it was decoded from, or its bytes.
    """
    icc, exif = beside(source)
    answer = replace(answer, icc=icc, exif=exif)
    if original.shape[2] != 4:
        return answer
    pixels = answer.pixels
    white = np.iinfo(pixels.dtype).max
    cover = _alpha(original[..., 3], pixels.shape[0] // original.shape[0], white).astype(pixels.dtype)
    whole = np.concatenate([pixels, cover[..., None]], 2)
    return replace(answer, load=lambda: whole)


def _alpha(cover: np.ndarray, scale: int, white: int) -> np.ndarray:
    """(H, W) uint8, uint16 or float32 → (s·H, s·W) float, whole numbers up to `white`."""
    full = 1.0 if cover.dtype.kind == "f" else float(np.iinfo(cover.dtype).max)
    planes = torch.from_numpy(cover.astype(np.float32) * np.float32(white / full))[None, None]
    grown = enlarge(planes, scale) if scale > 1 else planes
    return np.rint(grown[0, 0].numpy()).clip(0, white)


def beside(source: Path | bytes) -> tuple[bytes | None, bytes | None]:
    """(colour profile, EXIF that says upright) of a picture file; None where it has none, or none that can be read."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            icc, exif = picture.info.get("icc_profile"), picture.getexif()
            if not exif:
                return icc or None, None
            exif[_ORIENTATION] = _UPRIGHT  # the pixels have been turned already
            return icc or None, exif.tobytes().removeprefix(b"Exif\0\0") or None
    except Exception:  # a file that only another reader opens, or a block nobody can parse: the picture matters more
        return None, None
