"""MNIST's idx files, packed with gzip or not: pictures and labels side by side, train and test."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from omma.data.sample import Dataset
from omma.errors import DataError
from omma.formats._packed import packed
from omma.progress import Watch
from omma.words import say

_PICTURES = re.compile(r"(?P<part>.*)images?[.\-_]idx3[.\-_]ubyte(?P<gz>\.gz)?$", re.I)
_MOST = 4 << 30
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _pairs(path: Path) -> list[tuple[str | None, Path, Path | None]]:
    """(split, pictures, labels) of every picture file in a folder, or of the one given."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    names = {file.name.lower(): file for file in files} if path.is_dir() else {f.name.lower(): f for f in path.parent.iterdir()}
    found = []
    for file in files:
        if match := _PICTURES.match(file.name):
            stem = f"{match['part']}labels".lower()
            labels = next((other for name, other in sorted(names.items()) if name.startswith(stem) and "idx1" in name), None)
            found.append((_split(match["part"].lower()), file, labels))
    return found


def _split(part: str) -> str | None:
    for split, starts in {"train": ("train",), "val": ("val",), "test": ("t10k", "test")}.items():
        if part.startswith(starts):
            return split
    return None


def sniff(path: Path) -> float:
    """0.9 where there is a file called `…images-idx3-ubyte`."""
    return 0.9 if (path.is_dir() or path.is_file()) and _pairs(path) else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """(N, H, W, 1) uint8; classes are called by their numbers.

    Raises:
        DataError: damaged, truncated, or counts differ.
    """
    pairs = _pairs(path)
    splits = [split for split, _, _ in pairs]
    if len(set(splits)) < len(splits):
        raise DataError(say("formats.split_twice", split=max(splits, key=lambda s: splits.count(s)) or "all"), path)
    parts = [(split, _array(pictures), _array(labels) if labels else None) for split, pictures, labels in pairs]
    notes = [say("formats.no_labels_for", name=pictures.name) for _, pictures, labels in pairs if labels is None]
    return packed(parts, None, path, "idx", notes)


def _array(path: Path) -> np.ndarray:
    """One idx file: two zero bytes, a type, the number of dimensions, their sizes (big-endian), the values."""
    try:
        with open(path, "rb") as plain:
            packed_ = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed_ else open(path, "rb") as file:
            zeros, kind, dims = struct.unpack(">HBB", file.read(4))
            if zeros or kind not in _TYPES or not 1 <= dims <= 4:
                raise DataError(say("formats.idx_broken", reason="magic"), path)
            shape = struct.unpack(f">{dims}I", file.read(4 * dims))
            size = int(np.prod(shape, dtype=object)) * np.dtype(_TYPES[kind]).itemsize
            if size > _MOST:
                raise DataError(say("formats.too_large", size=size >> 20), path)
            raw = file.read(size)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(say("formats.idx_broken", reason=str(error)[:120]), path) from None
    if len(raw) != size:
        raise DataError(say("formats.idx_broken", reason=f"{len(raw)} < {size}"), path)
    return np.frombuffer(raw, _TYPES[kind]).reshape(shape).astype(np.dtype(_TYPES[kind]).newbyteorder("="))
