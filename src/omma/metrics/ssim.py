"""SSIM: how alike brightness, contrast and structure are in every small neighbourhood; of every picture, then their mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from omma.metrics._reference import WHITE, AgainstReference

WINDOW, SIGMA = 11, 1.5  # pixels
_C1, _C2 = (0.01 * WHITE) ** 2, (0.03 * WHITE) ** 2


class Ssim(AgainstReference):
    """The structural similarity of Wang et al. 2004, as their `ssim_index.m` has it; the mean over the pictures.

    A Gaussian window of 11 × 11 pixels and σ = 1.5, K = (0.01, 0.03), white 255, only where the window lies in the picture, no averaging
    beforehand; in colour the mean over the channels. A picture of fewer than 11 pixels a side has the largest odd window that fits; one
    that the border leaves nothing of is not counted.
    """

    scale = "below_one"

    def value(self, said: Any, true: Any) -> float:
        one, two = self.planes(said, true)
        return float(np.mean([similarity(one[..., c], two[..., c]) for c in range(two.shape[2])])) if two.size else float("nan")


def similarity(one: np.ndarray, two: np.ndarray) -> float:
    """Mean SSIM of two channels (H, W) on 0–255, none of them empty."""
    side = min(WINDOW, *two.shape)
    side -= 1 - side % 2
    first, second = _blurred(one, side), _blurred(two, side)
    # How much both vary, and vary together, around the middle of a window.
    square = first**2 + second**2
    spread = _blurred(one**2 + two**2, side) - square
    common = _blurred(one * two, side) - first * second
    return float(((2 * first * second + _C1) * (2 * common + _C2) / ((square + _C1) * (spread + _C2))).mean())


def _blurred(channel: np.ndarray, side: int) -> np.ndarray:
    """(H − side + 1, W − side + 1): the means of the windows of that many pixels a side."""
    from scipy.ndimage import correlate1d  # comes with scikit-learn

    reach = side // 2
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        channel = correlate1d(channel, kernel, axis, mode="constant")
    return channel[reach : channel.shape[0] - reach, reach : channel.shape[1] - reach]
