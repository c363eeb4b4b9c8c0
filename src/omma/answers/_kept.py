"""Pictures in the format their originals have, as far as it holds them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

# Suffix → what Pillow calls it, the channels it holds, and how it is written.
_FORMATS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    ".jpg": ("JPEG", (1, 3), {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", (1, 3), {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", (3, 4), {"quality": 95, "method": 4}),
    ".tif": ("TIFF", (1, 3, 4), {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", (1, 3, 4), {"compression": "tiff_adobe_deflate"}),
    ".bmp": ("BMP", (1, 3), {}),
}


def encode(pixels: np.ndarray, suffix: str, icc: bytes | None, exif: bytes | None) -> bytes | None:
    """(H, W, C) uint8 or uint16 as a file of this suffix; None where such a file cannot hold it."""
    from PIL import Image

    kind, channels, how = _FORMATS.get(suffix.lower(), ("", (), {}))
    if pixels.shape[2] not in channels or pixels.dtype != np.uint8:
        return None
    more = {"icc_profile": icc} if icc and kind != "BMP" else {}
    more |= {"exif": b"Exif\0\0" + exif} if exif and kind != "BMP" else {}
    if kind == "TIFF" and exif:
        how = {}  # libtiff, which compresses, cannot write the inner table of EXIF
    store = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(store, kind, **how, **more)
    return store.getvalue()
