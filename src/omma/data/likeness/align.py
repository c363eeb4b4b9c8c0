"""How well one thumbnail fits another after the best shift, zoom and change of contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omma.data.looks import SIDE

STEPS = 4  # of Gauss-Newton; a crop of a tenth is found in three
FAINT = 0.75  # levels
ZOOM, SHIFT = 0.2, 0.15  # what still counts as the same picture: shares of the side
_PLACES = np.arange(SIDE, dtype=np.float32)
_AWAY = (_PLACES + 0.5) / SIDE - 0.5  # from the middle, as a share of the side
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
# Blur of one pixel: what JPEG and interpolation do to the finest detail does not count.
_BLUR = np.add.reduce([np.diag(np.full(SIDE - abs(k), w), k) for k, w in ((-1, 0.25), (0, 0.5), (1, 0.25))]).astype(np.float32)
_BLUR[0, 0] = _BLUR[-1, -1] = 0.75


@dataclass(slots=True)
class Fit:
    """Of P pairs, each (P,) float32.

    Args:
        detail: correlation of what is left of both after smooth shading is taken away, −1 to 1.
        texture: the same after the mean of every row and column is taken away too: horizons and edges of frames have none.
        overlap: share of the second picture that lies inside the first.
    """

    detail: np.ndarray
    texture: np.ndarray
    overlap: np.ndarray


def fit(first: np.ndarray, second: np.ndarray) -> Fit:
    """Align (P, 32, 32, 3) uint8 `first` to `second` and compare; memory grows with P.

    Shift, zoom, gain and offset are found by Gauss-Newton steps on brightness (Lucas & Kanade 1981, with four of the six affine numbers).
    """
    a, b = _grey(first), _grey(second)
    move = np.zeros((len(a), 4), np.float32)  # shift and zoom across, shift and zoom down, as shares of the side
    for _ in range(STEPS):
        warped, inside = _warp(a, move)
        move = np.clip(move + _step(warped, b, inside), [-SHIFT, -ZOOM] * 2, [SHIFT, ZOOM] * 2).astype(np.float32)
    warped, inside = _warp(a, move)
    one, two = _detail(warped, inside), _detail(b, inside)
    return Fit(_correlation(one, two), _correlation(_texture(one, inside), _texture(two, inside)), inside.mean((1, 2)))


def _correlation(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    power = (one**2).sum((1, 2)) * (two**2).sum((1, 2))
    # Less than a level of variation is rounding, and correlates with nothing.
    return (one * two).sum((1, 2)) / np.maximum(np.sqrt(power), FAINT**2 * SIDE * SIDE)


def _texture(detail: np.ndarray, inside: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        mean = (detail * inside).sum(axis, keepdims=True) / np.maximum(inside.sum(axis, keepdims=True), 1)
        detail = (detail - mean) * inside
    return detail


def _grey(thumbs: np.ndarray) -> np.ndarray:
    return _BLUR @ (thumbs.astype(np.float32) @ _LUMINANCE) @ _BLUR


def _lens(shift: np.ndarray, zoom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, 32, 32) linear interpolation to where each row or column comes from, and (P, 32) whether that lies in the picture."""
    source = (_AWAY * (1 + zoom[:, None]) + shift[:, None] + 0.5) * SIDE - 0.5
    weights = np.maximum(0, 1 - np.abs(np.clip(source, 0, SIDE - 1)[:, :, None] - _PLACES))
    return weights.astype(np.float32), (source > -0.75) & (source < SIDE - 0.25)


def _warp(pictures: np.ndarray, move: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    across, sees_x = _lens(move[:, 0], move[:, 1])
    down, sees_y = _lens(move[:, 2], move[:, 3])
    return down @ pictures @ across.transpose(0, 2, 1), (sees_y[:, :, None] & sees_x[:, None, :]).astype(np.float32)


def _step(warped: np.ndarray, target: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(P, 4) change of shift and zoom that a linear model of the picture asks for; gain and offset are solved beside them."""
    slope_y, slope_x = np.gradient(warped, axis=(1, 2))
    away_x, away_y = np.broadcast_to(_AWAY[None, :], (SIDE, SIDE)), np.broadcast_to(_AWAY[:, None], (SIDE, SIDE))
    slope_x, slope_y = slope_x * SIDE, slope_y * SIDE
    columns = (slope_x, slope_x * away_x, slope_y, slope_y * away_y, warped, np.ones_like(warped))
    model = np.stack([column * inside for column in columns], 1).reshape(len(warped), 6, -1)
    square = model @ model.transpose(0, 2, 1)
    # A little damping keeps a direction in which the picture is flat where it is.
    square[:, range(6), range(6)] *= 1.001
    square[:, range(6), range(6)] += 1.0
    right = model @ (target * inside).reshape(len(warped), -1, 1)
    return np.linalg.solve(square, right)[:, :4, 0]


def _detail(pictures: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What is left when the best quadratic surface is taken away: skies and walls have none."""
    x, y = np.meshgrid(_AWAY * 2, _AWAY * 2)
    surface = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]).reshape(1, 6, -1).astype(np.float32)
    model, flat = surface * inside.reshape(len(inside), 1, -1), pictures.reshape(len(pictures), -1, 1)
    square = model @ model.transpose(0, 2, 1)
    square[:, range(6), range(6)] += 1e-3
    weights = np.linalg.solve(square, model @ flat)
    left = flat[:, :, 0] - (weights.transpose(0, 2, 1) @ surface)[:, 0]
    return left.reshape(pictures.shape) * inside
