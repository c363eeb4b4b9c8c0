"""A picture of any size through a network, part by part, in memory that does not grow with it; where parts meet, nothing shows.

A part is answered with as much around it as the network looks at, so what is kept of it is what the whole picture would have got.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

import numpy as np
import torch

from omma.answers.picture import Picture
from omma.data.views import Views
from omma.tasks.task import Task

TILE = 512  # pixels on a side of what is kept of one part
IN_MEMORY = 64 << 20  # bytes of one answer: an evaluation holds hundreds
THUMBNAIL = 512  # pixels on the longer side of what a network is shown of a picture as a whole
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
        # Ends lie on that grid counted from the far end: a part turned round shows a network the phase of the whole turned round.
        stop = length - max(0, (length - last - reach) // GRID * GRID)
        yield Part(max(0, (first - reach) // GRID * GRID), stop, first, last)


def large(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Room for an answer; over `IN_MEMORY` bytes in a file that nobody sees and that goes with the array, where the disk has the room."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size > IN_MEMORY and hasattr(os, "posix_fallocate"):
        with suppress(OSError), tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a disk that fills up later would kill the process
            return np.memmap(file, dtype, "r+", shape=shape)
    return np.zeros(shape, dtype)


def remembers(net: Any, picture: np.ndarray) -> bool:
    """Whether a network is shown a picture (H, W, C) before its parts: one that looks at all of it, and it is large."""
    return net is not None and net.remembers and not net.at_once and max(picture.shape[:2]) > THUMBNAIL


def remembering(net: Any, picture: np.ndarray) -> AbstractContextManager[None]:
    """Within, a network that looks at all of a picture says of each part what it says of the whole (Chen et al. 2022)."""
    planes = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None] / 255
    share = min(1.0, THUMBNAIL / max(picture.shape[:2]))
    if net.reduced and share < 1:
        sides = [max(1, round(length * share)) for length in picture.shape[:2]]
        planes = torch.nn.functional.interpolate(planes, sides, mode="bilinear", antialias=True, align_corners=False)
    device = next(net.parameters()).device
    return net.steady(planes.expand(-1, max(planes.shape[1], net.channels), -1, -1).to(device))


def painted(ask: Ask, task: Task, views: Views, picture: np.ndarray, tile: int = TILE, net: Any = None) -> Picture:
    """The answer to one picture.

    Args:
        ask: computes a part.
        picture: (H, W, C) uint8, or float32 of 0–255; the answer is as deep: 8 bits, or 16.
        tile: side of what is kept of a part, pixels.
        net: what computes, where `ask` goes to a network of torch.
    """
    with remembering(net, picture) if remembers(net, picture) else nullcontext():
        return _painted(ask, task, views, picture, max(picture.shape[:2]) if net is not None and net.at_once else tile)


def _painted(ask: Ask, task: Task, views: Views, picture: np.ndarray, tile: int) -> Picture:
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
                canvas = large((height * scale, width * scale, made.shape[2]), made.dtype)
            y, x = (scale * (one.first - one.start) for one in (down, across))
            kept = made[y : y + scale * (down.last - down.first), x : x + scale * (across.last - across.first)]
            canvas[scale * down.first : scale * down.last, scale * across.first : scale * across.last] = kept
    assert canvas is not None, "a picture has pixels"
    return Picture.of(canvas)
