"""What a restored picture keeps of its original beside what a network saw: alpha, colour profile, EXIF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from omma.answers.picture import Picture
from omma.parts.bicubic import enlarge

_ORIENTATION, _UPRIGHT = 0x0112, 1
# Tags that say how the pixels of that file lay on the disk: its size, depth, compression, strips, tiles, tables, thumbnail.
_LAYOUT = {*range(0x0100, 0x0104), 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x013D, *range(0x0140, 0x0146), 0x014A, 0x0152}
_LAYOUT |= {0x00FE, 0x00FF, 0x0153, 0x015B, *range(0x0200, 0x0210), *range(0x0211, 0x0215), 0x8773}
_DETAILS, _WIDE, _HIGH = 0x8769, 0xA002, 0xA003  # the inner table, and the size of the picture there
# Where a colour profile says what its numbers are (ICC.1, 7.2.6), for as many channels as have them.
_SPACE, _SPACES = slice(16, 20), {1: b"GRAY", 2: b"GRAY", 3: b"RGB ", 4: b"RGB "}
_OTHERS = {b"GRAY", b"RGB ", b"CMYK", b"Lab ", b"XYZ ", b"YCbr", b"HSV ", b"CMY "}


def dressed(answer: Picture, original: np.ndarray, source: Path | bytes) -> Picture:
    """The answer with its original's alpha, enlarged where the answer is, and with what the file said beside its pixels.

    Args:
        original: (H, W, C) as decoded; a fourth channel is alpha.
        source: the file it was decoded from, or its bytes.
    """
    pixels = answer.pixels
    icc, exif = beside(source, (pixels.shape[1], pixels.shape[0]))
    answer = replace(answer, icc=icc if icc and fits(icc, pixels.shape[2]) else None, exif=exif)
    if original.shape[2] != 4:
        return answer
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


def fits(icc: bytes, channels: int) -> bool:
    """Whether a colour profile is about pictures of so many channels: that of a CMYK file, which is decoded to RGB, is not."""
    space = icc[_SPACE]
    return space == _SPACES[channels] or space not in _OTHERS


def beside(source: Path | bytes, size: tuple[int, int]) -> tuple[bytes | None, bytes | None]:
    """(colour profile, EXIF that says upright) of a picture file; None where it has none, or none that can be read.

    Args:
        size: of the picture that gets them, (width, height) in pixels: EXIF that names a size names this one.
    """
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            icc, exif = picture.info.get("icc_profile"), picture.getexif()
            if not exif:
                return icc or None, None
            exif[_ORIENTATION] = _UPRIGHT  # the pixels have been turned already
            for key in _LAYOUT & set(exif):
                del exif[key]
            inner = exif.get_ifd(_DETAILS)
            for key, length in zip((_WIDE, _HIGH), size, strict=True):
                if key in inner:
                    inner[key] = length
            return icc or None, exif.tobytes().removeprefix(b"Exif\0\0") or None
    except Exception:  # a file that only another reader opens, or a block nobody can parse: the picture matters more
        return None, None
