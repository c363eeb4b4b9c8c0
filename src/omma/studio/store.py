"""What the studio remembers, in one SQLite file: projects, jobs, and every stroke of a label the moment it is drawn."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omma.errors import DiskError, OmmaError
from omma.words import say

SCHEMA = 1
TABLES = """
CREATE TABLE projects (id INTEGER PRIMARY KEY, data TEXT NOT NULL UNIQUE, name TEXT NOT NULL, clean TEXT, kind TEXT,
                       opened REAL NOT NULL);
CREATE TABLE jobs (id INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES projects(id), verb TEXT NOT NULL, words TEXT NOT NULL,
                   folder TEXT NOT NULL, run TEXT, created REAL NOT NULL);
CREATE TABLE strokes (id INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES projects(id), sample TEXT NOT NULL, body TEXT NOT NULL,
                      live INTEGER NOT NULL DEFAULT 1, mark TEXT, at REAL NOT NULL);
CREATE INDEX strokes_of ON strokes (project, sample, id);
CREATE UNIQUE INDEX strokes_once ON strokes (project, mark);
CREATE TABLE classes (project INTEGER NOT NULL REFERENCES projects(id), name TEXT NOT NULL, place INTEGER NOT NULL,
                      PRIMARY KEY (project, name));
"""


class Store:
    """The database; safe to use from many threads, each with a connection of its own.

    A change is on the disk when its call returns (WAL, synchronous=FULL): whoever is killed after that has lost nothing.

    Args:
        path: the file; made where there is none.

    Raises:
        OmmaError: the file was written by a newer omma.
        DiskError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._own = path, threading.local()
        self._links: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.change() as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for line in filter(str.strip, TABLES.split(";")):
                        db.execute(line)
                    db.execute(f"PRAGMA user_version = {SCHEMA}")
        except (OSError, sqlite3.DatabaseError) as error:
            self.close()
            raise DiskError(say("studio.no_store", reason=error), path) from None
        if version > SCHEMA:
            self.close()
            raise OmmaError(say("studio.newer_store", version=version), path)

    def _link(self) -> sqlite3.Connection:
        if getattr(self._own, "link", None) is None:
            # Each thread uses its own; only `close` touches those of others.
            link = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
            self._links.append(link)
            link.row_factory = sqlite3.Row
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                link.execute(f"PRAGMA {pragma}")
            self._own.link = link
        return self._own.link

    def close(self) -> None:
        """Let the file go; nothing may be asked afterwards."""
        for link in self._links:
            link.close()
        self._links.clear()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        link = self._link()
        link.execute("BEGIN IMMEDIATE")
        try:
            yield link
        except BaseException:
            link.execute("ROLLBACK")
            raise
        link.execute("COMMIT")

    def rows(self, question: str, *values: Any) -> list[dict[str, Any]]:
        """The rows that a SELECT finds."""
        return [dict(row) for row in self._link().execute(question, values)]

    # ── projects ────────────────────────────────────────────────────────────────────────────────────────

    def project(self, data: str, name: str) -> int:
        """The project about this dataset, made if it is new; returns its number."""
        with self.change() as db:
            db.execute(
                "INSERT INTO projects (data, name, opened) VALUES (?, ?, ?) ON CONFLICT (data) DO UPDATE SET opened = excluded.opened",
                (data, name, time.time()),
            )
            return int(db.execute("SELECT id FROM projects WHERE data = ?", (data,)).fetchone()[0])

    def projects(self) -> list[dict[str, Any]]:
        """Every project, the last opened first."""
        return self.rows("SELECT * FROM projects ORDER BY opened DESC")

    def known(self, project: int) -> dict[str, Any]:
        """One project: {"id", "data", "name", "clean", "kind", "opened"}.

        Raises:
            OmmaError: there is none with this number.
        """
        found = self.rows("SELECT * FROM projects WHERE id = ?", project)
        if not found:
            raise OmmaError(say("studio.no_project"))
        return found[0]

    def keep_clean(self, project: int, clean: str | None) -> None:
        """The clean list a project learns from; None = the whole dataset."""
        with self.change() as db:
            db.execute("UPDATE projects SET clean = ? WHERE id = ?", (clean, project))

    def keep_kind(self, project: int, kind: str) -> None:
        """The kind of answer that a person labels."""
        with self.change() as db:
            db.execute("UPDATE projects SET kind = ? WHERE id = ?", (kind, project))

    def forget(self, project: int) -> None:
        """Take a project off the list, with its labels and the memory of its jobs; files stay where they are."""
        with self.change() as db:
            for table, column in (("strokes", "project"), ("classes", "project"), ("jobs", "project"), ("projects", "id")):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (project,))

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────

    def job(self, project: int, verb: str, words: list[str], folder: str, run: str | None) -> int:
        """A job that is about to begin; returns its number."""
        row = (project, verb, json.dumps(words, ensure_ascii=False), folder, run, time.time())
        with self.change() as db:
            return int(
                db.execute("INSERT INTO jobs (project, verb, words, folder, run, created) VALUES (?, ?, ?, ?, ?, ?)", row).lastrowid or 0
            )

    def jobs(self, project: int | None = None) -> list[dict[str, Any]]:
        """Jobs of a project, or of all, the newest first; `words` is a list again."""
        which = (
            ("SELECT * FROM jobs ORDER BY id DESC",)
            if project is None
            else ("SELECT * FROM jobs WHERE project = ? ORDER BY id DESC", project)
        )
        return [row | {"words": json.loads(row["words"])} for row in self.rows(*which)]

    # ── labels ──────────────────────────────────────────────────────────────────────────────────────────

    def stroke(self, project: int, sample: str, body: dict[str, Any], mark: str | None = None) -> int:
        """One thing done to the label of a picture; what was undone before it cannot be done again. Returns its number.

        Args:
            mark: the page's own name for this stroke: sent again because the answer was lost, it counts once.
        """
        with self.change() as db:
            known = db.execute("SELECT id FROM strokes WHERE project = ? AND mark = ?", (project, mark)).fetchone() if mark else None
            if known is not None:
                return int(known[0])
            db.execute("DELETE FROM strokes WHERE project = ? AND sample = ? AND live = 0", (project, sample))
            row = (project, sample, json.dumps(body, ensure_ascii=False), mark, time.time())
            return int(db.execute("INSERT INTO strokes (project, sample, body, mark, at) VALUES (?, ?, ?, ?, ?)", row).lastrowid or 0)

    def undo(self, project: int, sample: str) -> bool:
        """Take the last stroke back; whether there was one."""
        return self._turn(project, sample, "SELECT max(id) FROM strokes WHERE project = ? AND sample = ? AND live = 1", 0)

    def redo(self, project: int, sample: str) -> bool:
        """Do the last thing undone again; whether there was one."""
        return self._turn(project, sample, "SELECT min(id) FROM strokes WHERE project = ? AND sample = ? AND live = 0", 1)

    def _turn(self, project: int, sample: str, which: str, live: int) -> bool:
        with self.change() as db:
            found = db.execute(which, (project, sample)).fetchone()[0]
            if found is not None:
                db.execute("UPDATE strokes SET live = ? WHERE id = ?", (live, found))
            return found is not None

    def strokes(self, project: int, sample: str | None = None) -> list[dict[str, Any]]:
        """Strokes in the order they were drawn, of one picture or of all: {"id", "sample", "body", "live"}."""
        which = (
            "SELECT id, sample, body, live FROM strokes WHERE project = ?" + ("" if sample is None else " AND sample = ?") + " ORDER BY id"
        )
        values = (project,) if sample is None else (project, sample)
        return [row | {"body": json.loads(row["body"])} for row in self.rows(which, *values)]

    def classes(self, project: int) -> list[str]:
        """Class names a person added, in their order."""
        return [row["name"] for row in self.rows("SELECT name FROM classes WHERE project = ? ORDER BY place", project)]

    def add_class(self, project: int, name: str) -> None:
        """One more class; nothing happens where it is known."""
        with self.change() as db:
            db.execute(
                "INSERT OR IGNORE INTO classes (project, name, place)"
                " SELECT ?, ?, coalesce(max(place), 0) + 1 FROM classes WHERE project = ?",
                (project, name, project),
            )
