"""Cross-validation: every picture is answered once by a model that had not seen it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from omma.bundle import open as open_bundle
from omma.data.sample import Dataset
from omma.data.split import folds as make_folds
from omma.data.split import split as split_parts
from omma.engine.machine import Machine
from omma.engine.predicting import answers
from omma.errors import OmmaError
from omma.progress import Watch
from omma.recipe import Recipe
from omma.run import course
from omma.run.folder import RunFolder
from omma.run.outcome import Outcome
from omma.words import say


def cross_validate(
    dataset: Dataset, recipe: Recipe, count: int, data: str, format: str | None, out: str | None, device: str, machine: Machine, watch: Watch,
    began: float,
) -> Outcome:  # fmt: skip
    """Train `count` models, each blind to one fold, then one on everything; the score is that of all blind answers together.

    A timed budget is shared by the `count + 1` runs. The last model's bundle carries the cross-validated score: it saw more
    pictures than any of those that were scored, so the score errs on the careful side.

    Raises:
        OmmaError: fewer than 2 folds.
    """
    from omma.run.scoring import score_answers

    if count < 2:
        raise OmmaError(say("train.bad_folds", folds=count))
    run = RunFolder.create(out, course.slug(data))
    predictions: list[Any] = []
    truths: list[Any] = []
    groups: list[str] = []
    for place, fold in enumerate(make_folds(dataset, count, recipe.seed)):
        watch.say(say("train.fold", fold=place + 1, folds=count))
        part = split_parts(fold, recipe.seed, watch, val=recipe.val, test=0.0)
        sub = RunFolder(run.path / "folds" / f"{place + 1}")
        sub.path.mkdir(parents=True)
        share = (place + 1) / (count + 1)
        course.begin(sub, part, copy.deepcopy(recipe), None, data, format, machine, watch, began, share)
        held = part.part("test")
        replies, refused = answers(open_bundle(sub.path), held, watch)
        lost = {row.where for row in refused}
        kept = [s for s in held.samples if str(s.path) not in lost and s.id not in lost]
        predictions += replies
        truths += [s.truth for s in kept]
        groups += [s.group or s.id for s in kept]
    whole = copy.deepcopy(dataset)
    for sample in whole.samples:
        sample.split = "train"
    whole = split_parts(whole, recipe.seed, watch, val=recipe.val, test=0.0)
    outcome = course.begin(run, whole, recipe, None, data, format, machine, watch, began)
    bundle = open_bundle(run.path)
    scores = score_answers(bundle.task, predictions, truths, groups)
    name = f"{count} folds"
    bundle.card["scores"] = {"split": name, "metrics": {key: score.json() for key, score in scores.items()}}
    bundle.card["notes"] = [say("train.folds_note", folds=count)]
    bundle.save(Path(run.bundle))
    outcome.scores, outcome.split, outcome.notes = bundle.card["scores"]["metrics"], name, bundle.card["notes"]
    return outcome
