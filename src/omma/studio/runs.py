"""The runs in the working folder, those of the command line too: what each learned, how well, at what cost, and whether it is at work."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from omma.errors import OmmaError
from omma.studio import keeper
from omma.words import metric, say

EVENTS = "events.jsonl"
_READ: dict[str, tuple[int, dict[str, Any]]] = {}  # run folder → (the byte up to which its events were read, what they say)


def all_runs(folder: Path) -> list[dict[str, Any]]:
    """Every run below `runs/`, the newest first: see `summary`."""
    try:
        found = [path for path in folder.iterdir() if (path / "recipe.json").is_file()]
    except OSError:
        return []
    return [summary(path) for path in sorted(found, key=lambda path: (path / "recipe.json").stat().st_mtime, reverse=True)]


def one(folder: Path, name: str) -> Path:
    """The folder of a run by its name.

    Raises:
        OmmaError: there is none; names that lead elsewhere are none.
    """
    path = folder / name
    if Path(name).name != name or name in ("", ".", "..") or not path.is_dir():
        raise OmmaError(say("studio.no_run"), name)
    return path


def free(folder: Path, stem: str) -> Path:
    """A run folder that is not there yet, named as `omma train` would name it."""
    number = 1
    while (path := folder / f"{stem}-{number}").exists():
        number += 1
    return path


def stem_of(name: str) -> str:
    """A project's name as part of a folder's name, as `omma train` makes it; letters of any language are kept."""
    return re.sub(r"[^\w\-]+", "-", name.split(".")[0]).strip("-") or "run"


def summary(path: Path) -> dict[str, Any]:
    """{"name", "data", "task", "model", "preset", "budget", "state", "score", "metric", "split", "seconds", "step", "total", …}.

    `state` is works, done, or stopped (it can be resumed); `score` is {"value", "low", "high", "n"} of the metric that decides.
    """
    found = _settings(path) | _events(path)
    found["bundle"], found["report"] = (path / "bundle" / "bundle.json").is_file(), (path / "report.html").is_file()
    found["named"] = {name: metric(name) for name in found["scores"]}
    found["state"] = "works" if at_work(path) else "done" if found["finished"] else "stopped"
    return {"name": path.name, **found}


def at_work(path: Path) -> bool:
    """Whether a process trains in this folder."""
    try:
        pid = int((path / keeper.LOCK).read_text().strip())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return False
    return keeper.alive(path) is not None  # the number may be somebody else's by now


def _settings(path: Path) -> dict[str, Any]:
    try:
        about = json.loads((path / "recipe.json").read_text("utf-8"))
        recipe, facts = about["recipe"], about["facts"]
    except (OSError, ValueError, KeyError):
        recipe, facts = {}, {}
    values = recipe.get("values", recipe)
    row = {key: values.get(key) for key in ("task", "model", "preset", "budget", "size", "seed", "batch")}
    return row | {"data": facts.get("where"), "names": facts.get("names", []), "total": facts.get("total"), "notes": facts.get("notes", [])}


def _events(path: Path) -> dict[str, Any]:
    """What the event stream says of a run; of one that has grown only the new rows are read, for long runs have many."""
    try:
        size = (path / EVENTS).stat().st_size
    except OSError:
        return _none()
    place, found = _READ.get(str(path), (0, _none()))
    if size < place:  # it was resumed from an earlier step
        place, found = 0, _none()
    if size > place:
        rows, place = tail(path, place, size - place)
        found = _told(rows, found)
        _READ[str(path)] = (place, found)
    return dict(found)


def tail(path: Path, place: int, most: int) -> tuple[list[Any], int]:
    """Whole rows of a run's events from a byte on, and the byte after them; a row torn by a kill, or half written, is left for later."""
    with (path / EVENTS).open("rb") as file:
        file.seek(place)
        blob = file.read(most)
    end = blob.rfind(b"\n") + 1
    rows = []
    for line in blob[:end].splitlines():
        try:
            rows.append(json.loads(line, parse_constant=lambda name: None))
        except ValueError:
            continue
    return rows, place + end


def _none() -> dict[str, Any]:
    return {"score": None, "metric": None, "seconds": None, "step": 0, "finished": False, "scores": {}}


def events(path: Path) -> list[dict[str, Any]]:
    """The event stream of a run so far. (`RunFolder.rows` says the same, but needs PyTorch.)"""
    return tail(path, 0, -1)[0] if (path / EVENTS).is_file() else []


def _told(rows: list[dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    found = dict(before)
    for row in rows:
        found["seconds"] = row.get("seconds", found["seconds"])
        found["step"] = max(found["step"], int(row.get("step", 0)))
        if row.get("event") == "bundle":
            found["finished"], found["scores"] = True, row.get("scores", {})
            found["metric"], found["score"] = next(iter(found["scores"].items()), (None, None))
    return found
