"""Which pictures of a dataset excite a channel most, and where."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from omma.data.sample import Dataset
from omma.errors import OmmaError
from omma.inside.subject import Subject, sight, stored, watched
from omma.inside.trace import Step
from omma.progress import Watch
from omma.words import say

PICTURES, TOP = 120, 4  # how many are looked at, and how many are kept for each channel


@dataclass
class Peaks:
    """The strongest answers of every channel over many pictures.

    Args:
        names: of the pictures.
        frames: (h, w, C) uint8 each, as they were shown to the network.
        best: key of a step → (C, top, 4): place among the pictures, row and column of the unit, and what it gave.
        dead: key of a step → channels that gave nothing but zero on every picture.
    """

    names: list[str] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)
    best: dict[str, np.ndarray] = field(default_factory=dict)
    dead: dict[str, list[int]] = field(default_factory=dict)


def exciting(of: Subject, dataset: Dataset, watch: Watch = Watch(), count: int = PICTURES, top: int = TOP) -> Peaks:
    """Show the model up to `count` pictures, evenly chosen, and keep where each channel gave most.

    Pictures that cannot be read are left out.
    """
    found = Peaks()
    rows: dict[str, list[np.ndarray]] = {}
    zero: dict[str, torch.Tensor] = {}
    chosen = range(0, len(dataset), max(1, len(dataset) // count))[:count]

    def keep(step: Step) -> None:
        maps = step.maps.float()
        flat = maps.flatten(1)
        value, place = flat.max(1)
        y, x = (one.cpu().numpy() for one in (place // maps.shape[2], place % maps.shape[2]))
        which = np.full(len(value), len(found.frames))
        rows.setdefault(step.key, []).append(np.stack([which, y, x, value.cpu().numpy()], 1))
        if step.op == "act":
            now = flat.abs().amax(1) == 0
            before = zero.get(step.key)
            zero[step.key] = now if before is None else before & now

    for index in watch.each(say("look.exciting"), chosen):
        try:
            before = sight(of, stored(of, dataset, index), dataset.samples[index].id)
        except OmmaError:
            continue
        with torch.no_grad():
            watched(of, before, keep)
        found.frames.append(before.frame)
        found.names.append(before.name)
    for key, each in rows.items():
        if len({len(one) for one in each}) == 1:
            stacked = np.stack(each, 1)
            order = np.argsort(-stacked[:, :, 3], axis=1, kind="stable")[:, :top]
            found.best[key] = np.take_along_axis(stacked, order[:, :, None], 1)
    found.dead = {key: flat.nonzero().flatten().tolist() for key, flat in zero.items()}
    return found
