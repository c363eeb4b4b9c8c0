"""Pictures to label, and what their labels were read as, in a form to compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from omma.data.sample import Dataset


def put(top: Path, *names: str, size: tuple[int, int]) -> Path:
    """Pictures of these names below a folder, (width, height) pixels, each of another shade."""
    for shade, name in enumerate(names):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (shade * 7 % 256, 9, 9)).save(top / name)
    return top


def objects(dataset: Dataset) -> dict[str, list[tuple]]:
    """Picture → (class, x1, y1, x2, y2) of each of its objects."""
    return {
        s.id: [(label, *np.round(box, 3).tolist()) for label, box in zip(s.truth.labels, s.truth.boxes, strict=True)]
        for s in dataset.samples
        if s.truth is not None
    }


def reasons(dataset: Dataset) -> dict[str, str]:
    """What was refused → why."""
    return {row.where: row.reason for row in dataset.refused}
