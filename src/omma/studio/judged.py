"""The answers of runs, read once and kept in memory: confusion, the pictures behind a cell, precision and recall at any threshold."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from omma import catalog
from omma.answers import _file as answers
from omma.answers.answer import Answer
from omma.answers.placed import Placed
from omma.card import read_card
from omma.data.decode import to_rgb8
from omma.errors import OmmaError
from omma.metrics._alone import Alone
from omma.metrics._confused import Confused
from omma.metrics.metric import Metric, Records
from omma.report.operating import alone, sweepable
from omma.studio.shelf import Opened, Shelf
from omma.tasks.task import Task
from omma.words import say

KEPT = 2  # runs in memory at once


@dataclass
class Judged:
    """The answers of one run and what they were measured by.

    Args:
        kept: answers and truths.
        task: what was learned.
        point: the operating point of the model.
        where, format: the data, as the run was given it.
    """

    kept: answers.Kept
    task: Task
    point: dict[str, Any]
    where: str
    format: str | None
    metrics: dict[str, Metric] = field(default_factory=dict)
    _confused: tuple[Confused, Records] | None = None
    _alone: tuple[Alone, Records] | None = None

    def alone(self) -> tuple[Alone, Records] | None:
        """The metric that tells one thing from the rest by a number, and its records; None where the answers know several, or none."""
        if self._alone is None and (metric := alone(self.metrics)) is not None:
            self._alone = metric, metric.records(self.kept.predictions, self.kept.truths)
        return self._alone

    def said(self, row: int, level: float | None = None) -> Answer:
        """An answer; as it would be at another threshold, where there is but one to move."""
        answer, metric = self.kept.predictions[row], alone(self.metrics)
        return answer if level is None or metric is None else metric.at(answer, level)

    def confused(self) -> tuple[Confused, Records] | None:
        """The metric that draws the confusion matrix, and its records."""
        if self._confused is None:
            for metric in self.metrics.values():
                if isinstance(metric, Confused):
                    records = metric.records(self.kept.predictions, self.kept.truths)
                    if metric.figure(records) is not None:
                        self._confused = metric, records
                        break
        return self._confused

    def behind(self, true: int, named: int) -> tuple[list[int], list[np.ndarray]]:
        """Rows of the answers in a cell of the matrix, and corners around what is meant in each ([] where it is the whole picture).

        Raises:
            OmmaError: there is no such cell.
        """
        found = self.confused()
        size = len(self.task.names) + 1
        if found is None or not (0 <= true < size and 0 <= named < size):
            raise OmmaError(say("studio.not_understood"))
        gallery = found[0].behind(found[1], true, named)
        return gallery.places, gallery.corners

    def level(self, about: str | None) -> float | None:
        """The threshold of the model itself, of one class or of all; None where classes differ."""
        level = self.point.get("threshold")
        if isinstance(level, list):
            level = level[self.task.names.index(about)] if about is not None else level[0] if len(set(level)) == 1 else None
        return float(level) if isinstance(level, int | float) else None


class Judge:
    """The runs that were looked at last.

    Args:
        home: where answers lie that a run did not keep itself.
        shelf: opens their data.
    """

    def __init__(self, home: Path, shelf: Shelf) -> None:
        self.home, self.shelf = home, shelf
        self._known: OrderedDict[Path, tuple[int, Judged]] = OrderedDict()
        self._lock = threading.Lock()

    def folder(self, run: Path) -> Path:
        """Where `omma evaluate` is told to write the answers of a run that has none: another one for other weights."""
        return self.home / f"{run.name}-{(run / 'bundle' / 'bundle.json').stat().st_mtime_ns}"

    def file(self, run: Path) -> Path | None:
        """The answers of a run, its own or those asked for here; None where there are none."""
        own = [run / answers.FILE, self.folder(run) / answers.FILE]
        return next((path for path in own if path.is_file()), None)

    def able(self, run: Path) -> bool:
        """Whether answers of this kind can be counted at all: a confusion matrix, or precision and recall of something."""
        metrics = _task(read_card(run / "bundle")).metrics()
        return bool(sweepable(metrics)) or any(isinstance(one, Confused | Alone) for one in metrics.values())

    def get(self, run: Path) -> Judged:
        """The answers of a run.

        Raises:
            OmmaError: there are none.
            DataError: they cannot be read.
        """
        path = self.file(run)
        if path is None:
            raise OmmaError(say("studio.no_answers"), run.name)
        with self._lock:
            changed = path.stat().st_mtime_ns
            known = self._known.get(path)
            if known is None or known[0] != changed:
                card = read_card(run / "bundle")
                task, data = _task(card), card.get("data", {})
                found = Judged(answers.read(path, task.answer), task, card.get("operating_point", {}), *_data(run, data))
                found.metrics = task.metrics()
                self._known[path] = known = changed, found
            self._known.move_to_end(path)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return known[1]

    def sample(self, judged: Judged, row: int) -> tuple[Opened, int]:
        """The dataset and the place of the picture that an answer is about.

        Raises:
            OmmaError: there is no such answer, or its picture is gone.
        """
        if not 0 <= row < len(judged.kept.ids):
            raise OmmaError(say("studio.no_picture"))
        opened = self.shelf.of(judged.where, judged.format)
        place = opened.place.get(judged.kept.ids[row])
        if place is None:
            raise OmmaError(say("studio.no_picture"), judged.kept.ids[row])
        return opened, place

    def shown(self, judged: Judged, row: int, meant: np.ndarray | None = None, level: float | None = None) -> np.ndarray:
        """(H, W, 3) uint8: the truth beside the answer, rings around (n, 4) corners that are meant; every answer draws itself.

        Args:
            level: the threshold at which the answer is drawn, see `Judged.said`.
        """
        from omma.report.pictures import pointed, twice

        opened, place = self.sample(judged, row)
        picture = to_rgb8(opened.dataset.picture(place))
        true, said = judged.kept.truths[row], judged.said(row, level)
        if isinstance(true, Placed) and isinstance(said, Placed):
            return pointed(picture, true, said, np.zeros((0, 4)) if meant is None else meant)
        return twice(picture, true, said)


def _task(card: dict[str, Any]) -> Task:
    return catalog.find("tasks", card["task"])(card["names"], **card.get("task_settings", {}))


def _data(run: Path, named: dict[str, Any]) -> tuple[str, str | None]:
    """Where the data of a run lies and how: as its facts say, else as its card does."""
    try:
        facts = json.loads((run / "recipe.json").read_text("utf-8"))["facts"]
        return str(facts["where"]), facts.get("format")
    except (OSError, ValueError, KeyError, TypeError):
        return str(named.get("where", "")), named.get("format")
