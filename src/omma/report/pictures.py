"""The pictures behind a number, with what was said of each and what is true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from omma.answers import draw
from omma.answers.answer import Answer
from omma.answers.boxes import Boxes
from omma.answers.picture import Picture
from omma.answers.placed import Framed, Placed
from omma.data.spatial.windows import Window
from omma.errors import OmmaError
from omma.metrics.metric import Gallery
from omma.report.evaluation import Evaluation
from omma.report.page import Page, Text
from omma.report.phrase import phrase
from omma.words import both

SIDE, BOTH = 240, 840  # pixels: of a picture, and of one that is shown twice
GAP = 8  # pixels between both
# A close-up shows this many sides of its object, and pixels at least; none is made where it would hold most of the picture.
AROUND, LEAST, MOST = 3, 48, 0.6


def gallery_into(made: Page, evaluation: Evaluation, gallery: Gallery) -> None:
    """Add a gallery to a page; pictures that cannot be read any more are left out."""
    from omma.data.decode import to_rgb8

    if gallery.places and isinstance(evaluation.predictions[gallery.places[0]], Picture):
        from omma.report.before_after import slides_into

        slides_into(made, evaluation, gallery)
        return
    rows: list[tuple[np.ndarray, Text, str]] = []
    side = SIDE
    for row, place in enumerate(gallery.places):
        sample, said = evaluation.samples[place], evaluation.predictions[place]
        try:
            picture = to_rgb8(evaluation.dataset.picture(evaluation.places[place]))
        except OmmaError:
            continue
        true = phrase(sample.truth) if sample.truth is not None else "–"
        if isinstance(said, Placed) and isinstance(sample.truth, Placed):
            meant = gallery.corners[row] if gallery.corners else np.zeros((0, 4))
            picture, side = pointed(picture, sample.truth, said, meant), 2 * BOTH
        if isinstance(said, Framed):
            picture = said.draw(picture)  # where it differs is the answer
        rows.append((picture, both("report.said" if side == SIDE else "report.said_twice", said=phrase(said), true=true), sample.id))
    if rows:
        made.heading(both(f"evaluate.gallery.{gallery.title}", **gallery.values))
        if gallery.corners:
            made.text(both("report.ringed"), "quiet")
        made.pictures(rows, side)


def pointed(picture: np.ndarray, true: Placed, said: Placed, meant: np.ndarray) -> np.ndarray:
    """Truth beside answer, `BOTH` pixels wide, rings around what is meant ((n, 4) corners); below, the smallest of it from near."""
    shown = [twice(picture, true, said, meant)]
    if len(meant):
        smallest = meant[(meant[:, 2:] - meant[:, :2]).max(1).argmin()]
        left, top, right, bottom = near(smallest, *picture.shape[:2])
        if max(right - left, bottom - top) < MOST * max(picture.shape[:2]):
            window = Window(top, left, bottom - top, right - left)
            parts = true.cut([window])[0], said.cut([window])[0]
            shown.append(twice(picture[top:bottom, left:right], *parts, smallest[None] - (left, top, left, top)))
    even = [Image.fromarray(one).resize((BOTH, max(1, round(len(one) * BOTH / one.shape[1])))) for one in shown]
    apart = [np.pad(np.asarray(one), ((GAP * (row > 0), 0), (0, 0), (0, 0)), constant_values=255) for row, one in enumerate(even)]
    return np.concatenate(apart)


def near(box: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """A square of the picture around a box, as far as the picture goes: left, top, right, bottom in whole pixels."""
    half = max(LEAST, AROUND * (box[2:] - box[:2]).max()) / 2
    corner = ((box[:2] + box[2:]) / 2 - half).clip(0, np.maximum(0, np.array([width, height]) - 2 * half))
    left, top = np.floor(corner).astype(int).tolist()
    return left, top, min(width, left + round(2 * half)), min(height, top + round(2 * half))


def twice(picture: np.ndarray, true: Answer, said: Answer, meant: np.ndarray | None = None) -> np.ndarray:
    """The truth on the left, what the model says on the right, a ring around each of (n, 4) corners: (H, W, 3) uint8."""
    sides = [alike(true, said).draw(picture), said.draw(picture)]
    if meant is not None and len(meant):
        sides = [draw.ringed(side, picture, meant) for side in sides]
    high = max(len(side) for side in sides)
    # Legends make one side higher than the other.
    even = [np.pad(side, ((0, high - len(side)), (0, GAP * (place == 0)), (0, 0)), constant_values=255) for place, side in enumerate(sides)]
    return np.concatenate(even, 1)


def alike(true: Answer, said: Answer) -> Answer:
    """The truth with the answer's classes in their order: a class has one colour on both."""
    return replace(true, classes=said.classes) if isinstance(true, Boxes) and isinstance(said, Boxes) else true
