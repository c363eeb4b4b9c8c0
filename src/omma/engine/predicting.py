"""Answers of a finished model about a dataset: the one way that training, evaluation, compression and explanation ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omma.answers.answer import Answer
from omma.data.frames import Frames
from omma.data.own.given import given
from omma.data.sample import Dataset, Refused
from omma.data.sources import home
from omma.data.spatial.cut import by_picture, in_windows
from omma.engine.painting.tiles import painted, remembers
from omma.engine.pipeline import Pipeline
from omma.engine.told import Teller, spots
from omma.errors import DataError
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
    ask: Callable[[np.ndarray], dict[str, np.ndarray]] | None = None,
) -> Answered:
    """The same with the place of each answer.

    Args:
        model: a bundle or its pipeline; its networks stay on the device they are on.
        dataset: the pictures; truths are not looked at.
        batch: frames at once.
        ask: frames (N, S, S, C) uint8 → operated tensors, for a model that is not computed by its pipeline (a quantised graph).

    Raises:
        DataError: not one picture can be read.
    """
    watch = watch or Watch()
    pipeline = (model if isinstance(model, Pipeline) else model.pipeline()).eval()
    if not len(dataset):
        return Answered([], [], [])
    if pipeline.views.fit == "own":
        return _restored(pipeline, dataset, watch, ask)
    seen = in_windows(dataset, pipeline.views)
    frames = Frames(seen, pipeline.views, home(), watch)
    device = next((tensor.device for tensor in pipeline.parameters()), torch.device("cpu"))
    pictures = by_picture(seen, frames.usable)
    index = torch.tensor([place for mine in pictures.values() for place in mine])
    teller = Teller(pipeline.task, pipeline.point, spots(pipeline.task, pipeline.views, dataset, pictures))
    said: list[Answer] = []
    with torch.inference_mode():
        for some in index.split(batch):
            watch.step(say("evaluate.answering"), len(said), len(pictures))
            if ask is not None:
                tensors = {key: torch.from_numpy(value) for key, value in ask(frames.get(some).cpu().numpy()).items()}
            else:
                tensors = {key: value.cpu() for key, value in pipeline(frames.get(some).to(device)).items()}
            said += teller.hear(tensors)
    watch.end(say("evaluate.answering"))
    return Answered(said, list(pictures), list(frames.refused))


def _restored(pipeline: Pipeline, dataset: Dataset, watch: Watch, ask: Callable[[np.ndarray], dict[str, Any]] | None) -> Answered:
    """The same for pictures at their own size, part by part."""
    device = next((tensor.device for tensor in pipeline.parameters()), torch.device("cpu"))
    net = dict(pipeline.nets.items()).get("net")

    def torchs(part: np.ndarray) -> dict[str, Any]:
        return pipeline(torch.from_numpy(part).to(device))

    said: list[Answer] = []
    places: list[int] = []
    refused: list[Refused] = []
    with torch.inference_mode():
        for place, sample in enumerate(watch.each(say("evaluate.answering"), dataset.samples, len(dataset))):
            try:
                picture = given(dataset, place, pipeline.views.channels)
            except DataError as error:
                refused.append(Refused(str(sample.path or sample.id), error.what))
                continue
            asked = torchs if ask is None or remembers(net, picture) else ask  # a graph cannot be shown the whole first
            said.append(painted(asked, pipeline.task, pipeline.views, picture, net=net))
            places.append(place)
    if not places:
        raise DataError(say("views.all_refused", count=len(dataset), first=f"{refused[0].where}: {refused[0].reason}"), dataset.root)
    return Answered(said, places, refused)


def point_scores(metrics: dict[str, Metric], predictions: Sequence[Any], truths: Sequence[Any]) -> dict[str, float]:
    """Every metric without its interval: what is watched while a network learns."""
    once = np.ones(len(truths), np.float32)
    return {key: metric.summary(metric.records(predictions, truths), once) for key, metric in metrics.items()}
