"""Opens the studio: a socket on this machine alone, a token, the browser, and an end without leftovers."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from omma.data.sources import home
from omma.progress import Watch
from omma.serving.guard import Guard
from omma.serving.server import Server, bind, server_for
from omma.studio.app import Studio, create
from omma.words import say

HOST = "127.0.0.1"
LARGEST = 256 << 20  # bytes of one picture that is dropped


@dataclass(slots=True)
class Closed:
    """A studio that has ended."""

    url: str

    def json(self) -> dict[str, Any]:
        return {"url": self.url}

    def lines(self) -> list[str]:
        return [say("studio.closed")]


def open_studio(wanted: Any, watch: Watch = Watch()) -> Closed:
    """Serve the studio until Ctrl-C or SIGTERM; jobs go on.

    Args:
        wanted: of `omma studio`: data, port, browser, page; of `omma look` also what it saw (`inside`, `asked`).

    Raises:
        OmmaError: the port is taken.
        DiskError: its folder cannot be written.
    """
    sock = bind(HOST, wanted.port)
    try:
        port = sock.getsockname()[1]
        place = home() / "studio"
        studio = Studio(place, Path.cwd())
        secret = key(place)
        url = f"http://{HOST}:{port}/"
        where = "" if wanted.data is None else f"#/{studio.store.project(wanted.data, Path(wanted.data).name or wanted.data)}/{wanted.page}"
        if getattr(wanted, "inside", None) is not None:
            where = f"{where or f'#/{wanted.page}'}/{studio.looks.keep(wanted.inside)}?{urlencode(wanted.asked, quote_via=quote)}"
        entry = f"{url}?token={secret}{where}"
        watch.say(say("studio.open_page", url=entry))
        watch.say(say("studio.how_to_end"))
        watch.event({"event": "studio", "url": url, "token": secret})
        server = server_for(guarded(studio, port, secret))
        ends(server, studio)
        if wanted.browser:
            webbrowser.open(entry)
        server.run(sockets=[sock])
        studio.models.close()
        studio.store.close()
    finally:
        sock.close()
    return Closed(url)


def guarded(studio: Studio, port: int, secret: str) -> Guard:
    """The app behind its guard: our own names, our own pages, and whoever knows the token.

    The cookie is made from the token, so that a tab stays open when the server is started again; it is not the token itself.
    """
    names = {f"{name}:{port}" for name in (HOST, "localhost")}
    session = hmac.new(secret.encode(), b"omma-studio-session", hashlib.sha256).hexdigest()
    return Guard(
        create(studio), names, secret, max_body=LARGEST, max_held=4 * LARGEST, seconds=120, session=session, cookie=f"omma-studio-{port}"
    )


def key(place: Path) -> str:
    """The token of this person on this machine, 256 random bits in a file that only they may read."""
    path = place / "token"
    try:
        found = path.read_text("ascii").strip()
        if len(found) >= 32:
            return found
    except (OSError, UnicodeDecodeError):
        pass
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = place / f"token.{os.getpid()}"
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    partial.replace(path)
    return path.read_text("ascii").strip()


def ends(server: Server, studio: Studio) -> None:
    """Streams end with the server: it waits for nobody who only listens."""
    leave = server.handle_exit

    def handle_exit(sig: int, frame: Any) -> None:
        studio.ending = True
        leave(sig, frame)

    server.handle_exit = handle_exit  # type: ignore[method-assign]
