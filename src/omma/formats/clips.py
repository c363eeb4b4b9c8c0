"""Class folders of clips or volumes: each is one sample of 16 frames or slices (mp4, avi, mov …; TIFF, GIF, WebP of several)."""

from __future__ import annotations

import os
from pathlib import Path

from omma.data.decode import PICTURE_SUFFIXES, find_pictures, hidden, probe
from omma.data.moving.clip import CLIP_SUFFIXES
from omma.data.moving.sampled import FRAMES, Sampled
from omma.data.sample import Dataset
from omma.errors import DataError
from omma.formats import folders
from omma.progress import Watch
from omma.words import say

SEVERAL = frozenset({".gif", ".tif", ".tiff", ".webp"})


def sniff(path: Path) -> float:
    """0.5 for class folders of clips alone; volumes look like pictures, and are read as such unless this format is asked for."""
    if not path.is_dir():
        return 0.0
    found = False
    for here, below, files in os.walk(path):
        below[:] = [name for name in below if not hidden(name)]
        kinds = {os.path.splitext(name)[1].lower() for name in files if not hidden(name)}
        if kinds & PICTURE_SUFFIXES:
            return 0.0
        found = found or (Path(here) != path and bool(kinds & CLIP_SUFFIXES))
    return 0.5 if found else 0.0


def read(path: Path, watch: Watch | None = None) -> Dataset:
    """A sample a file, labelled as pictures in class folders are; nothing is decoded yet.

    Raises:
        DataError: neither clips nor volumes.
    """
    path = Path(path)
    files = find_pictures(path, CLIP_SUFFIXES | SEVERAL)
    files = [file for file in files if file.suffix.lower() in CLIP_SUFFIXES or _several(file)]
    if not files:
        raise DataError(say("formats.no_clips", found=folders.found(path)), path)
    dataset = folders.placed(path, files)
    pixels = Sampled([sample.path for sample in dataset.samples if sample.path is not None])
    for row, sample in enumerate(dataset.samples):
        sample.row, sample.path = row, None
    dataset.format, dataset.pixels, dataset.frames = "clips", pixels, FRAMES
    dataset.notes.append(say("formats.clips", count=len(files), frames=FRAMES))
    return dataset


def _several(path: Path) -> bool:
    """Whether a file holds more than one picture; one that cannot be read is left to whoever reads it, who says why."""
    try:
        return probe(path).frames > 1
    except DataError:
        return True
