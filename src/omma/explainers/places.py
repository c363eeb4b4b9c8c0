"""Why a better picture looks as it does at a place: which part of the given one it was made from, and the proof."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from omma import catalog
from omma.data.views import as_own
from omma.engine.painting.tiles import remembering
from omma.explainers.attribution import WIDEST, blurred
from omma.explainers.explainer import Question
from omma.explainers.receipt import Receipt, receipt
from omma.models._styled import meaningful
from omma.tasks.task import Batch

if TYPE_CHECKING:
    from omma.answers.answer import Answer
    from omma.answers.placed import Corners
    from omma.bundle import Bundle
    from omma.engine.pipeline import Pipeline

SIDE = 16  # pixels of the place that is asked about where nobody names one
LEAST, MOST = 32, 96  # pixels around it that are looked at


@dataclass(frozen=True)
class Likeness(Question):
    """How near the place stays to what it was: what a map is proven by, since covering pixels draws edges of its own."""

    wanted: torch.Tensor | None = None

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B,), 0 where nothing changed, −1 where as much did as there is from black to white."""
        assert self.wanted is not None
        return -(self.of(pictures) - self.wanted).abs().mean((1, 2, 3))

    def of(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w): the place in the answers."""
        found = self.task.infer(self.nets, Batch(pictures))["restored"]
        scale = found.shape[2] // pictures.shape[2]
        assert self.at is not None
        left, top, right, bottom = (round(float(value) * scale) for value in self.at)
        return found[:, :, top : max(bottom, top + 1), left : max(right, left + 1)]


def made_from(opened: Bundle, original: np.ndarray, method: str, at: Corners | None) -> tuple[Answer, Corners, np.ndarray, Receipt]:
    """(answer about what surrounds the place, the place, heat (H, W), receipt) of a decoded picture (H, W, C).

    Args:
        at: corners in the picture; where it has most to see, when open.
    """
    meaningful(opened.net, "explain")
    frame = as_own(original, opened.views.channels)
    height, width = frame.shape[:2]
    at = busiest(frame) if at is None else at
    around = min(max(opened.views.overlap, LEAST), MOST)
    left, top = (max(0, int(corner) - around) for corner in at[:2])
    right, bottom = min(width, int(np.ceil(at[2])) + around), min(height, int(np.ceil(at[3])) + around)
    pipeline = opened.pipeline()
    device = next(pipeline.parameters()).device
    part = torch.from_numpy(np.ascontiguousarray(frame[None, top:bottom, left:right])).to(device)
    inside = torch.tensor([at[0] - left, at[1] - top, min(at[2], width) - left, min(at[3], height) - top], device=device)
    whole = remembering(opened.net, frame) if opened.net.remembers else nullcontext()
    with whole:
        answer, heat, proof = _asked(opened, pipeline, part, method, inside)
    full = np.zeros((height, width), np.float32)
    full[top:bottom, left:right] = heat
    return answer, at, full, proof


def _asked(opened: Bundle, pipeline: Pipeline, part: torch.Tensor, method: str, inside: torch.Tensor) -> tuple[Answer, np.ndarray, Receipt]:
    """(answer, heat (h, w), receipt) of a part (1, h, w, C), about a place inside it."""
    with torch.no_grad():
        (answer,) = opened.task.decode(pipeline(part))
    pictures = opened.views.finish(part)
    nets = dict(opened.nets)
    heat = catalog.find("explainers", method)(Question(opened.task, nets, opened.names[0], inside), pictures).detach()
    likeness = Likeness(opened.task, nets, opened.names[0], inside)
    with torch.no_grad():
        likeness = Likeness(opened.task, nets, opened.names[0], inside, likeness.of(pictures))
    proof = receipt(likeness, pictures, heat, blank=blurred(pictures, WIDEST))
    return answer, heat[0].cpu().numpy(), proof


def busiest(frame: np.ndarray) -> Corners:
    """Corners of the place of `SIDE` pixels with most to see: the largest sum of slopes, among places half a side apart."""
    grey = frame.astype(np.float32).mean(2)
    slope = np.zeros_like(grey)
    slope[1:] += np.abs(np.diff(grey, axis=0))
    slope[:, 1:] += np.abs(np.diff(grey, axis=1))
    summed = np.pad(slope.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    tall, wide = min(SIDE, grey.shape[0]), min(SIDE, grey.shape[1])
    rows, columns = (np.arange(0, length - side + 1, max(1, side // 2)) for length, side in zip(grey.shape, (tall, wide), strict=True))
    y, x = np.meshgrid(rows, columns, indexing="ij")
    sums = summed[y + tall, x + wide] - summed[y, x + wide] - summed[y + tall, x] + summed[y, x]
    place = int(sums.argmax())
    top, left = int(y.flat[place]), int(x.flat[place])
    return float(left), float(top), float(left + wide), float(top + tall)
