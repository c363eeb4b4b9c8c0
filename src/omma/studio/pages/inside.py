"""Inside: a network with a picture before it, taken apart; what a click asks for is computed when it is asked."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, Response

from omma import catalog
from omma.errors import OmmaError
from omma.studio.ask import Ask
from omma.words import say

KEPT = 2  # looks in memory at once, with all their tensors: one can be compared with the one before
LARGEST = 4096  # pixels a side of a named network's frame
STYLES, SCRIPTS = ("/static/report.css", "/static/look.css"), ("/static/theme.js", "/static/live.js", "/static/look.js")
# What the frame may do: its scripts and styles are files of ours, its data stand in it as plain text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)


class Looks:
    """What was looked into last, by a key that nobody can guess."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self.working = threading.Lock()  # one network at a time

    def keep(self, found: Any) -> str:
        """The key of a look that is kept until two others came."""
        from omma.inside.page.live import Live

        live, key = Live(found), secrets.token_urlsafe(12)
        with self._lock:
            self._open[key] = live
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
        return key

    def get(self, key: str) -> Any:
        """One that is still there.

        Raises:
            OmmaError: it was let go, or never was.
        """
        with self._lock:
            if key not in self._open:
                raise OmmaError(say("studio.no_look"))
            self._open.move_to_end(key)
            return self._open[key]


def begin(ask: Ask) -> dict[str, Any]:
    """Look: a model and a picture, sent, or a file on this machine, or one of a project; the way back waits until it is asked."""
    from omma.verbs.look import inside_of

    words = ask.query
    model = words.get("model", "").strip()
    if not model:
        raise OmmaError(say("studio.no_network"))
    known = ask.studio.runs / model
    run = known if Path(model).name == model and (known / "bundle" / "bundle.json").is_file() else None
    size = int(ask.number(words["size"], 8, LARGEST)) if words.get("size") else None
    data = _data(ask)
    with ask.studio.looks.working:
        found = inside_of(
            str(run or model), _picture(ask, data), data=data, run=str(run) if run and words.get("course") else None,
            weights=words.get("weights") or None, size=size, back=False, peaks=bool(words.get("peaks")),
        )  # fmt: skip
        key = ask.studio.looks.keep(found)
    return _told(ask, key)


def _data(ask: Ask) -> Any:
    """The dataset of a project that was named, or nothing."""
    return ask.studio.shelf.get(int(ask.number(ask.query["project"], 1, 2**53))).dataset if ask.query.get("project") else None


def _picture(ask: Ask, data: Any) -> Any:
    """(bytes, name) of what was sent, the path of a file, a place among the data, or nothing: then one of the data, or a drawn one."""
    name = ask.query.get("name") or "picture"
    if ask.body:
        return ask.body, name
    if ask.query.get("picture"):
        return ask.query["picture"]
    if data is not None and ask.query.get("item"):
        return int(ask.number(ask.query["item"], 0, len(data) - 1))
    return None


def about(ask: Ask) -> dict[str, Any]:
    """What a look is of; an error where it was let go."""
    return _told(ask, ask.path["key"])


def _told(ask: Ask, key: str) -> dict[str, Any]:
    data = ask.studio.looks.get(key).sheet.data
    return {"key": key, "title": data["title"], "picture": data["picture"]["name"], "layers": len(data["steps"])}


def frame(ask: Ask) -> Response:
    """The page itself, to stand in a frame of ours."""
    from omma.inside.page.html import framed

    text = framed(ask.studio.looks.get(ask.path["key"]).sheet, STYLES, SCRIPTS)
    return HTMLResponse(text, headers={"content-security-policy": POLICY, "x-frame-options": "SAMEORIGIN"})


def part(ask: Ask) -> Response:
    """Bytes of maps or numbers, packed as the page's script reads them."""
    found = ask.studio.looks.get(ask.path["key"]).part(int(ask.path["number"]))
    if found is None:
        raise OmmaError(say("studio.not_understood"))
    return Response(found, media_type="application/octet-stream")


def unit(ask: Ask) -> dict[str, Any]:
    """Where one number comes from."""
    live, places = ask.studio.looks.get(ask.path["key"]), [int(ask.path[name]) for name in ("step", "channel", "y", "x")]
    try:
        return live.unit(*places, every="every" in ask.query)
    except IndexError:
        raise OmmaError(say("studio.not_understood")) from None


def back(ask: Ask) -> dict[str, Any]:
    """The gradient of an answer at every layer."""
    from omma.verbs.explain import corners_of

    live, at = ask.studio.looks.get(ask.path["key"]), ask.query.get("at", "").strip()
    with ask.studio.looks.working:
        return live.ask(ask.query.get("about") or None, corners_of(at) if at else None)


def networks(ask: Ask) -> dict[str, Any]:
    """Some of what can be looked into: finished runs, the newest first, networks of ours, and a few of libraries; any name may be typed."""
    from omma.models.making import EXAMPLES

    cards = sorted(ask.studio.runs.glob("*/bundle/bundle.json"), key=lambda path: -path.stat().st_mtime)
    return {"runs": [path.parent.parent.name for path in cards], "names": [*catalog.names("models"), *EXAMPLES]}


TABLE = (
    ("GET", "/api/networks", networks),
    ("POST", "/api/inside", begin),
    ("GET", "/api/inside/{key}", about),
    ("GET", "/api/inside/{key}/frame", frame),
    ("GET", "/api/inside/{key}/part/{number:int}", part),
    ("GET", "/api/inside/{key}/unit/{step:int}/{channel:int}/{y:int}/{x:int}", unit),
    ("GET", "/api/inside/{key}/back", back),
)
