"""Did the samples help? A classifier with drawn pictures among what it learns from, and one without, on the same true pictures."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from omma.answers.label import Label
from omma.bundle import Bundle
from omma.bundle import open as open_bundle
from omma.data.sample import Dataset, Sample
from omma.engine import machine as machines
from omma.engine.painting.drawing import by, drawn
from omma.engine.predicting import answered
from omma.errors import DataError, NotMeaningful
from omma.metrics import bootstrap
from omma.metrics.bootstrap import Verdict
from omma.metrics.metric import Score
from omma.progress import Unrepeated, Watch
from omma.recipe import Recipe
from omma.report.evaluation import truths_of
from omma.run.course import Scene, begin
from omma.run.folder import RunFolder
from omma.words import metric as metric_word
from omma.words import number, say

MOST = 20_000  # drawn pictures that are added, and no more than there are true ones
SEED = 1_000_003  # of what is added: not what is drawn to be looked at


@dataclass(slots=True)
class Helped:
    """What drawn pictures did to a classifier.

    Args:
        metric: by which it is measured.
        without, with_: scores on the part held out.
        verdict: with against without, paired by picture.
        added, true: drawn and true pictures it learned from.
    """

    metric: str
    without: Score
    with_: Score
    verdict: Verdict
    added: int
    true: int

    def json(self) -> dict[str, Any]:
        sides = {"metric": self.metric, "without": self.without.json(), "with": self.with_.json(), "added": self.added, "true": self.true}
        return sides | self.verdict.json()

    def lines(self) -> list[str]:
        told = {"without": number(self.without.value), "with_": number(self.with_.value), "metric": metric_word(self.metric)}
        difference = self.verdict.difference
        told |= {key: f"{getattr(difference, key):+.4f}" for key in ("value", "low", "high")}
        return [say(f"generate.helped.{self.verdict.word.replace(' ', '_')}", added=self.added, true=self.true, **told)]


def helped(model: Bundle, dataset: Dataset, budget: str, device: str, watch: Watch) -> Helped:
    """Train a classifier twice, for `budget` each, from the same seed.

    Args:
        model: draws by class.
        dataset: labelled, in parts; the part `test` is what both are measured on.

    Raises:
        NotMeaningful: the model draws all pictures as one kind.
        DataError: nothing is held out.
    """
    if model.task.outputs < 2:
        raise NotMeaningful(say("generate.helps_by_class"), model.path)
    held = dataset.part("test")
    if not len(held):
        raise DataError(say("generate.nothing_held"), dataset.root)
    watch = Unrepeated(watch)
    train = [sample for sample in dataset.samples if sample.split == "train"]
    count = min(MOST, len(train))
    said: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="omma-helped-") as folder:
        extra = _written(model, count, Path(folder) / "drawn", watch)
        for name, samples in (("without", []), ("with", extra)):
            watch.say(say(f"generate.training_{name}", count=len(train), added=len(samples)))
            run = RunFolder(Path(folder) / name)
            run.path.mkdir()
            recipe = Recipe().put("plan", task="classify").tell({"budget": budget, "seed": str(model.recipe.seed)})
            scene = Scene(str(dataset.root), dataset.format, machines.setup(device), watch, time.monotonic())
            begin(run, _joined(dataset, samples), recipe, None, scene)
            said.append(answered(open_bundle(run.path, device), held, watch))
        task = open_bundle(Path(folder) / "with").task
    places = sorted(set(said[0].places) & set(said[1].places))
    truths = truths_of([held.samples[place] for place in places], task)
    key, metric = next(iter(task.metrics().items()))
    records = []
    for one in said:
        at = dict(zip(one.places, one.answers, strict=True))
        records.append(metric.records([at[place] for place in places], truths))
    scores = [bootstrap.interval(metric, record) for record in records]
    verdict = bootstrap.compare(metric, records[1], records[0])
    return Helped(key, scores[0], scores[1], verdict, count, len(train))


def _written(model: Bundle, count: int, folder: Path, watch: Watch) -> list[Sample]:
    """Drawn pictures as files, each a sample to learn from."""
    rows = model.seeds(SEED, count)
    made = drawn(by(model.pipeline()), model.task, rows, lambda done: watch.step(say("generate.drawing"), done, count))
    watch.end(say("generate.drawing"))
    folder.mkdir()
    samples = []
    for place, one in enumerate(made):
        path, pixels = folder / f"{place:05d}.png", one.deep(8)
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)
        samples.append(Sample(f"drawn/{path.name}", path, truth=Label(one.label), split="train"))
    return samples


def _joined(dataset: Dataset, extra: list[Sample]) -> Dataset:
    """A dataset with more samples, sorted as every dataset is."""
    return replace(dataset, samples=sorted([*map(replace, dataset.samples), *extra], key=lambda sample: sample.id))
