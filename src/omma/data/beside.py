"""Pictures without labels that go beside every batch: a function of (seed, step), as batches are."""

from __future__ import annotations

from dataclasses import replace

import torch

from omma.answers.answer import Answer
from omma.data import chance
from omma.data.frames import Frames
from omma.data.sample import Dataset
from omma.data.variation.vary import Vary
from omma.data.views import Views
from omma.recipe import Recipe

APART = 1_000_003  # between the seeds of the two: pictures at the same place vary each in their own way


class Beside:
    """The pictures of another dataset, varied as those that are learned from.

    Args:
        frames: its pictures, read as the network reads them.
        views: how pictures enter.
        recipe: seed and how pictures vary.
        device: where they are wanted.
    """

    def __init__(self, frames: Frames, views: Views, recipe: Recipe, device: torch.device | str = "cpu") -> None:
        self.frames, self.device, self.seed = frames, torch.device(device), recipe.seed + APART
        self.places = torch.tensor(frames.usable, dtype=torch.long)
        self.vary = Vary(views, replace(recipe, seed=self.seed), Answer)
        frames.move(self.device)

    def at(self, step: int, low: int, high: int, size: int) -> torch.Tensor:
        """(high − low, C, S, S): pictures `low` to `high` of the `size` that go beside the batch of a step; few ones come up again."""
        epoch, index = self._index(step, low, high, size)
        frames = self.frames.get(index, self.vary.margin).to(self.device, non_blocking=True)
        if self.frames.lazy:
            self.frames.prefetch(self._index(step + 1, low, high, size)[1])
        return self.vary(frames, {}, index.to(self.device), epoch)[0]

    def _index(self, step: int, low: int, high: int, size: int) -> tuple[int, torch.Tensor]:
        """(epoch, (high − low,) int64 places)."""
        count = len(self.places)
        epoch, within = divmod(step, max(1, count // size))
        chosen = (within * size + torch.arange(low, high)) % count
        return epoch, self.places[chance.order(self.seed, epoch, count)[chosen]]


def unlabelled(dataset: Dataset) -> Dataset:
    """A dataset's pictures without what anybody said of them; where it has parts, those of its training part alone.

    What is kept to report on is not looked at while a network learns.
    """
    parts = {sample.split for sample in dataset.samples} - {None}
    kept = [replace(sample, truth=None, group=None, record=None) for sample in dataset.samples if not parts or sample.split == "train"]
    return replace(dataset, samples=kept, names=[], task=None, notes=[], hints={})
