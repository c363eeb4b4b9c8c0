"""The web server around the service: one socket, patience with an end, and a stop that answers first."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from omma.errors import OmmaError
from omma.words import say

HEADER_SECONDS, GRACE_SECONDS = 10, 6


class Patient(H11Protocol):
    """Closes connections that take too long to say what they want; a request in work is never cut."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._busy:
            self._calm()
        elif self._patience is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEADER_SECONDS, self._lose)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose(self) -> None:
        self._patience = None
        if not self._busy and not self.transport.is_closing():
            self.transport.abort()


class Server(uvicorn.Server):
    """Stops at the first SIGTERM or Ctrl-C after answering what is in work, and then simply returns: exit code 0."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        # The collector would look through the million objects of the libraries again and again, for a third of a second each time,
        # while everybody waits: what is loaded now stays.
        gc.freeze()
        try:
            super().run(sockets)
        finally:
            gc.unfreeze()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OmmaError: the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's delay on and every answer waits 40 ms for an acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(512)
    except (OSError, OverflowError) as error:
        sock.close()
        taken = isinstance(error, OSError) and error.errno in (98, 48, 10048)
        told = say("serve.port_taken") if taken else say("serve.cannot_listen", reason=error)
        raise OmmaError(told, f"{host}:{port}", say("serve.port_fix")) from None
    return sock


def server_for(app: Any) -> Server:
    """A server for an ASGI app, quiet: a log line never holds an address that a caller chose."""
    return Server(
        uvicorn.Config(
            app, http=Patient, ws="none", lifespan="off", log_level="error", access_log=False, server_header=False, date_header=False,
            timeout_keep_alive=5, timeout_graceful_shutdown=GRACE_SECONDS, h11_max_incomplete_event_size=32 << 10, proxy_headers=False,
        )
    )  # fmt: skip
