"""One pass over the pictures: each is read and decoded once, and what duplicates, splits and checks want to know of it is kept."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from omma.data.crew import in_threads
from omma.data.decode import MAX_BYTES, decode, probe, to_rgb8
from omma.data.moving.sampled import sheet
from omma.data.readers.exif import Moment, taken
from omma.data.sample import Dataset
from omma.errors import DataError
from omma.progress import Watch
from omma.words import say

SIDE = 32  # of a thumbnail, pixels
ON_DISK = 256 << 20  # bytes of thumbnails above which they lie in a temporary file: memory stays bounded


@dataclass(slots=True)
class Looks:
    """What was seen of N pictures, in the order of the dataset.

    Args:
        thumbs: (N, 32, 32, 3) uint8, the whole picture squashed, area-averaged.
        file_hash, pixel_hash: (N, 16) uint8; of the file's bytes (zeros for packed sets) and of size, type and decoded pixels.
        width, height, channels: (N,) int; upright, as decoded.
        spread: (N,) uint8, the widest span of values in any channel, 0–255.
        frames: (N,) int, pictures in the file; the first is read.
        colour: (N,) float32, mean difference between the largest and the least channel, 0–255.
        seconds: (N,) float64, EXIF DateTimeOriginal; NaN where there is none.
        cameras: (N,) int64, hash of the camera's name and number; 0 where there is none.
        formats: (N,) str, by content; empty for packed sets and unreadable files.
        errors: place → why the picture cannot be read.
    """

    thumbs: np.ndarray
    file_hash: np.ndarray
    pixel_hash: np.ndarray
    width: np.ndarray
    height: np.ndarray
    channels: np.ndarray
    spread: np.ndarray
    frames: np.ndarray
    colour: np.ndarray
    seconds: np.ndarray
    cameras: np.ndarray
    formats: np.ndarray
    errors: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.width)

    @classmethod
    def empty(cls, count: int) -> Looks:
        shape = (count, SIDE, SIDE, 3)
        if count * SIDE * SIDE * 3 > ON_DISK:
            with tempfile.TemporaryFile(prefix="omma-") as file:  # without a name; gone with the array
                thumbs: np.ndarray = np.memmap(file, np.uint8, "w+", shape=shape)
        else:
            thumbs = np.zeros(shape, np.uint8)
        hashes = (np.zeros((count, 16), np.uint8), np.zeros((count, 16), np.uint8))
        moments = (np.full(count, np.nan), np.zeros(count, np.int64))
        sizes, spread, frames = np.zeros((3, count), np.int32), np.zeros(count, np.uint8), np.ones(count, np.int32)
        return cls(thumbs, *hashes, *sizes, spread, frames, np.zeros(count, np.float32), *moments, np.zeros(count, "U5"))  # type: ignore[call-arg]

    def readable(self) -> np.ndarray:
        """(N,) bool."""
        return self.width > 0


@dataclass(slots=True)
class _Look:
    """What was seen of one picture."""

    thumb: np.ndarray
    file_hash: bytes
    pixel_hash: bytes
    shape: tuple[int, ...]
    spread: int
    frames: int
    colour: float
    moment: Moment
    format: str


def look_over(dataset: Dataset, watch: Watch = Watch()) -> Looks:
    """Look at every picture once, on all cores; unreadable ones are noted, never raised."""
    looks, what = Looks.empty(len(dataset)), say("split.looking")
    for i, look in enumerate(in_threads(lambda i: _look(dataset, i), range(len(dataset)))):
        if i % 64 == 0:
            watch.step(what, i, len(dataset))
        if isinstance(look, str):
            looks.errors[i] = look
            continue
        looks.thumbs[i] = look.thumb
        looks.file_hash[i] = np.frombuffer(look.file_hash, np.uint8)
        looks.pixel_hash[i] = np.frombuffer(look.pixel_hash, np.uint8)
        looks.height[i], looks.width[i], looks.channels[i] = look.shape
        looks.spread[i], looks.frames[i], looks.colour[i] = look.spread, look.frames, look.colour
        looks.seconds[i], looks.cameras[i], looks.formats[i] = look.moment.seconds, look.moment.camera, look.format
    watch.end(what)
    return looks


def _look(dataset: Dataset, index: int) -> _Look | str:
    sample = dataset.samples[index]
    try:
        if sample.path is None:
            data, format_, frames, moment, picture = b"", "", 1, Moment(), dataset.picture(index)
        else:
            data = _read(sample.path)
            picture, moment, head = decode(data, name=sample.path.name), taken(data), probe(data)
            format_, frames = head.format, head.frames
    except DataError as error:
        return error.what
    except OSError as error:
        return error.strerror or type(error).__name__
    rgb = to_rgb8(sheet(picture, dataset.frames))
    thumb = thumbnail(rgb)
    sha = hashlib.blake2b(f"{picture.shape} {picture.dtype}".encode(), digest_size=16)
    sha.update(np.ascontiguousarray(picture).data)
    mark = hashlib.blake2b(data, digest_size=16).digest() if data else bytes(16)
    colour = 0.0 if picture.shape[2] == 1 else float((thumb.max(2) - thumb.min(2)).mean())
    flat = rgb.reshape(-1, 3)
    spread = int((flat.max(0) - flat.min(0)).max())
    return _Look(thumb, mark, sha.digest(), picture.shape, spread, frames, colour, moment, format_)


def _read(path: Path) -> bytes:
    """The bytes of a file; one that the decoder would not even open is refused in the decoder's words."""
    if not path.is_file() or not 0 < path.stat().st_size <= MAX_BYTES:
        decode(path)
    return path.read_bytes()


def thumbnail(rgb: np.ndarray, side: int = SIDE) -> np.ndarray:
    """(H, W, 3) uint8 → (side, side, 3) uint8, squashed; smaller pictures are enlarged smoothly."""
    if rgb.shape[:2] == (side, side):
        return rgb
    height, width = rgb.shape[:2]
    step = max(1, min(height, width) // (side * 8))  # what a huge picture shows at 8 × the thumbnail is enough
    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb[::step, ::step])).resize((side, side), Image.Resampling.BILINEAR))
