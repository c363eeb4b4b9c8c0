"""Train: begin, watch, stop and go on with runs; all runs side by side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from omma.errors import OmmaError
from omma.studio import runs
from omma.studio.ask import Ask, picture
from omma.studio.jobs import log
from omma.studio.pages import label
from omma.words import say

if TYPE_CHECKING:
    from omma.studio.app import Studio

LOOK = 0.5  # seconds between two looks at a run's events
STILL = 20  # looks without news after which the line is proven open
CHUNK = 1 << 20  # bytes of events read at once


def begin(ask: Ask) -> dict[str, Any]:
    """`omma train` on the project's data, as a person set it."""
    words = ask.json()
    known = ask.studio.store.known(ask.project)
    data = known["clean"] if known["clean"] and words.get("clean", True) else known["data"]
    if words.get("labels") and label.touched(ask):
        data = label.for_training(ask)
    asked = ["train", data]
    for key in ("task", "preset", "budget", "model"):
        if value := ask.text(key):
            asked += [f"--{key}", value]
    if words.get("seed") not in (None, ""):
        asked += ["--seed", str(words["seed"])]
    settings = [str(word) for word in words.get("settings", []) if str(word).strip()]
    if any(word.startswith("-") or "=" not in word for word in settings):
        raise OmmaError(say("studio.bad_setting"))
    run = runs.free(ask.studio.runs, runs.stem_of(known["name"]))
    number = ask.studio.jobs.begin(ask.project, [*asked, *settings, "--out", str(run.relative_to(ask.studio.cwd))], run)
    return {"job": number, "run": run.name}


def resume(ask: Ask) -> dict[str, Any]:
    """Go on with a run that was stopped, bit for bit."""
    run = runs.one(ask.studio.runs, ask.text("run"))
    if runs.at_work(run):
        raise OmmaError(say("studio.at_work"), run.name)
    number = ask.studio.jobs.begin(ask.project, ["train", "--resume", str(run.relative_to(ask.studio.cwd))], run)
    return {"job": number, "run": run.name}


def all_runs(ask: Ask) -> dict[str, Any]:
    """Every run in the working folder, and the training jobs that have no run folder yet."""
    known = ask.studio.store.known(ask.project)
    labels = str(ask.studio.home / "labels" / f"{ask.project}-")
    jobs = [job for job in ask.studio.jobs.of(ask.project) if job["verb"] == "train"]
    rows, names = [], set()
    for row in runs.all_runs(ask.studio.runs):
        job = next((one for one in jobs if one["run"] and Path(one["run"]).name == row["name"]), None)
        row["job"], row["mine"] = job and job["id"], row["data"] in (known["data"], known["clean"]) or str(row["data"]).startswith(labels)
        if job and job["state"] in ("begins", "works"):
            row["state"] = "works"
        if job and job["state"] == "failed" and row["state"] != "done":
            row["state"], row["error"] = "failed", job["error"]
        rows.append(row)
        names.add(row["name"])
    waiting = [
        {"job": job["id"], "name": Path(job["run"]).name, "state": job["state"], "error": job["error"], "created": job["created"]}
        for job in jobs
        if job["run"] and Path(job["run"]).name not in names and job["state"] != "done"
    ]
    return {"runs": rows, "waiting": waiting[:5]}


def events(ask: Ask) -> list[dict[str, Any]]:
    """The event stream of a run so far."""
    return runs.events(runs.one(ask.studio.runs, ask.path["run"]))


def sample(ask: Ask) -> Any:
    """The newest picture of what the run answers on the way; nothing where it has none."""
    folder = runs.one(ask.studio.runs, ask.path["run"]) / "samples"
    found = sorted(folder.glob("step-*.png"))
    return picture(found[-1].read_bytes(), "image/png") if found else Response(status_code=204)


def said(ask: Ask) -> dict[str, Any]:
    """What a run's job has told on the way."""
    job = ask.studio.jobs.one(int(ask.path["job"]))
    return {"state": job["state"], "error": job["error"], "log": log(job["folder"]).splitlines()[-40:]}


def streams(studio: Studio) -> list[Route]:
    """The addresses that stay open: a run's events as they are written (server-sent events)."""

    async def follow(request: Request) -> Response:
        name = request.path_params["run"]
        path = studio.runs / name
        if Path(name).name != name:
            return Response(status_code=404)
        last = request.headers.get("last-event-id", "0")
        body = told(studio, path, int(last) if last.isdecimal() else 0)
        return StreamingResponse(body, media_type="text/event-stream", headers={"cache-control": "no-store"})

    return [Route("/api/runs/{run}/stream", follow)]


async def told(studio: Studio, path: Path, place: int) -> AsyncIterator[str]:
    """Rows of `events.jsonl` from a byte on, each with the byte after it as its id; `again` when the file has become shorter."""
    still, state = 0, None
    while not studio.ending:
        size = await asyncio.to_thread(_size, path)
        if size < place:
            place = 0
            yield "event: again\ndata: {}\n\n"
        rows, place = await asyncio.to_thread(runs.tail, path, place, CHUNK) if size > place else ([], place)
        if rows:
            yield f"id: {place}\nevent: rows\ndata: {json.dumps(rows, ensure_ascii=True)}\n\n"
        now = "works" if await asyncio.to_thread(runs.at_work, path) else "still"
        if now != state:
            state = now
            yield f"event: state\ndata: {json.dumps(state)}\n\n"
        still = 0 if rows else still + 1
        if still >= STILL:
            still = 0
            yield ": here\n\n"  # a line nobody listens to any more breaks here
        await asyncio.sleep(LOOK)


def _size(path: Path) -> int:
    try:
        return (path / runs.EVENTS).stat().st_size
    except OSError:
        return 0


TABLE = (
    ("POST", "/api/p/{project:int}/train", begin),
    ("POST", "/api/p/{project:int}/resume", resume),
    ("GET", "/api/p/{project:int}/runs", all_runs),
    ("GET", "/api/runs/{run}/events", events),
    ("GET", "/api/runs/{run}/sample", sample),
    ("GET", "/api/jobs/{job:int}/said", said),
)
