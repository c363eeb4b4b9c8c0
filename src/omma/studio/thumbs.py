"""Small pictures for galleries: made once, kept on disk, found again by the file's name, size and time of change."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from pathlib import Path
from threading import get_ident

import numpy as np

from omma.data.sample import Dataset, Sample

SIDE = 176  # pixels; cells are about as large on a phone's fine screen, and half of it elsewhere
WHOLE = 1600  # of a picture that is looked at alone


class Thumbs:
    """The cache.

    Args:
        home: its folder; may be deleted at any time.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    def version(self, sample: Sample, digest: str = "") -> str:
        """Names what the picture of this sample is now; changes when its file does."""
        if sample.path is None:
            return hashlib.sha256(f"{digest}\0{sample.row}".encode()).hexdigest()[:24]
        try:
            about = sample.path.stat()
            return hashlib.sha256(f"{sample.path}\0{about.st_size}\0{about.st_mtime_ns}".encode("utf-8", "surrogateescape")).hexdigest()[
                :24
            ]
        except OSError:
            return hashlib.sha256(str(sample.path).encode("utf-8", "surrogateescape")).hexdigest()[:24]

    def get(self, dataset: Dataset, place: int, digest: str = "", drawn: bool = False) -> bytes:
        """The JPEG of one sample, with its label on it if `drawn`.

        Raises:
            DataError: the picture cannot be read.
        """
        sample = dataset.samples[place]
        key = self.version(sample, digest)
        if drawn and sample.truth is not None:
            key += hashlib.sha256(repr(sample.truth.json()).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        path = self.home / key[:2] / f"{key}.jpg"
        try:
            return path.read_bytes()
        except OSError:
            blob = jpeg(shown(dataset, place, drawn), SIDE)
        self._keep(path, blob)
        return blob

    def _keep(self, path: Path, blob: bytes) -> None:
        partial = path.with_name(f".{os.getpid()}-{get_ident()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(blob)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)  # a full disk costs time, not pictures


def shown(dataset: Dataset, place: int, drawn: bool = False) -> np.ndarray:
    """The picture as people see it, (H, W, 3) uint8, with its label on it if `drawn`: every answer draws itself.

    Raises:
        DataError: the picture cannot be read.
    """
    from omma.data.decode import to_rgb8

    picture = to_rgb8(dataset.picture(place))
    truth = dataset.samples[place].truth
    return truth.draw(picture) if drawn and truth is not None else picture


def jpeg(picture: np.ndarray, side: int, quality: int = 82) -> bytes:
    """(H, W, 3) uint8 → a JPEG of at most `side` pixels; small pictures stay as they are."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    store = io.BytesIO()
    image.save(store, "JPEG", quality=quality)
    return store.getvalue()


def blank() -> bytes:
    """What stands where a picture cannot be read: a grey cross."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (64, 64), (128, 128, 128))
    pen = ImageDraw.Draw(image)
    pen.line((16, 16, 48, 48), (200, 200, 200), 3)
    pen.line((48, 16, 16, 48), (200, 200, 200), 3)
    store = io.BytesIO()
    image.save(store, "JPEG")
    return store.getvalue()


def address(blob: bytes) -> str:
    """A JPEG as a data address."""
    return f"data:image/jpeg;base64,{base64.b64encode(blob).decode('ascii')}"
