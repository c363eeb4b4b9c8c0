"""Everything that is computed when a person looks inside a network with a picture before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from omma.answers.answer import Answer
from omma.data.sample import Dataset
from omma.inside.course import Moment, Surface, folder_of, moments, surface
from omma.inside.exciting import Peaks, exciting
from omma.inside.slopes import Health, Slopes, health, slopes
from omma.inside.subject import Ask, Sight, Subject, answer_of, asks, sight, watched
from omma.inside.trace import Trace
from omma.progress import Watch
from omma.words import both


@dataclass
class Inside:
    """A network with a picture before it, taken apart.

    Args:
        subject: the model.
        before: what it was shown.
        seen: its layers, the graph still there: other questions can be asked with `slopes`.
        answer: what it says; None where it says nothing about a picture.
        asks: what was asked on the way back, the person's question first.
        slopes: one backward pass for each.
        health: place of a step → what one picture says of a layer, by the first question.
        peaks: the pictures of a dataset that excite it most.
        moments, surface: of a run.
        notes: what a reader must know, in both languages.
    """

    subject: Subject
    before: Sight
    seen: Trace
    answer: Answer | None
    asks: list[Ask]
    slopes: list[Slopes]
    health: dict[int, Health]
    peaks: Peaks | None = None
    moments: list[Moment] = field(default_factory=list)
    surface: Surface | None = None
    notes: list[dict[str, str]] = field(default_factory=list)


def look_inside(
    of: Subject,
    original: np.ndarray | None,
    name: str,
    *,
    about: str | None = None,
    at: tuple[float, float, float, float] | None = None,
    data: Dataset | None = None,
    run: str | Path | None = None,
    run_data: Dataset | None = None,
    back: bool = True,
    watch: Watch = Watch(),
) -> Inside:
    """Look.

    Args:
        of: the model, in evaluation mode.
        original: a decoded picture (H, W, C); None for a model that is asked by a seed.
        name: of the picture.
        about, at: the question of the way back, see `asks`.
        data: pictures that may excite it.
        run, run_data: a run whose checkpoints are shown, and its data for the loss around them.
        back: follow the answer back at once; else nothing is asked until somebody does.

    Raises:
        OmmaError: no such name, or a run of another network.
        NotMeaningful: the task's answers lie nowhere, but `at` says where.
    """
    before = sight(of, original, name, at)
    for net in of.bundle.nets.values():
        for weight in net.parameters():
            weight.requires_grad_(weight.is_floating_point())
    with torch.no_grad():
        watched(of, before, lambda step: None)  # the first run of anything is slow, and times are shown
    with torch.enable_grad():
        seen = watched(of, before)
        with torch.no_grad():
            answer = answer_of(of, before, seen)
        asked = asks(of, before, seen, answer, about, at) if back else []
        ways = [slopes(seen, one.about, one.score, kernels=not place) for place, one in enumerate(asked)]
    notes = [*of.notes, *before.notes]
    if ways and all(not one.maps for one in ways):
        notes.append(both("look.no_slopes"))
    found = Inside(of, before, seen, answer, asked, ways, health(seen, ways[0] if ways else Slopes("", 0.0)), notes=notes)
    if data is not None:
        found.peaks = exciting(of, data, watch)
    if run is not None:
        folder = folder_of(run)
        found.moments = moments(folder, of, before, watch)
        if run_data is not None:
            found.surface = surface(folder, of, run_data, watch)
        if found.surface is None:
            notes.append(both("look.no_surface"))
    return found
