"""Numbers and pictures of a page as text: packed so that a browser unpacks them without any library."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEVEL = 6
NARROW = 4  # maps less wide than this are packed as they are
# 91 letters, two of which hold 13 bits: a tenth shorter than base64. None of them means anything in HTML.
ALPHABET = "".join(chr(code) for code in range(33, 127) if chr(code) not in "<&\\")


@dataclass
class Parts:
    """What a page holds beside its JSON, one text for each part; the browser unpacks a part when it is looked at."""

    texts: list[str] = field(default_factory=list)

    def add(self, make: Callable[[], bytes]) -> int:
        """The number of a new part: the bytes that `make()` gives, deflated, as letters."""
        packed = zlib.compress(make(), LEVEL)
        self.texts.append(f"{len(packed)}:{letters(packed)}")
        return len(self.texts) - 1

    def floats(self, values: np.ndarray) -> int:
        """Float32, exactly; first bytes of all numbers, then second …: like lies beside like, which packs better."""
        return self.add(lambda: np.ascontiguousarray(values, "<f4").reshape(-1, 1).view(np.uint8).T.tobytes())

    def bytes8(self, values: np.ndarray | Callable[[], np.ndarray]) -> int:
        """(C, h, w) uint8; each as the difference to its left neighbour, modulo 256, where rows are long enough."""

        def make() -> bytes:
            found = values() if callable(values) else values
            if found.shape[2] >= NARROW:
                found = np.diff(found, axis=2, prepend=np.uint8(0))
            return np.ascontiguousarray(found, np.uint8).tobytes()

        return self.add(make)

    def pictures(self, maps: np.ndarray) -> dict[str, Any]:
        """(C, h, w) float32 → one 8-bit picture a channel, and what 0 and 255 mean of each; what is no number is 0."""
        maps = maps if np.isfinite(maps).all() else np.nan_to_num(maps, posinf=0.0, neginf=0.0)
        flat = maps.reshape(len(maps), -1)
        low, high = flat.min(1), flat.max(1)
        wide = np.where(high > low, high - low, 1)
        return {
            "part": self.bytes8(lambda: np.rint((maps - low[:, None, None]) / wide[:, None, None] * 255).astype(np.uint8)),
            "h": maps.shape[1],
            "w": maps.shape[2],
            "low": short(low),
            "high": short(np.where(high > low, high, low)),
        }


class Held(Parts):
    """Parts that are made when they are asked for, and not packed: a server gives them to a page on the same machine."""

    def __init__(self) -> None:
        super().__init__()
        self._makers: list[Callable[[], bytes]] = []

    def add(self, make: Callable[[], bytes]) -> int:
        self._makers.append(make)
        return len(self._makers) - 1

    def made(self, number: int) -> bytes | None:
        """The bytes of a part; None where there is none of that number."""
        return self._makers[number]() if 0 <= number < len(self._makers) else None


def letters(blob: bytes) -> str:
    """Bytes → two letters for every 13 bits, the first bit in front; behind the last there may be bits of 0."""
    count = -(-len(blob) // 13)
    rows = np.frombuffer(blob.ljust(13 * count, b"\0"), np.uint8).reshape(count, 13).astype(np.uint32)
    values = np.empty((count, 8), np.uint32)
    for place in range(8):
        first, bit = divmod(13 * place, 8)
        three = rows[:, first] << 16 | (rows[:, first + 1] << 8 if first < 12 else 0) | (rows[:, first + 2] if first < 11 else 0)
        values[:, place] = three >> (11 - bit) & 0x1FFF
    pairs = np.stack([values // 91, values % 91], 2).ravel()
    return np.frombuffer(ALPHABET.encode(), np.uint8)[pairs].tobytes().decode()


def short(values: Any, digits: int = 6) -> list[float | None]:
    """Numbers for JSON, so many digits that count; what is no number becomes null."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in np.asarray(values, np.float64).ravel().tolist()]


def smaller(maps: np.ndarray, side: int) -> np.ndarray:
    """(C, h, w) → no side longer than `side`: the means of squares of whole units; what does not fill a square is left out."""
    times = math.ceil(max(maps.shape[1:]) / side)
    if times <= 1:
        return maps
    height, width = (max(1, length // times) for length in maps.shape[1:])
    tall, wide = min(times, maps.shape[1]), min(times, maps.shape[2])
    cut = maps[:, : height * tall, : width * wide]
    return cut.reshape(len(maps), height, tall, width, wide).mean((2, 4), dtype=np.float32)
