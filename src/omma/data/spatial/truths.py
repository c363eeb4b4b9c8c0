"""The truths of a dataset as tensors, by place: made once where they are small, when asked for where they are maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from omma.answers.placed import Placed
from omma.data.sample import Dataset
from omma.data.views import Views

if TYPE_CHECKING:
    from omma.tasks.task import Task

IN_MEMORY = 1 << 30  # bytes of truths kept


class Truths:
    """Truths by place.

    Args:
        dataset: with truths.
        task: whose answers they are.
        views: how pictures enter: what lies somewhere lies in a frame.
        device: where they are wanted.
        turning: with what it takes to follow pictures that turn by any angle.

    Attributes:
        known: (N,) bool, which places have a truth.
    """

    def __init__(self, dataset: Dataset, task: Task, views: Views, device: torch.device, turning: bool = False) -> None:
        self.dataset, self.task, self.views, self.device = dataset, task, views, device
        self.turning = turning and issubclass(task.answer, Placed)
        self.known = torch.tensor([sample.truth is not None for sample in dataset.samples], dtype=torch.bool)
        self._rows: dict[str, torch.Tensor] | None = None
        places = self.known.nonzero().flatten()
        if not len(places):
            self._rows = {}
        elif not issubclass(task.answer, Placed) or self._weight(places) <= IN_MEMORY:
            self._rows = {key: value.to(device) for key, value in self._whole(places).items()}

    def at(self, index: torch.Tensor) -> dict[str, torch.Tensor]:
        """Truths of (B,) int64 places, batch in front; {} where there are none at all."""
        if self._rows is None:
            return {key: value.to(self.device) for key, value in self._made(index).items()}
        here = index.to(self.device)
        return {key: value.index_select(0, here) for key, value in self._rows.items()}

    def first(self) -> torch.Tensor | None:
        """(N, …): what a truth is mainly made of, where all are at hand."""
        return next(iter(self._rows.values())) if self._rows else None

    def _made(self, places: torch.Tensor) -> dict[str, torch.Tensor]:
        truths, answer = [self.dataset.samples[i].truth for i in places.tolist()], self.task.answer
        rows = answer.tensors(truths, self.task.names, self.views)
        return rows | answer.turning(truths, self.views) if self.turning and issubclass(answer, Placed) else rows

    def _weight(self, places: torch.Tensor) -> float:
        """About how many bytes all truths take, by looking at a few."""
        some = self._made(places[:: max(1, len(places) // 8)][:8])
        return len(self.known) * sum(value.numel() * value.element_size() / len(value) for value in some.values())

    def _whole(self, places: torch.Tensor) -> dict[str, torch.Tensor]:
        """Truths of all places; zeros where there is none."""
        rows = self._made(places)
        if len(places) == len(self.known):
            return rows
        count = len(self.known)
        return {key: torch.zeros(count, *value.shape[1:], dtype=value.dtype).index_copy(0, places, value) for key, value in rows.items()}
