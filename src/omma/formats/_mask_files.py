"""One mask file as it lies on disk: which codes it holds and where; what they mean is decided once every file is known."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omma.data.decode import stored
from omma.words import say

MOST_CODES = 4096  # colours or grey levels: a mask of more is a photograph


@dataclass(slots=True)
class MaskFile:
    """The pixels of a mask, packed; a *code* is a grey value, a place in a palette, or a colour as 0xRRGGBB.

    Args:
        width, height: of the upright mask, pixels.
        codes: (V,) int64, ascending: every code the file holds.
        counts: (V,) int64, pixels of each.
        places: the pixels row by row, each a place in `codes` (uint8, or uint16 where there are more than 256), compressed with zlib.
        depth: bits of one stored value, 8 or 16.
        palette: (256, 3) uint8 of a palette PNG, else None.
        colour: codes are colours.
        layers: the file has three channels, though they may all be the same.
        lossy: a JPEG.
        runs: stretches of one code, row by row: few in a mask, nearly as many as pixels in a photograph.
    """

    width: int
    height: int
    codes: np.ndarray
    counts: np.ndarray
    places: bytes
    depth: int = 8
    palette: np.ndarray | None = None
    colour: bool = False
    layers: bool = False
    lossy: bool = False
    runs: int = 0

    def through(self, table: np.ndarray) -> np.ndarray:
        """(height, width): every pixel's code replaced by what `table` ((V,), of any type) says of it."""
        kind = np.uint8 if len(self.codes) <= 256 else np.uint16
        places = np.frombuffer(zlib.decompress(self.places), kind).reshape(self.height, self.width)
        return table[places]

    def colours(self) -> np.ndarray:
        """(V,) int64: the codes as colours 0xRRGGBB, looked up in the palette where there is one; grey v is (v, v, v)."""
        if self.colour:
            return self.codes
        if self.palette is None:
            return self.codes * 0x010101
        return self.palette[self.codes].astype(np.int64) @ (1 << 16, 1 << 8, 1)


def open_mask(path: Path) -> MaskFile:
    """Read and pack one mask.

    Raises:
        DataError: not a picture, damaged, or too large.
        ValueError: a picture, but no mask: fractions, or more colours than any table of classes has.
    """
    values, palette, lossy = stored(path)
    if values.dtype.kind == "f":
        if not ((values == np.rint(values)) & (values >= 0) & (values < 1 << 16)).all():
            raise ValueError(say("masks.fractions"))
        values = values.astype(np.uint16)
    layers = values.shape[2] > 1
    if values.shape[2] in (3, 4) and (values[..., 0] == values[..., 1]).all() and (values[..., 0] == values[..., 2]).all():
        values = values[..., :1]
    colour = values.shape[2] > 1
    if colour and (values.shape[2] > 4 or values.dtype != np.uint8):
        raise ValueError(say("masks.channels", channels=values.shape[2]))
    flat = values[..., :3].astype(np.uint32) @ np.array((1 << 16, 1 << 8, 1), np.uint32) if colour else values[..., 0]
    height, width = flat.shape
    codes, counts, places, runs = _distinct(flat.reshape(-1))
    if len(codes) > MOST_CODES and (colour or 2 * runs > flat.size):
        raise ValueError(say("masks.photograph", count=len(codes)))
    if palette is not None and (palette[codes] == codes[:, None]).all():
        palette = None  # a palette of greys in their order is plain grey
    return MaskFile(
        width, height, codes.astype(np.int64), counts, zlib.compress(places.tobytes(), 1), values.dtype.itemsize * 8, palette, colour,
        layers, lossy, runs,
    )  # fmt: skip


def _distinct(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(codes, how often, places, runs): as `numpy.unique`, but sorted is only what differs from its neighbour."""
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(starts, append=len(flat))
    codes, places = np.unique(flat[starts], return_inverse=True)
    counts = np.bincount(places, lengths, len(codes)).astype(np.int64)
    return codes, counts, np.repeat(places.astype(np.uint8 if len(codes) <= 256 else np.uint16), lengths), len(starts)
