"""Pictures at their own size, and the good ones beside them: kept decoded where they fit into memory, else decoded when asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch

from omma.answers.picture import Picture
from omma.data.crew import in_threads
from omma.data.decode import probe
from omma.data.own.given import given
from omma.data.sample import Dataset, Refused
from omma.data.views import Views, as_own
from omma.errors import DataError
from omma.parts.colour import luma
from omma.progress import Watch
from omma.words import say

IN_MEMORY = 2 << 30  # bytes of decoded pictures kept


class Originals:
    """The part of `Frames` for pictures that stay at their own size.

    Args:
        dataset: with good pictures as truths, see `data/own/given.py`.
        views: how they enter.
        watch: sees the progress of reading.
        limit: bytes kept in memory; what was asked for last stays.

    Attributes:
        refused: what could not be read, with the reason.
        usable: places whose pictures could be read.

    Raises:
        DataError: not one picture can be read.
    """

    lazy = False

    def __init__(self, dataset: Dataset, views: Views, watch: Watch | None = None, limit: int = IN_MEMORY) -> None:
        self.dataset, self.views, self.watch, self.limit = dataset, views, watch or Watch(), limit
        self._kept: OrderedDict[int, tuple[np.ndarray | None, np.ndarray]] = OrderedDict()
        self._size, self._lock = 0, threading.Lock()
        self.areas = np.zeros(len(dataset), np.int64)  # pixels of the good pictures
        reasons = list(self.watch.each(say("views.packing"), in_threads(self._looked, range(len(dataset))), len(dataset)))
        self.usable = [place for place, reason in enumerate(reasons) if reason is None]
        named = zip(dataset.samples, reasons, strict=True)
        self.refused = [Refused(str(sample.path or sample.id), reason) for sample, reason in named if reason is not None]
        if dataset.samples and not self.usable:
            first = f"{self.refused[0].where}: {self.refused[0].reason}"
            raise DataError(say("views.all_refused", count=len(dataset), first=first), dataset.root)

    def __len__(self) -> int:
        return len(self.dataset)

    def part(self, split: str) -> list[int]:
        """The places of one split (`train`, `val`, `test`) whose pictures could be read."""
        return [place for place in self.usable if self.dataset.samples[place].split == split]

    def pair(self, place: int) -> tuple[np.ndarray | None, np.ndarray]:
        """(bad, good) pictures of a place, (H, W, C) uint8 or float32 of 0–255; bad is None where it is made of the good one.

        Raises:
            DataError: a file cannot be decoded.
        """
        with self._lock:
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
        truth = self.dataset.samples[place].truth
        assert isinstance(truth, Picture), "what is to be restored has good pictures as truths"
        good = as_own(truth.pixels, self.views.channels)
        bad = None if self.dataset.spoil is not None else given(self.dataset, place, self.views.channels)
        with self._lock:
            self._kept[place] = bad, good
            self._size += _bytes(bad, good)
            while self._size > self.limit and len(self._kept) > 1:
                self._size -= _bytes(*self._kept.popitem(last=False)[1])
        return bad, good

    def get(self, index: torch.Tensor, margin: int = 0) -> torch.Tensor:
        """(B, S, S, C) uint8: the middle of what is given at (B,) int64 places, mirrored where it is smaller, C as the network reads."""
        found = [_middle(given(self.dataset, place, self.views.channels), self.views.size) for place in index.tolist()]
        return stacked(found, self.views.channels).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def _looked(self, place: int) -> str | None:
        """Why a place cannot be used; decoded at once while there is room, else by its header."""
        sample = self.dataset.samples[place]
        try:
            if self._size < self.limit // 2:
                self.areas[place] = int(np.prod(self.pair(place)[1].shape[:2]))
            elif sample.path is not None:
                about = probe(sample.path)
                self.areas[place] = about.height * about.width
        except DataError as error:
            return error.what
        except OSError as error:
            return error.strerror or str(error)
        return None


def stacked(parts: Sequence[np.ndarray], channels: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """(S, S, C) each → (B, channels, S, S) float32 of 0–255: grey repeated, or the luma of colour."""
    wide = max(one.shape[2] for one in parts)
    even = np.stack([np.broadcast_to(one, (*one.shape[:2], wide)) for one in parts])
    pictures = torch.from_numpy(even).to(device).permute(0, 3, 1, 2).float()
    if channels == wide:
        return pictures.contiguous()
    return luma(pictures) if channels == 1 else pictures.expand(-1, channels, -1, -1).contiguous()


def _bytes(bad: np.ndarray | None, good: np.ndarray) -> int:
    return good.nbytes + (0 if bad is None else bad.nbytes)


def _middle(picture: np.ndarray, side: int) -> np.ndarray:
    """(side, side, C) uint8."""
    short = [max(0, side - length) for length in picture.shape[:2]]
    if any(short):
        picture = np.pad(picture, (*((one // 2, one - one // 2) for one in short), (0, 0)), mode="symmetric")
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    cut = picture[top : top + side, left : left + side]
    return np.ascontiguousarray(cut) if cut.dtype == np.uint8 else np.rint(cut.clip(0, 255)).astype(np.uint8)
