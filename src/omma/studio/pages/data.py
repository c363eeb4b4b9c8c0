"""Data: what a dataset holds, every picture in a gallery, what is wrong with it, and a clean list to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from omma import catalog
from omma.data.recast import TASK
from omma.data.sample import SPLITS
from omma.errors import DataError, OmmaError
from omma.studio import thumbs
from omma.studio.ask import Ask, picture
from omma.studio.jobs import log, printed, result
from omma.studio.shelf import Opened, phrase
from omma.words import language, room, say


def about(ask: Ask) -> dict[str, Any]:
    """What the dataset is, what it proposes to learn, and how far `check` is."""
    found = ask.studio.shelf.get(ask.project)
    known = ask.studio.store.known(ask.project)
    dataset = found.dataset
    return {
        "id": ask.project, "name": known["name"], "data": known["data"], "clean": known["clean"], "format": dataset.format,
        "count": len(dataset), "labelled": sum(sample.truth is not None for sample in dataset.samples), "lines": found.lines,
        "classes": [{"name": name, "count": found.counts[name]} for name in found.names],
        "splits": dataset.counts(), "kind": found.kind, "task": dataset.task if dataset.task in catalog.names("tasks") else None,
        "refused": [{"where": row.where, "reason": row.reason} for row in dataset.refused[:200]], "files": dataset.pixels is None,
        "check": checked(ask, found),
    }  # fmt: skip


def checked(ask: Ask, found: Opened) -> dict[str, Any]:
    """The newest look of `check`: its state and, when it is done, its findings in the reader's language."""
    job = ask.studio.jobs.newest(ask.project, "check")
    if job is None:
        return {"state": "none"}
    row = {"state": job["state"], "job": job["id"], "error": job["error"]}
    said = result(job["folder"]) if job["state"] == "done" else None
    if said is None:
        return row
    findings = [
        {
            "kind": one["kind"], "severity": one["severity"], "count": one["count"], "what": one["what"], "do": one["do"],
            "files": [name for name in one["files"] if name not in found.place][:20],
            "shown": sum(name in found.place for name in one["files"]), "groups": len(one.get("groups", ())),
        }
        for one in said["findings"]
    ]  # fmt: skip
    return row | {"findings": findings, "clean": said["clean"], "notes": said["notes"]}


def places(ask: Ask) -> dict[str, Any]:
    """Which pictures pass the filters, in the order they are shown, and which group each of them is of."""
    found = ask.studio.shelf.get(ask.project)
    dataset, query = found.dataset, ask.query
    where = np.ones(len(dataset), bool)
    if (name := query.get("class")) is not None:
        where &= found.has[:, found.names.index(name)] if name in found.names else np.zeros(len(dataset), bool)
    if (split := query.get("split")) is not None:
        wanted = split if split in SPLITS else None
        where &= np.array([sample.split == wanted for sample in dataset.samples], bool)
    if query.get("labelled") in ("yes", "no"):
        where &= np.array([(sample.truth is not None) == (query["labelled"] == "yes") for sample in dataset.samples], bool)
    if text := query.get("text", "").casefold():
        where &= np.array([text in sample.id.casefold() for sample in dataset.samples], bool)
    order, groups = list(range(len(dataset))), None
    if "finding" in query:
        order, groups = _of_finding(ask, found, query["finding"])
    kept = [i for i, place in enumerate(order) if where[place]]
    return {"places": [order[i] for i in kept], "groups": None if groups is None else [groups[i] for i in kept]}


def _of_finding(ask: Ask, found: Opened, text: str) -> tuple[list[int], list[int] | None]:
    """The pictures of one finding; with groups, member beside member, and the number of each one's group."""
    job = ask.studio.jobs.newest(ask.project, "check")
    said = result(job["folder"]) if job is not None else None
    rows = said["findings"] if said else []
    if not text.isdecimal() or int(text) >= len(rows):
        raise OmmaError(say("studio.no_finding"))
    row = rows[int(text)]
    groups = row.get("groups")
    if groups:
        pairs = [(found.place[name], number) for number, group in enumerate(groups) for name in group if name in found.place]
        return [place for place, _ in pairs], [number for _, number in pairs]
    return [found.place[name] for name in row["files"] if name in found.place], None


def items(ask: Ask) -> list[dict[str, Any]]:
    """What stands under pictures: name, label, part."""
    found = ask.studio.shelf.get(ask.project)
    rows = []
    for place in ask.rows("places"):
        if place < len(found.dataset):
            sample = found.dataset.samples[place]
            version = ask.studio.thumbs.version(sample, found.digest)
            rows.append({"place": place, "id": sample.id, "text": phrase(sample.truth), "split": sample.split, "v": version})
    return rows


def sheet(ask: Ask) -> dict[int, str]:
    """The small pictures of some places as data addresses; a grey cross where one cannot be read."""
    found = ask.studio.shelf.get(ask.project)
    return {place: thumbs.address(_thumb(ask, found, place)) for place in ask.rows("places") if place < len(found.dataset)}


def _thumb(ask: Ask, found: Opened, place: int) -> bytes:
    try:
        return ask.studio.thumbs.get(found.dataset, place, found.digest, "drawn" in ask.query)
    except DataError:
        return thumbs.blank()


def whole(ask: Ask) -> Any:
    """One picture to look at, with its label if asked."""
    found, place = ask.studio.shelf.sample(ask.project, ask.path["place"])
    try:
        shown = thumbs.shown(found.dataset, place, "drawn" in ask.query)
    except DataError:
        return picture(thumbs.blank())
    return picture(thumbs.jpeg(shown, thumbs.WHOLE, 92))


def one(ask: Ask) -> dict[str, Any]:
    """Everything about one picture."""
    found, place = ask.studio.shelf.sample(ask.project, ask.path["place"])
    sample = found.dataset.samples[place]
    try:
        height, width = found.dataset.extent(place)
        problem = None
    except DataError as error:
        height = width = 0
        problem = error.what
    facts = {"place": place, "id": sample.id, "text": phrase(sample.truth), "split": sample.split, "group": sample.group}
    size = {"width": width, "height": height, "record": sample.record, "problem": problem}
    return facts | size | {"v": ask.studio.thumbs.version(sample, found.digest)}


def check(ask: Ask) -> dict[str, Any]:
    """Look through the dataset; with `fix` also write the clean list."""
    data = ask.studio.store.known(ask.project)["data"]
    out = ask.studio.home / "checks" / str(ask.project)
    out.mkdir(parents=True, exist_ok=True)
    fix = ["--fix"] if ask.json().get("fix") else []
    return {"job": ask.studio.jobs.begin(ask.project, ["check", data, "--out", str(out), *fix])}


def clean(ask: Ask) -> dict[str, Any]:
    """Learn from the clean list that `check` wrote, or from everything again; the originals are never touched."""
    if not ask.json().get("use"):
        ask.studio.store.keep_clean(ask.project, None)
        return {"clean": None}
    path = ask.studio.home / "checks" / str(ask.project) / "clean.csv"
    if not path.is_file():
        raise OmmaError(say("studio.no_clean"))
    ask.studio.store.keep_clean(ask.project, str(path))
    return {"clean": str(path)}


def proposals(ask: Ask) -> dict[str, Any]:
    """What could be learned from this dataset, the likeliest first: tasks by name with their captions."""
    found = ask.studio.shelf.get(ask.project)
    known = catalog.names("tasks")
    best = TASK.get(found.kind or "", found.dataset.task)
    first = found.dataset.task if found.dataset.task in known else best
    order = [name for name in known if name == first] + [name for name in known if name != first]
    return {"proposed": first, "tasks": [{"name": name, "text": _about_task(name)} for name in order]}


def _about_task(name: str) -> str:
    """What a task learns, in the reader's language; a plug-in's own caption."""
    key = f"studio.task.{name}"
    return room(language(), "studio").get(key.removeprefix("studio."), catalog.caption("tasks", name))


def job(ask: Ask) -> dict[str, Any]:
    """How a job is doing."""
    row = ask.studio.jobs.one(int(ask.path["job"]))
    return {key: row[key] for key in ("id", "verb", "words", "state", "code", "error", "created", "ended")} | _said(row)


def _said(row: dict[str, Any]) -> dict[str, Any]:
    lines = [line for line in log(row["folder"]).splitlines() if not line.startswith('{"error"')]
    return {"log": lines[-60:], "printed": printed(row["folder"])[-60:], "run": row["run"] and Path(row["run"]).name}


def stop(ask: Ask) -> dict[str, Any]:
    """Ask a job to save and end."""
    return {"stopped": ask.studio.jobs.stop(int(ask.path["job"]))}


TABLE = (
    ("GET", "/api/p/{project:int}/data", about),
    ("GET", "/api/p/{project:int}/places", places),
    ("GET", "/api/p/{project:int}/items", items),
    ("GET", "/api/p/{project:int}/thumbs", sheet),
    ("GET", "/api/p/{project:int}/picture/{place:int}", whole),
    ("GET", "/api/p/{project:int}/one/{place:int}", one),
    ("POST", "/api/p/{project:int}/check", check),
    ("POST", "/api/p/{project:int}/clean", clean),
    ("GET", "/api/p/{project:int}/tasks", proposals),
    ("GET", "/api/jobs/{job:int}", job),
    ("POST", "/api/jobs/{job:int}/stop", stop),
)
