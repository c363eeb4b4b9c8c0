"""Answers of a finished model about a dataset: the one way that training, evaluation, compression and explanation ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omma.answers.answer import Answer
from omma.data.frames import Frames
from omma.data.sample import Dataset, Refused
from omma.data.sources import home
from omma.engine.pipeline import Pipeline
from omma.engine.told import is_placed, told
from omma.metrics.metric import Metric
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle


@dataclass(slots=True)
class Answered:
    """What a model said.

    Args:
        answers: one for each picture that could be read, in the dataset's order.
        places: where in the dataset each answer belongs.
        refused: the pictures that could not be read, and why.
    """

    answers: list[Answer]
    places: list[int]
    refused: list[Refused]


def answers(model: Bundle | Pipeline, dataset: Dataset, watch: Watch | None = None, batch: int = 64) -> tuple[list[Answer], list[Refused]]:
    """The answer to every picture that can be read, in the dataset's order, and the pictures that cannot."""
    said = answered(model, dataset, watch, batch)
    return said.answers, said.refused


def answered(
    model: Bundle | Pipeline,
    dataset: Dataset,
    watch: Watch | None = None,
    batch: int = 64,
    ask: Callable[..., list[Answer]] | None = None,
) -> Answered:
    """The same with the place of each answer.

    Args:
        model: a bundle or its pipeline; its networks stay on the device they are on.
        dataset: the pictures; truths are not looked at.
        batch: pictures at once.
        ask: frames (N, S, S, C) uint8, and as `places` where each picture lies in its own → settled answers, for a model that is not
            computed by its pipeline (a quantised graph).

    Raises:
        DataError: not one picture can be read.
    """
    watch = watch or Watch()
    pipeline = (model if isinstance(model, Pipeline) else model.pipeline()).eval()
    if not len(dataset):
        return Answered([], [], [])
    frames = Frames(dataset, pipeline.views, home(), watch)
    device = next((tensor.device for tensor in pipeline.parameters()), torch.device("cpu"))
    said: list[Answer] = []
    with torch.inference_mode():
        for start in range(0, len(frames.usable), batch):
            watch.step(say("evaluate.answering"), start, len(frames.usable))
            index = torch.tensor(frames.usable[start : start + batch])
            places = [pipeline.views.place(*dataset.extent(place)) for place in index.tolist()] if is_placed(pipeline.task) else None
            if ask is not None:
                said += ask(frames.get(index).cpu().numpy(), places=places)
                continue
            tensors = {key: value.cpu() for key, value in pipeline(frames.get(index).to(device)).items()}
            said += told(pipeline.task, tensors, pipeline.point, places)
    watch.end(say("evaluate.answering"))
    return Answered(said, list(frames.usable), list(frames.refused))


def point_scores(metrics: dict[str, Metric], predictions: Sequence[Any], truths: Sequence[Any]) -> dict[str, float]:
    """Every metric without its interval: what is watched while a network learns."""
    once = np.ones(len(truths), np.float32)
    return {key: metric.summary(metric.records(predictions, truths), once) for key, metric in metrics.items()}
