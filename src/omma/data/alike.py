"""Which of many thumbnails show the same picture: a search by blocks of matrix products, then a closer look at each candidate."""

from __future__ import annotations

import numpy as np

from omma.progress import Watch
from omma.words import say

BLOCK = 2048
CANDIDATE = 0.97


def alike_pairs(thumbs: np.ndarray, places: np.ndarray, watch: Watch = Watch()) -> tuple[list[tuple[int, int, str]], list[tuple[int, int]]]:
    """(pairs that show the same, pairs that are much alike) among `places` of (N, 32, 32, 3) uint8 `thumbs`."""
    even, odd = _halves(thumbs, places)
    what, pairs = say("split.comparing"), []
    for start in range(0, len(places), BLOCK):
        watch.step(what, start, len(places))
        e, o = even[start : start + BLOCK], odd[start : start + BLOCK]
        same, turned = e @ even[start:].T, o @ odd[start:].T
        rows, columns = np.nonzero(same + np.abs(turned) > CANDIDATE)
        for r, c in zip(rows.tolist(), columns.tolist(), strict=True):
            if c > r:
                pairs.append((int(places[start + r]), int(places[start + c]), "same" if turned[r, c] >= 0 else "mirrored"))
    watch.end(what)
    return sorted(pairs), []


def _halves(thumbs: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parts of an 8 × 8 grey thumbnail that mirroring keeps and turns round: (n, 32) each, together of length one."""
    even, odd = np.zeros((len(places), 32), np.float32), np.zeros((len(places), 32), np.float32)
    for start in range(0, len(places), 4096):
        small = _small(thumbs[places[start : start + 4096]], 8)
        small -= small.mean((1, 2), keepdims=True)
        norm = np.sqrt((small**2).sum((1, 2), keepdims=True))
        small = np.where(norm > 32, small / np.maximum(norm, 1e-6), 0)
        left, right = small[:, :, :4], small[:, :, :3:-1]
        even[start : start + 4096] = ((left + right) / 2**0.5).reshape(-1, 32)
        odd[start : start + 4096] = ((left - right) / 2**0.5).reshape(-1, 32)
    return even, odd


def _small(thumbs: np.ndarray, side: int) -> np.ndarray:
    """(n, side, side) float32 luminance of (n, S, S, 3) uint8, area-averaged."""
    grey = thumbs @ np.array([0.299, 0.587, 0.114], np.float32)
    n, full = len(grey), grey.shape[1]
    return grey.reshape(n, side, full // side, side, full // side).mean((2, 4))
