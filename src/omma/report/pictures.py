"""The pictures behind a number, with what was said of each and what is true."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np

from omma.answers.answer import Answer
from omma.answers.boxes import Boxes
from omma.answers.placed import Placed
from omma.errors import OmmaError
from omma.metrics.metric import Gallery
from omma.report.evaluation import Evaluation
from omma.report.page import Page, Text
from omma.words import both

SIDE, BOTH = 240, 840  # pixels: of a picture, and of one that is shown twice
GAP = 8  # pixels between both


def gallery_into(made: Page, evaluation: Evaluation, gallery: Gallery) -> None:
    """Add a gallery to a page; pictures that cannot be read any more are left out."""
    from omma.data.decode import to_rgb8

    rows: list[tuple[np.ndarray, Text, str]] = []
    side = SIDE
    for place in gallery.places:
        sample, said = evaluation.samples[place], evaluation.predictions[place]
        try:
            picture = to_rgb8(evaluation.dataset.picture(evaluation.places[place]))
        except OmmaError:
            continue
        true = phrase(sample.truth) if sample.truth is not None else "–"
        if isinstance(said, Placed) and sample.truth is not None:
            picture, side = twice(picture, sample.truth, said), BOTH
        rows.append((picture, both("report.said_twice" if side == BOTH else "report.said", said=phrase(said), true=true), sample.id))
    if rows:
        made.heading(both(f"evaluate.gallery.{gallery.title}", **gallery.values)).pictures(rows, side)


def twice(picture: np.ndarray, true: Answer, said: Answer) -> np.ndarray:
    """The truth on the left, what the model says on the right: (H, W, 3) uint8."""
    sides = [alike(true, said).draw(picture), said.draw(picture)]
    high = max(len(side) for side in sides)
    # Legends make one side higher than the other.
    even = [np.pad(side, ((0, high - len(side)), (0, GAP * (place == 0)), (0, 0)), constant_values=255) for place, side in enumerate(sides)]
    return np.concatenate(even, 1)


def alike(true: Answer, said: Answer) -> Answer:
    """The truth with the answer's classes in their order: a class has one colour on both."""
    return replace(true, classes=said.classes) if isinstance(true, Boxes) and isinstance(said, Boxes) else true


def phrase(answer: Answer) -> str:
    """An answer in a few letters: `cat 93 %`, `a, b`, `cells 12.4`, `3 RBC, 1 WBC`, `road 41 %, sky 22 %`."""
    row = answer.json()
    if "label" in row:
        return str(row["label"]) + (f" {row['probability']:.0%}" if "probability" in row else "")
    if "labels" in row:
        names = [str(one["label"]) + (f" {one['probability']:.0%}" if "probability" in one else "") for one in row["labels"]]
        return ", ".join(names) or "–"
    if "numbers" in row:
        return ", ".join(f"{name} {value:.4g}" for name, value in row["numbers"].items())
    if "boxes" in row:
        counts = Counter(one["label"] for one in row["boxes"])
        return ", ".join(f"{count} {name}" for name, count in counts.most_common(4)) or "–"
    if "pixels" in row:
        total = row["width"] * row["height"]
        most = sorted(row["pixels"].items(), key=lambda pair: -pair[1])[:3]
        return ", ".join(f"{name} {count / total:.0%}" for name, count in most) or "–"
    return json.dumps(row, ensure_ascii=False)[:60]
