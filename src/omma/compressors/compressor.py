"""The contract of a compressor: one bundle goes in, a smaller one comes out, and nothing it learned from will judge it.

A compressor is a function named after its file: `int8(shop, bundle) -> Bundle`, `prune(shop, bundle) -> Bundle`. What it returns is not
saved yet; whoever called it measures score and speed and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omma.bundle import Bundle
from omma.data.frames import Frames
from omma.data.own.given import given
from omma.data.own.originals import Originals
from omma.data.sample import Dataset, Sample
from omma.data.spatial.place import Place
from omma.engine.budget import Budget
from omma.engine.machine import Machine
from omma.engine.told import is_placed
from omma.progress import Watch

if TYPE_CHECKING:
    from omma.answers.answer import Answer

Compressor = Callable[["Shop", Bundle], Bundle]
AT_ONCE = 128


@dataclass
class Shop:
    """What every compressor works with.

    Args:
        dataset: with parts; compressors may learn from `train`, choose by `val`, and never look at `test`. Where pictures are read in
            windows these are its samples: a copy is judged frame by frame.
        frames: of that dataset.
        machine: where to learn.
        folder: a place for files that vanish afterwards.
        budget: how long fine-tuning may take.
        share: of the channels that pruning takes away, 0–1.
        seed: every draw derives from it.
        seeds: of a model that draws: so many rows of what it is asked by, see `Bundle.asked`.
    """

    dataset: Dataset
    frames: Frames | Originals
    machine: Machine
    folder: Path
    budget: Budget = Budget("seconds", 300.0)
    share: float = 0.3
    seed: int = 0
    seeds: Callable[[int], np.ndarray] | None = None
    watch: Watch = field(default_factory=Watch)

    def places(self, split: str) -> list[int]:
        """Readable pictures of one part that have a truth."""
        return [i for i in self.frames.part(split) if self.dataset.samples[i].truth is not None]

    def batches(self, places: list[int]) -> Iterator[torch.Tensor]:
        """(N, S, S, C) uint8 frames of these places, in order; where seeds are asked for, a row for each instead."""
        if self.seeds is not None:
            yield from torch.from_numpy(self.seeds(len(places))).split(AT_ONCE)
            return
        for start in range(0, len(places), AT_ONCE):
            yield self.frames.get(torch.tensor(places[start : start + AT_ONCE])).cpu()

    def spots(self, bundle: Bundle, places: list[int]) -> list[Place] | None:
        """Where these lie in their frames, for answers that lie somewhere."""
        return [bundle.views.place(*self.dataset.extent(i)) for i in places] if is_placed(bundle.task) else None

    def truths(self, places: list[int]) -> list[Answer]:
        return [truth for i in places if (truth := self.dataset.samples[i].truth) is not None]

    def groups(self, places: list[int]) -> list[str]:
        """What belongs together in an interval: the group, or the picture itself."""
        return [sample.group or self._picture(sample).id for sample in (self.dataset.samples[i] for i in places)]

    def _picture(self, sample: Sample) -> Sample:
        """What a window is cut from; anything else itself."""
        whole = self.dataset.whole
        return sample if whole is None or sample.of is None else whole.samples[sample.of]

    @property
    def own(self) -> bool:
        """Whether pictures stay at their own size: then a copy is judged by whole pictures."""
        return isinstance(self.frames, Originals)

    def inferred(self, runtime: Any, places: list[int]) -> dict[str, torch.Tensor]:
        """Tensors of `Task.infer` for these places, computed by a runtime."""
        rows = [runtime.infer(frames.numpy()) for frames in self.batches(places)]
        return {key: torch.from_numpy(np.concatenate([row[key] for row in rows])) for key in rows[0]}

    def restored(self, runtime: Any, places: list[int]) -> list[Answer]:
        """Answers about whole pictures at their own size."""
        channels = self.frames.views.channels
        return [runtime.answers([given(self.dataset, place, channels)])[0] for place in places]


def copy_of(bundle: Bundle, nets: dict[str, torch.nn.Module]) -> Bundle:
    """A bundle of its own around other networks; the card without what belongs to the old weights."""
    card = {key: value for key, value in bundle.card.items() if key not in ("weights", "scores", "runtime", "notes", "created")}
    return Bundle(bundle.task, nets, bundle.views, dict(bundle.point), card, None)
