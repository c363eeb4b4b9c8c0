"""Eyes that nobody trained, on the same picture: Sobel, Canny, Gabor and histograms of oriented gradients."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage, signal

WAVES, TURNS = (4.0, 8.0), 8  # wave lengths in pixels, and directions, of the Gabor filters
CELL, BINS = 8, 9  # pixels of a cell, and directions, of HOG


def grey_of(frame: np.ndarray) -> np.ndarray:
    """(H, W, C) of 0–255 → (H, W) float64 of 0–1."""
    values = np.asarray(frame, np.float64) / 255
    return values @ np.array([0.299, 0.587, 0.114]) if values.shape[2] == 3 else values.mean(2)


def sobel(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(slope down, slope across), (H, W) each, by Sobel's kernels (1968); the edge is repeated."""
    return ndimage.sobel(grey, 0, mode="nearest"), ndimage.sobel(grey, 1, mode="nearest")


def canny(grey: np.ndarray, blur: float = 1.4, low: float = 0.1, high: float = 0.2) -> np.ndarray:
    """(H, W) bool: edges one pixel thin (Canny 1986).

    Args:
        blur: deviation of the Gaussian, pixels.
        low, high: of the largest slope: what an edge may go on with, and what it must have somewhere.
    """
    down, across = sobel(ndimage.gaussian_filter(grey, blur, mode="nearest"))
    size = np.hypot(down, across)
    if size.max() == 0:
        return np.zeros_like(grey, bool)
    # Thin: as large as both neighbours across the edge, the direction rounded to 45 degrees.
    turn = np.round(np.arctan2(down, across) / (math.pi / 4)).astype(int) % 4
    steps = np.array([(0, 1), (1, 1), (1, 0), (1, -1)])[turn]
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    padded = np.pad(size, 1)
    one = padded[y + 1 + steps[..., 0], x + 1 + steps[..., 1]]
    two = padded[y + 1 - steps[..., 0], x + 1 - steps[..., 1]]
    thin = np.where((size > one) & (size >= two), size, 0)  # of two that are as large the first
    weak, strong = thin > low * size.max(), thin > high * size.max()
    groups, count = ndimage.label(weak, np.ones((3, 3)))
    kept = np.zeros(count + 1, bool)
    kept[np.unique(groups[strong])] = True
    kept[0] = False
    return kept[groups]


def gabor_kernel(wave: float, turn: float) -> np.ndarray:
    """(k, k): a cosine of so many pixels a wave under a Gaussian of half a wave, turned by `turn` radians; its sum is 0 (Gabor 1946)."""
    spread = 0.5 * wave
    half = math.ceil(3 * spread)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    along, aside = x * math.cos(turn) + y * math.sin(turn), -x * math.sin(turn) + y * math.cos(turn)
    bell = np.exp(-(along**2 + aside**2) / (2 * spread**2))
    kernel = bell * np.cos(2 * math.pi * along / wave)
    kernel -= bell * kernel.sum() / bell.sum()
    return kernel / np.abs(kernel).sum()


def gabor(grey: np.ndarray) -> list[tuple[float, float, np.ndarray, np.ndarray]]:
    """(wave, turn, kernel, answer (H, W)) of every filter of the bank."""
    bank = [(wave, math.pi * i / TURNS) for wave in WAVES for i in range(TURNS)]
    kernels = [gabor_kernel(*one) for one in bank]
    found = []
    for one, kernel in zip(bank, kernels, strict=True):
        wide = np.pad(grey, len(kernel) // 2, mode="edge")
        found.append((*one, kernel, signal.fftconvolve(wide, kernel, mode="valid")))
    return found


def hog(grey: np.ndarray) -> np.ndarray:
    """(rows, columns, BINS): histograms of the directions of slopes in cells of 8 pixels, each cell as a share of the 2 × 2 around it.

    Unsigned directions, votes shared between the two nearest bins (Dalal & Triggs 2005); of the normalised copies of a cell the mean.
    """
    down, across = np.gradient(grey)
    size, turn = np.hypot(down, across), np.mod(np.arctan2(down, across), math.pi) / math.pi * BINS
    rows, columns = (length // CELL for length in grey.shape)
    if not rows or not columns:
        return np.zeros((0, 0, BINS))
    low = np.floor(turn - 0.5).astype(int)
    share = turn - 0.5 - low
    cells = np.zeros((rows, columns, BINS))
    y, x = np.mgrid[: rows * CELL, : columns * CELL]
    inside = (slice(0, rows * CELL), slice(0, columns * CELL))
    for bins, part in ((low % BINS, 1 - share), ((low + 1) % BINS, share)):
        np.add.at(cells, (y // CELL, x // CELL, bins[inside]), (size * part)[inside])
    padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)))
    found = np.zeros_like(cells)
    for i in (0, 1):
        for j in (0, 1):  # the four blocks a cell lies in
            block = sum(padded[i + a : i + a + rows, j + b : j + b + columns] ** 2 for a in (0, 1) for b in (0, 1))
            found += np.minimum(cells / np.sqrt(np.sum(block, 2, keepdims=True) + 1e-4), 0.2)
    return found / 4
