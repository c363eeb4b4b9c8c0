"""Drawn pictures beside true ones: what a named network sees in both, and how near each lies to what was learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from omma.answers.drawn import Drawn
from omma.data.frames import Frames
from omma.data.sample import Dataset
from omma.data.sources import home
from omma.data.views import Views
from omma.engine.painting.drawing import Draw, by, drawn
from omma.engine.predicting import Answered
from omma.models.eyes import looking
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle

MOST = 10_000  # pictures of either kind that are measured
LEARNED = 60_000  # pictures among which the nearest one is looked for
SMALL = 32  # pixels: as large as pictures are compared that may be copies of each other
AT_ONCE = 256
CELL = 64  # pixels that a small picture is enlarged to at least


def beside(
    model: Bundle, dataset: Dataset, learned: Dataset | None, watch: Watch, draw: Draw | None = None, seed: int = 0
) -> tuple[Dataset, Answered]:
    """As many drawn pictures as there are true ones, both looked at: (the true ones with what was seen; as many answers).

    Args:
        dataset: pictures that are their own truth; of more than `MOST` every so many.
        learned: what the model learned from, to say how near to it pictures lie; None where that is not known.
        draw: what computes, where it is not the model's own pipeline (a quantised graph).
        seed: what is drawn from.

    Raises:
        DataError: not one picture can be read.
        OmmaError: the network that pictures are measured by cannot be opened.
    """
    chosen = _some(len(dataset), MOST)
    dataset = dataset if len(chosen) == len(dataset) else dataset.choose(chosen)
    frames = Frames(dataset, model.views, home(), watch)
    places = list(frames.usable)
    rows = model.seeds(seed, len(places))
    what = say("generate.drawing")
    made = drawn(draw or by(model.pipeline()), model.task, rows, lambda done: watch.step(what, done, len(places)))
    watch.end(what)
    true = [_copy(dataset.samples[place].truth) for place in places]
    named, device = model.task.settings["features"], next(model.net.parameters()).device
    shown = frames.get(torch.tensor(places))
    look(true, shown, named, device, watch)
    look(made, stacked(made), named, device, watch)
    if learned is not None and len(learned):
        _near(learned, model.views, [(true, shown), (made, stacked(made))], bool(model.recipe.flip), watch)
    samples = list(dataset.samples)
    for place, one in zip(places, true, strict=True):
        samples[place] = replace(samples[place], truth=one)
    return replace(dataset, samples=samples), Answered(list(made), places, list(frames.refused))


def _copy(truth: Any) -> Drawn:
    assert isinstance(truth, Drawn), "pictures that are their own truth"
    return replace(truth)


def _some(count: int, most: int) -> list[int]:
    """At most so many places, evenly spread."""
    return sorted({place * count // most for place in range(most)}) if count > most else list(range(count))


def stacked(made: Sequence[Drawn]) -> torch.Tensor:
    """(N, S, S, C) uint8."""
    return torch.from_numpy(np.stack([one.deep(8) for one in made]))


def look(pictures: Sequence[Drawn], frames: torch.Tensor, named: str, device: Any = "cpu", watch: Watch = Watch()) -> None:
    """Note in each what a network sees in it.

    Args:
        frames: (N, S, S, C) uint8, the pictures in their order.
        named: the network, see `models/eyes.py`.
    """
    net, what = looking(named).to(device), say("generate.looking", features=looking(named).name)
    with torch.inference_mode():
        for start in range(0, len(pictures), AT_ONCE):
            watch.step(what, start, len(pictures))
            some = frames[start : start + AT_ONCE].to(device).permute(0, 3, 1, 2).float() / 255
            for one, row in zip(pictures[start : start + AT_ONCE], net.features(some).float().cpu().numpy(), strict=True):
                one.seen = row
    watch.end(what)


def _near(learned: Dataset, views: Views, sides: list[tuple[list[Drawn], torch.Tensor]], mirrored: bool, watch: Watch) -> None:
    """Note in each picture which of those that were learned from it is nearest to, and how near: the root of the mean squared difference
    of their pixels, 0–1, both at most `SMALL` on a side. A mirrored picture is as near as it is itself where both were learned."""
    learned = learned.choose(_some(len(learned), LEARNED))
    frames = Frames(learned, views, home(), watch)
    ids = [learned.samples[place].id for place in frames.usable]
    known = small(frames.get(torch.tensor(frames.usable)))
    what = say("generate.comparing")
    for pictures, shown in sides:
        own = small(shown)
        watch.step(what, 0)
        best, where = nearest(own, known)
        if mirrored:
            other, there = nearest(small(shown.flip(2)), known)
            closer = other < best
            best, where = torch.where(closer, other, best), torch.where(closer, there, where)
        for one, far, place in zip(pictures, best.tolist(), where.tolist(), strict=True):
            one.near, one.nearest = far, ids[place]
    watch.end(what)


def small(frames: torch.Tensor) -> torch.Tensor:
    """(N, S, S, C) uint8 → (N, D) float32, 0–1, at most `SMALL` pixels on a side, by area."""
    pictures = frames.permute(0, 3, 1, 2).float() / 255
    if pictures.shape[2] > SMALL:
        pictures = F.interpolate(pictures, (SMALL, SMALL), mode="area")
    return pictures.flatten(1)


def nearest(own: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, D), (M, D) → (N,) root mean squared difference to the nearest, and (N,) which that is."""
    far, place = [], []
    for start in range(0, len(own), AT_ONCE):
        low, at = torch.cdist(own[start : start + AT_ONCE], known).min(1)
        far.append(low / own.shape[1] ** 0.5)
        place.append(at)
    return torch.cat(far), torch.cat(place)


def closest_pair(dataset: Dataset, views: Views, watch: Watch = Watch()) -> float:
    """How near the two nearest pictures lie that show different classes, as `nearest` measures it; infinite where there are no classes."""
    frames = Frames(dataset, views, home(), watch)
    labels = np.array([getattr(dataset.samples[place].truth, "label", "") for place in frames.usable])
    known, best = small(frames.get(torch.tensor(frames.usable))), float("inf")
    for name in sorted(set(labels.tolist())):
        mine, others = (torch.from_numpy(labels == name), torch.from_numpy(labels != name))
        if others.any():
            best = min(best, float(nearest(known[mine], known[others])[0].min()))
    return best


def sheet(pictures: Sequence[Drawn]) -> np.ndarray:
    """Pictures in rows of 16; few, or with their classes, in rows of 8: (H, W, 3) uint8."""
    from omma.answers import draw

    names = [one.label for one in pictures] if any(one.label for one in pictures) else []
    cells, few = [one.draw(one.pixels) for one in pictures], len(pictures) <= 16
    return draw.grid(cells, names, max(CELL, cells[0].shape[0] if few else CELL), 8 if names or few else 16)


def pixels_of(frame: torch.Tensor) -> Drawn:
    """A frame, (S, S, C) uint8, as a picture."""
    return Drawn(partial(_itself, frame.numpy()))


def _itself(pixels: np.ndarray) -> np.ndarray:
    return pixels


def look_at_truths(dataset: Dataset, frames: Any, named: str) -> None:
    """Note in every true picture of the parts held out what a network sees in it."""
    for split in ("val", "test"):
        places = frames.part(split)
        if places:
            look([dataset.samples[place].truth for place in places], frames.get(torch.tensor(places)), named)
