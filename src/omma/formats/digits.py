"""The handwritten digits that come with scikit-learn: 1,797 grey pictures of 8×8, no download."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from omma.data.sample import Dataset
from omma.errors import DataError
from omma.formats._packed import packed
from omma.progress import Watch
from omma.words import say


def sniff(path: Path) -> float:
    """1 for scikit-learn's own file."""
    return 1.0 if path.name == "digits.csv.gz" and path.is_file() else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """(1797, 8, 8, 1) uint8: values 0–16 of the file times 255/16; classes `0` to `9`; no split of its own.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.int64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(say("formats.idx_broken", reason=str(error)[:120]), path) from None
    if table.shape[1] != 65 or table.min() < 0 or table[:, :64].max() > 16:
        raise DataError(say("formats.odd_shape", shape=table.shape), path)
    pictures = ((table[:, :64] * 255 + 8) // 16).astype(np.uint8).reshape(-1, 8, 8)
    return packed([(None, pictures, table[:, 64])], [str(i) for i in range(10)], path, "digits")
