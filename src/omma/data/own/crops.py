"""Batches of parts of pictures, the bad beside the good: what a network learns from that makes pictures better.

Which part, mirrored or turned how, and spoilt how, are functions of (seed, epoch, sample), as all chance is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

import numpy as np
import torch

from omma.answers.picture import Picture
from omma.data import chance
from omma.data.batches import Batches
from omma.data.own.given import given
from omma.data.own.originals import Originals, stacked
from omma.data.sample import Batch, Dataset
from omma.data.views import Views
from omma.errors import OmmaError
from omma.recipe import Recipe
from omma.words import say

MOST = 64  # parts of one picture in an epoch
LOOKED = 256  # pixels on a side of what is looked at of a picture while a network learns


class Draw(IntEnum):
    """What a draw is for; see `variation.vary.Draw`, whose numbers these are not."""

    DOWN = 40
    RIGHT = 41
    TURN = 42


class Crops(Batches):
    """As `Batches`, for pictures that stay at their own size; the truth is {"picture": (B, C, s·S, s·S), "noise": (B,)}.

    An epoch shows as many parts of a picture as lie in it side by side, at most 64; the samples of a step are numbered so that the parts
    of one picture differ. A picture smaller than a part is mirrored. A network of one channel learns from the luma of colour.

    Args:
        originals: pictures of `dataset`, by place.
        dataset: with good pictures as truths; where it knows splits, training takes the places of `train` only.
        views: how pictures enter; `size` is S.
        recipe: seed, batch, optimizer, and `flip`, `quarter`: whether parts are mirrored, and turned.
        scale: s.
        rank, world, device: see `Batches`.

    Raises:
        OmmaError: nothing to learn from.
    """

    def __init__(
        self, originals: Originals, dataset: Dataset, views: Views, recipe: Recipe, scale: int, rank: int = 0, world: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        self.originals, self.dataset, self.views, self.recipe, self.scale = originals, dataset, views, recipe, scale
        self.frames = originals  # type: ignore[assignment]
        self.rank, self.world, self.device = rank, world, torch.device(device)
        splits = {sample.split for sample in dataset.samples} - {None}
        places = [i for i in originals.usable if not splits or dataset.samples[i].split == "train"]
        if not places:
            raise OmmaError(say("views.empty"), dataset.root)
        share = originals.areas[places] / float(views.size * scale) ** 2
        times = np.clip(np.rint(share), 1, MOST).astype(int)
        count = len(dataset)
        virtual = [place + count * turn for place, many in zip(places, times, strict=True) for turn in range(many)]
        self.places = torch.tensor(virtual, dtype=torch.long)
        self.size = min(recipe.get("batch", 16), len(virtual))
        self._chosen, self._epoch = None, (-1, self.places)
        held = [i for i in originals.usable if dataset.samples[i].split in ("val", "test")]
        self.heavier = float(np.maximum(1.0, originals.areas[held] / (LOOKED * scale) ** 2).mean()) if held else 1.0

    def at(self, step: int, progress: float = 1.0) -> Batch:
        """The training batch of one step."""
        index, epoch = self.index(step), step // self.per_epoch
        draws = chance.uniform(self.recipe.seed, epoch, index, [Draw.DOWN, Draw.RIGHT, Draw.TURN]).T.tolist()
        parts = [self._part(virtual % len(self.dataset), *where) for virtual, where in zip(index.tolist(), draws, strict=True)]
        good = stacked([good for _, good in parts], self.views.channels, self.device)
        truth = {}
        if self.dataset.spoil is None:
            bad = stacked([bad for bad, _ in parts if bad is not None], self.views.channels, self.device)
        else:
            bad, facts = self.dataset.spoil(good, index.to(self.device), epoch, self.recipe.seed)
            truth = {key: value for key, value in facts.items() if key == "noise"}
        return Batch(bad / 255, truth | {"picture": good / 255}, index)

    def ids(self, batch: Batch) -> list[str]:
        return [] if batch.index is None else [self.dataset.samples[v % len(self.dataset)].id for v in batch.index.tolist()]

    def plain(self, places: Sequence[int] | torch.Tensor, size: int = 1) -> Iterator[Batch]:
        """The middle of each picture, a part of S pixels, one by one, not varied: what a loss is watched on."""
        for place in torch.as_tensor(places, dtype=torch.long).tolist():
            bad, good = self._part(place, 0.5, 0.5, 0.0)
            clean, index = stacked([good], self.views.channels, self.device), torch.tensor([place])
            spoilt = stacked([bad], self.views.channels, self.device) if bad is not None else self.dataset.spoil(clean, index, 0, 0)[0]  # type: ignore[misc]
            yield Batch(spoilt / 255, {"picture": clean / 255}, index)

    def middle(self, place: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """(bad, good) of at most `side` pixels of what is given, as it is measured: (h, w, C) uint8 or float32, and (s·h, s·w, C)."""
        truth = self.dataset.samples[place].truth
        assert isinstance(truth, Picture)
        bad, good = given(self.dataset, place, self.views.channels), truth.pixels
        (top, tall), (left, wide) = ((max(0, length - side) // 2, min(side, length)) for length in bad.shape[:2])
        s = self.scale
        return (
            np.ascontiguousarray(bad[top : top + tall, left : left + wide]),
            np.ascontiguousarray(good[s * top : s * (top + tall), s * left : s * (left + wide)]),
        )

    def _part(self, place: int, down: float, right: float, turn: float) -> tuple[np.ndarray | None, np.ndarray]:
        """(bad, good) parts of a picture: (S, S, C) and (s·S, s·S, C)."""
        bad, good = self.originals.pair(place)
        side, s = self.views.size, self.scale
        small = good if bad is None else bad
        tall, wide = (length // (s if bad is None else 1) for length in small.shape[:2])
        top, left = (int(level * (max(0, length - side) + 1)) for level, length in ((down, tall), (right, wide)))
        parts = [_cut(good, top * s, left * s, side * s)]
        parts += [] if bad is None else [_cut(bad, top, left, side)]
        turns = int(turn * 8)
        mirrored, quarters = bool(turns % 2 and self.recipe.flip), turns // 2 if self.recipe.quarter else 0
        parts = [np.rot90(one[:, ::-1] if mirrored else one, quarters) for one in parts]
        return (parts[1] if len(parts) > 1 else None), parts[0]


def _cut(picture: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """(side, side, C) of a picture, mirrored at its right and lower border where it ends."""
    part = picture[top : top + side, left : left + side]
    short = [max(0, side - length) for length in part.shape[:2]]
    return np.pad(part, (*((0, one) for one in short), (0, 0)), mode="symmetric") if any(short) else part
