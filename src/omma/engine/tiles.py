"""A picture of any size through a network, part by part, in memory that does not grow with it; where parts meet, nothing shows.

A part is answered with as much around it as the network looks at, so what is kept of it is what the whole picture would have got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from omma.answers.picture import Picture
from omma.data.views import Views
from omma.tasks.task import Task

TILE = 512  # pixels on a side of what is kept of one part
GRID = 32  # pixels: parts begin where a network that halves its maps five times sees the same phase

# One part, (1, h, w, C) uint8 or float32 of 0–255 → operated tensors.
Ask = Callable[[np.ndarray], dict[str, Any]]


class Part(NamedTuple):
    """Along one side, pixels: what is read, and what of it is kept."""

    start: int
    stop: int
    first: int
    last: int


def parts(length: int, reach: int, tile: int = TILE) -> Iterator[Part]:
    """The parts of a side; one where the side is hardly longer than a tile."""
    if length <= tile + 2 * reach:
        yield Part(0, length, 0, length)
        return
    for first in range(0, length, tile):
        last = min(first + tile, length)
        yield Part(max(0, (first - reach) // GRID * GRID), min(length, last + reach), first, last)


def painted(ask: Ask, task: Task, views: Views, picture: np.ndarray, tile: int = TILE) -> Picture:
    """The answer to one picture.

    Args:
        ask: computes a part.
        picture: (H, W, C) uint8, or float32 of 0–255; the answer is as deep: 8 bits, or 16.
        tile: side of what is kept of a part, pixels.
    """
    bits = 8 if picture.dtype == np.uint8 else 16
    height, width = picture.shape[:2]
    canvas: np.ndarray | None = None
    for down in parts(height, views.overlap, tile):
        for across in parts(width, views.overlap, tile):
            given = np.ascontiguousarray(picture[None, down.start : down.stop, across.start : across.stop])
            tensors = {key: torch.as_tensor(value).cpu() for key, value in ask(given).items()}
            (said,) = task.decode(tensors)
            assert isinstance(said, Picture)
            made = said.deep(bits)
            scale = made.shape[0] // (down.stop - down.start)
            if canvas is None:
                canvas = np.zeros((height * scale, width * scale, made.shape[2]), made.dtype)
            y, x = (scale * (one.first - one.start) for one in (down, across))
            kept = made[y : y + scale * (down.last - down.first), x : x + scale * (across.last - across.first)]
            canvas[scale * down.first : scale * down.last, scale * across.first : scale * across.last] = kept
    assert canvas is not None, "a picture has pixels"
    return Picture.of(canvas)
