"""Restored pictures to look at: what was given and what was made of it under one slider, the true picture beside them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from omma.answers.picture import Picture, shown
from omma.errors import OmmaError
from omma.metrics.metric import Gallery
from omma.report.evaluation import Evaluation
from omma.report.page import Page
from omma.words import both

SIDE = 360  # pixels of what is shown of a picture, one to one: differences of a grey level vanish where it is made smaller


def slides_into(made: Page, evaluation: Evaluation, gallery: Gallery, most: int = 8) -> None:
    """Add the pictures of a gallery; those that cannot be read any more are left out."""
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]] = []
    for place in gallery.places[:most]:
        sample, said = evaluation.samples[place], evaluation.predictions[place]
        assert isinstance(said, Picture) and isinstance(sample.truth, Picture)
        try:
            after, true = (shown(one.deep(8)) for one in (said, sample.truth))
            before = as_large(sample.truth.given() if sample.truth.given else evaluation.dataset.picture(evaluation.places[place]), after)
        except OmmaError:
            continue
        spot = part(after, true)
        parts = [np.ascontiguousarray(one[spot]) for one in (before, after, true)]
        rows.append((parts[0], parts[1], parts[2], sample.id))
    if rows:
        made.heading(both(f"evaluate.gallery.{gallery.title}", **gallery.values))
        made.text(both("report.slide", side=SIDE), "quiet")
        for row in rows:
            made.slide(*row)


def as_large(given: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What was given as people see it, as large as the answer (bicubic): (H, W, 3) uint8."""
    eight = given if given.dtype == np.uint8 else Picture.of(given / 65535 if given.dtype == np.uint16 else given / 255).deep(8)
    height, width = after.shape[:2]
    return np.asarray(Image.fromarray(shown(eight)).resize((width, height), Image.Resampling.BICUBIC))


def part(after: np.ndarray, true: np.ndarray) -> tuple[slice, slice]:
    """Where answer and truth differ most: a place of `SIDE` pixels, or all of a picture that is smaller."""
    off = np.square(after.astype(np.float32) - true).mean(2)
    summed = np.pad(off.cumsum(0, np.float64).cumsum(1), ((1, 0), (1, 0)))
    tall, wide = (min(SIDE, side) for side in off.shape)
    sums = summed[tall:, wide:] - summed[:-tall, wide:] - summed[tall:, :-wide] + summed[:-tall, :-wide]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return slice(int(top), int(top) + tall), slice(int(left), int(left) + wide)
