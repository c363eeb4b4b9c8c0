"""Jobs: verbs that run as commands in processes of their own, whatever becomes of the page or the server that began them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from omma.errors import OmmaError
from omma.studio import keeper
from omma.studio.store import Store
from omma.words import language, say

TAIL = 64 << 10  # bytes of a log that are shown
BEGINNING = 60.0  # seconds a keeper may take to lay its hand on the lock: a busy machine starts Python slowly


class Jobs:
    """Begin, watch and stop jobs.

    Args:
        store: remembers them.
        home: a folder for what they say.
        cwd: where commands run: `runs/` is there.
    """

    def __init__(self, store: Store, home: Path, cwd: Path) -> None:
        self.store, self.home, self.cwd = store, home, cwd

    def begin(self, project: int, words: list[str], run: Path | None = None, as_json: bool = True, lines: list[str] | None = None) -> int:
        """`omma WORDS` in a process of its own; returns the job's number.

        Args:
            words: as one would type them, the verb first.
            as_json: what it prints is for us (`result`); else it is for people, and shown as it is (`printed`).
            run: the run folder it works in, if it trains.
            lines: what it reads on stdin.
        """
        folder = self.home / uuid.uuid4().hex[:12]
        folder.mkdir(parents=True, mode=0o700)
        verb, *rest = words
        whole = [verb, *(["--json"] if as_json else []), *rest]
        wish = {"words": whole, "language": language(), "cwd": str(self.cwd)}
        if lines is not None:
            (folder / keeper.LINES).write_text("".join(f"{line}\n" for line in lines), "utf-8", "surrogateescape")
        (folder / keeper.WISH).write_text(json.dumps(wish, ensure_ascii=False), "utf-8")
        number = self.store.job(project, verb, words, str(folder), None if run is None else str(run))
        # A session of its own: Ctrl-C in the terminal of the studio stops the studio, not the training.
        child = subprocess.Popen(
            [sys.executable, "-m", "omma.studio.keeper", str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=self.cwd,
        )  # fmt: skip
        threading.Thread(target=child.wait, daemon=True).start()  # nobody else would take its leave
        return number

    def one(self, number: int) -> dict[str, Any]:
        """A job with its state: see `told`.

        Raises:
            OmmaError: there is no such job.
        """
        found = self.store.rows("SELECT * FROM jobs WHERE id = ?", number)
        if not found:
            raise OmmaError(say("studio.no_job"))
        return told(found[0] | {"words": json.loads(found[0]["words"])})

    def of(self, project: int) -> list[dict[str, Any]]:
        """Every job of a project, the newest first."""
        return [told(row) for row in self.store.jobs(project)]

    def newest(self, project: int, verb: str) -> dict[str, Any] | None:
        """The newest job of one verb."""
        return next((told(row) for row in self.store.jobs(project) if row["verb"] == verb), None)

    def stop(self, number: int) -> bool:
        """Ask a job to save and end, as Ctrl-C would; whether it was at work."""
        pid = keeper.alive(Path(self.one(number)["folder"]))
        if pid:
            os.kill(pid, signal.SIGTERM)
        return bool(pid)


def told(job: dict[str, Any]) -> dict[str, Any]:
    """A job with "state" (begins | works | done | stopped | failed | lost), "code", "ended" and "error", what it said last if it failed."""
    folder = Path(job["folder"])
    done = _json(folder / keeper.DONE)
    if done is None and keeper.alive(folder) is not None:
        return job | {"state": "works", "code": None, "ended": None, "error": None}
    done = done or _json(folder / keeper.DONE)  # it may have ended between both looks
    if done is None:
        fresh = time.time() - job["created"] < BEGINNING and not (folder / keeper.LOG).exists()
        return job | {"state": "begins" if fresh else "lost", "code": None, "ended": None, "error": None}
    code = int(done["code"])
    # 1 is `check` with faults, 3 `predict` with some files unread: results all the same; 130 was asked to end.
    state = "stopped" if code in (130, -2, -15) else "done" if code in (0, 1) or (code == 3 and result(folder)) else "failed"
    return job | {"state": state, "code": code, "ended": done["ended"], "error": _error(folder) if state == "failed" else None}


def result(folder: str | Path) -> Any:
    """What the command printed: its JSON, the last line where there were several; None where it printed nothing."""
    try:
        lines = (Path(folder) / keeper.RESULT).read_text("utf-8").splitlines()
        return json.loads(lines[-1]) if lines else None
    except (OSError, ValueError):
        return None


def printed(folder: str | Path) -> list[str]:
    """What the command printed for people, line by line."""
    try:
        return (Path(folder) / keeper.RESULT).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def log(folder: str | Path) -> str:
    """What the command told on the way, the end of it where it is long."""
    try:
        with (Path(folder) / keeper.LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _error(folder: Path) -> str:
    """The sentence with which it failed, the last line: with --json an object."""
    lines = log(folder).strip().splitlines()
    try:
        error = json.loads(lines[-1])["error"]
        return str(OmmaError(error["what"], error["where"], error["fix"]))
    except (IndexError, ValueError, KeyError, TypeError):
        return lines[-1].removeprefix("omma: ") if lines else say("studio.no_word")


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
