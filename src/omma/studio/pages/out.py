"""Out: a smaller copy, one file that is proven, and a server, from a finished run."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

from omma import catalog
from omma.studio import runs
from omma.studio.ask import Ask
from omma.studio.jobs import printed

VERBS = ("export", "compress")


def about(ask: Ask) -> dict[str, Any]:
    """What was made of a run, what is being made, and the words that serve it."""
    run = runs.one(ask.studio.runs, ask.path["run"])
    made = []
    for job in ask.studio.jobs.of(ask.project):
        if job["verb"] in VERBS and job["run"] and Path(job["run"]).name == run.name:
            row = {key: job[key] for key in ("id", "verb", "state", "error", "created")}
            made.append(row | {"printed": printed(job["folder"])})
    files = [
        {"name": path.name, "bytes": path.stat().st_size}
        for path in sorted(run.glob("out/*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    folder = shlex.quote(_plain(ask, run))
    return {
        "run": run.name, "made": made[:20], "files": files, "folder": folder, "copy": (run / "compressed" / "bundle.json").is_file(),
        "serve": f"omma serve {folder} --port 8000", "exporters": catalog.names("exporters"),
        "ask": "curl -H 'Authorization: Bearer TOKEN' --data-binary @picture.jpg http://127.0.0.1:8000/predict",
    }  # fmt: skip


def export(ask: Ask) -> dict[str, Any]:
    """`omma export`: written only if it answers as the model that was measured, on this project's own pictures."""
    run, to = runs.one(ask.studio.runs, ask.path["run"]), ask.text("to", "onnx")
    suffix = catalog.find("exporters", to)().suffix
    folder = run / "out"
    folder.mkdir(exist_ok=True)
    target = folder / f"{run.name}-{time.strftime('%H%M%S')}{suffix}"
    words = ["export", _plain(ask, run), "--to", to, "--out", _plain(ask, target)]
    return {"job": ask.studio.jobs.begin(ask.project, [*words, *_data(ask, run)], run, as_json=False)}


def compress(ask: Ask) -> dict[str, Any]:
    """`omma compress`: a smaller, faster copy that loses no more than a person allows."""
    run = runs.one(ask.studio.runs, ask.path["run"])
    drop = ask.number(ask.json().get("drop", 0.5), 0, 100)
    words = ["compress", _plain(ask, run), "--max-drop", str(drop), "--budget", ask.text("budget") or "2min"]
    return {"job": ask.studio.jobs.begin(ask.project, [*words, *_data(ask, run)], run, as_json=False)}


def _data(ask: Ask, run: Path) -> list[str]:
    """The pictures a run learned from, as the command line names them."""
    where = runs.summary(run)["data"] or ask.studio.store.known(ask.project)["data"]
    return ["--data", where]


def _plain(ask: Ask, path: Path) -> str:
    """A path as one would type it in the working folder."""
    return str(path.relative_to(ask.studio.cwd)) if path.is_relative_to(ask.studio.cwd) else str(path)


TABLE = (
    ("GET", "/api/p/{project:int}/out/{run}", about),
    ("POST", "/api/p/{project:int}/out/{run}/export", export),
    ("POST", "/api/p/{project:int}/out/{run}/compress", compress),
)
