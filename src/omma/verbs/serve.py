"""Answer pictures over HTTP on this machine, and in the browser."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma.catalog import need
from omma.errors import OmmaError
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    from omma.serving.app import Service
    from omma.serving.desk import Model
    from omma.serving.guard import Guard

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(slots=True)
class Served:
    """A service that has stopped.

    Args:
        url: where it was.
        pictures: answered.
        refused: turned away.
        runtime: what computed.
    """

    url: str
    pictures: int
    refused: int
    runtime: str

    def json(self) -> dict[str, Any]:
        return {"url": self.url, "pictures": self.pictures, "refused": self.refused, "runtime": self.runtime}

    def lines(self) -> list[str]:
        return [say("serve.stopped", pictures=self.pictures, refused=self.refused)]


def serve(
    bundle: str | Path,
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    token: str | None = None,
    no_token: bool = False,
    expose: bool = False,
    queue: int = 64,
    device: str = "auto",
    watch: Watch = Watch(),
) -> Served:
    """Serve a model until Ctrl-C or SIGTERM.

    Args:
        bundle: a bundle or a run folder.
        port: 0 takes any free one.
        host: the address to listen on.
        token: what callers must send; made when open (also read from OMMA_TOKEN, which other users of the machine cannot see).
        no_token: let every program on this machine ask.
        expose: allow an address that other machines can reach.
        queue: requests in work at once; more are told to come back.
        device: where to compute.

    Raises:
        OmmaError: the port is taken, or the wish is not a safe one.
        BundleError: the model cannot be read.
        NotMeaningful: it takes minutes for a picture.
    """
    need("fastapi", "serve", "omma serve")
    need("uvicorn", "serve", "omma serve")
    from omma.serving.server import bind, server_for

    secret = _token(host, token, no_token, expose)
    sock = bind(host, port)  # before the model is loaded: a taken port is told at once
    try:
        port = sock.getsockname()[1]
        service, runtime = _service(bundle, device, queue, watch)
        guard = guarded(service, host, port, secret)
        shown = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host
        url = f"http://{shown}:{port}/"
        _announce(url, secret, runtime, watch, service.desk.model)
        try:
            with torch_threads(runtime):
                server_for(guard).run(sockets=[sock])
        finally:
            service.desk.close()
    finally:
        sock.close()
    refused = sum(guard.refused.values()) + sum(n for status, n in service.meter.statuses.items() if status in (429, 503))
    return Served(url, service.meter.statuses[200], refused, runtime)


@contextmanager
def torch_threads(runtime: str) -> Iterator[None]:
    """While another library computes, torch only resizes: one thread, so that it takes no core from the network."""
    import torch

    before = torch.get_num_threads()
    if runtime != "eager":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def guarded(service: Service, host: str, port: int, token: str | None) -> Guard:
    """The app behind its guard, which knows the names under which it may be called."""
    from omma.serving.app import create
    from omma.serving.guard import Guard

    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    if host not in LOOPBACK:
        import socket

        names |= {socket.gethostname(), *_addresses()}
    hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    guard = Guard(create(service), hosts, token, full=service.desk.full)
    service.meter.refused = guard.refused
    return guard


def _addresses() -> set[str]:
    """This machine's own addresses."""
    import socket

    try:
        return {str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        return set()


def _token(host: str, token: str | None, no_token: bool, expose: bool) -> str | None:
    """The token in force, 256 random bits unless one was given; unsafe wishes are refused."""
    if host not in LOOPBACK and not expose:
        raise OmmaError(say("serve.not_loopback"), host, say("serve.not_loopback_fix"))
    if no_token:
        if host not in LOOPBACK:
            raise OmmaError(say("serve.no_token_exposed"), host, say("serve.no_token_exposed_fix"))
        return None
    token = token or os.environ.get("OMMA_TOKEN")
    if token is not None and len(token) < 16:
        raise OmmaError(say("serve.token_short"), None, say("serve.token_fix"))
    return token or secrets.token_urlsafe(32)


def _service(bundle: str | Path, device: str, queue: int, watch: Watch) -> tuple[Service, str]:
    """The model loaded and warm, and the name of its runtime."""
    from omma import bundle as bundles
    from omma.engine.machine import device_of
    from omma.models._styled import meaningful
    from omma.runtimes.choose import fastest
    from omma.serving.app import Service
    from omma.serving.batcher import Batcher
    from omma.serving.desk import Desk, Model

    place = str(device_of(device))
    opened = bundles.open(bundle, place)
    meaningful(opened.net, "serve")
    runtime = fastest(opened, watch, place)
    # Enlarging and denoising look at every pixel: what takes longer than anybody waits is refused before it is decoded.
    model = Model(opened, runtime, 8_000_000) if opened.views.fit == "own" else Model(opened, runtime)
    batcher = Batcher(model.rows, most=16, limit=queue)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    desk = Desk(model, batcher, places=queue, decoders=max(1, cores // 4))
    card = {"task": opened.card["task"], "model": opened.card["model"], "names": opened.names[:1000], "runtime": runtime.name}
    card |= {"draws": True, "classes": opened.task.outputs} if model.draws else {}
    card |= {"maps": True} if model.maps else {}
    return Service(desk, card), runtime.name


def _announce(url: str, token: str | None, runtime: str, watch: Watch, model: Model) -> None:
    """Where it is and how to ask, to copy."""
    header = "" if token is None else f" -H 'Authorization: Bearer {token}'"
    watch.say(say("serve.open_page", url=url if token is None else f"{url}?token={token}"))
    what = "--json '{\"seed\": 1}' --output picture.png" if model.draws else "--data-binary @picture.jpg"
    watch.say(say("serve.try_it", curl=f"curl{header} {what} {url}predict"))
    if model.maps:
        watch.say(say("serve.map_it", curl=f"curl{header} -H 'Accept: image/png' {what} --output map.png {url}predict"))
    watch.say(say("serve.runtime", runtime=runtime))
    if token is None:
        watch.warn(say("serve.without_token"))
    watch.event({"event": "serving", "url": url, "token": token})
