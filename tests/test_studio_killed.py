"""kill -9 of the studio's server between strokes, as a power cut would: nothing acknowledged is lost, what was not is sent again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omma.serving.server import bind

httpx = pytest.importorskip("httpx")
BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
PATIENCE = float(os.environ.get("OMMA_PATIENCE", "1"))
STROKES = 200


class Server:
    """`omma studio` as a process of its own, on one port, that can be killed and started again."""

    def __init__(self, home: Path, data: Path) -> None:
        with bind("127.0.0.1", 0) as sock:
            self.port = sock.getsockname()[1]
        self.home, self.data, self.url = home, data, f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        words = [sys.executable, "-m", "omma", "studio", str(self.data), "--port", str(self.port), "--no-open"]
        env = os.environ | {"OMMA_HOME": str(self.home)}
        self.process = subprocess.Popen(words, cwd=self.data.parent, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120 * PATIENCE
        while True:
            try:
                httpx.get(self.url, timeout=5)
                return
            except httpx.TransportError:
                assert self.process.poll() is None and time.monotonic() < end, "it did not start"
                time.sleep(0.1)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def token(self) -> str:
        return (self.home / "studio" / "token").read_text().strip()

    def kept(self) -> list[dict]:
        """Strokes as they lie in the database, read past the server."""
        with closing(sqlite3.connect(self.home / "studio" / "studio.db")) as db:
            return [json.loads(body) for (body,) in db.execute("SELECT body FROM strokes WHERE live = 1 ORDER BY id")]


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), np.uint8)).save(folder / f"{i}.png")
    made = Server(tmp_path / "home", folder)
    made.start()
    yield made
    made.kill()


def box(number: int) -> dict:
    return {"do": "add", "label": "cell", "box": [number / 4, 1, number / 4 + 30, 40]}


@pytest.mark.slow
def test_three_kills_lose_none_of_200_strokes(server):
    """Strokes over HTTP as the page sends them, one after the other, each again under its mark until it is acknowledged."""
    headers = {"authorization": f"Bearer {server.token}"}
    acknowledged: list[int] = []
    killed = 0
    with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
        client.post("/api/p/1/labels/kind", json={"kind": "boxes"}).raise_for_status()
        for number in range(STROKES):
            mark, place = uuid.uuid4().hex, number % 4
            if number in (40, 110, 170):
                # At no moment of its own choosing: before, while, or after this stroke is written.
                killer = threading.Timer(0.004 * killed, server.kill)
                killer.start()
            while True:
                try:
                    reply = client.post(f"/api/p/1/label/{place}", json={"stroke": box(number), "mark": mark})
                    reply.raise_for_status()
                    acknowledged.append(number)
                    break
                except httpx.TransportError:
                    if server.process.poll() is not None:
                        killer.join()
                        server.start()
                        killed += 1
        if server.process.poll() is not None:
            server.start()
    kept = [body["box"][0] for body in server.kept()]
    lost = set(acknowledged) - {round(x * 4) for x in kept}
    print(f"{len(acknowledged)} acknowledged, {killed} kills, {len(lost)} lost, {len(kept)} kept")
    assert not lost and kept == [number / 4 for number in range(STROKES)], "each once, in order"
    assert killed == 3


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_the_page_sends_again_what_nobody_acknowledged(server):
    """Drawn while the server is dead: kept by the page, sent after the restart; and after a closed tab, from the browser's memory."""
    sync = pytest.importorskip("playwright.sync_api")
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {server.token}"}, timeout=20) as client:
        client.post("/api/p/1/labels/kind", json={"kind": "boxes"}).raise_for_status()
        client.post("/api/p/1/labels/class", json={"name": "cell"}).raise_for_status()

    def until(look):
        end = time.monotonic() + 60 * PATIENCE
        while not look():
            assert time.monotonic() < end, "it took too long"
            time.sleep(0.1)

    def draw(page, x):
        area = page.locator(".board").bounding_box()
        page.mouse.move(area["x"] + area["width"] * x, area["y"] + area["height"] * 0.3)
        page.mouse.down()
        page.mouse.move(area["x"] + area["width"] * (x + 0.1), area["y"] + area["height"] * 0.6, steps=4)
        page.mouse.up()

    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(60_000 * PATIENCE)
        page.goto(f"{server.url}/?token={server.token}")
        page.goto(f"{server.url}/#/1/label")
        page.wait_for_selector(".class.on")
        draw(page, 0.3)
        page.wait_for_selector(".things li")
        server.kill()
        assert len(server.kept()) == 1
        draw(page, 0.45)
        page.wait_for_selector(".saved.bad")
        draw(page, 0.6)
        server.start()
        until(lambda: len(server.kept()) == 3)
        page.wait_for_selector(".saved:not(.bad)")
        page.wait_for_selector(".things li:nth-child(3)")

        server.kill()
        draw(page, 0.35)
        page.wait_for_selector(".saved.bad")
        page.close()  # the tab is gone, and so is all it knew
        assert len(server.kept()) == 3
        server.start()
        page = context.new_page()
        page.set_default_timeout(60_000 * PATIENCE)
        page.goto(f"{server.url}/#/1/label?at=0")
        page.wait_for_selector(".things li:nth-child(4)")
        assert len(server.kept()) == 4 and page.evaluate("localStorage.getItem('omma-unsent-1')") is None
        page.reload()
        page.wait_for_selector(".things li:nth-child(4)")
        assert page.locator(".things li").count() == 4, "sent once, not with every reload"
        browser.close()
