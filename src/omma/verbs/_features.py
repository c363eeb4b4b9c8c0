"""Features of pictures: what the head of a network reads; written out, and compared with those of the training pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omma.errors import DataError, DiskError, OmmaError
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle
    from omma.data.sample import Dataset

BATCH = 32


def features(bundle: Bundle, frames: np.ndarray) -> np.ndarray:
    """(N, S, S, C) uint8 → (N, F) float32: `Network.features` of the picture as it is, without views of test time."""
    import torch

    with torch.inference_mode():
        device = next(bundle.net.parameters()).device
        pictures = bundle.views.finish(torch.from_numpy(np.ascontiguousarray(frames)).to(device))
        return bundle.net.features(pictures).flatten(1).float().cpu().numpy()


class Embedding:
    """Features of many pictures on their way into one `.npz`: `paths` (N,) and `features` (N, F); memory stays bounded.

    Rows wait in `<file>.partial` until the end, so an interrupted run goes on.

    Args:
        file: the file to write.
        known: rows that an earlier, interrupted run has written.

    Raises:
        DiskError: the file cannot be written.
    """

    def __init__(self, file: Path, known: int = 0) -> None:
        self.file = file if file.suffix == ".npz" else file.with_name(file.name + ".npz")
        self._partial = self.file.with_name(self.file.name + ".partial")
        self.paths: list[str] = []
        self._width = 0
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._rows = self._partial.open("r+b" if known else "wb")
        except OSError as error:
            raise DiskError(say("predict.not_written", reason=error.strerror or error), self.file) from None

    @staticmethod
    def holds(file: Path, rows: int, width: int) -> bool:
        """Whether an interrupted run left at least so many rows."""
        partial = file.with_name((file if file.suffix == ".npz" else file.with_name(file.name + ".npz")).name + ".partial")
        return partial.is_file() and partial.stat().st_size >= rows * width * 4

    def skip(self, path: str, width: int) -> None:
        """A row that is there already."""
        self.paths.append(path)
        self._width = width
        self._rows.seek(len(self.paths) * width * 4)

    def add(self, path: str, row: np.ndarray) -> None:
        """The next row, (F,) float32."""
        self.paths.append(path)
        self._width = len(row)
        try:
            self._rows.write(row.astype("<f4").tobytes())
            self._rows.flush()
        except OSError as error:
            raise DiskError(say("predict.not_written", reason=error.strerror or error), self.file) from None

    def close(self, finished: bool) -> None:
        """The `.npz`, whole or not at all."""
        if not finished:
            self._rows.close()
            return
        self._rows.truncate(len(self.paths) * self._width * 4)
        self._rows.close()
        shape = (len(self.paths), self._width)
        table = np.memmap(self._partial, "<f4", "r", shape=shape) if self.paths else np.zeros(shape, "<f4")
        whole = self.file.with_name(f".{self.file.name}.{os.getpid()}.npz")
        try:
            np.savez(whole, paths=np.array(self.paths, dtype=str), features=table)
            whole.replace(self.file)
        except OSError as error:
            whole.unlink(missing_ok=True)
            raise DiskError(say("predict.not_written", reason=error.strerror or error), self.file) from None
        del table
        self._partial.unlink(missing_ok=True)


class Neighbours:
    """The training pictures of a model by their features; made once, kept beside the run.

    Args:
        bundle: an opened bundle.
        count: how many to name for each picture.
        data: where the training data lies now; where the card says when None.
        watch: sees the progress of the first time.

    Raises:
        OmmaError: the training data cannot be found or is not what the model was trained on.
    """

    def __init__(self, bundle: Bundle, count: int, data: str | None = None, watch: Watch = Watch()) -> None:
        self.count = count
        dataset = training_part(bundle, data, watch)
        self._rows = _kept(bundle, dataset, watch)
        self._about = [_about(sample) for sample in dataset.samples]
        self._unit = _unit(self._rows)
        self._usable = np.isfinite(self._unit).all(1)
        self._unit[~self._usable] = 0.0

    def of(self, row: np.ndarray) -> list[dict[str, Any]]:
        """The nearest by cosine of (F,) features, nearest first: {"id", "path"?, "similarity", and what it shows}."""
        alike = np.where(self._usable, self._unit @ _unit(row[None])[0], -2.0)
        best = np.argsort(-alike, kind="stable")[: min(self.count, int(self._usable.sum()))]
        return [self._about[place] | {"similarity": round(float(alike[place]), 6)} for place in best]


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _about(sample: Any) -> dict[str, Any]:
    row = {"id": sample.id} if sample.path is None else {"id": sample.id, "path": str(sample.path)}
    return row if sample.truth is None else row | sample.truth.json()


def training_part(bundle: Bundle, data: str | None, watch: Watch) -> Dataset:
    """The samples a model learned from, by the run's own list where there is one.

    Raises:
        OmmaError: not found, or other data than the model was trained on.
    """
    from omma.formats.format import open_data

    about = bundle.card.get("data", {})
    where, format = (data, None) if data else (about.get("where"), about.get("format"))
    if not where:
        raise OmmaError(say("predict.no_training_data"), bundle.path, say("predict.training_data_fix"))
    try:
        dataset = open_data(where, format, watch)
    except (OmmaError, OSError) as error:
        raise OmmaError(
            say("predict.training_data_gone", where=where, reason=error), bundle.path, say("predict.training_data_fix")
        ) from None
    learned = _learned(bundle)
    if learned is None:
        return dataset.part("train") if "train" in dataset.counts() else dataset
    places = [place for place, sample in enumerate(dataset.samples) if sample.id in learned]
    if not places or len(places) < 0.9 * len(learned):
        raise OmmaError(say("predict.other_data", where=where, found=len(places), wanted=len(learned)), bundle.path)
    return dataset.choose(places)


def _learned(bundle: Bundle) -> set[str] | None:
    """Ids of the training part as the run noted them in `split.csv`; None without a run."""
    from omma.run.folder import RunFolder

    run = RunFolder(bundle.path.parent) if bundle.path is not None else None
    return {id for id, part in run.splits().items() if part == "train"} if run is not None and run.split.is_file() else None


def _kept(bundle: Bundle, dataset: Dataset, watch: Watch) -> np.ndarray:
    """(N, F) features of the training part; from the file beside the run if it was made for these weights and pictures."""
    from omma.data.sources import home

    ids = hashlib.sha256("\0".join(sample.id for sample in dataset.samples).encode("utf-8", "surrogatepass")).hexdigest()
    key = hashlib.sha256(f"{bundle.digest}\0{ids}\0{dataset.digest()}".encode()).hexdigest()[:24]
    places = [] if bundle.path is None else [bundle.path.parent / f"features-{key}.npz"]
    places += [home() / "features" / f"{key}.npz"]
    for place in places:
        if place.is_file():
            try:
                with np.load(place, allow_pickle=False) as kept:
                    if len(kept["features"]) == len(dataset):
                        return kept["features"]
            except (OSError, ValueError, KeyError):
                continue
    rows = np.concatenate(list(_computed(bundle, dataset, watch)))
    for place in places if bundle.path is None or bundle.path.name == "bundle" else places[1:]:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            partial = place.with_name(f".{place.name}.{os.getpid()}.npz")
            np.savez(partial, features=rows)
            partial.replace(place)
            break
        except OSError:
            continue
    return rows


def _computed(bundle: Bundle, dataset: Dataset, watch: Watch) -> Iterator[np.ndarray]:
    """Features of every sample, `BATCH` at a time; NaN where a picture cannot be read, which is said."""
    from omma.data.crew import in_threads

    views, what = bundle.views, say("predict.learning_features")

    def framed(place: int) -> np.ndarray | None:
        try:
            return views.frame(dataset.picture(place))
        except DataError as error:
            watch.warn(str(error))
            return None

    waiting: list[np.ndarray | None] = []
    for done, frame in enumerate(in_threads(framed, range(len(dataset))), 1):
        waiting.append(frame)
        if len(waiting) == BATCH or done == len(dataset):
            yield _with_gaps(bundle, waiting)
            waiting = []
            watch.step(what, done, len(dataset))
    watch.end(what)


def _with_gaps(bundle: Bundle, frames: Sequence[np.ndarray | None]) -> np.ndarray:
    blank = np.zeros((bundle.views.size, bundle.views.size, bundle.views.channels), np.uint8)
    rows = features(bundle, np.stack([blank if frame is None else frame for frame in frames]))
    rows[[place for place, frame in enumerate(frames) if frame is None]] = np.nan
    return rows
