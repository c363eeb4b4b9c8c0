"""Datasets that are open: read once, kept in memory, with what a gallery asks of every picture laid out in columns."""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from omma.answers.answer import Answer
from omma.data.recast import kind_of, present
from omma.data.sample import Dataset
from omma.errors import OmmaError
from omma.formats.format import describe, open_data
from omma.report.phrase import phrase as in_words
from omma.studio.store import Store
from omma.words import language, say

KEPT = 2  # datasets in memory at once


@dataclass
class Opened:
    """A dataset as the pages see it.

    Args:
        dataset: as its format read it.
        names: classes, those first that the dataset names itself.
        has: (N, names) bool, which classes a picture shows.
        place: id → place in the dataset.
        stamp: changes when the folder on disk does.
        tongue: the language in which the notes about reading it were made.
    """

    dataset: Dataset
    names: list[str]
    has: np.ndarray
    place: dict[str, int]
    stamp: str
    digest: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    tongue: str = ""

    @property
    def lines(self) -> list[str]:
        """What was read, in words."""
        return describe(self.dataset)

    @property
    def kind(self) -> str | None:
        return kind_of(self.dataset)


def look(dataset: Dataset, stamp: str = "") -> Opened:
    """Lay out the columns of a dataset."""
    shows = [set(present(sample.truth)) if sample.truth is not None else set() for sample in dataset.samples]
    counts = Counter(name for one in shows for name in one)
    # Names of numbers are no classes: only what some picture shows can be filtered by.
    names = [name for name in dataset.names if name in counts] + sorted(set(counts) - set(dataset.names))
    has = np.zeros((len(dataset), len(names)), bool)
    column = {name: i for i, name in enumerate(names)}
    for row, one in enumerate(shows):
        has[row, [column[name] for name in one]] = True
    digest = dataset.digest() if dataset.pixels is not None else ""
    place = {sample.id: i for i, sample in enumerate(dataset.samples)}
    return Opened(dataset, names, has, place, stamp, digest, {name: counts[name] for name in names}, language())


def phrase(truth: Answer | None) -> str:
    """A label in a few letters; "" where there is none."""
    return "" if truth is None else in_words(truth)


class Shelf:
    """The datasets of the projects that were looked at last.

    Args:
        store: knows where a project's data lies.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._open: OrderedDict[tuple[str, str | None], Opened] = OrderedDict()
        self._locks: dict[tuple[str, str | None], threading.Lock] = {}
        self._listed: dict[str, tuple[int, list[Path]]] = {}
        self._guard = threading.Lock()

    def get(self, project: int) -> Opened:
        """The dataset of a project, read if it was not, or again where its folder has changed.

        Raises:
            OmmaError, DataError: it cannot be read; says what was found.
        """
        return self.of(self.store.known(project)["data"])

    def of(self, data: str, format: str | None = None) -> Opened:
        """The dataset at a path, whoever asks.

        Args:
            format: how it lies there; sniffed when left out.

        Raises:
            OmmaError, DataError: it cannot be read; says what was found.
        """
        key = data, format
        with self._guard:
            # A run names the format in which its data was found: the dataset of a project is the same one.
            plain = self._open.get((data, None))
            key = (data, None) if plain is not None and plain.dataset.format == format else key
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            stamp = _stamp(data, self._listed)
            found = self._open.get(key)
            # Notes are sentences made while reading: a reader of the other language has it read again.
            foreign = found is not None and bool(found.dataset.notes) and found.tongue != language()
            if found is None or found.stamp != stamp or foreign:
                found = look(open_data(data, key[1]), stamp)
            with self._guard:
                self._open[key] = found
                self._open.move_to_end(key)
                while len(self._open) > KEPT:
                    self._open.popitem(last=False)
            return found

    def forget(self, project: int) -> None:
        """Read it again when it is asked for next: something was written."""
        data = self.store.known(project)["data"]
        with self._guard:
            for key in [key for key in self._open if key[0] == data]:
                del self._open[key]

    def sample(self, project: int, place: Any) -> tuple[Opened, int]:
        """The dataset and a place that exists in it.

        Raises:
            OmmaError: there is no such picture.
        """
        found = self.get(project)
        if not 0 <= int(place) < len(found.dataset):
            raise OmmaError(say("studio.no_picture"))
        return found, int(place)


def _stamp(data: str, listed: dict[str, tuple[int, list[Path]]]) -> str:
    """When a folder and the folders right in it last changed: new and removed files show, without reading every name.

    Args:
        listed: remembered between calls, folder → (when it had changed, what of it is looked at): every thumbnail asks, and listing ten
            thousand names takes a hundred times as long as one look at the folder.
    """
    path = Path(data.partition(":")[0] if not Path(data).exists() else data)
    try:
        changed = path.stat().st_mtime_ns
        if listed.get(data, (None, []))[0] != changed:
            listed[data] = changed, _inner(path)
        return repr([changed, *[one.stat().st_mtime_ns for one in listed[data][1]]])
    except OSError:
        listed.pop(data, None)
        return ""


def _inner(path: Path) -> list[Path]:
    """Folders, tables and lists right in a folder, at most 500."""
    if not path.is_dir():
        return []
    with os.scandir(path) as found:
        names = sorted(one.name for one in found if one.name.endswith((".csv", ".json")) or one.is_dir())
    return [path / name for name in names[:500]]
