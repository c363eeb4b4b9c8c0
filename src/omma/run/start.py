"""Starting: from the words of a person to a dataset with parts and a recipe, and then one run or several folds."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

from omma import bundle as bundles
from omma import catalog
from omma.answers.mask import Mask
from omma.answers.numbers import Numbers
from omma.answers.picture import Picture
from omma.answers.placed import Framed, Placed
from omma.data.own.given import posed
from omma.data.recast import ground_of, kind_of, present, seen_as
from omma.data.sample import Dataset
from omma.data.split import split as split_parts
from omma.engine import machine as machines
from omma.errors import DataError, OmmaError
from omma.formats import pairs
from omma.formats.format import open_data
from omma.progress import Watch
from omma.recipe import Recipe
from omma.run import advice
from omma.run.course import Scene, begin, slug, told
from omma.run.folder import RunFolder
from omma.run.folds import cross_validate
from omma.run.near import near_of
from omma.run.outcome import Outcome
from omma.run.prepare import from_bundle, same_model
from omma.words import say


def start(
    data: str, format: str | None, asked: dict[str, Any], settings: list[str], recipe_file: str | None, out: str | None, from_: str | None,
    folds: int | None, device: str, watch: Watch,
) -> Outcome:  # fmt: skip
    """A new run, from the words of a person to its outcome."""
    began = getattr(watch, "began", None) or time.monotonic()
    recipe = Recipe()
    if "task" in asked and asked["task"] not in catalog.names("tasks"):
        raise catalog.unknown("task", str(asked["task"]), catalog.names("tasks"))
    dataset = open_data(data, format, watch)
    parent = bundles.open(from_) if from_ else None
    task_name = asked.get("task") or next((w.partition("=")[2] for w in settings if w.startswith("task=")), None) or dataset.task
    if task_name is not None and task_name == dataset.task and task_name not in catalog.names("tasks"):
        raise DataError(say("train.no_task", kind=say(f"convert.kind.{kind_of(dataset)}")), data, say("train.no_task_fix"))
    recipe.put("plan", task=task_name).put("source", **dataset.hints)
    if parent is not None:
        from_bundle(recipe, parent)
    if recipe_file:
        recipe.read(Path(recipe_file))
    recipe.tell({key: str(value) for key, value in asked.items()}).tell(settings)
    if parent is not None:
        same_model(recipe, parent)
    if recipe.task is not None:
        wanted = catalog.find("tasks", recipe.task).answer.kind
        dataset = paired(seen_as(dataset, wanted), recipe, watch)
        if (have := kind_of(dataset)) not in (None, wanted):
            kinds = {key: say(f"convert.kind.{kind}") for key, kind in (("have", have), ("want", wanted))}
            fix = say("train.other_labels_fix", fits=dataset.task, **kinds)
            raise OmmaError(say("train.other_labels", task=recipe.task, **kinds), data, fix)
    dataset = told(dataset, data, watch)
    learnable(dataset, data)
    machine = machines.setup(device, recipe.precision, recipe.threads)
    scene = Scene(data, format, machine, watch, began)
    path = str(RunFolder.create(out, slug(data)).path) if machine.is_first else None
    run = RunFolder(Path(machine.agree(path)))
    with run.or_nothing():
        if folds is not None:
            return cross_validate(run, dataset, recipe, folds, scene)
        near, given = near_of(dataset, watch), dataset.counts()
        notes = list(advice.leaks(dataset, near))
        dataset = split_parts(dataset, recipe.seed, watch, val=recipe.val, test=recipe.test, near=near)
        return begin(run, dataset, recipe, parent, scene, notes=notes, given=given)


def paired(dataset: Dataset, recipe: Recipe, watch: Watch) -> Dataset:
    """The dataset as the task asks about it; of pairs on disk the recipe learns how much larger the good pictures are."""
    kind = catalog.find("tasks", str(recipe.task))
    known = {key: value for key, (value, _) in kind.SETTINGS.items()}
    found = posed(dataset, kind.poses, known | recipe.task_settings)
    if "degrade" in known and found.spoil is None:
        if recipe.task_settings.pop("degrade", None):
            watch.warn(say("train.ignored", key="degrade", reason=say("restore.pairs")))
        recipe.task_settings.setdefault("scale", pairs.scale_of(found))
    return found


def learnable(dataset: Dataset, where: str) -> None:
    """Refuse what cannot be learned from.

    Where things are can be learned of one class too, and of objects that lie alike in every picture; what good pictures look like can
    be learned from them alone.

    Args:
        where: the data as it was named.

    Raises:
        DataError: no labels, not one object, or nothing that differs from picture to picture.
    """
    if dataset.task is None or not dataset.samples:
        raise DataError(say("train.no_labels"), dataset.root, say("train.no_labels_fix"))
    truths, shown, ground = dataset.truths(), set[str](), ground_of(dataset)
    if isinstance(truths[0], Framed):
        return
    for truth in truths:
        shown.update(present(truth))
        if len(shown) > 1 and shown - ground:  # masks are long to look through
            break
    if not dataset.names or not (shown - ground or isinstance(truths[0], Numbers | Picture)):
        raise DataError(say("train.no_object"), dataset.root, say("train.no_object_fix", data=shlex.quote(where)))
    if isinstance(truths[0], Mask):
        alike = len(shown) == 1
    else:
        alike = not isinstance(truths[0], Placed) and all(truth.json() == truths[0].json() for truth in truths)
    if alike:
        what = say("train.one_class", name=min(shown)) if shown else say("train.one_number")
        raise DataError(what, dataset.root)
