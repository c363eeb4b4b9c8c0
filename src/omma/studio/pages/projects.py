"""Projects: which datasets there are, folders to choose from, and pictures that are dropped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from omma.data.decode import PICTURE_SUFFIXES, hidden
from omma.data.sources import sources
from omma.errors import OmmaError
from omma.studio.ask import Ask
from omma.words import say

MOST = 500  # folders in a list
EXAMPLES = ("digits", "shapes")  # come with omma: nothing is fetched


def all_projects(ask: Ask) -> dict[str, Any]:
    """Every project, and what one can begin with."""
    rows = [{"id": row["id"], "name": row["name"], "data": row["data"]} for row in ask.studio.store.projects()]
    known = sources()
    return {"projects": rows, "examples": [name for name in EXAMPLES if name in known], "cwd": str(ask.studio.cwd)}


def begin(ask: Ask) -> dict[str, Any]:
    """A project about a path or a source."""
    data = ask.text("data")
    path = Path(data).expanduser()
    if data not in sources():
        path = path if path.is_absolute() else ask.studio.cwd / path
        table, colon, _ = str(path).rpartition(":")
        if not path.exists() and not (colon and Path(table).exists()):
            raise OmmaError(say("studio.nowhere"), data, say("studio.nowhere_fix"))
        data = str(path.resolve()) if path.exists() else str(path)
    return {"id": ask.studio.store.project(data, Path(data).name or data)}


def forget(ask: Ask) -> dict[str, Any]:
    """Take a project off the list; files stay."""
    ask.studio.shelf.forget(ask.project)
    ask.studio.store.forget(ask.project)
    return {}


def folders(ask: Ask) -> dict[str, Any]:
    """The folders and tables right in a folder, to choose from with the mouse."""
    path = Path(ask.query.get("under") or ask.studio.cwd).expanduser()
    try:
        path = path.resolve()
        inner = sorted((one for one in path.iterdir() if not hidden(one.name)), key=lambda one: one.name.casefold())
        found = [one.name for one in inner if one.is_dir()][:MOST]
        tables = [one.name for one in inner if one.suffix.lower() in (".csv", ".zip", ".npz") and one.is_file()][:MOST]
        pictures = sum(one.suffix.lower() in PICTURE_SUFFIXES for one in inner)
    except OSError as error:
        raise OmmaError(error.strerror or type(error).__name__, path) from None
    above = None if path.parent == path else str(path.parent)
    return {"path": str(path), "above": above, "folders": found, "tables": tables, "pictures": pictures}


def new(ask: Ask) -> dict[str, Any]:
    """A folder for pictures that will be dropped, beside the runs, and a project about it."""
    stem = "".join(c if c.isalnum() or c in "-_ " else "-" for c in ask.text("name")).strip("- ")[:60] or "pictures"
    number = 1
    while True:
        folder = ask.studio.cwd / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
    return {"id": ask.studio.store.project(str(folder), folder.name), "data": str(folder)}


def drop(ask: Ask) -> dict[str, Any]:
    """One picture that was dropped, at its name below the project's folder; a name that is taken gets a number."""
    from omma.data.decode import probe

    folder = Path(ask.studio.store.known(ask.project)["data"])
    if not folder.is_dir():
        raise OmmaError(say("studio.not_a_folder"), folder)
    parts = [part for part in re.split(r"[/\\]", ask.query.get("name", "")) if part not in ("", ".", "..")]
    parts = [re.sub(r"[\x00-\x1f:*?\"<>|]", "_", part).lstrip(".")[-120:] or "_" for part in parts][-4:]
    if not parts or Path(parts[-1]).suffix.lower() not in PICTURE_SUFFIXES:
        raise OmmaError(say("studio.not_a_picture"), "/".join(parts))
    probe(ask.body)  # what is no picture is not kept
    place = folder.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    number, path = 1, place
    while True:
        try:
            with path.open("xb") as file:
                file.write(ask.body)
            break
        except FileExistsError:
            number += 1
            path = place.with_name(f"{place.stem}-{number}{place.suffix}")
    ask.studio.shelf.forget(ask.project)
    return {"name": str(path.relative_to(folder))}


TABLE = (
    ("GET", "/api/projects", all_projects),
    ("POST", "/api/projects", begin),
    ("POST", "/api/projects/new", new),
    ("GET", "/api/folders", folders),
    ("POST", "/api/p/{project:int}/forget", forget),
    ("POST", "/api/p/{project:int}/drop", drop),
)
