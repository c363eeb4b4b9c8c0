"""Drawn pictures to look at: beside true ones, on the way from one to the next, and each beside the nearest one that was learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from omma.answers import draw
from omma.answers.drawn import Drawn
from omma.answers.picture import shown
from omma.data.sample import Dataset
from omma.engine.painting.drawing import between, by, drawn, rows_of
from omma.errors import OmmaError
from omma.report.drawings import CELL, sheet
from omma.report.evaluation import Evaluation
from omma.report.page import Page, Text
from omma.words import both

if TYPE_CHECKING:
    from omma.bundle import Bundle

SHEET, NEAR, WAYS, STEPS = 64, 12, 4, 8  # pictures of a sheet, pairs, strips and their pictures
WIDE = 1200


def drawn_into(made: Page, evaluation: Evaluation, bundle: Bundle, dataset: Dataset) -> None:
    """Add the section; what cannot be read any more is left out.

    Args:
        dataset: all of it, with what was learned from.
    """
    said = [one for one in evaluation.predictions if isinstance(one, Drawn)]
    if not said:
        return
    made.section(both("generate.section"), both("generate.lead"))
    made.heading(both("generate.sheet"))
    made.pictures([(sheet(said[:SHEET]), both("generate.drawn"), "")], WIDE)
    true = [sample.truth for sample in evaluation.samples[:SHEET] if isinstance(sample.truth, Drawn)]
    made.heading(both("generate.true_sheet"))
    made.pictures([(sheet(true), both("generate.true"), "")], WIDE)
    made.heading(both("generate.between"))
    made.pictures([(_ways(bundle), both("generate.between_is"), "")], WIDE)
    _nearest(made, said, dataset)


def _ways(bundle: Bundle) -> np.ndarray:
    """From one drawn picture to the next, a row each."""
    task = bundle.task
    rows = rows_of(task, bundle.net, 0, WAYS + 1)
    ways = np.concatenate([between(task, rows[place : place + 2], STEPS) for place in range(WAYS)])
    cells = [shown(one.deep(8)) for one in drawn(by(bundle.pipeline()), task, ways)]
    return draw.grid(cells, (), max(CELL, cells[0].shape[0]), STEPS)


def _nearest(made: Page, said: list[Drawn], dataset: Dataset) -> None:
    """The drawn pictures that lie nearest to one that was learned from, the nearest first, and those."""
    order = [one for one in sorted(said, key=lambda one: one.near) if one.near == one.near][:NEAR]
    where = {sample.id: place for place, sample in enumerate(dataset.samples)}
    rows: list[tuple[np.ndarray, Text, str]] = []
    for one in order:
        try:
            rows.append((pair(one, dataset.picture(where[one.nearest])), both("generate.near", far=f"{one.near:.3f}"), one.nearest))
        except (OmmaError, KeyError):
            continue
    if rows:
        made.heading(both("generate.nearest"))
        made.text(both("generate.nearest_is"), "quiet")
        made.pictures(rows, 2 * 112)


def pair(one: Drawn, learned: np.ndarray) -> np.ndarray:
    """The drawn picture, and beside it the nearest one that was learned from, as large."""
    from omma.data.decode import to_rgb8

    cells: list[Any] = [shown(one.deep(8)), to_rgb8(learned)]
    return draw.grid(cells, (), max(112, cells[0].shape[0]), 2)
