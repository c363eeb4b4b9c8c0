"""The contract of an explainer: a question about a picture goes in, a heat map of the frame comes out.

An explainer is a function named after its file: `gradcam(question, pictures) -> heat`, with `pictures` (B, C, S, S) normalised and
`heat` (B, S, S) float32, larger where the picture speaks for what was asked about, zero where it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.data.views import Views
from omma.tasks.task import Batch, Task
from omma.words import say

Explainer = Callable[["Question", torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Question:
    """Why *this* class or number: the one score an explanation takes apart.

    Args:
        task: what was learned.
        nets: networks by player, in evaluation mode.
        about: a name of the task.
        at: (4,) corners in the frame, where a place is asked about.
    """

    task: Task
    nets: dict[str, nn.Module]
    about: str
    at: torch.Tensor | None = None

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) normalised → (B,) scores, in the unit of the network's outputs."""
        return self.task.score(self.task.infer(self.nets, Batch(pictures)), self.about, self.at)


def choose(task: Task, tensors: dict[str, torch.Tensor], about: str | None, at: torch.Tensor | None = None) -> str:
    """The name a question is about: the one asked for, else the one the task's own score is about for this picture.

    Args:
        tensors: what `Task.infer` gave for one picture.
        at: see `Question`.

    Raises:
        OmmaError: no such name; says which one was probably meant.
    """
    if about is not None:
        if about not in task.names:
            raise catalog.unknown(say("explain.name"), about, task.names)
        return about
    top = task.score(tensors, None, at)
    scores = torch.stack([task.score(tensors, name, at) for name in task.names])
    return task.names[int((scores - top).abs()[:, 0].argmin())]


def unframe(heat: np.ndarray, views: Views, height: int, width: int) -> np.ndarray:
    """A heat map of the frame, (S, S), put back where it belongs on the picture: (height, width) float32.

    What the frame cut off is zero; what it added (a letterbox) is dropped.
    """
    top, left, rows, columns, inner_height, inner_width = views._plan(height, width)
    y, x = views._corner(inner_height, inner_width)
    inner = torch.from_numpy(np.ascontiguousarray(heat[y : y + inner_height, x : x + inner_width], "float32"))
    grown = F.interpolate(inner[None, None], size=(rows, columns), mode="bilinear", align_corners=False)[0, 0]
    whole = np.zeros((height, width), "float32")
    whole[top : top + rows, left : left + columns] = grown.numpy()
    return whole
