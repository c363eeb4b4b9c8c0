"""The folder is the registry: which tasks, models, formats … there are, found without importing any.

A room is a folder of the package; every file in it that does not start with `_` and is not the room's contract
is one entry, keyed by its file name. Plug-ins add entries under the entry-point group `omma.<room>`.
A model file may hold several names: it lists them in a literal `NAMES = {"name": "caption"}`.
"""

from __future__ import annotations

import ast
import difflib
import importlib
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from omma.errors import OmmaError
from omma.words import room as room_of
from omma.words import say

_HOME = Path(__file__).parent
# The files that define a room rather than furnish it.
CONTRACTS = {
    "tasks": {"task", "plan"},
    "answers": {"answer", "draw", "operating"},
    "models": {"network", "backbone", "making", "eyes", "gallery", "cost"},
    "metrics": {"metric", "bootstrap", "sets", "counts", "ranks", "residuals"},
    "formats": {"format"},
    "losses": {"loss"},
    "explainers": {"explainer", "receipt", "places"},
    "compressors": {"compressor"},
    "exporters": {"exporter", "graph"},
    "runtimes": {"runtime", "parity", "choose"},
    "checks": {"finding", "findings"},
}


@cache
def _entries(room: str) -> dict[str, tuple[str, str]]:
    """name → (module, caption) of everything in a room."""
    entries: dict[str, tuple[str, str]] = {}
    for path in sorted((_HOME / room).glob("*.py")):
        if path.stem.startswith("_") or path.stem in CONTRACTS.get(room, ()):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        caption = (ast.get_docstring(tree) or "").split("\n")[0]
        for name, line in (_listed(tree) or {path.stem: caption}).items():
            entries[name] = (f"omma.{room}.{path.stem}", line)
    for point in entry_points(group=f"omma.{room}"):
        entries[point.name] = (point.value, f"plug-in {point.value}")
    return entries


def _listed(tree: ast.Module) -> dict[str, str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "NAMES":
            return dict(ast.literal_eval(node.value))
    return None


def names(room: str) -> list[str]:
    """Every name in a room, sorted."""
    return sorted(_entries(room))


def plugged(room: str) -> list[str]:
    """The names that plug-ins add to a room."""
    return sorted(point.name for point in entry_points(group=f"omma.{room}"))


def key_of(room: str, thing: type) -> str:
    """The name under which a class is found: that of the file it is written in, or the one a plug-in gave it."""
    return next((name for name, (home, _) in _entries(room).items() if home.partition(":")[0] == thing.__module__), thing.__module__)


def caption(room: str, name: str) -> str:
    """The first line of an entry's file."""
    return _entries(room)[name][1]


def module(room: str, name: str) -> ModuleType:
    """The file an entry is written in, imported.

    Raises:
        OmmaError: no such name; says which one was probably meant.
    """
    entries = _entries(room)
    if name not in entries:
        raise unknown({"losses": "loss"}.get(room, room[:-1]), name, list(entries))
    return importlib.import_module(entries[name][0].partition(":")[0])


def find(room: str, name: str) -> Any:
    """The entry itself: the class or function named after the file, else the module."""
    home = module(room, name)
    stem = home.__name__.rpartition(".")[2]
    camel = "".join(part.capitalize() for part in stem.split("_"))
    return getattr(home, camel, None) or getattr(home, stem, home)


def unknown(kind: str, name: str, known: list[str], where: str | None = None) -> OmmaError:
    """The error for a name nobody knows, with the nearest one that exists; the name of a room's entry is said in the reader's language."""
    kind = say(f"errors.kinds.{kind}") if f"kinds.{kind}" in room_of("en", "errors") else kind
    close = difflib.get_close_matches(name, known, 3, 0.5)
    if close:
        return OmmaError(say("errors.unknown_name", kind=kind, name=name, close=", ".join(close)), where)
    return OmmaError(say("errors.unknown_name_far", kind=kind, name=name, all=", ".join(sorted(known)[:40])), where)


def need(package: str, extra: str, what: str) -> Any:
    """Import an optional package, or say in one line how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise OmmaError(say("errors.missing_package", what=what, package=package, extra=extra)) from None
