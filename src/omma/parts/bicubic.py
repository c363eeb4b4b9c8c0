"""MATLAB's `imresize(…, "bicubic")`, the ruler of super-resolution: the same numbers, on tensors.

Cubic convolution (Keys 1981, a = −1/2). To reduce, the kernel is stretched by the scale, which keeps fine patterns from turning into false
ones. Borders are mirrored, the pixel at the edge twice. The vertical pass comes first; of pictures in 8 bits its result is rounded, too.

At distances of k / 2s, which is all that a whole scale s asks for, 16·s³ times the kernel is a whole number. So pictures in 8 bits are
reckoned in whole numbers: without any error, the same on every device. (MATLAB reckons in double precision: of a value that lies in the
middle between two levels it may take the lower one where its sum falls short by a last bit.)

"Bicubic" on Set5, mean dB for ×2, ×3, ×4, `scale` pixels of the border left out (tests/test_bicubic.py):
    33.67, 30.40, 28.43: red, green and blue in 8 bits through `reduce8` and `enlarge8`; then Y of both pictures, not rounded.
    33.66, 30.39, 28.42, in older papers: Y rounded to 8 bits, through `reduce` and `enlarge`, rounded at the end only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

REACH = 2  # pixels to each side that the kernel looks at


def reduce(pictures: torch.Tensor, scale: int) -> torch.Tensor:
    """(B, C, H, W) float → (B, C, ⌈H / scale⌉, ⌈W / scale⌉), not rounded."""
    weights = _stretched(scale)
    for dim in (2, 3):
        pictures = _shrunk(pictures, dim, scale, [weight / sum(weights) for weight in weights])
    return pictures


def reduce8(pictures: torch.Tensor, scale: int) -> torch.Tensor:
    """As `reduce`, of whole numbers from 0 to 255 in any type: rounded to such, half up, after each pass."""
    weights = _stretched(scale)
    whole = pictures.to(torch.int32)
    for dim in (2, 3):
        whole = _levels(_shrunk(whole, dim, scale, weights), sum(weights))
    return whole.to(pictures.dtype)


def enlarge(pictures: torch.Tensor, scale: int) -> torch.Tensor:
    """(B, C, H, W) float → (B, C, scale · H, scale · W), not rounded.

    Sums of shifted pictures, for any size once exported. No convolution: those are done in half precision while a network learns, with
    fewer digits on graphics cards, and in 8 bits in a quantised copy.
    """
    rows = _phases(scale)
    for dim in (2, 3):
        pictures = _grown(pictures, dim, [[weight / sum(row) for weight in row] for row in rows])
    return pictures


def enlarge8(pictures: torch.Tensor, scale: int) -> torch.Tensor:
    """As `enlarge`, of whole numbers from 0 to 255 in any type: rounded to such, half up, after each pass."""
    rows = _phases(scale)
    whole = pictures.to(torch.int32)
    for dim in (2, 3):
        whole = _levels(_grown(whole, dim, rows), sum(rows[0]))
    return whole.to(pictures.dtype)


def mirrored(pictures: torch.Tensor, dim: int, before: int, after: int) -> torch.Tensor:
    """With so many more pixels before and after along `dim`: mirrored at the edge, whose pixel comes twice, as often as it takes."""
    count = pictures.shape[dim]
    place = torch.arange(-before, count + after, device=pictures.device).remainder(2 * count)
    return pictures.index_select(dim, torch.minimum(place, 2 * count - 1 - place))


def _kernel(k: int, scale: int) -> int:
    """16 · scale³ times the kernel at a distance of k / (2 · scale)."""
    k = abs(k)
    if k <= 2 * scale:
        return 3 * k**3 - 10 * scale * k**2 + 16 * scale**3
    return -(k**3) + 10 * scale * k**2 - 32 * scale**2 * k + 32 * scale**3 if k < 4 * scale else 0


def _stretched(scale: int) -> list[int]:
    """Weights of the pixels that make one pixel of the reduced picture, from left to right; the middle `scale` of them lie under it."""
    assert scale > 0
    side = 2 * REACH * scale - 1 - scale % 2  # the farthest, in half pixels
    return [_kernel(k, scale) for k in range(-side, side + 1, 2)]


def _phases(scale: int) -> list[list[int]]:
    """For each of `scale` pixels that one becomes: weights of the pixel and of `REACH` to both sides."""
    assert scale > 0
    return [[_kernel(2 * p + 1 - scale - 2 * scale * i, scale) for i in range(-REACH, REACH + 1)] for p in range(scale)]


def _shrunk(pictures: torch.Tensor, dim: int, scale: int, weights: Sequence[float]) -> torch.Tensor:
    """One pass of `reduce`."""
    count = pictures.shape[dim]
    last, before = (-(-count // scale) - 1) * scale, (len(weights) - scale) // 2
    wide = mirrored(pictures, dim, before, last + len(weights) - before - count)
    taps = [wide[(slice(None),) * dim + (slice(place, place + last + 1, scale),)] for place in range(len(weights))]
    return _weighed(taps, weights)


def _grown(pictures: torch.Tensor, dim: int, rows: Sequence[Sequence[float]]) -> torch.Tensor:
    """One pass of `enlarge`."""
    wide = pictures
    count = pictures.shape[dim]
    for place in range(REACH):
        # Mirrored ring by ring: the second ring repeats the second pixel, which a picture of one pixel has, too, once it has the first.
        size = count + 2 * place
        first, last = wide.narrow(dim, 2 * place, 1), wide.narrow(dim, size - 1 - 2 * place, 1)
        wide = torch.cat([first, wide, last], dim)
    taps = [wide.narrow(dim, place, count) for place in range(2 * REACH + 1)]
    return torch.stack([_weighed(taps, row) for row in rows], dim + 1).flatten(dim, dim + 1)


def _weighed(taps: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """The weighted sum; whole numbers stay whole."""
    total = None
    for tap, weight in zip(taps, weights, strict=True):
        if weight:
            total = tap * weight if total is None else torch.add(total, tap, alpha=weight)
    assert total is not None
    return total


def _levels(total: torch.Tensor, unit: int) -> torch.Tensor:
    """(…) int32 in units of 1 / `unit` → the nearest level, 0–255; a half goes up."""
    return (2 * total + unit).div(2 * unit, rounding_mode="floor").clamp(0, 255)
