"""From operated tensors to answers about pictures: the one way that every verb goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from omma.answers.answer import Answer
from omma.answers.placed import Framed, Placed
from omma.tasks.task import Task

if TYPE_CHECKING:
    from omma.data.sample import Dataset
    from omma.data.spatial.windows import Spot
    from omma.data.views import Views


def is_placed(task: Task) -> bool:
    """Whether its answers lie somewhere in their picture: then whoever asks must say where each picture lies in its frames."""
    return issubclass(task.answer, Placed)


def spots(task: Task, views: Views, dataset: Dataset, places: Iterable[int]) -> Iterator[Spot] | None:
    """Where these pictures lie in their frames, each as it is asked for, for answers that lie somewhere or have maps; None for others."""
    asked = issubclass(task.answer, Placed | Framed)
    return (views.spot(*dataset.extent(place)) for place in places) if asked else None


def told(task: Task, tensors: dict[str, torch.Tensor], point: dict[str, Any], places: Sequence[Spot] | None = None) -> list[Answer]:
    """What a model says, settled.

    Args:
        tensors: operated, of F frames, on the CPU.
        point: the operating point.
        places: where each picture lies in its frames, F in all, picture by picture; None: answers about the frames themselves.
    """
    answer = task.answer
    if not issubclass(answer, Placed):
        flat = [said.settle(point) for said in task.decode(tensors)]
        if not issubclass(answer, Framed) or places is None:
            return flat
        return [said.lie(place) if isinstance(said, Framed) else said for said, place in zip(flat, places, strict=True)]
    count = len(next(iter(tensors.values())))
    each: Sequence[Spot | None] = [None] * count if places is None else places
    ends = [1 if place is None else place.frames for place in each]
    if sum(ends) != count:
        raise AssertionError(f"{sum(ends)} places for {count} frames")
    said: list[Answer] = []
    row = 0
    for place, frames in zip(each, ends, strict=True):  # one after the other: pictures differ in size
        own = {key: value[row : row + frames] for key, value in tensors.items()}
        said += [one.settle(point) for one in task.decode(answer.locate(own, place, point))]
        row += frames
    return said


class Teller:
    """Answers as soon as all frames of a picture are there, where frames come in batches that know nothing of pictures.

    Args:
        point: the operating point.
        places: where each picture lies in its frames, in the order in which they come; None for answers that lie nowhere.
    """

    def __init__(self, task: Task, point: dict[str, Any], places: Iterable[Spot] | None) -> None:
        self.task, self.point = task, point
        self._places = None if places is None else iter(places)
        self._next: Spot | None = None  # a picture of which not all frames have come
        self._rest: dict[str, torch.Tensor] = {}

    def hear(self, tensors: dict[str, torch.Tensor]) -> list[Answer]:
        """Operated tensors of the next frames, on the CPU → answers about the pictures that are complete now."""
        if self._places is None:
            return told(self.task, tensors, self.point)
        if self._rest:
            tensors = {key: torch.cat([self._rest[key], value]) for key, value in tensors.items()}
        count, used = len(next(iter(tensors.values()))), 0
        whole: list[Spot] = []
        while used < count:
            place = self._next or next(self._places)
            self._next = place if used + place.frames > count else None
            if self._next is not None:
                break
            whole.append(place)
            used += place.frames
        self._rest = {key: value[used:] for key, value in tensors.items()} if used < count else {}
        return told(self.task, {key: value[:used] for key, value in tensors.items()}, self.point, whole)
