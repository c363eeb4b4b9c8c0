"""The README's pictures, one a task: what a model that learned for a few minutes says of pictures it has not seen, beside the truth.

OMMA_PICTURES=docs/pictures pytest -m slow tests/test_pictures.py       writes them again (`make pictures`)
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omma import bundle as bundles
from omma import train
from omma.answers import draw
from omma.answers.answer import Answer
from omma.answers.picture import Picture
from omma.answers.rebuilt import Rebuilt
from omma.data.decode import to_rgb8
from omma.data.own.given import given, posed
from omma.data.recast import recast
from omma.engine.predicting import answers
from omma.formats.format import open_data
from omma.report.pictures import alike

HOME = Path(__file__).resolve().parent.parent
SIDE = 256  # pixels of a picture in a strip
# task → (data, minutes, the least that its first metric must reach with 95 % confidence, settings)
TASKS: dict[str, tuple[str, float, float, list[str]]] = {
    "classify": ("digits", 0.7, 0.9, []),
    "multilabel": ("shapes", 2.0, 0.6, []),
    "regress": ("shapes", 3.0, 0.1, []),
    "segment": ("shapes", 4.0, 0.6, []),
    "detect": ("shapes", 4.0, 0.35, []),
    "instances": ("shapes", 8.0, 0.25, []),
    "restore": ("shapes", 3.0, 25.0, ["degrade=noise:25"]),
    "reconstruct": ("digits", 1.0, 0.0, ["good=1"]),
}


def strip(run: Path, data: str, count: int = 4) -> np.ndarray:
    """Pictures of the part that chose nothing: the truth above, the answer below."""
    opened = bundles.open(run)
    if opened.task.answer is Rebuilt:
        return rebuilt(opened, data, count)
    if opened.task.answer is Picture:
        return restored(opened, data, count)
    dataset, _ = recast(open_data(data), opened.task.answer.kind)
    part = dataset.part("test") if dataset.counts().get("test") else dataset
    full = [place for place, sample in enumerate(part.samples) if telling(sample.truth)][: 4 * count : 4]
    some = part.choose(full[:count])
    said, _ = answers(opened, some)
    true = [alike(one, answer) for one, answer in zip(some.truths(), said, strict=True)]
    shown = [to_rgb8(some.picture(place)) for place in range(len(some))]
    rows = [[answer.draw(big(picture)) for answer, picture in zip(side, shown, strict=True)] for side in (true, said)]
    return draw.grid([cell for row in rows for cell in row], side=SIDE, columns=count)


def restored(opened: bundles.Bundle, data: str, count: int) -> np.ndarray:
    """What was given above, what the model made of it below, one to one."""
    dataset = posed(open_data(data), opened.task.settings)
    part = dataset.part("test") if dataset.counts().get("test") else dataset
    some = part.choose(list(range(0, 4 * count, 4)))
    said, _ = answers(opened, some)
    bad = [Picture.of(given(some, place, 3) / np.float32(255)).deep(8) for place in range(count)]
    rows = [[big(one) for one in side] for side in (bad, [answer.deep(8) for answer in said])]
    return draw.grid([cell for row in rows for cell in row], side=SIDE, columns=count)


def rebuilt(opened: bundles.Bundle, data: str, count: int) -> np.ndarray:
    """Good ones above, odd ones below, with what is odd about them."""
    dataset = posed(open_data(data), opened.task.settings)
    odd = [bool(sample.truth is not None and sample.truth.odd) for sample in dataset.samples]
    chosen = [[place for place, one in enumerate(odd) if one is wanted][-9 * count :: 9][:count] for wanted in (False, True)]
    some = dataset.choose([place for row in chosen for place in row])
    said, _ = answers(opened, some)
    return draw.grid([one.draw(big(to_rgb8(some.picture(i)))) for i, one in enumerate(said)], side=SIDE, columns=count)


def big(picture: np.ndarray) -> np.ndarray:
    factor = max(1, SIDE // picture.shape[0])
    return picture.repeat(factor, 0).repeat(factor, 1)


def telling(truth: Answer | None) -> bool:
    """Whether there is something to see."""
    return truth is not None and (not hasattr(truth, "__len__") or len(truth) >= 4)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("task", list(TASKS))
def test_a_few_minutes_are_enough_for_a_picture_worth_showing(task, tmp_path):
    data, minutes, least, settings = TASKS[task]
    told = train(data, *settings, task=task, budget=f"{60 * minutes:.0f}s", out=str(tmp_path / "run"))
    name, score = next(iter(told.scores.items()))
    made = strip(tmp_path / "run", data)
    assert made.shape[1] > 4 * SIDE - 1 and made.std() > 20
    if folder := os.environ.get("OMMA_PICTURES"):
        Image.fromarray(made).quantize(255).save(HOME / folder / f"{task}.png", optimize=True)
    assert score["low"] >= least or name == "reconstruction", (name, score)
