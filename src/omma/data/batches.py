"""Which pictures make up which step: a function of (seed, step), so that nothing has to be remembered to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

from omma.answers.placed import Placed
from omma.data import chance
from omma.data.beside import Beside
from omma.data.frames import Frames
from omma.data.sample import Batch, Dataset
from omma.data.spatial.along import Along
from omma.data.spatial.truths import Truths
from omma.data.variation.vary import Vary
from omma.data.views import Views
from omma.errors import OmmaError
from omma.recipe import Recipe
from omma.words import say

if TYPE_CHECKING:
    from omma.tasks.task import Task

DRAWN = chance.ORDER + 1  # the draw that chooses with replacement


class Batches:
    """Batches of a run, by step. Two of them with the same arguments give the same batches, in any order, from any step on.

    Args:
        frames: pictures of `dataset`, by place.
        dataset: with truths; where it knows splits, training takes the places of `train` only.
        task: whose answers the truths are.
        views: how pictures enter.
        recipe: seed, batch, balance, optimizer and how pictures vary.
        rank: of this process; it gets its own slice of every batch.
        world: number of processes.
        device: where batches are wanted.
        beside: pictures without labels that go beside every batch; None = none.

    Raises:
        OmmaError: nothing to learn from, or sampling by class where there are no classes.
    """

    def __init__(
        self, frames: Frames, dataset: Dataset, task: Task, views: Views, recipe: Recipe, rank: int = 0, world: int = 1,
        device: torch.device | str = "cpu", beside: Beside | None = None,
    ) -> None:  # fmt: skip
        self.frames, self.dataset, self.recipe, self.rank, self.world = frames, dataset, recipe, rank, world
        self.device, self.beside = torch.device(device), beside
        self.vary = (Along if issubclass(task.answer, Placed) else Vary)(views, recipe, task.answer)
        self.views = views
        frames.move(self.device)
        self.truths = Truths(dataset, task, views, self.device, bool(recipe.rotate))
        splits = {sample.split for sample in dataset.samples} - {None}
        places = [i for i in frames.usable if (not splits or dataset.samples[i].split == "train") and self.truths.known[i]]
        self.places = torch.tensor(places, dtype=torch.long)
        if not places:
            raise OmmaError(say("views.empty"), dataset.root)
        self.size = len(places) if recipe.optimizer == "gd" else min(recipe.get("batch", 64), len(places))
        self._chosen = {"sampling": self._by_class, "pictures": self._by_picture}.get(str(recipe.balance), lambda: None)()
        self._epoch: tuple[int, torch.Tensor] = (-1, self.places)

    # How many times as long a whole picture takes as what is looked at of it while a network learns.
    heavier: float = 1.0

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; the pictures that do not fill the last one wait for another epoch's order."""
        return len(self.places) // self.size

    def index(self, step: int) -> torch.Tensor:
        """(B,) int64: the places of this rank's part of a step."""
        epoch, within = divmod(step, self.per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch))
        low, high = self._share()
        return self._epoch[1][within * self.size + low : within * self.size + high]

    def _share(self) -> tuple[int, int]:
        """Which part of every batch is this rank's."""
        return self.size * self.rank // self.world, self.size * (self.rank + 1) // self.world

    def at(self, step: int, progress: float = 1.0) -> Batch:
        """The training batch of one step, varied; smaller pictures while `progress` (0–1 of the run) is under `recipe.progressive`."""
        index = self.index(step)
        frames = self.frames.get(index, self.vary.margin).to(self.device, non_blocking=True)
        if self.frames.lazy:
            self.frames.prefetch(self.index(step + 1))
        here = index.to(self.device)
        pictures, truth = self.vary(frames, self.truths.at(index), here, step // self.per_epoch)
        beside = None if self.beside is None else self.beside.at(step, *self._share(), self.size)
        if progress < self.recipe.get("progressive", 0.0):
            pictures, beside = (None if one is None else self._smaller(one) for one in (pictures, beside))  # type: ignore[assignment]
        return Batch(pictures, truth, index, beside, progress)

    def _smaller(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) → the same at three quarters of the side."""
        side = self.views.size * 3 // 4
        return interpolate(pictures, (side, side), mode="bilinear", antialias=True).contiguous(memory_format=torch.channels_last)

    def ids(self, batch: Batch) -> list[str]:
        """The names of a batch's pictures, for messages."""
        return [] if batch.index is None else [self.dataset.samples[place].id for place in batch.index.tolist()]

    def plain(self, places: Sequence[int] | torch.Tensor, size: int = 256) -> Iterator[Batch]:
        """Places in order, `size` at once, not varied; truth is {} where one of them has none."""
        parts = torch.as_tensor(places, dtype=torch.long).split(size)
        for index, following in zip(parts, [*parts[1:], None], strict=True):
            if not len(index):
                continue
            frames = self.frames.get(index).to(self.device)
            if following is not None:
                self.frames.prefetch(following)
            known = bool(self.truths.known[index].all())
            yield Batch(self.views.finish(frames), self.truths.at(index) if known else {}, index)

    def _order(self, epoch: int) -> torch.Tensor:
        """(n,) int64: the places of an epoch in their order."""
        count = len(self.places)
        if self._chosen is None:
            return self.places[chance.order(self.recipe.seed, epoch, count)]
        draws = chance.uniform(self.recipe.seed, epoch, torch.arange(count), DRAWN).double()
        return self.places[torch.searchsorted(self._chosen, draws, right=True).clamp_max(count - 1)]

    def _by_picture(self) -> torch.Tensor:
        """(n,) double: cumulative chance of each place when pictures are to come up equally often, whatever windows they are read in."""
        samples = self.dataset.samples
        picture = torch.tensor([place if samples[place].of is None else samples[place].of for place in self.places.tolist()])
        share = 1 / torch.bincount(picture)[picture].double()
        return (share / share.sum()).cumsum(0)

    def _by_class(self) -> torch.Tensor:
        """(n,) double: cumulative chance of each place when every class is to come up equally often (no class at all counts as one)."""
        first = self.truths.first()
        target = torch.zeros(0) if first is None else first[self.places.to(self.device)].cpu().double()
        if target.dim() != 2 or not ((target == 0) | (target == 1)).all():
            raise OmmaError(say("views.balance"))
        classes = torch.cat([target, (target.sum(1, keepdim=True) == 0).double()], 1)
        share = (classes / classes.sum(0).clamp_min(1)).sum(1) / classes.sum(1)
        return (share / share.sum()).cumsum(0)
