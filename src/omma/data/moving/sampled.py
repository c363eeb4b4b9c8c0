"""A clip or a volume as one picture: so many frames, evenly taken, one after another in its channels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import overload

import numpy as np

from omma.data.decode import decode, max_pixels, probe, to_rgb8
from omma.data.moving.clip import CLIP_SUFFIXES, open_clip
from omma.errors import DataError
from omma.words import say

FRAMES = 16  # as C3D (Tran et al. 2015) and R(2+1)D's family (2018) have them
COLOURS = 3


def moments(channels: int) -> int:
    """How many frames a network of so many channels reads: 1 where its pictures are pictures."""
    return channels // COLOURS if channels > 4 and channels % COLOURS == 0 else 1


def is_clip(path: Path) -> bool:
    """Whether a file is a clip, by its suffix."""
    return path.suffix.lower() in CLIP_SUFFIXES


def sampled(source: Path | bytes, frames: int = FRAMES, *, name: str | None = None) -> np.ndarray:
    """(H, W, frames · 3) uint8: frames in the middle of equal stretches of a clip, or slices of a volume (TIFF, GIF or WebP of several).

    Where there are fewer they come up again. Deeper values than 8 bits are scaled alike in all of them.

    Raises:
        DataError: it cannot be read, is too large, or its frames are not of one size.
    """
    if isinstance(source, Path) and is_clip(source):
        taken = _of_clip(source, frames)
    else:
        head = probe(source)  # before anything is read: a file may be larger than the memory
        _bearable(head.width, head.height, frames, name or source)
        data = source if isinstance(source, bytes) else source.read_bytes()
        name = name or (None if isinstance(source, bytes) else str(source))
        taken = [decode(data, name=name, frame=place) for place in _even(head.frames, frames)]
    if len({one.shape for one in taken}) > 1:
        raise DataError(say("decode.frames_differ"), name or str(source))
    tall = np.concatenate(taken)  # one above the other, so that all are brought to 8 bits by the same scale
    colour = to_rgb8(tall).reshape(frames, *taken[0].shape[:2], COLOURS)
    return np.ascontiguousarray(colour.transpose(1, 2, 0, 3)).reshape(*taken[0].shape[:2], frames * COLOURS)


def as_read(source: Path | bytes, channels: int, *, name: str | None = None) -> np.ndarray:
    """A file as a network of so many channels reads it: a picture, or frames of a clip or volume where it reads several.

    Args:
        name: of the file whose bytes are given; its suffix says that they are a clip.

    Raises:
        DataError: it cannot be read.
    """
    frames = moments(channels)
    if frames > 1 and isinstance(source, bytes) and name is not None and is_clip(Path(name)):
        return _of_bytes(source, frames, name)
    if frames > 1 and ((isinstance(source, Path) and is_clip(source)) or probe(source).frames > 1):
        return sampled(source, frames, name=name)
    return decode(source, name=name)


def _of_bytes(blob: bytes, frames: int, name: str) -> np.ndarray:
    """Frames of a clip that was sent: OpenCV reads files alone, so it is one for a moment."""
    with TemporaryDirectory(prefix="omma-clip-") as folder:
        path = Path(folder) / f"clip{Path(name).suffix.lower()}"
        path.write_bytes(blob)
        try:
            return sampled(path, frames)
        except DataError as error:  # of the file that it was, not of this one
            raise DataError(error.what, name) from None


def poster(picture: np.ndarray, frames: int) -> np.ndarray:
    """(H, W, frames · 3) → (H, W, 3): the frame in the middle, for people; itself where there is one."""
    middle = frames // 2 * COLOURS
    return picture if frames == 1 else picture[..., middle : middle + COLOURS]


def sheet(picture: np.ndarray, frames: int) -> np.ndarray:
    """(H, W, frames · 3) → all frames side by side and below one another, (k·H, k·W, 3), black where none is left.

    Two clips that meet in a frame are not alike.
    """
    if frames == 1:
        return picture
    height, width = picture.shape[:2]
    side = math.isqrt(frames - 1) + 1
    all_of_them = np.zeros((side * side, height, width, COLOURS), picture.dtype)
    all_of_them[:frames] = picture.reshape(height, width, frames, COLOURS).transpose(2, 0, 1, 3)
    return all_of_them.reshape(side, side, height, width, COLOURS).transpose(0, 2, 1, 3, 4).reshape(side * height, side * width, COLOURS)


class Sampled(Sequence[np.ndarray]):
    """Clips and volumes as `Dataset.pixels`: read when they are asked for.

    Args:
        files: one a row.
        frames: of each.
    """

    def __init__(self, files: Sequence[Path], frames: int = FRAMES) -> None:
        self.files, self.frames = list(files), frames

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, row: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, row: slice) -> list[np.ndarray]: ...
    def __getitem__(self, row: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(row, slice):
            return [sampled(file, self.frames) for file in self.files[row]]
        return sampled(self.files[row], self.frames)


def _even(count: int, frames: int) -> list[int]:
    """The places in the middle of `frames` equal stretches of `count`."""
    return [(2 * place + 1) * count // (2 * frames) for place in range(frames)]


def _bearable(width: int, height: int, frames: int, source: Path | bytes | str) -> None:
    """Refuse frames that together have more pixels than a picture may have."""
    if width * height * frames > max_pixels():
        where = say("decode.bytes") if isinstance(source, bytes) else source
        raise DataError(say("decode.too_many_pixels", width=width, height=height, channels=frames * COLOURS, cap=max_pixels()), where)


def _of_clip(path: Path, frames: int) -> list[np.ndarray]:
    """Frames of a clip; what a damaged one does not hold is not made up, the last that can be read stands for it."""
    clip = open_clip(path)
    _bearable(clip.width, clip.height, frames, path)
    count = clip.count or sum(1 for _ in clip.frames())
    found: list[np.ndarray] = []
    wanted: Iterator[int] = iter(_even(count, frames))
    place = next(wanted, None)
    last = None
    for frame in clip.frames():
        last = frame.picture
        while place == frame.place:
            found.append(last)
            place = next(wanted, None)
        if place is None:
            break
    assert last is not None  # `frames` raises where there is none
    return found + [last] * (frames - len(found))
