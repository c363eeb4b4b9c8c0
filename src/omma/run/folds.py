"""Cross-validation: every picture is answered once by a model that had not seen it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

from omma import catalog
from omma.answers.answer import Answer
from omma.bundle import open as open_bundle
from omma.data.sample import Dataset, Sample
from omma.data.split import folds as make_folds
from omma.data.split import split as split_parts
from omma.engine.predicting import answered
from omma.errors import NotMeaningful, OmmaError
from omma.progress import Unrepeated
from omma.recipe import Recipe
from omma.report.evaluation import score
from omma.report.run import write_report
from omma.run import course
from omma.run.folder import RunFolder
from omma.run.near import near_of
from omma.run.outcome import Outcome
from omma.words import say


def cross_validate(run: RunFolder, dataset: Dataset, recipe: Recipe, count: int, scene: course.Scene) -> Outcome:
    """Train `count` models, each blind to one fold, then one on everything; the score is that of all blind answers together.

    A timed budget is shared by the `count + 1` runs. The last model's bundle carries the cross-validated score: it saw more
    pictures than any of those that were scored, so the score errs on the careful side.

    Raises:
        OmmaError: fewer than 2 folds.
    """
    if count < 2:
        raise OmmaError(say("train.bad_folds", folds=count))
    if catalog.find("tasks", str(recipe.task)).asks == "seed":
        raise NotMeaningful(say("generate.no_folds"))
    watch = Unrepeated(scene.watch)
    scene = replace(scene, watch=watch)
    near = near_of(dataset, watch)
    predictions: list[Answer] = []
    samples: list[Sample] = []
    for place, fold in enumerate(make_folds(dataset, count, recipe.seed, watch, recipe.val, near)):
        watch.say(say("train.fold", fold=place + 1, folds=count))
        sub = RunFolder(run.path / "folds" / f"{place + 1}")
        sub.path.mkdir(parents=True, exist_ok=scene.machine.world > 1)
        course.begin(sub, fold, copy.deepcopy(recipe), None, scene, (place + 1) / (count + 1))
        held = fold.part("test")
        said = answered(open_bundle(sub.path), held, watch)
        predictions += said.answers
        samples += [held.samples[i] for i in said.places]
    whole = copy.deepcopy(dataset)
    for sample in whole.samples:
        sample.split = None
    whole = split_parts(whole, recipe.seed, watch, val=recipe.val, test=0.0, near=near)
    outcome = course.begin(run, whole, recipe, None, scene)
    bundle = open_bundle(run.path)
    evaluation = score(bundle.task, predictions, samples, watch)
    name = f"{count} folds"
    where = {sample.id: place for place, sample in enumerate(whole.samples)}
    evaluation.data, evaluation.split, evaluation.dataset = scene.data, name, whole
    evaluation.places = [where[sample.id] for sample in samples]
    bundle.card["scores"] = {"split": name, "metrics": {key: score.json() for key, score in evaluation.scores.items()}}
    bundle.card["notes"] = [note for note in outcome.notes if note != say("train.no_test")] + [say("train.folds_note", folds=count)]
    bundle.save(Path(run.bundle))
    evaluation.keep(run.path, bundle.task)
    outcome.report = write_report(run.path, bundle, evaluation, whole, watch)
    outcome.scores, outcome.split, outcome.notes = bundle.card["scores"]["metrics"], name, bundle.card["notes"]
    return outcome
