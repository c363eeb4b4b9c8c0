"""NumPy archives: `train_images`, `train_labels` and so on, or `x_train`, `y_train`, or `images`, `labels`."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from omma.data.sample import Dataset
from omma.errors import DataError
from omma.formats._packed import packed
from omma.progress import Watch
from omma.words import say

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_PICTURES, _LABELS = ("images", "image", "x", "data", "pictures"), ("labels", "label", "y", "target", "targets")
_NAMES = ("classes", "class_names", "label_names", "names")
_MOST = 16 << 30


def sniff(path: Path) -> float:
    """0.9 for `.npz`; 0.8 for a folder that holds one and nothing else."""
    if path.is_dir():
        files = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        return 0.8 if len(files) == 1 and files[0].suffix.lower() == ".npz" else 0.0
    return 0.9 if path.suffix.lower() == ".npz" else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """(N, H, W, C) uint8; no pickled object is ever loaded.

    Raises:
        DataError: damaged, no pictures by a name we know (lists the names found), counts differ.
    """
    file = next(entry for entry in path.iterdir() if entry.suffix.lower() == ".npz") if path.is_dir() else path
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(about.file_size for about in archive.infolist())
        if size > _MOST:
            raise DataError(say("formats.too_large", size=size >> 20), file)
        with np.load(file, allow_pickle=False) as arrays:
            keys = {key.lower(): key for key in arrays.files}
            parts = [
                (split, arrays[keys[pictures]], arrays[keys[labels]] if labels else None) for split, pictures, labels in _parts(list(keys))
            ]
            named = next((arrays[keys[name]] for name in _NAMES if name in keys), None)
    except (OSError, EOFError, ValueError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(say("formats.npz_broken", reason=str(error)[:160]), file) from None
    if not parts:
        raise DataError(say("formats.npz_names", found=", ".join(keys) or "–"), file)
    names = [str(name) for name in named.tolist()] if named is not None and named.ndim == 1 and named.dtype.kind in "US" else None
    return packed(parts, names, path, "npz")


def _parts(keys: list[str]) -> list[tuple[str | None, str, str | None]]:
    """(split, key of the pictures, key of the labels) by the usual ways of naming them."""
    found: list[tuple[str | None, str, str | None]] = []
    for word, split in [*_SPLITS.items(), ("", None)]:
        for what in _PICTURES:
            spellings = [f"{word}_{what}", f"{what}_{word}", f"{word}{what}"] if word else [what]
            key = next((spelling for spelling in spellings if spelling in keys), None)
            if key and split not in [part[0] for part in found]:
                labels = [key.replace(what, other) for other in _LABELS]
                found.append((split, key, next((label for label in labels if label in keys), None)))
                break
    return found if not any(split for split, _, _ in found) else [part for part in found if part[0]]
