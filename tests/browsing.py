"""A service behind a real socket, looked at in a real browser: for tests of the pages it serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"


@contextmanager
def served_page(service: Any) -> Iterator[tuple[Any, list[str]]]:
    """The page of a service, opened in chromium, and what the browser complains of; both end with the block. Skips where there is none."""
    from omma.serving.server import bind, server_for
    from omma.verbs.serve import guarded

    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip("no chromium here")
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    server = server_for(guarded(service, "127.0.0.1", port, None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        with playwright.sync_playwright() as browsers:
            browser = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(120_000)  # other tests may hold both cores
            complaints: list[str] = []
            page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda e: complaints.append(str(e)))
            page.goto(f"http://127.0.0.1:{port}/")
            yield page, complaints
            browser.close()
    finally:
        server.should_exit = True
        thread.join(12)
        service.desk.close()


def see_made(page: Any, file: Path) -> None:
    """Give the page a picture, and wait until what is made of it is on the screen."""
    page.set_input_files("#file", str(file))
    page.locator("#keep").wait_for(state="visible")
    while not page.evaluate("document.getElementById('made').naturalWidth"):
        time.sleep(0.01)


def refuse_broken(page: Any) -> None:
    """What is no picture is said to be none, and the last answer is taken away."""
    page.set_input_files("#file", {"name": "x.png", "mimeType": "image/png", "buffer": b"broken"})
    page.wait_for_selector("#says.bad")
    assert not page.is_visible("#made")
