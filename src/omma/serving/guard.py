"""Who may talk to the service and how much they may send: Host, Origin, token, body size and time, before anything is parsed.

A browser page from elsewhere may reach 127.0.0.1: under its own name (DNS rebinding: the Host is checked), with the reader's cookie
(the Origin and Sec-Fetch-Site are checked, the cookie is SameSite=Strict), or as a plain form. None of them gets past this file.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from omma.words import say

Scope = dict[str, Any]
Message = dict[str, Any]
OPEN_PATHS = ("/health",)
SAFE = [
    (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"), (b"x-frame-options", b"DENY"),
]  # fmt: skip


class Stop(Exception):
    """A request that ends here."""

    def __init__(self, status: int, key: str, headers: Iterable[tuple[bytes, bytes]] = (), **values: object) -> None:
        super().__init__(key)
        self.status, self.key, self.headers, self.values = status, key, list(headers), values


class Guard:
    """ASGI middleware around the whole service.

    Args:
        app: what is guarded.
        hosts: values of the Host header that are us, with the port.
        token: what a caller must know; None lets everyone in.
        full: seconds to wait while there is no place for another picture, else None; asked before a body is read.
        max_body: bytes of a request's body.
        max_held: bytes of all bodies held at once.
        seconds: a body must have arrived by then.
        session: what the cookie says; new with every process unless given, so that a restarted server knows nobody.
        cookie: its name; made up unless given.
    """

    def __init__(
        self,
        app: Any,
        hosts: Iterable[str],
        token: str | None,
        *,
        full: Callable[[], int | None] = lambda: None,
        max_body: int = 32 << 20,
        max_held: int = 256 << 20,
        seconds: float = 10.0,
        session: str | None = None,
        cookie: str | None = None,
    ) -> None:
        self.app, self.token, self.full = app, token, full
        self.hosts = {host.lower() for host in hosts}
        self.max_body, self.max_held, self.seconds = max_body, max_held, seconds
        self.held = 0
        self.refused: dict[int, int] = {}
        # The cookie is not the token: it ends with this process.
        self._session = session or secrets.token_urlsafe(32)
        self.cookie = cookie or "omma-" + secrets.token_hex(4)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        mine = 0
        try:
            headers = _headers(scope)
            self._check(scope, headers)
            entry = self._entry(scope, headers)
            if entry is not None:
                await _reply(send, 303, b"", [(b"location", b"/"), (b"set-cookie", entry)])
                return
            if scope["method"] == "POST" and (wait := self.full()) is not None:
                raise Stop(429, "busy", [(b"retry-after", str(wait).encode())])
            body = await self._body(headers, receive)
            mine = len(body)
            await self.app(scope, _replay(body, receive), _hardened(send))
        except Stop as stop:
            self.refused[stop.status] = self.refused.get(stop.status, 0) + 1
            blob = json.dumps({"error": say(f"serve.{stop.key}", **stop.values)}, ensure_ascii=False).encode()
            await _reply(send, stop.status, blob, stop.headers, scope["method"] == "HEAD")
        finally:
            self.held -= mine

    def _check(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> None:
        """Is it for us, from one of our own pages, and from someone who knows the token?"""
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self.hosts or not scope["path"].startswith("/"):
            raise Stop(421, "bad_host")
        for origin in headers.get(b"origin", []):
            if origin.decode("latin-1").lower() not in {f"http://{host}" for host in self.hosts}:
                raise Stop(403, "bad_origin")
        opening = scope["method"] in ("GET", "HEAD") and headers.get(b"sec-fetch-mode") == [b"navigate"]
        for site in headers.get(b"sec-fetch-site", []):
            if site not in (b"same-origin", b"none") and not opening:
                raise Stop(403, "bad_origin")
        if self.token is None or scope["path"] in OPEN_PATHS or self._known(headers) or self._asked(scope):
            return
        raise Stop(401, "no_token", [(b"www-authenticate", b"Bearer")])

    def _known(self, headers: dict[bytes, list[bytes]]) -> bool:
        """The token in Authorization, or our cookie; compared in constant time."""
        given = headers.get(b"authorization", [])
        if len(given) == 1 and given[0][:7].lower() == b"bearer ":
            return hmac.compare_digest(given[0][7:].strip(), (self.token or "").encode())
        wanted = f"{self.cookie}={self._session}".encode()
        crumbs = [crumb.strip() for line in headers.get(b"cookie", []) for crumb in line.split(b";")]
        return any(hmac.compare_digest(crumb, wanted) for crumb in crumbs)

    def _asked(self, scope: Scope) -> bool:
        """The token in the address, for opening the page only."""
        if scope["method"] != "GET" or scope["path"] != "/" or self.token is None:
            return False
        given = [value for key, value in parse_qsl(scope["query_string"].decode("latin-1")) if key == "token"]
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), self.token.encode())

    def _entry(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> bytes | None:
        """The cookie for whoever came with the token in the address; the address is left behind by a redirect."""
        return f"{self.cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/".encode() if self._asked(scope) else None

    async def _body(self, headers: dict[bytes, list[bytes]], receive: Any) -> bytes:
        """The whole body, within its size and time."""
        if any(value.lower() != b"identity" for value in headers.get(b"content-encoding", [])):
            raise Stop(415, "encoded")
        declared = headers.get(b"content-length", [b"0"])[0]
        if not declared.isdigit() or int(declared) > self.max_body:
            raise Stop(413, "too_large", cap=self.max_body >> 20)
        # What is still arriving counts too, or many slow bodies would fill the memory.
        body, held = bytearray(), 0
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Stop(400, "gone")
                    chunk = message.get("body", b"")
                    body += chunk
                    held += len(chunk)
                    self.held += len(chunk)
                    if len(body) > self.max_body:
                        raise Stop(413, "too_large", cap=self.max_body >> 20)
                    if self.held > self.max_held:
                        raise Stop(429, "busy", [(b"retry-after", b"1")])
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            self.held -= held
            raise Stop(408, "slow", [(b"connection", b"close")], seconds=self.seconds) from None
        except BaseException:
            self.held -= held
            raise


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for key, value in scope["headers"]:
        found.setdefault(key.lower(), []).append(value)
    return found


def _replay(body: bytes, receive: Any) -> Any:
    """The body that was read already, then whatever comes after it (the caller leaving)."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _hardened(send: Any) -> Any:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            said = {key.lower() for key, _ in own}  # the app may say for itself how long an answer keeps, or that it may stand in a frame
            message = message | {"headers": [*own, *(row for row in SAFE if row[0] not in said)]}
        await send(message)

    return wrapped


async def _reply(send: Any, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (), head: bool = False) -> None:
    kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers, *SAFE]})
    await send({"type": "http.response.body", "body": b"" if head else body})
