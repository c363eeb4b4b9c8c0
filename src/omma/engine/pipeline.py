"""The finished model as one module: from a framed picture to the operated tensors of an answer.

What is evaluated, exported, compressed and served is this, so none of them can differ from another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from omma.data.views import Views
from omma.tasks.task import Batch, Task


class Pipeline(nn.Module):
    """Normalise, average over the views of test time, infer, apply the operating point.

    Args:
        task: what was learned.
        nets: networks by player.
        views: how pictures enter.
        point: the operating point; {} before it is fitted.
    """

    def __init__(self, task: Task, nets: dict[str, nn.Module], views: Views, point: dict[str, Any]) -> None:
        super().__init__()
        self.task, self.views, self.point = task, views, point
        self.nets = nn.ModuleDict(nets)

    def infer(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, S, S, C) uint8, or rows of seeds → tensors of `Task.infer`, the mean over the views of test time."""
        return self.look(frames if self.task.asks == "seed" else self.views.finish(frames))

    def look(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """The same from (N, C, S, S) normalised pictures; seeds are looked at once."""
        nets = dict(self.nets.items())
        if self.task.asks == "seed":
            return self.task.infer(nets, Batch(pictures))
        copies = [self.task.infer(nets, Batch(copy)) for copy in self.views.copies(pictures)]
        if len(copies) == 1:
            return copies[0]
        return {key: torch.stack([copy[key] for copy in copies]).mean(0) for key in copies[0]}

    def forward(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, S, S, C) uint8 → operated tensors, batch in front, in the order an export names them."""
        return self.task.answer.operate(self.infer(frames), self.point)
