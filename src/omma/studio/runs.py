"""The runs in the working folder, those of the command line too: what each learned, how well, at what cost, and whether it is at work."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from omma.errors import OmmaError
from omma.studio import keeper
from omma.words import say

EVENTS = "events.jsonl"
_READ: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}  # run folder → (size and time of its events, what they say)


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
    """What the event stream says of a run, read again only when it has grown."""
    try:
        about = (path / EVENTS).stat()
    except OSError:
        return dict(_none())
    mark = (about.st_size, about.st_mtime_ns)
    known = _READ.get(str(path))
    if known is None or known[0] != mark:
        _READ[str(path)] = known = (mark, _told(path))
    return dict(known[1])


def _none() -> dict[str, Any]:
    return {"score": None, "metric": None, "seconds": None, "step": 0, "finished": False, "scores": {}, "began": None}


def events(path: Path) -> list[dict[str, Any]]:
    """The event stream of a run so far; a row torn by a kill is left out. (`RunFolder.rows` says the same, but needs PyTorch.)"""
    rows = []
    try:
        lines = (path / EVENTS).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def _told(path: Path) -> dict[str, Any]:
    found = _none()
    for row in events(path):
        found["seconds"] = row.get("seconds", found["seconds"])
        found["step"] = max(found["step"], int(row.get("step", 0)))
        if row.get("event") == "start":
            found["planned"] = row.get("total")
        if row.get("event") == "bundle":
            found["finished"], found["scores"] = True, row.get("scores", {})
            for metric, score in found["scores"].items():
                found["metric"], found["score"] = metric, score
                break
    return found
