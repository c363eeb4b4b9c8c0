"""Whether a bad picture and its good one show the same thing, and how far one lies beside the other."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from omma.data.decode import to_rgb8

SIDE = 32  # pixels of what is compared for likeness: noise, blur and blocks are gone at this size
FAINT = 0.25  # levels of 255: what varies less is of one brightness
CROP, LEAST = 512, 24  # pixels of the middle that are compared for a shift, at most and at least
BLUR = 1.0  # pixels, of the peak that a shift makes
NOISE = 0.02 * 255  # levels: frequencies in which the good picture holds less tell nothing
STANDS_OUT = 5.0  # standard deviations
# At no shift there must be less than this share of the peak: a blur spreads the peak, and a wide one has no one place.
ELSEWHERE = 0.5
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def likeness(bad: np.ndarray, good: np.ndarray) -> float:
    """Correlation of the brightness of two decoded pictures, (H, W, C) and (s·H, s·W, C), at 32 × 32 pixels: −1 to 1.

    NaN where one of them is of one brightness: nothing can be said of it.
    """
    one, two = (_small(picture) for picture in (bad, good))
    one, two = one - one.mean(), two - two.mean()
    known = min(one.std(), two.std()) > FAINT
    return float((one * two).mean() / (one.std() * two.std())) if known else float("nan")


def _small(picture: np.ndarray) -> np.ndarray:
    step = max(1, min(picture.shape[:2]) // (SIDE * 8))  # what a huge picture shows at 8 × this size is enough
    return _sized(_grey(picture[::step, ::step]), SIDE, SIDE).astype(np.float64)


def shift(bad: np.ndarray, good: np.ndarray) -> tuple[float, float]:
    """How far right and down the bad picture has what the good one shows, in pixels of the bad one; (0, 0) where it cannot be told.

    The spectrum of the bad picture over that of the good one is what turns one into the other: a point where nothing but its place has
    changed, a blot where it was blurred, and both lie beside the middle where the pictures are shifted. Other than in phase correlation
    (Kuglin & Hines 1975) a frequency counts as much as the good picture has of it (Wiener 1949), so that neither noise nor the zeros of
    a motion blur make a peak. Where the blot reaches the middle there is no telling: the shift is then called 0.

    Args:
        bad, good: decoded, (H, W, C) and (s·H, s·W, C); the good one is averaged over s × s pixels.
    """
    height, width = bad.shape[:2]
    scale = good.shape[0] // height
    assert good.shape[:2] == (scale * height, scale * width), "the good picture is a whole number of times as large"
    rows, columns = min(height, CROP), min(width, CROP)
    if min(rows, columns) < LEAST:
        return 0.0, 0.0
    top, left = (height - rows) // 2, (width - columns) // 2
    one = _grey(bad[top : top + rows, left : left + columns])
    two = _grey(good[scale * top : scale * (top + rows), scale * left : scale * (left + columns)])
    found = _between(one, _sized(two, rows, columns))
    peak = int(found.argmax())
    if found.flat[peak] < STANDS_OUT * found.std() or found[0, 0] >= ELSEWHERE * found.flat[peak]:
        return 0.0, 0.0
    row, column = divmod(peak, columns)
    return _place(found[row], column), _place(found[:, column], row)


def _between(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(H, W): what the second picture is convolved with to become the first, seen with a blur of one pixel; no shift at [0, 0]."""
    rows, columns = one.shape
    # Away from the middle everything fades: the picture has no borders that wrap around.
    window = np.hanning(rows + 2)[1:-1, None] * np.hanning(columns + 2)[None, 1:-1]
    first, second = (np.fft.rfft2((part - np.average(part, weights=window)) * window) for part in (one, two))
    power = np.abs(second) ** 2 + NOISE**2 * np.square(window).sum()
    down, across = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]
    seen = np.exp(-2 * (np.pi * BLUR) ** 2 * (down**2 + across**2))
    seen[0, 0] = 0  # the mean
    return np.fft.irfft2(first * np.conj(second) / power * seen, s=one.shape)


def _place(line: np.ndarray, peak: int) -> float:
    """Where a parabola through the peak and its neighbours is highest; places past the half are negative."""
    before, here, after = (float(line[(peak + step) % len(line)]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    exact = peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)
    return exact - len(line) if exact > len(line) / 2 else exact


def _grey(picture: np.ndarray) -> np.ndarray:
    return to_rgb8(picture).astype(np.float32) @ _LUMINANCE


def _sized(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) float32, averaged over areas."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize((width, height), Image.Resampling.BOX))


def apart(move: tuple[float, float]) -> float:
    """The length of a shift, pixels."""
    return math.hypot(*move)
