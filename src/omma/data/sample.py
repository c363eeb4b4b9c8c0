"""A sample, a batch and a dataset: what every format reads into and every verb reads from."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.picture import Picture

if TYPE_CHECKING:
    import torch

    from omma.answers.answer import Answer
    from omma.data.degrade.chain import Chain
    from omma.data.spatial.windows import Window

SPLITS = ("train", "val", "test")
_LAST = threading.local()  # the picture a thread decoded last: windows of one picture are asked for one after the other


@dataclass(slots=True)
class Sample:
    """One picture and what is known about it.

    Args:
        id: unique in its dataset and stable between runs: the path below the root, or `train/00017` for packed sets.
        path: the file; None where the pixels lie in `Dataset.pixels`.
        row: place in `Dataset.pixels`; None for files.
        truth: what a person says it shows; None if unlabelled.
        split: train, val or test as the dataset says; None if it does not.
        group: what must not be torn apart by a split (patient, video, burst).
        record: where the label was read, `labels.csv:17`.
        window: the part of its picture this sample is, where pictures are read in windows; None = all of it.
        of: which sample of `Dataset.whole` it is a window of.
    """

    id: str
    path: Path | None = None
    row: int | None = None
    truth: Answer | None = None
    split: str | None = None
    group: str | None = None
    record: str | None = None
    window: Window | None = None
    of: int | None = None


@dataclass(slots=True)
class Refused:
    """A file or record that cannot be used, and why."""

    where: str
    reason: str


@dataclass(slots=True)
class Batch:
    """What goes through a network at once.

    Args:
        pictures: (B, C, H, W) float, normalised by the views.
        truth: what `Answer.tensors` made of the labels, batch in front; {} where there are none.
        index: (B,) int64, places in the dataset.
        beside: (B, C, H, W) pictures of another dataset, of which nothing is known; None where there is none.
        progress: share of the run's steps that are done, 0–1.
    """

    pictures: torch.Tensor
    truth: dict[str, torch.Tensor] = field(default_factory=dict)
    index: torch.Tensor | None = None
    beside: torch.Tensor | None = None
    progress: float = 1.0

    def __len__(self) -> int:
        return len(self.pictures)

    def part(self, span: slice) -> Batch:
        """Some of its pictures, with what belongs to them."""
        truth = {key: value[span] for key, value in self.truth.items()}
        index, beside = (None if value is None else value[span] for value in (self.index, self.beside))
        return replace(self, pictures=self.pictures[span], truth=truth, index=index, beside=beside)


@dataclass(slots=True)
class Dataset:
    """Samples with one kind of truth.

    Args:
        samples: in a fixed order, sorted by id.
        names: class names in order, or the names of the numbers.
        task: the task the format proposes (`classify`, `multilabel`, `regress`); None for pictures without labels.
        root: folder or file it was read from.
        format: the format that read it.
        pixels: (N, H, W, C) uint8 for packed sets; a list of arrays (H, W, C) where sizes differ; `Sampled` clips; None for files.
        refused: what could not be used.
        notes: what a person should know about how it was read, in their language.
        hints: settings of a recipe that a known source asks for.
        how_split: how `split` came about, in words; set by `data.split`.
        frames: pictures of a clip, or slices of a volume, that lie one after another in the channels of a picture.
        whole: the pictures, where samples are windows of them; see `data/spatial/cut.py`.
        spoil: what makes the pictures bad that are to become good again, where the good ones are all there is; see `data/own/given.py`.
    """

    samples: list[Sample]
    names: list[str]
    task: str | None
    root: Path
    format: str
    pixels: np.ndarray | Sequence[np.ndarray] | None = None
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    how_split: str = ""
    source: str | None = None
    hints: dict[str, Any] = field(default_factory=dict)
    frames: int = 1
    whole: Dataset | None = None
    spoil: Chain | None = None

    def __post_init__(self) -> None:
        # A reader knows the names of one picture's objects; what tells their colours is all of them, in order.
        for sample in self.samples:
            if isinstance(sample.truth, Boxes):
                sample.truth.classes = self.names

    def __len__(self) -> int:
        return len(self.samples)

    def picture(self, index: int) -> np.ndarray:
        """The upright picture of sample `index` as stored: (H, W, C) uint8, uint16 or float32, C = 1, 3, 4 or more.

        Raises:
            DataError: the file cannot be decoded.
        """
        sample = self.samples[index]
        if sample.window is not None:
            top, left, height, width = sample.window
            return _remembered(self, sample)[top : top + height, left : left + width]
        if sample.path is not None:
            from omma.data.decode import decode

            return decode(sample.path)
        assert self.pixels is not None and sample.row is not None, "a sample has a file or a row"
        return self.pixels[sample.row]

    def extent(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels of the upright picture of sample `index`, from its header.

        Raises:
            DataError: the file is no picture.
        """
        sample = self.samples[index]
        if sample.window is not None:
            return sample.window.height, sample.window.width
        if sample.path is not None:
            from omma.data.decode import probe

            about = probe(sample.path)
            return about.height, about.width
        height, width = self.picture(index).shape[:2]
        return height, width

    def part(self, split: str) -> Dataset:
        """Only the samples of one split (`train`, `val`, `test`) or, with `all`, every sample."""
        return self.choose([i for i, s in enumerate(self.samples) if split in ("all", s.split)])

    def choose(self, places: list[int]) -> Dataset:
        """Only the samples at these places."""
        return replace(self, samples=[self.samples[i] for i in places])

    def labelled(self) -> Dataset:
        """Only the samples somebody labelled: what a run learns from, and all that its split and its digest speak of."""
        return self.choose([i for i, sample in enumerate(self.samples) if sample.truth is not None])

    def truths(self) -> list[Answer]:
        """The truth of every sample; every sample must have one."""
        return [sample.truth for sample in self.samples]  # type: ignore[misc]

    def counts(self) -> dict[str, int]:
        """How many samples each split holds."""
        count = Counter(sample.split for sample in self.samples)
        return {split: count[split] for split in SPLITS if count[split]}

    def digest(self) -> str:
        """SHA-256 over ids, splits and truths, in order; for packed sets over the pixels too. Files count with size and name.

        Two runs with the same digest saw the same data (file contents are covered by `fingerprint`).
        """
        sha = hashlib.sha256()
        for sample in self.samples:
            truth = "" if sample.truth is None else repr(sample.truth.json())
            size = sample.path.stat().st_size if sample.path is not None and sample.path.exists() else sample.row
            sha.update(f"{sample.id}\0{sample.split}\0{sample.group}\0{truth}\0{size}\n".encode())
            if (good := good_file(self, sample)) is not None and good != sample.path:
                sha.update(f"{good.stat().st_size}\n".encode())
        for file in (files := getattr(self.pixels, "files", [])):  # clips: not read to say which they are
            sha.update(f"{file.stat().st_size if file.exists() else 0}\n".encode())
        for array in [self.pixels] if isinstance(self.pixels, np.ndarray) else [] if files else self.pixels or []:
            sha.update(np.ascontiguousarray(array).data.cast("B"))
        return sha.hexdigest()

    def stamp(self) -> str:
        """SHA-256 over `digest` and each file's place and time of change: the key of what is remembered about the contents."""
        sha = hashlib.sha256(self.digest().encode())
        for sample in self.samples:
            if (good := good_file(self, sample)) is not None and good != sample.path:
                sha.update(f"{good}\0{good.stat().st_mtime_ns}\n".encode())
            if sample.path is not None:
                moment = sample.path.stat().st_mtime_ns if sample.path.exists() else 0
                sha.update(f"{sample.path}\0{moment}\n".encode())
        for file in getattr(self.pixels, "files", []):
            sha.update(f"{file}\0{file.stat().st_mtime_ns if file.exists() else 0}\n".encode())
        return sha.hexdigest()


def good_file(dataset: Dataset, sample: Sample) -> Path | None:
    """The file of a sample's good picture; None where it lies in none."""
    if not isinstance(sample.truth, Picture) or not sample.truth.name:
        return None
    path = dataset.root / sample.truth.name
    return path if path.is_file() else None


def _remembered(dataset: Dataset, window: Sample) -> np.ndarray:
    """The whole picture of a window."""
    assert dataset.whole is not None and window.of is not None, "windows know what they are cut from"
    moment = window.path.stat().st_mtime_ns if window.path is not None and window.path.exists() else 0
    key = (str(window.path), moment) if window.path is not None else (id(dataset.pixels), window.row)
    if getattr(_LAST, "key", None) != key:
        _LAST.picture, _LAST.key = dataset.whole.picture(window.of), key
    return _LAST.picture
