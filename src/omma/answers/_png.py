"""Pictures as PNG files: 8 or 16 bits, grey, colour, with alpha; colour profile and EXIF carried along."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_HEAD = 33  # bytes of a PNG up to the end of its first chunk, IHDR


def encode(pixels: np.ndarray, icc: bytes | None = None, exif: bytes | None = None) -> bytes:
    """(H, W, C) uint8 or uint16 → a PNG file, C = 1 grey, 2 grey with alpha, 3 colour, 4 colour with alpha.

    Args:
        icc: a colour profile, as files hold it.
        exif: an EXIF block that begins with its byte order (`II` or `MM`).
    """
    import imagecodecs

    assert pixels.ndim == 3 and pixels.shape[2] in (1, 2, 3, 4) and pixels.dtype in (np.uint8, np.uint16), "no picture a PNG can hold"
    plain = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    blob = imagecodecs.png_encode(np.ascontiguousarray(plain), level=4)
    more = b"" if icc is None else _chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc))
    more += b"" if exif is None else _chunk(b"eXIf", exif)
    return bytes(blob[:_HEAD]) + more + bytes(blob[_HEAD:])


def decode(blob: bytes) -> np.ndarray:
    """What `encode` made: (H, W, C) uint8 or uint16."""
    import imagecodecs

    pixels = imagecodecs.png_decode(blob)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
