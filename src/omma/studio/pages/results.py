"""Results: the report of a run, and its scores."""

from __future__ import annotations

from typing import Any

from starlette.responses import FileResponse

from omma.errors import OmmaError
from omma.studio import runs
from omma.studio.ask import Ask
from omma.words import say


def report(ask: Ask) -> Any:
    """The page that the run wrote, to be shown in a frame of ours; its own policy lets nothing in or out."""
    path = runs.one(ask.studio.runs, ask.path["run"]) / "report.html"
    if not path.is_file():
        raise OmmaError(say("studio.no_report"), path)
    return FileResponse(path, media_type="text/html", headers={"x-frame-options": "SAMEORIGIN"})


def summary(ask: Ask) -> dict[str, Any]:
    """One run in numbers."""
    return runs.summary(runs.one(ask.studio.runs, ask.path["run"]))


TABLE = (
    ("GET", "/api/runs/{run}/report", report),
    ("GET", "/api/runs/{run}/summary", summary),
)
