"""The report of a run or an evaluation: what was learned, from what, how good it is, and what to do next."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma.answers.drawn import Drawn
from omma.answers.picture import Picture
from omma.answers.placed import Framed, Placed
from omma.data.sample import Dataset
from omma.errors import DiskError, OmmaError
from omma.metrics.metric import Metric, Score
from omma.progress import Watch
from omma.report import charts
from omma.report.codes import codes_into
from omma.report.drawn import drawn_into
from omma.report.evaluation import Evaluation, sentence_of, shown
from omma.report.page import Page, Text
from omma.report.pictures import gallery_into
from omma.report.provenance import provenance, what_next
from omma.report.twin import twin
from omma.words import LANGUAGES, both, room, say

if TYPE_CHECKING:
    from omma.answers.answer import Answer
    from omma.bundle import Bundle
    from omma.checks.findings import Findings

MOST_CLASSES, MOST_FILES = 200, 12
# A report looks through data of this many pixels and pictures itself: a few seconds.
PIXELS, PICTURES = 100_000_000, 5_000


def write_report(run: Path, bundle: Bundle, evaluation: Evaluation | None, dataset: Dataset, watch: Watch | None = None) -> Path:
    """RUN/report.html: everything about a finished run on one page.

    Args:
        run: the run folder; its `events.jsonl` gives the curves and the verdict.
        bundle: the best step, with its card.
        evaluation: on the held-out part; None where nothing was held out.
        dataset: all of it, with its splits.

    Raises:
        DiskError: the page cannot be written.
    """
    found = _looked_at(dataset, bundle.card.get("fingerprint", {}), watch)
    return write_page(Path(run) / "report.html", bundle, evaluation, dataset, watch, events_of(Path(run)), found)


def write_page(
    path: Path,
    bundle: Bundle,
    evaluation: Evaluation | None,
    dataset: Dataset,
    watch: Watch | None = None,
    events: list[dict] | None = None,
    found: Findings | None = None,
) -> Path:
    """The page at `path` (a folder gets `report.html`); the run's curves are on it where `events` or the bundle's run has them."""
    path = path / "report.html" if path.is_dir() or path.suffix.lower() not in (".html", ".htm") else path
    if events is None:
        events = events_of(bundle.path.parent) if bundle.path else []
    text = page(bundle, evaluation, dataset, events, found).html()
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise DiskError(say("report.not_written", reason=error.strerror or error), path) from None
    return path


def page(bundle: Bundle, evaluation: Evaluation | None, dataset: Dataset, events: list[dict], found: Findings | None = None) -> Page:
    """The page itself, not yet written."""
    card = bundle.json()
    where = str(evaluation.data if evaluation else card.get("data", {}).get("where", dataset.root))
    lead = both("report.lead", model=card["model"], data=where, when=str(card.get("created", ""))[:16].replace("T", " "))
    made = Page(_fill("report.title", task=_task_word(card["task"]), data=Path(where).name or where), lead)
    _summary(made, evaluation, events, card)
    _data(made, evaluation, dataset, card)
    _checked(made, found, str(card.get("data", {}).get("where", dataset.root)))
    _curves(made, bundle, events)
    if evaluation is not None:
        _scores(made, evaluation)
        _parts(made, evaluation)
        _figures(made, evaluation)
        drawn_into(made, evaluation, bundle, dataset)
        codes_into(made, evaluation, bundle)
        _pictures(made, evaluation)
    provenance(made, bundle, card)
    what_next(made, bundle, where)
    return made


def events_of(run: Path) -> list[dict]:
    """The rows of a run's event stream; [] where there is none, and without a row torn by a kill."""
    file = run / "events.jsonl"
    rows = []
    for line in file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "event" in row:
            rows.append(row)
    return rows


def _summary(made: Page, evaluation: Evaluation | None, events: list[dict], card: dict[str, Any]) -> None:
    made.section(both("report.section.summary"))
    if evaluation is None:
        made.text(both("report.no_score"), "warn")
    else:
        first = evaluation.first
        score = evaluation.scores[first]
        told: dict[str, Any] = {"metric": _names(first), "score": _told(score, evaluation.metrics[first]), "split": _part(evaluation.split)}
        made.text(_fill("report.how_good", **told, n=f"{len(evaluation.samples):,}"))
        # The others are in the table below; these four differ from each other.
        chosen = [
            key for key in evaluation.scores if not key.endswith(("_micro", "_weighted")) and not key.startswith(("precision", "recall"))
        ]
        made.cards([_card(evaluation, key) for key in chosen[:4]])
        if (constant := _constant(evaluation)) is not None:
            made.text(_fill("report.constant", metric=_names(first), score=f"{100 * constant:.1f} %"), "quiet")
        if evaluation.compared:
            kind = {"better": "good", "worse": "warn"}.get(evaluation.compared.verdict.word, "note")
            made.text({tongue: sentence_of(evaluation.compared, tongue) for tongue in LANGUAGES}, kind)
    verdicts = [row for row in events if row["event"] == "verdict" and isinstance(row.get("text"), dict)]
    if verdicts:
        made.text(verdicts[-1]["text"], "good" if verdicts[-1].get("word") == "fine" else "note")
    notes = dict.fromkeys([*card.get("notes", []), *(evaluation.notes if evaluation else [])])
    for note in notes:
        made.text(twin(note), "warn")


def _card(evaluation: Evaluation, key: str) -> tuple[Text, Text, Text]:
    metric = evaluation.metrics[key]
    parts = {tongue: text.partition(" (") for tongue, text in _told(evaluation.scores[key], metric).items()}
    value, bracket, _ = parts[LANGUAGES[0]]
    return _names(key), value, {tongue: f"({between}" for tongue, (_, _, between) in parts.items()} if bracket else ""


def _told(score: Score, metric: Metric) -> dict[str, str]:
    return {tongue: shown(score, metric, tongue) for tongue in LANGUAGES}


def _constant(evaluation: Evaluation) -> float | None:
    """What always giving the commonest answer scores; None where answers are numbers."""
    import numpy as np

    metric = evaluation.metrics[evaluation.first]
    if metric.parts_are == "numbers" or not evaluation.samples:
        return None
    truths = [sample.truth for sample in evaluation.samples if sample.truth is not None]
    if any(truth.kind != evaluation.predictions[0].kind for truth in truths) or isinstance(truths[0], Placed | Picture | Framed):
        return None
    commonest = Counter(json.dumps(truth.json(), sort_keys=True) for truth in truths).most_common(1)[0][0]
    answer = next(truth for truth in truths if json.dumps(truth.json(), sort_keys=True) == commonest)
    return metric.summary(metric.records([answer] * len(truths), truths), np.ones(len(truths), np.float32))


def _data(made: Page, evaluation: Evaluation | None, dataset: Dataset, card: dict[str, Any]) -> None:
    made.section(both("report.section.data"))
    counts = dataset.counts()
    told = card.get("data", {})
    rows: list[tuple[Text, Text]] = [(both("report.data.pictures"), f"{len(dataset):,}")]
    if counts:
        sizes = [{t: f"{say(f'evaluate.part.{part}', t)}: {count:,}" for t in LANGUAGES} for part, count in counts.items()]
        rows.append((both("report.data.parts"), {t: " · ".join(size[t] for size in sizes) for t in LANGUAGES}))
    if told.get("how_split") or dataset.how_split:
        rows.append((both("report.data.split"), twin(dataset.how_split or told["how_split"])))
    look = card.get("fingerprint", {})
    if look.get("width") and look.get("height"):
        middle, least, greatest = (f"{look['width'][key]} × {look['height'][key]}" for key in ("median", "min", "max"))
        rows.append((both("report.data.size"), middle if least == greatest else f"{middle} ({least} – {greatest})"))
    for key in ("objects", "sides"):
        if spread := look.get(key):
            rows.append((both(f"report.data.{key}"), f"{spread['median']} ({spread['min']} – {spread['max']})"))
    if shares := look.get("pixel_shares"):
        most = sorted(shares.items(), key=lambda pair: -pair[1])[:MOST_FILES]
        rows.append((both("report.data.pixel_shares"), " · ".join(f"{name} {share:.2%}" for name, share in most)))
    rows += [(both("report.data.note"), twin(note)) for note in dataset.notes]
    made.facts(rows)
    _classes(made, dataset)
    refused = evaluation.refused if evaluation else dataset.refused
    if refused:
        made.text(both("report.refused", count=f"{len(refused):,}"), "warn")
        made.table([(row.where, twin(row.reason)) for row in refused[:MOST_FILES]], (both("report.file"), both("report.reason")))
    if evaluation and evaluation.unlabelled:
        made.text(both("evaluate.unlabelled", count=f"{evaluation.unlabelled:,}"), "note")


def _looked_at(dataset: Dataset, look: dict[str, Any], watch: Watch | None) -> Findings | None:
    """What `omma check` finds, where looking takes a few seconds; larger data is left to a person's own call."""
    from omma.checks.findings import inspect

    side = [look.get(key, {}).get("median", 10_000) for key in ("width", "height")]
    if len(dataset) * side[0] * side[1] > PIXELS or len(dataset) > PICTURES:
        return None
    try:
        return inspect(dataset, str(dataset.root), watch or Watch())
    except OmmaError:
        return None


def _checked(made: Page, found: Findings | None, data: str) -> None:
    """Findings of `omma check` in both languages, the faults first."""
    if found is None:
        made.text(both("report.data.check", data=data), "quiet")
        return
    made.heading(both("report.data.findings"))
    if not found.findings:
        made.text(both("report.data.sound"), "good")
    for finding in found.findings:
        what, do = finding.texts()
        made.text({t: f"{what[t]} — {do[t]}" for t in LANGUAGES}, "warn" if finding.severity == "fault" else "note")
        names = finding.names(found.seen.dataset)
        made.text(", ".join(names[:MOST_FILES]) + (" …" if len(names) > MOST_FILES else ""), "quiet")


def _classes(made: Page, dataset: Dataset) -> None:
    """How many pictures each class has in each part."""
    table: dict[str, Counter] = {name: Counter() for name in dataset.names}
    for sample in dataset.samples:
        for name in _classes_of(sample.truth):
            if name in table:
                table[name][sample.split or "all"] += 1
    parts = [part for part in ("train", "val", "test", "all") if any(row[part] for row in table.values())]
    if not parts:
        return
    most = max(sum(row.values()) for row in table.values())
    rows: list[list[Text]] = []
    for name, row in list(table.items())[:MOST_CLASSES]:
        total = sum(row.values())
        rows.append([name, *(f"{row[part]:,}" for part in parts), charts.bar(total, float("nan"), float("nan"), most)])
    made.heading(both("report.data.classes", count=len(table)))
    made.table(rows, [both("report.class"), *(both(f"evaluate.part.{part}") for part in parts), ""])


def _classes_of(truth: Answer | None) -> tuple[str, ...]:
    if truth is None:
        return ()
    return tuple(getattr(truth, "labels", None) or ([truth.label] if hasattr(truth, "label") else ()))


def _curves(made: Page, bundle: Bundle, events: list[dict]) -> None:
    steps = [row for row in events if row["event"] == "step" and "loss" in row]
    looks = [row for row in events if row["event"] == "eval"]
    if not steps and not looks:
        return
    made.section(both("report.section.learning"), both("report.learning"))
    first = next(iter(bundle.task.metrics()))
    learned = (both("report.curve.train"), [row["step"] for row in steps], [row["loss"] for row in steps])
    watched = [row for row in looks if "val_loss" in row]
    held = (both("report.curve.val"), [row["step"] for row in watched], [row["val_loss"] for row in watched])
    drawings: list[tuple[str, Text]] = [
        (
            charts.curves([line for line in (learned, held) if line[1]], both("report.axis.step"), both("report.axis.loss")),
            both("report.figure.loss"),
        )
    ]
    scored = [row for row in looks if f"val_{first}" in row]
    if scored:
        line = (both("report.curve.val"), [row["step"] for row in scored], [row[f"val_{first}"] for row in scored])
        drawings.append((charts.curves([line], both("report.axis.step"), _names(first)), both("report.figure.score")))
    rated = [row for row in steps if "rate" in row]
    if rated:
        line = (both("report.axis.rate"), [row["step"] for row in rated], [row["rate"] for row in rated])
        drawings.append((charts.curves([line], both("report.axis.step"), both("report.axis.rate"), 0.0), both("report.figure.rate")))
    made.charts([drawing for drawing in drawings if drawing[0]])
    for row in events:
        if row["event"] == "notice" and row.get("text"):
            made.text(row["text"] if isinstance(row["text"], dict) else twin(str(row["text"])), "note")


def _scores(made: Page, evaluation: Evaluation) -> None:
    made.section(both("report.section.scores"))
    over = "report.over_groups" if evaluation.groups else "report.over_pictures"
    made.text(both(over, count=evaluation.groups, draws=f"{evaluation.measured.draws:,}"), "quiet")
    rows: list[list[Text]] = []
    for key, score in evaluation.scores.items():
        metric = evaluation.metrics[key]
        share = metric.scale in ("share", "distance")
        top = 1.0 if share else max(score.high if score.high == score.high else score.value, 1e-12)
        said = metric.meaning or key
        meaning = both(f"metrics.means.{said}") if f"means.{said}" in room("en", "metrics") else ""
        name = charts.Markup(f"{charts.words(_names(key))}<small>{charts.words(meaning)}</small>")
        rows.append([name, _told(score, metric), charts.bar(score.value, score.low, score.high, top)])
    made.table(rows, (both("report.metric"), both("report.value"), ""), "scores")
    if evaluation.subgroups:
        made.heading(both("report.subgroups"))
        metric = evaluation.metrics[evaluation.first]
        rows = [
            [name, f"{score.n:,}", _told(score, metric), charts.bar(score.value, score.low, score.high)]
            for name, score in evaluation.subgroups.items()
        ]
        made.table(rows, (both("report.group"), both("report.count"), _names(evaluation.first), ""))


def _parts(made: Page, evaluation: Evaluation) -> None:
    table = evaluation.per_class
    keys = list(evaluation.measured.parts)
    if len(table) < 2 or not keys:
        return
    first = keys[0] if "f1_macro" not in keys else "f1_macro"
    short = first.removesuffix("_macro")
    numbers = evaluation.metrics[evaluation.first].parts_are == "numbers"
    made.section(
        both("report.section.numbers" if numbers else "report.section.classes"), _fill("report.worst_first", metric=_part_name(first))
    )
    better = 1 if evaluation.metrics[first].better == "higher" else -1

    def order(row: tuple[str, dict[str, Score]]) -> float:
        value = row[1][short].value
        return value * better if value == value else float("inf")

    rows: list[list[Text]] = []
    for name, scores in sorted(table.items(), key=order)[:MOST_CLASSES]:
        cells: list[Text] = [name]
        for key in keys:
            value, _, between = shown(scores[key.removesuffix("_macro")], evaluation.metrics[key]).partition(" (")
            cells.append(charts.Markup(f"{value}<small>{between.removesuffix(')')}</small>"))
        lead = scores[short]
        rows.append(
            [*cells, charts.bar(lead.value, lead.low, lead.high) if evaluation.metrics[first].scale in ("share", "below_one") else ""]
        )
    header = [both("report.number" if numbers else "report.class"), *(_part_name(key) for key in keys), ""]
    made.table(rows, header, "quality")


def _figures(made: Page, evaluation: Evaluation) -> None:
    for figure in evaluation.figures:
        drawings = [drawing for drawing in charts.draw(figure) if drawing[0]]
        title = both(f"report.section.{figure['kind']}") if f"section.{figure['kind']}" in room("en", "report") else figure["kind"]
        if not drawings and figure["kind"] != "confusion":
            continue
        made.section(title)
        made.charts(drawings) if len(drawings) > 1 else [made.chart(*drawing) for drawing in drawings]
        pairs = [gallery for gallery in evaluation.galleries() if gallery.title == figure["kind"].replace("confusion", "confused")]
        for gallery in pairs:
            gallery_into(made, evaluation, gallery)
        if figure["kind"] == "confusion" and not pairs:
            made.text(both("report.no_confusion"), "good")


def _pictures(made: Page, evaluation: Evaluation) -> None:
    galleries = [gallery for gallery in evaluation.galleries() if gallery.title != "confused"]
    if not galleries or isinstance(evaluation.predictions[0], Drawn):  # those are shown beside what they are near to
        return
    made.section(both("report.section.pictures"), both("report.pictures"))
    for gallery in galleries:
        gallery_into(made, evaluation, gallery)


def _names(key: str) -> Text:
    return both(f"metrics.name.{key}") if f"name.{key}" in room("en", "metrics") else key


def _part_name(key: str) -> Text:
    return both(f"metrics.part.{key}") if f"part.{key}" in room("en", "metrics") else _names(key)


def _part(split: str) -> Text:
    return both(f"evaluate.part.{split}") if split in ("train", "val", "test", "all") else split


def _task_word(task: str) -> Text:
    return both(f"report.task.{task}") if f"task.{task}" in room("en", "report") else task


def _fill(key: str, **values: Text) -> dict[str, str]:
    """A sentence whose placeholders are themselves texts in both languages."""
    return {t: say(key, t, **{name: value[t] if isinstance(value, dict) else value for name, value in values.items()}) for t in LANGUAGES}
