"""From operated tensors to answers about pictures: the one way that every verb goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from omma.answers.answer import Answer
from omma.answers.placed import Placed
from omma.data.spatial.place import Place
from omma.tasks.task import Task


def is_placed(task: Task) -> bool:
    """Whether its answers lie somewhere in their picture: then whoever asks must say where each picture lies in its frame."""
    return issubclass(task.answer, Placed)


def told(task: Task, tensors: dict[str, torch.Tensor], point: dict[str, Any], places: Sequence[Place] | None = None) -> list[Answer]:
    """What a model says, settled.

    Args:
        tensors: operated, of B frames, on the CPU.
        point: the operating point.
        places: where each of the B pictures lies in its frame; None: answers about the frames themselves.
    """
    answer = task.answer
    if not issubclass(answer, Placed):
        return [said.settle(point) for said in task.decode(tensors)]
    count = len(next(iter(tensors.values())))
    if places is not None and len(places) != count:
        raise AssertionError(f"{len(places)} places for {count} pictures")
    said: list[Answer] = []
    for row in range(count):  # one after the other: pictures differ in size
        own = {key: value[row : row + 1] for key, value in tensors.items()}
        located = answer.locate(own, places[row] if places is not None else None, point)
        said += [one.settle(point) for one in task.decode(located)]
    return said
