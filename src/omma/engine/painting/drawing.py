"""Pictures from seeds: the one way in which every verb draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from omma import catalog
from omma.answers.drawn import Drawn
from omma.errors import OmmaError
from omma.parts.drawing.seeds import FREE, seeds
from omma.tasks.task import Task
from omma.words import say

AT_ONCE = 64

# Rows of seeds, (N, L) float32 → operated tensors of N pictures.
Draw = Callable[[np.ndarray], Mapping[str, Any]]


def rows_of(
    task: Task,
    net: Any,
    seed: int,
    count: int,
    *,
    about: str | None = None,
    counts: Mapping[str, int] | None = None,
    truncation: float = FREE,
) -> np.ndarray:
    """(count, latent + classes) float32: what `count` pictures of this seed are drawn from, see `parts/drawing/seeds.py`.

    Args:
        net: a `Generator`.
        about: the class wanted; None draws one for each picture.
        counts: how many pictures of each class it learned from: then classes come up as often; as often as each other when left out.

    Raises:
        OmmaError: no such class, or no class can be asked for.
    """
    if about is not None and not task.outputs:
        raise OmmaError(say("generate.not_by_class"), about)
    if about is not None and about not in task.names:
        raise catalog.unknown(say("errors.kind_name"), about, task.names)
    place = None if about is None else task.names.index(about)
    shares = [counts.get(name, 0) for name in task.names] if counts and task.outputs else None
    shares = shares if shares and sum(shares) else None
    return seeds(seed, count, net.latent, task.outputs, about=place, shares=shares, truncation=truncation)


def labels_of(task: Task, rows: np.ndarray) -> list[str]:
    """The class that each row of seeds asks for; "" where there are none."""
    if not task.outputs:
        return [""] * len(rows)
    return [task.names[place] for place in rows[:, -task.outputs :].argmax(1)]


def between(task: Task, ends: np.ndarray, steps: int) -> np.ndarray:
    """(2, L) seeds → (steps, L): from the one to the other along a circle, where chance is as dense as at its ends (White 2016); classes
    change evenly."""
    latent = ends.shape[1] - task.outputs
    shares = np.linspace(0, 1, steps, dtype=np.float64)[:, None]
    one, two = (row[:latent].astype(np.float64) for row in ends)
    angle = np.arccos(np.clip(one @ two / max(float(np.linalg.norm(one) * np.linalg.norm(two)), 1e-12), -1, 1))
    if angle < 1e-6:
        way = (1 - shares) * one + shares * two
    else:
        way = (np.sin((1 - shares) * angle) * one + np.sin(shares * angle) * two) / np.sin(angle)
    classes = (1 - shares) * ends[0, latent:] + shares * ends[1, latent:]
    return np.concatenate([way, classes], 1).astype(np.float32)


def drawn(draw: Draw, task: Task, rows: np.ndarray, step: Callable[[int], None] = lambda done: None) -> list[Drawn]:
    """The pictures of rows of seeds, 8 bits each.

    Args:
        draw: what computes.
        step: told how many are done.
    """
    made: list[Drawn] = []
    labels = labels_of(task, rows)
    for start in range(0, len(rows), AT_ONCE):
        step(start)
        tensors = {key: torch.as_tensor(value).cpu() for key, value in draw(rows[start : start + AT_ONCE]).items()}
        for said in task.decode(tensors):
            assert isinstance(said, Drawn), "what is asked by a seed is answered by a drawn picture"
            one = said.in_depth(8)
            one.label, one.key = labels[len(made)], str(len(made))
            made.append(one)
    return made


def by(pipeline: Any) -> Draw:
    """What a pipeline draws, on the device it is on."""
    device = next(pipeline.parameters()).device

    def draw(rows: np.ndarray) -> Mapping[str, Any]:
        with torch.inference_mode():
            return pipeline(torch.from_numpy(rows).to(device))

    return draw
