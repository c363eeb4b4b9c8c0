"""How good a model is on a part of some data: scores with intervals, what lies behind them, and the pictures to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from omma.answers._file import Kept, keep
from omma.answers.answer import Answer
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.data.sample import Dataset, Refused, Sample
from omma.engine.predicting import Answered, answered
from omma.errors import DataError
from omma.metrics import bootstrap
from omma.metrics.bootstrap import Measured, Verdict
from omma.metrics.metric import Gallery, Metric, Score
from omma.progress import Watch
from omma.words import language, say

if TYPE_CHECKING:
    from pathlib import Path

    from omma.bundle import Bundle
    from omma.tasks.task import Task

# Subgroups are shown when there are a few of them, each large enough to say something.
MOST_GROUPS, LEAST_PICTURES = 20, 10


@dataclass(slots=True)
class Compared:
    """A model beside another on the same pictures, by the deciding metric."""

    other: str
    metric: str
    ours: Score
    theirs: Score
    verdict: Verdict

    def json(self) -> dict[str, Any]:
        return {"other": self.other, "metric": self.metric, "this": self.ours.json(), "that": self.theirs.json()} | self.verdict.json()


@dataclass
class Evaluation:
    """What was measured.

    Args:
        data: as it was named.
        split: the part, or `all`.
        samples: the pictures that were scored, in the order of `predictions`.
        places: where in `dataset` they are.
        predictions: one for each.
        metrics: by name; the first decides.
        measured: scores, parts and records of each metric.
        refused: what could not be read.
        unlabelled: pictures left out because nobody says what they show.
        groups: how many groups the intervals were drawn over; None = single pictures.
        subgroups: group → (deciding score), where groups are few and large.
        compared: the other model, if one was named.
        notes: what a reader must know.
    """

    data: str
    split: str
    dataset: Dataset = field(repr=False)
    samples: list[Sample] = field(repr=False)
    places: list[int] = field(repr=False)
    predictions: list[Answer] = field(repr=False)
    metrics: dict[str, Metric] = field(repr=False)
    measured: Measured = field(repr=False)
    refused: list[Refused] = field(default_factory=list)
    unlabelled: int = 0
    groups: int | None = None
    subgroups: dict[str, Score] = field(default_factory=dict)
    compared: Compared | None = None
    notes: list[str] = field(default_factory=list)
    report: str | None = None
    helped: Any = None  # see `run/helped.py`, where that was asked

    @property
    def scores(self) -> dict[str, Score]:
        """Metric → score, the deciding one first."""
        return self.measured.scores

    @property
    def first(self) -> str:
        """The metric that decides."""
        return next(iter(self.metrics))

    @property
    def per_class(self) -> dict[str, dict[str, Score]]:
        """Class (or number) → metric → score."""
        table: dict[str, dict[str, Score]] = {}
        for key, rows in self.measured.parts.items():
            for name, score in rows.items():
                table.setdefault(name, {})[key.removesuffix("_macro")] = score
        return table

    @property
    def figures(self) -> list[dict[str, Any]]:
        """What there is to draw, see `Metric.figure`."""
        drawn = [metric.figure(self.measured.records[key]) for key, metric in self.metrics.items()]
        return [figure for figure in drawn if figure is not None]

    @property
    def confusion(self) -> dict[str, Any] | None:
        """{"names", "counts"}: rows true, columns predicted; None where there is no such table."""
        found = [figure for figure in self.figures if figure["kind"] == "confusion"]
        return {"names": found[0]["names"], "counts": found[0]["counts"]} if found else None

    def galleries(self, most: int = 12) -> list[Gallery]:
        """The pictures behind the numbers; places count in `samples`."""
        return [g for key, metric in self.metrics.items() for g in metric.galleries(self.measured.records[key], most)]

    def json(self) -> dict[str, Any]:
        """One object for scripts: every metric at the top level by its name."""
        kind = self.metrics[self.first].parts_are
        table: dict[str, Any] = {"data": self.data, "split": self.split, "n": len(self.samples)}
        table |= {key: score.json() for key, score in self.scores.items()}
        eyes = [metric.protocol["features"] for metric in self.metrics.values() if "features" in metric.protocol]
        table |= {"features": eyes[0]} if eyes else {}
        table[kind] = {name: {key: score.json() for key, score in row.items()} for name, row in self.per_class.items()}
        table["confusion"] = self.confusion
        table["groups"] = self.groups
        table["subgroups"] = {name: {self.first: score.json()} for name, score in self.subgroups.items()}
        table["refused"] = [{"path": row.where, "error": row.reason} for row in self.refused]
        table["unlabelled"] = self.unlabelled
        table["pictures"] = [{"show": g.title, **g.values, "ids": [self._named(i) for i in g.places]} for g in self.galleries()]
        table["compare"] = self.compared.json() if self.compared else None
        table |= {"helps": self.helped.json()} if self.helped else {}
        return table | {"notes": self.notes, "report": self.report}

    def keep(self, folder: Path, task: Task) -> Path | None:
        """FOLDER/answers.jsonl: every answer as it is, to take the numbers apart later; None where answers are no plain values.

        Raises:
            DiskError: it cannot be written.
        """
        ids = [sample.id for sample in self.samples]
        return keep(folder, Kept(self.split, ids, self.predictions, truths_of(self.samples, task)), task.answer, task.names)

    def _named(self, place: int) -> str:
        """The picture that an answer is about; of a drawn one the nearest that was learned from."""
        return getattr(self.predictions[place], "nearest", "") or self.samples[place].id

    def lines(self) -> list[str]:
        """What a person reads on the terminal."""
        rows = [say("evaluate.on", data=self.data, split=_split_word(self.split), n=f"{len(self.samples):,}")]
        names = {key: say(f"metrics.name.{key}") if _known(key) else key for key in self.scores}
        width = max(map(_columns, names.values()))
        for key, score in self.scores.items():
            rows.append(f"  {names[key]}{' ' * (width - _columns(names[key]))}  {shown(score, self.metrics[key])}")
        rows += [say("evaluate.confused", **g.values) for g in self.galleries() if g.title == "confused"]
        if self.compared:
            rows.append(sentence_of(self.compared, language()))
        rows += [*(self.helped.lines() if self.helped else []), *self.notes]
        if self.refused:
            rows.append(say("evaluate.refused", count=len(self.refused), first=self.refused[0].where, reason=self.refused[0].reason))
        if self.unlabelled:
            rows.append(say("evaluate.unlabelled", count=self.unlabelled))
        if self.report:
            rows.append(say("evaluate.report", path=self.report))
        return rows


def evaluate_bundle(
    bundle: Bundle, dataset: Dataset, split: str, watch: Watch | None = None, other: Bundle | None = None, data: str | None = None,
    learned: Dataset | None = None,
) -> Evaluation:  # fmt: skip
    """Ask a model about every picture of `dataset` and score what it says; of one that draws, as many pictures as there are.

    Args:
        dataset: the pictures to score, already chosen; those without a truth are counted and left out.
        split: what this part is called.
        other: a second model to compare with, on the same pictures.
        data: what the data is called; default: its root.
        learned: what the model learned from, where that is known: drawn pictures are looked for in it.

    Raises:
        DataError: nothing to score, or classes the model does not know (by name).
    """
    watch = watch or Watch()
    fitting(dataset, bundle.task)
    dataset, said = _said(bundle, dataset, learned, watch)
    places = [place for place in said.places if dataset.samples[place].truth is not None]
    kept = set(places)
    predictions = [answer for place, answer in zip(said.places, said.answers, strict=True) if place in kept]
    samples = [dataset.samples[place] for place in places]
    if not samples:
        raise DataError(say("evaluate.nothing"), dataset.root, say("evaluate.nothing_fix"))
    evaluation = score(bundle.task, predictions, samples, watch)
    evaluation.data, evaluation.split, evaluation.dataset, evaluation.places = data or str(dataset.root), split, dataset, places
    evaluation.refused = [*dataset.refused, *said.refused]
    evaluation.unlabelled = len(said.places) - len(places)
    if absent := sorted(set(bundle.names) - set(dataset.names)):
        evaluation.notes.append(say("evaluate.missing_here", names=_list(absent)))
    if other is not None:
        evaluation.compared = _compare(evaluation, bundle, other, dataset, kept, watch)
    return evaluation


def _said(bundle: Bundle, dataset: Dataset, learned: Dataset | None, watch: Watch) -> tuple[Dataset, Answered]:
    """What a model says of pictures, or what it draws beside them; and these, with what was seen in them."""
    if bundle.task.asks == "seed":
        from omma.report.drawings import beside

        return beside(bundle, dataset, learned, watch, _own_graph(bundle))
    return dataset, answered(bundle, dataset, watch, ask=_own_graph(bundle))


def score(task: Task, predictions: Sequence[Answer], samples: Sequence[Sample], watch: Watch | None = None) -> Evaluation:
    """Score answers that are already there, against the truths of `samples`, in the same order."""
    metrics = task.metrics()
    truths = truths_of(samples, task)
    groups = groups_of(samples)
    measured = bootstrap.measure(metrics, predictions, truths, groups, watch=watch)
    nowhere = Dataset([], task.names, None, root=_here(), format="")
    evaluation = Evaluation("", "", nowhere, list(samples), [], list(predictions), metrics, measured)
    if groups is not None:
        evaluation.groups = bootstrap.units_of(len(groups), groups)
        evaluation.subgroups = _subgroups(metrics, measured, groups)
    return evaluation


def fitting(dataset: Dataset, task: Task) -> None:
    """Whether a dataset speaks of what the model learned.

    Raises:
        DataError: classes the model does not know, numbers that are missing, or another kind of truth; each by name.
    """
    kinds = {sample.truth.kind for sample in dataset.samples if sample.truth is not None}
    wanted = task.answer.kind
    if kinds - {wanted} and not (wanted == Labels.kind and kinds == {Label.kind}):
        raise DataError(say("evaluate.other_kind", here=", ".join(sorted(kinds)), there=wanted), dataset.root)
    extra = sorted(set(dataset.names) - set(task.names))
    missing = sorted(set(task.names) - set(dataset.names))
    # A part may lack a class; it may not have one nobody learned. Of numbers, every one must be there.
    wrong = missing if next(iter(task.metrics().values())).parts_are == "numbers" else extra
    if kinds and wrong:
        told = say("evaluate.names", extra=_list(extra) or "–", missing=_list(missing) or "–")
        raise DataError(told, dataset.root, say("evaluate.names_fix", known=_list(task.names)))


def truths_of(samples: Sequence[Sample], task: Task) -> list[Any]:
    """The truths in the model's kind of answer: one label is also a set of labels."""
    truths = [sample.truth for sample in samples]
    if task.answer is Labels:
        return [Labels((truth.label,)) if isinstance(truth, Label) else truth for truth in truths]
    return truths


def groups_of(samples: Sequence[Sample]) -> list[str] | None:
    """What is drawn together; a picture without a group is its own. None where no picture has one."""
    if all(sample.group is None for sample in samples):
        return None
    return [f"g {sample.group}" if sample.group is not None else f"p {sample.id}" for sample in samples]


def shown(score: Score, metric: Metric, tongue: str | None = None) -> str:
    """A score as people read it: shares as per cent, and what it was measured on where that is not one thing for all."""
    return shown_interval(score, metric.scale == "share") + (f" [{_protocol(score.protocol, tongue)}]" if score.protocol else "")


def _protocol(protocol: dict[str, Any], tongue: str | None) -> str:
    """`Y, border 2`; what nobody has words for as `key value`."""
    words = {"channel": say("evaluate.channels", tongue) if (name := protocol.get("channel")) == "auto" else name}
    words["border"] = say("evaluate.border", tongue, pixels=protocol.get("border"))
    words["features"] = say("evaluate.features", tongue, name=protocol.get("features"))
    return ", ".join(str(words[key]) if key in words else f"{key} {value}" for key, value in protocol.items())


def shown_interval(score: Score, share: bool) -> str:
    """`93.2 % (92.1 – 94.0)`, `0.412 (0.380 – 0.451)` or `7.2 mm (6.1 – 8.0)`; – where it is undefined."""
    if score.value != score.value:
        return "–"
    if share:
        low, high = ("?" if bound != bound else f"{100 * bound:.1f}" for bound in (score.low, score.high))
        return f"{100 * score.value:.1f} % ({low} – {high})"
    low, high = ("?" if bound != bound else f"{bound:.4g}" for bound in (score.low, score.high))
    return f"{f'{score.value:.4g} {score.unit}'.rstrip()} ({low} – {high})"


def sentence_of(compared: Compared, tongue: str) -> str:
    """The verdict in words."""
    difference = compared.verdict.difference
    values = {"other": compared.other, "metric": say(f"metrics.name.{compared.metric}", tongue), "p": f"{compared.verdict.p:.3g}"}
    values |= {key: f"{getattr(difference, key):+.4f}" for key in ("value", "low", "high")}
    return say(f"evaluate.verdict.{compared.verdict.word.replace(' ', '_')}", tongue, **values)


def _own_graph(bundle: Bundle) -> Callable[[np.ndarray], dict[str, np.ndarray]] | None:
    """What answers for a bundle that brings its own graph (quantised): that graph, and not the networks it was made from."""
    if not bundle.card.get("runtime", {}).get("file"):
        return None
    from omma.runtimes.choose import named

    return named("ort", bundle).run


def _compare(evaluation: Evaluation, bundle: Bundle, other: Bundle, dataset: Dataset, kept: set[int], watch: Watch) -> Compared:
    name = str(other.path)
    if set(other.names) != set(bundle.names) or other.task.answer is not bundle.task.answer:
        odd = sorted(set(other.names) ^ set(bundle.names))
        raise DataError(say("evaluate.other_names", odd=_list(odd) or other.task.answer.kind), name)
    _, said = _said(other, dataset, None, watch)
    theirs = {place: answer for place, answer in zip(said.places, said.answers, strict=True) if place in kept}
    common = [row for row, place in enumerate(evaluation.places) if place in theirs]
    samples = [evaluation.samples[row] for row in common]
    truths, groups = truths_of(samples, bundle.task), groups_of(samples)
    metric = evaluation.metrics[evaluation.first]
    a = metric.records([evaluation.predictions[row] for row in common], truths)
    b = metric.records([theirs[evaluation.places[row]] for row in common], truths)
    verdict = bootstrap.compare(metric, a, b, groups)
    return Compared(name, evaluation.first, bootstrap.interval(metric, a, groups), bootstrap.interval(metric, b, groups), verdict)


def _subgroups(metrics: dict[str, Metric], measured: Measured, groups: list[str]) -> dict[str, Score]:
    counts = Counter(groups)
    if not 1 < len(counts) <= MOST_GROUPS or min(counts.values()) < LEAST_PICTURES:
        return {}
    key, metric = next(iter(metrics.items()))
    rows = {}
    for group in sorted(counts):
        inside = np.array([one == group for one in groups])
        rows[group[2:]] = bootstrap.interval(metric, {name: table[inside] for name, table in measured.records[key].items()})
    return rows


def _known(key: str) -> bool:
    from omma.words import room

    return f"name.{key}" in room("en", "metrics")


def _split_word(split: str) -> str:
    return say(f"evaluate.part.{split}") if split in ("train", "val", "test", "all") else split


def _columns(text: str) -> int:
    """Places a text takes on a terminal: 中文 letters take two."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _list(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" … ({len(names)})" if len(names) > most else "")


def _here():
    from pathlib import Path

    return Path()
