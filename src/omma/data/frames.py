"""Frames of a dataset: decoded once into one array where that fits, else on disk, else when asked for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from omma.data.sample import Dataset, Refused
from omma.data.views import Views
from omma.errors import DataError, OmmaError
from omma.progress import Watch
from omma.words import say

IN_MEMORY = 2 << 30  # bytes of frames kept in memory
ON_DISK = 200 << 30  # bytes of frames kept beside the cache; more are decoded at every use
AHEAD = 4096  # decoded frames that wait to be asked for


class Frames:
    """Every picture of a dataset as `Views.frame` makes it, by its place.

    Threads decode, not processes: decoders let go of the interpreter, and workers would fight with the threads of the network.

    Args:
        dataset: where the pictures are.
        views: what they become.
        cache: folder for frames that do not fit into memory; None = they are decoded at every use.
        watch: sees the progress of reading.
        limit: bytes kept in memory.

    Attributes:
        refused: what could not be read, with the reason.
        usable: places whose picture could be read; the others have no frame.

    Raises:
        DataError: not one picture can be read.
    """

    def __init__(
        self, dataset: Dataset, views: Views, cache: Path | None = None, watch: Watch | None = None, limit: int = IN_MEMORY
    ) -> None:
        self.dataset, self.views, self.watch = dataset, views, watch or Watch()
        self.refused: list[Refused] = []
        self.usable: list[int] = list(range(len(dataset)))
        self.margin = 0
        self._mapped = False
        self._ahead: dict[int, Future] = {}
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "frames")
        self._rows: torch.Tensor | None = None  # place → row of the store, where they differ
        self._store: torch.Tensor | None = None  # (N, S, S, C), or with margins of `margin` pixels on each side
        shape = (len(dataset), views.size, views.size, views.channels)
        size = int(np.prod(shape, dtype=np.int64))
        if self._ready():
            pass
        elif size <= limit:
            self._store = torch.from_numpy(np.zeros(shape, np.uint8))
            self._read(self._store.numpy())
        elif cache is not None and size <= min(ON_DISK, _room(cache) * 0.8):
            self._store, self._mapped = torch.from_numpy(self._on_disk(cache, shape)), True
        else:
            self._look()
        if not self.lazy:
            self._pool.shutdown()
        if dataset.samples and not self.usable:
            raise DataError(
                say("views.all_refused", count=len(dataset), first=f"{self.refused[0].where}: {self.refused[0].reason}"), dataset.root
            )

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def lazy(self) -> bool:
        """Whether frames are decoded when asked for."""
        return self._store is None

    def part(self, split: str) -> list[int]:
        """The places of one split (`train`, `val`, `test`) whose picture could be read."""
        return [place for place in self.usable if self.dataset.samples[place].split == split]

    def get(self, index: torch.Tensor, margin: int = 0) -> torch.Tensor:
        """Frames at (B,) int64 places as (B, S, S, C) uint8; with `margin`, (B, S + 2m, S + 2m, C) over reflected borders.

        Raises:
            DataError: a picture that was not read before cannot be read.
        """
        if self._store is None:
            return reflect(self._decoded(index), margin)
        if margin and not self.margin:
            self._widen(margin)
        rows = index.to(self._store.device) if self._rows is None else self._rows[index].to(self._store.device)
        wide = self._store.view(len(self._store), -1).index_select(0, rows).view(len(rows), *self._store.shape[1:])
        if margin == self.margin:
            return wide
        inner = wide[:, self.margin : self.margin + self.views.size, self.margin : self.margin + self.views.size].contiguous()
        return reflect(inner, margin)

    def prefetch(self, index: torch.Tensor, most: int = AHEAD) -> None:
        """Begin to decode these places, until `most` are waiting for `get`. Does nothing where frames are in memory."""
        if self._store is not None:
            return
        for place in index.tolist():
            if place not in self._ahead and len(self._ahead) < most:
                self._ahead[place] = self._pool.submit(self._frame, place)

    def move(self, device: torch.device | str, share: float = 0.25) -> bool:
        """Keep the store on an accelerator if it takes less than `share` of its free memory; whether it is there now."""
        device = torch.device(device)
        if device.type == "cpu" or self._store is None or self._mapped:
            return False
        if self._store.device.type == device.type:
            return True
        if self._store.numel() > share * torch.cuda.mem_get_info(device)[0]:
            return False
        self._store = self._store.to(device)
        return True

    def _ready(self) -> bool:
        """Take packed pixels as they are where they already have the right form."""
        pixels, size = self.dataset.pixels, self.views.size
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, self.views.channels):
            return False
        rows = [sample.row for sample in self.dataset.samples]
        if any(row is None for row in rows):
            return False
        if not pixels.flags.writeable or not pixels.flags.c_contiguous:
            pixels = pixels.copy()
        self._store = torch.from_numpy(pixels)
        if rows != list(range(len(pixels))):
            self._rows = torch.tensor(rows, dtype=torch.long)
        return True

    def _widen(self, margin: int) -> None:
        """Give every frame its reflected margin once, unless that would take too much memory."""
        assert self._store is not None
        side = self.views.size + 2 * margin
        if len(self._store) * side * side * self.views.channels > IN_MEMORY // 2 or not 0 < margin < self.views.size:
            return
        store = self._store if self._rows is None else self._store[self._rows.to(self._store.device)]
        self._store = torch.cat([reflect(part, margin) for part in store.split(1024)])
        self._rows, self.margin = None, margin

    def _frame(self, place: int) -> np.ndarray:
        return self.views.frame(self.dataset.picture(place))

    def _decoded(self, index: torch.Tensor) -> torch.Tensor:
        places = index.tolist()
        self.prefetch(
            torch.tensor([place for place in dict.fromkeys(places) if place not in self._ahead]), most=len(self._ahead) + len(places)
        )
        waiting = {place: self._ahead.pop(place) for place in dict.fromkeys(places)}
        frames = {place: one.result() for place, one in waiting.items()}
        return torch.from_numpy(np.stack([frames[place] for place in places]))

    def _read(self, store: np.ndarray) -> None:
        """Decode everything into `store`, naming what cannot be read."""

        def one(place: int) -> None:
            store[place] = self._frame(place)

        self._sift(one)

    def _look(self) -> None:
        """Where everything is decoded later, at least look at every header now."""
        from omma.data.decode import probe

        def one(place: int) -> None:
            path = self.dataset.samples[place].path
            if path is not None:
                probe(path)

        self._sift(one)

    def _sift(self, act: Callable[[int], None]) -> None:
        """`act` on every place, in threads; those that raise are refused, the others usable."""

        def one(place: int) -> str | None:
            try:
                act(place)
            except OmmaError as error:
                return error.what
            return None

        count = len(self.dataset)
        reasons = list(self.watch.each(say("views.packing"), self._pool.map(one, range(count)), count))
        named = [(sample.path or sample.id, reason) for sample, reason in zip(self.dataset.samples, reasons, strict=True)]
        self.refused = [Refused(where, reason) for where, reason in {str(w): r for w, r in named if r is not None}.items()]  # windows: once
        self.usable = [place for place, reason in enumerate(reasons) if reason is None]

    def _on_disk(self, cache: Path, shape: Sequence[int]) -> np.ndarray:
        """Frames in a file of the cache, written beside it first and put in place when whole."""
        key = hashlib.sha256((self.dataset.stamp() + json.dumps(self.views.json() | {"tta": None})).encode()).hexdigest()[:24]
        folder = cache / "frames" / key
        if not folder.exists():
            partial = folder.with_name(f"{key}.{os.getpid()}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            store = np.lib.format.open_memmap(partial / "frames.npy", "w+", np.uint8, tuple(shape))
            self._read(store)
            store.flush()
            rows = [[r.where, r.reason] for r in self.refused]
            (partial / "refused.json").write_text(json.dumps({"refused": rows, "usable": self.usable}, ensure_ascii=False), "utf-8")
            try:
                partial.rename(folder)
            except OSError:  # another process was faster, with the same frames
                shutil.rmtree(partial, ignore_errors=True)
        kept = json.loads((folder / "refused.json").read_text("utf-8"))
        self.refused, self.usable = [Refused(*row) for row in kept["refused"]], kept["usable"]
        return np.lib.format.open_memmap(folder / "frames.npy", "c")  # copy on write: the file stays as it is


def reflect(frames: torch.Tensor, margin: int) -> torch.Tensor:
    """(B, H, W, C) → (B, H + 2m, W + 2m, C), borders mirrored without repeating the edge."""
    if margin == 0:
        return frames
    side = frames.shape[1]
    if margin >= side:  # as far as a mirror reaches, and its own mirror beyond
        return reflect(reflect(frames, side - 1), margin - side + 1)
    places = torch.arange(-margin, side + margin, device=frames.device).abs()
    places = torch.where(places >= side, 2 * (side - 1) - places, places)
    return frames.index_select(1, places).index_select(2, places)


def _room(folder: Path) -> int:
    """Free bytes where a folder is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
