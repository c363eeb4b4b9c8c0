"""The studio's server side, put together: what it remembers, the pages' questions, and the files of the pages themselves."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

import omma
from omma.studio.ask import Ask, routes
from omma.studio.jobs import Jobs
from omma.studio.judged import Judge
from omma.studio.pages import data, inside, label, out, projects, results, train, trial
from omma.studio.shelf import Shelf
from omma.studio.store import Store
from omma.studio.thumbs import Thumbs
from omma.words import LANGUAGES, language, room, say

STATIC = Path(__file__).parent / "static"
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Everything comes from this server; no script or style stands in a page, none is made from text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; frame-src 'self'; "
    "manifest-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Studio:
    """Everything the pages share.

    Args:
        home: where the database, thumbnails and what jobs say are kept.
        cwd: where commands run; their runs lie in `runs/` there.
    """

    def __init__(self, home: Path, cwd: Path) -> None:
        self.home, self.cwd = home, cwd
        self.store = Store(home / "studio.db")
        self.jobs = Jobs(self.store, home / "jobs", cwd)
        self.thumbs = Thumbs(home / "thumbs")
        self.shelf = Shelf(self.store)
        self.models = trial.Models()
        self.judge = Judge(home / "judged", self.shelf)
        self.looks = inside.Looks()
        self.ending = False  # streams look at it and end

    @property
    def runs(self) -> Path:
        return self.cwd / "runs"


def create(studio: Studio) -> Starlette:
    """The app, unguarded: see `server.guarded`."""
    pages = [row for page in (projects, data, label, train, results, trial, out, inside) for row in page.TABLE]
    own = [
        Route("/", _front),
        Route("/static/{path:path}", _file),
        Route("/api/words/{tongue}", _words),
        *train.streams(studio),
        *routes(studio, [*pages, ("GET", "/api/about", _about)]),
    ]
    return Starlette(routes=own, exception_handlers={Exception: _fault})


def _about(ask: Ask) -> dict[str, Any]:
    """What every page wants to know at once."""
    return {"version": omma.__version__, "cwd": str(ask.studio.cwd)}


async def _front(request: Request) -> Response:
    page = (STATIC / "index.html").read_text("utf-8").replace("{language}", escape(language()))
    return HTMLResponse(page, headers={"content-security-policy": POLICY})


async def _file(request: Request) -> Response:
    """A file of the pages; the first stylesheet is that of the reports, so that both look alike; what draws a look inside is its own."""
    name = request.path_params["path"]
    if name == "look.js":
        from omma.inside.page import html

        return Response(html.script_of(), media_type=KINDS[".js"], headers={"cache-control": "no-cache"})
    if name == "report.css":
        from omma.report import page

        path = Path(page.__file__).parent / "page.css"
    elif name == "look.css":
        from omma.inside.page import html

        path = Path(html.__file__).parent / name
    elif re.fullmatch(r"[\w/-]+\.(js|css|svg)", name) and (STATIC / name).is_file():
        path = STATIC / name
    else:
        return Response(status_code=404)
    return Response(path.read_bytes(), media_type=KINDS[path.suffix], headers={"cache-control": "no-cache"})


async def _words(request: Request) -> Response:
    """The sentences of the pages in one language."""
    tongue = request.path_params["tongue"]
    if tongue not in LANGUAGES:
        return Response(status_code=404)
    keys = [key.removeprefix("page.") for key in room("en", "studio") if key.startswith("page.")]
    found = {key: say(f"studio.page.{key}", tongue) for key in keys}
    return Response(json.dumps(found, ensure_ascii=False), media_type="application/json")


async def _fault(request: Request, error: Exception) -> Response:
    """A bug of ours: its name, for whoever reports it; the details go to the terminal of whoever runs the studio."""
    return JSONResponse({"error": say("studio.fault", kind=type(error).__name__)}, 500)
