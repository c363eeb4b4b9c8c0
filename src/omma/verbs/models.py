"""Every network there is: ours and the libraries', what each can learn, who published it and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omma import catalog
from omma.words import say


@dataclass
class Gallery:
    """Networks by name.

    Args:
        rows: one a network: name, tasks, paper, year, source, caption.
    """

    rows: list[dict[str, Any]]

    def json(self) -> dict[str, Any]:
        return {"models": self.rows}

    def lines(self) -> list[str]:
        width = max((len(row["name"]) for row in self.rows), default=0) + 2
        return [f"{row['name']:<{width}}{row['year'] or '':<6}{row['caption'] or row['paper'] or ''}".rstrip() for row in self.rows]


def models(*, task: str | None = None) -> Gallery:
    """List every network, ours first, then those of the libraries that are installed; `omma show NAME` tells more of one.

    Args:
        task: only those that can learn it.

    Raises:
        OmmaError: no such task.
    """
    from omma.models.gallery import everything, family

    if task is not None and task not in catalog.names("tasks"):
        raise catalog.unknown("task", task, catalog.names("tasks"))
    rows = []
    for name in everything():
        listed = family(name)
        tasks = listed.tasks if listed is not None else _tasks_of(name)
        if task is not None and task not in tasks:
            continue
        facts = (
            {"paper": listed.paper, "year": listed.year, "source": listed.source} if listed else dict.fromkeys(("paper", "year", "source"))
        )
        rows.append({"name": name, "tasks": list(tasks), **facts, "caption": _caption(name)})
    return Gallery(rows)


def _caption(name: str) -> str:
    """What a file says of a network of ours; what its family brought, of others."""
    from omma.models.gallery import family

    if name in catalog.names("models"):
        return catalog.caption("models", name)
    listed = family(name)
    return say(f"gallery.brought.{listed.key}") if listed else ""


def _tasks_of(name: str) -> tuple[str, ...]:
    """What a network that nobody listed can learn: a library's gives a row of numbers; a plug-in's is built to see."""
    from omma.models.gallery import ROWS

    if "/" in name:
        return ROWS
    import torch

    from omma.errors import OmmaError
    from omma.models.making import build

    try:
        with torch.device("meta"):
            gives = build(name, channels=3, size=64, outputs=2).gives
    except (OmmaError, RuntimeError):  # it wants other pictures: nobody can say
        return ()
    return tuple(one for one in catalog.names("tasks") if catalog.find("tasks", one).reads == gives)
