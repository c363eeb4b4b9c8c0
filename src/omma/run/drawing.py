"""How a model that draws is watched while it learns: the same seeds drawn again and again, measured beside pictures held out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from omma.answers.drawn import Drawn
from omma.data.batches import Batches
from omma.data.views import Views
from omma.engine.loop import Validate
from omma.engine.painting.drawing import by, drawn, rows_of
from omma.engine.pipeline import Pipeline
from omma.metrics.bootstrap import interval
from omma.metrics.metric import Metric
from omma.report.drawings import look, pixels_of, sheet, stacked
from omma.tasks.task import Task

SHOWN = 64  # pictures of what is shown on the way
# Eyes that nobody trained see that nothing can be recognised, and little of what is drawn well. MNIST, dcgan: KID by such eyes, and the
# share of digits a classifier is sure of, 0.0034 and 0.73 after 338 steps, 0.0048 and 0.91 after 3,572. Nearer than this none is better.
BLIND = 0.05


def drawing(task: Task, batches: Batches, views: Views, split: str, most: int | None) -> Validate | None:
    """Scores networks by the first metric; None where the part is empty, or is the one that is learned from: near to it is no merit.

    What chance alone puts between two halves of the true pictures counts as nothing, nor does what random eyes see between good moments,
    so that of moments nobody can tell apart the last is kept, and not the luckiest.

    Args:
        most: draw so many pictures at most, and no more than the setting `looks` says.
    """
    places = batches.frames.part(split)
    most = min(most or len(places), int(task.settings["looks"]))
    places = places[:: max(1, -(-len(places) // max(1, most)))]
    if len(places) < 2 or split == "train":
        return None
    named = task.settings["features"]
    assert next(iter(task.metrics().values())).better == "lower", "how far apart they are"
    frames = batches.frames.get(torch.tensor(places)).cpu()
    truths = [pixels_of(frame) for frame in frames]
    look(truths, frames, named, batches.device)
    counts: dict[str, int] = {}
    for sample in batches.dataset.samples:
        if sample.split == "train" and isinstance(sample.truth, Drawn) and sample.truth.label:
            counts[sample.truth.label] = counts.get(sample.truth.label, 0) + 1
    first, metric = next(iter(task.metrics().items()))
    true_spread, least = spread(truths), max(by_chance(metric, truths), BLIND if named == "random" else 0.0)
    shown: list[np.ndarray] = []

    def validate(nets: dict[str, torch.nn.Module]) -> tuple[float, dict[str, float]]:
        answering: dict[str, torch.nn.Module] = {who: net for who, net in nets.items() if not who.startswith("critic")}
        pipeline = Pipeline(task, answering, replace(views, tta="none"), {}).eval()
        made = drawn(by(pipeline), task, rows_of(task, nets["net"], 0, len(places), counts=counts))
        look(made, stacked(made), named, batches.device)
        shown[:] = [sheet(made[:SHOWN])]
        value = metric.summary(metric.records(made, truths), np.ones(len(truths), np.float32))
        numbers = {f"{split}_{first}": value, f"{split}_spread": spread(made) / max(true_spread, 1e-12)}
        return -max(value, least), numbers

    validate.shown = shown  # type: ignore[attr-defined]
    return validate


def by_chance(metric: Metric, truths: list[Drawn]) -> float:
    """How far apart a metric finds two halves of the same pictures at most, 39 times in 40."""
    half = len(truths) // 2
    found = interval(metric, metric.records(truths[:half], truths[half : 2 * half]), draws=200)
    return max(0.0, found.high - found.value) if found.high == found.high else 0.0


def spread(pictures: list[Any]) -> float:
    """How much pictures differ in what is seen in them: the root of the summed variance of features."""
    return float(np.stack([one.seen for one in pictures]).astype(np.float64).var(0).sum() ** 0.5)
