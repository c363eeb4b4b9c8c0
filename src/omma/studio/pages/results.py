"""Results: the report of a run, and its answers taken apart: the pictures behind a number, another threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from starlette.responses import FileResponse

from omma import catalog
from omma.answers.placed import Placed
from omma.card import read_card
from omma.errors import DataError, OmmaError
from omma.report import operating
from omma.report.operating import sweepable, swept
from omma.report.phrase import phrase
from omma.studio import runs, thumbs
from omma.studio.ask import Ask, picture
from omma.studio.judged import Judged
from omma.words import metric, room, say

MOST_CLASSES, MOST_PAIRS = 40, 40  # a matrix of more classes is a list of its largest cells


def report(ask: Ask) -> Any:
    """The page that the run wrote, to be shown in a frame of ours; its own policy lets nothing in or out."""
    path = runs.one(ask.studio.runs, ask.path["run"]) / "report.html"
    if not path.is_file():
        raise OmmaError(say("studio.no_report"), path)
    return FileResponse(path, media_type="text/html", headers={"x-frame-options": "SAMEORIGIN"})


def summary(ask: Ask) -> dict[str, Any]:
    """One run in numbers."""
    return runs.summary(runs.one(ask.studio.runs, ask.path["run"]))


def answers(ask: Ask) -> dict[str, Any]:
    """Whether the answers of a run are there, and what they show: the confusion matrix, the classes that have a threshold."""
    run = runs.one(ask.studio.runs, ask.path["run"])
    if not (run / "bundle" / "bundle.json").is_file() or not ask.studio.judge.able(run):
        return {"state": "unable", "why": _no_threshold(run)}
    if ask.studio.judge.file(run) is None:
        job = next((one for one in ask.studio.jobs.of(ask.project) if one["verb"] == "evaluate" and one["run"] == str(run)), None)
        if job is not None and job["state"] in ("begins", "works"):
            return {"state": "works", "job": job["id"]}
        if job is not None and job["state"] == "done" and str(ask.studio.judge.folder(run)) in job["words"]:
            return {"state": "unable", "why": say("studio.answers_too_large")}
        return {"state": "none", "error": job["error"] if job is not None else None}
    found = ask.studio.judge.get(run)
    classes, one = found.task.names if sweepable(found.metrics) else [], operating.alone(found.metrics)
    return {
        "state": "there", "split": found.kept.split, "count": len(found.kept.ids), "confusion": _confusion(found), "classes": classes,
        "alone": None if one is None else {"name": one.about(), "counts": one.counts},
        "why": _no_threshold(run) if one is None and not classes else None,
    }  # fmt: skip


def _no_threshold(run: Path) -> str:
    """Why answers of this kind have no threshold that could be moved, in one line."""
    kind = catalog.find("tasks", read_card(run / "bundle")["task"]).answer.kind
    return say(f"studio.no_threshold.{kind if f'no_threshold.{kind}' in room('en', 'studio') else 'other'}")


def _confusion(found: Judged) -> dict[str, Any] | None:
    """{"names", "counts", "pairs": the largest cells beside the diagonal, "unit"}; `counts` only where there are few classes."""
    confused = found.confused()
    figure = None if confused is None else confused[0].figure(confused[1])
    if figure is None:
        return None
    names, table = figure["names"], np.asarray(figure["counts"])
    off = table * ~np.eye(len(table), dtype=bool)
    largest = [int(cell) for cell in np.argsort(-off, axis=None, kind="stable")[:MOST_PAIRS] if off.flat[cell]]
    pairs = [[*divmod(cell, len(table)), int(off.flat[cell])] for cell in largest]
    # What a cell counts: objects where the background is a class of its own, pixels where answers are maps, else pictures.
    placed = found.task.answer.kind if issubclass(found.task.answer, Placed) else ""
    unit = "objects" if len(names) > len(found.task.names) else "pixels" if placed else "pictures"
    shown = names if unit != "objects" else [*names[:-1], say("studio.background")]
    return {"names": shown, "counts": table.tolist() if len(names) <= MOST_CLASSES else None, "pairs": pairs, "unit": unit}


def again(ask: Ask) -> dict[str, Any]:
    """`omma evaluate` over the run's own data, so that its answers are there."""
    run = runs.one(ask.studio.runs, ask.path["run"])
    out = ask.studio.judge.folder(run)
    out.mkdir(parents=True, exist_ok=True)
    words = ["evaluate", str(run.relative_to(ask.studio.cwd)), "--out", str(out)]
    return {"job": ask.studio.jobs.begin(ask.project, words, run)}


def _judged(ask: Ask) -> Judged:
    return ask.studio.judge.get(runs.one(ask.studio.runs, ask.path["run"]))


def _cell(ask: Ask) -> tuple[int, int]:
    return int(ask.number(ask.query.get("true"), 0, 1e6)), int(ask.number(ask.query.get("named"), 0, 1e6))


def _level(ask: Ask) -> float | None:
    """The threshold at which answers are to be drawn; None: the model's own."""
    return ask.number(ask.query["level"], 0, 1) if "level" in ask.query else None


def cell(ask: Ask) -> dict[str, Any]:
    """Rows of the answers in one cell of the matrix, those with most of it first."""
    return {"rows": _judged(ask).behind(*_cell(ask))[0]}


def apart(ask: Ask) -> dict[str, Any]:
    """Rows of the answers that are right, invented or missed of a class, or of what is told alone, at a threshold."""
    found, about, level = _judged(ask), ask.query.get("class"), ask.number(ask.query.get("level"), 0, 1)
    if (one := found.alone()) is not None:
        return operating.apart_alone(*one, level)
    if about not in found.task.names or not sweepable(found.metrics):
        raise OmmaError(say("studio.not_understood"))
    return operating.apart(found.metrics, found.kept.predictions, found.kept.truths, about, level)


def items(ask: Ask) -> list[dict[str, Any]]:
    """What stands under pictures of a gallery: what was said, and what is true where that differs."""
    found = _judged(ask)
    told = []
    for row in ask.rows("rows"):
        if row < len(found.kept.ids):
            said, true = phrase(found.said(row, _level(ask))), phrase(found.kept.truths[row])
            told.append({"place": row, "id": found.kept.ids[row], "text": said, "true": true})
    return told


def sheet(ask: Ask) -> dict[int, str]:
    """The small pictures that answers are about, as data addresses; where an answer lies somewhere, drawn on it."""
    found = _judged(ask)
    return {row: thumbs.address(_thumb(ask, found, row)) for row in ask.rows("rows") if row < len(found.kept.ids)}


def _thumb(ask: Ask, found: Judged, row: int) -> bytes:
    try:
        opened, place = ask.studio.judge.sample(found, row)
        said = found.said(row, _level(ask))
        if isinstance(said, Placed):
            return thumbs.jpeg(said.draw(thumbs.shown(opened.dataset, place)), thumbs.SIDE)
        return ask.studio.thumbs.get(opened.dataset, place, opened.digest)
    except OmmaError:
        return thumbs.blank()


def shown(ask: Ask) -> Any:
    """Truth beside answer, what a cell of the matrix means ringed."""
    found, row = _judged(ask), int(ask.path["row"])
    meant = None
    if "true" in ask.query:
        rows, corners = found.behind(*_cell(ask))
        meant = corners[rows.index(row)] if corners and row in rows else None
    try:
        return picture(thumbs.jpeg(ask.studio.judge.shown(found, row, meant, _level(ask)), thumbs.WHOLE, 92))
    except DataError:
        return picture(thumbs.blank())


def threshold(ask: Ask) -> dict[str, Any]:
    """Precision, recall and F1 at every threshold of a class, of all, or of what is told alone; and the model's own threshold."""
    found, about = _judged(ask), ask.query.get("class") or None
    if (one := found.alone()) is not None:
        curve = operating.swept_alone(*one, found.level(None))
        return curve | {"named": {key: metric(key) for key, _ in operating.KINDS}, "own": found.level(None), "several": False}
    if about is not None and about not in found.task.names:
        raise OmmaError(say("studio.not_understood"))
    curve = swept(found.metrics, found.kept.predictions, found.kept.truths, about)
    if not curve:
        raise OmmaError(say("studio.not_understood"))
    named = {key: metric(key) for key in sweepable(found.metrics)}
    return curve | {"named": named, "own": found.level(about), "several": isinstance(found.point.get("threshold"), list)}


TABLE = (
    ("GET", "/api/runs/{run}/report", report),
    ("GET", "/api/runs/{run}/summary", summary),
    ("GET", "/api/p/{project:int}/answers/{run}", answers),
    ("POST", "/api/p/{project:int}/answers/{run}", again),
    ("GET", "/api/runs/{run}/cell", cell),
    ("GET", "/api/runs/{run}/apart", apart),
    ("GET", "/api/runs/{run}/said", items),
    ("GET", "/api/runs/{run}/thumbs", sheet),
    ("GET", "/api/runs/{run}/said/{row:int}/shown", shown),
    ("GET", "/api/runs/{run}/threshold", threshold),
)
