"""Try: a picture of one's own, the model's answer drawn on it, and why."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from omma.errors import OmmaError
from omma.studio import runs
from omma.studio.ask import Ask
from omma.words import say

KEPT = 2  # models in memory: two can be compared
SIDE = 1400  # pixels of what is shown
DRAWN = 8  # pictures from one seed


class Models:
    """Trained models that were asked last, each computed by one runtime; one question at a time."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[float, Any, Any]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, run: Path) -> tuple[Any, Any]:
        """(bundle, runtime) of a run, opened when it is asked for first or has changed. Call it with the lock held.

        Raises:
            BundleError: it is not sound.
        """
        card = run / "bundle" / "bundle.json"
        changed = card.stat().st_mtime if card.is_file() else 0.0
        known = self._open.get(str(run))
        if known is None or known[0] != changed:
            from omma import bundle as bundles
            from omma.runtimes import choose

            opened = bundles.open(run)
            engine = choose.named("ort" if opened.card.get("runtime", {}).get("file") else "eager", opened, lanes=1)
            self._open[str(run)] = known = (changed, opened, engine)
        self._open.move_to_end(str(run))
        while len(self._open) > KEPT:
            self._open.popitem(last=False)[1][2].close()
        return known[1], known[2]

    def close(self) -> None:
        """Let all of them go."""
        for _, _, engine in self._open.values():
            engine.close()
        self._open.clear()


def about(ask: Ask) -> dict[str, Any]:
    """What a model is asked by (a picture, so many frames of a clip or volume, or a seed) and what it knows."""
    from omma.data.moving.sampled import moments

    run = runs.one(ask.studio.runs, ask.path["run"])
    with ask.studio.models.lock:
        opened, engine = ask.studio.models.get(run)
        return {
            "run": run.name, "task": opened.card["task"], "model": opened.card["model"], "names": opened.names[:200],
            "asks": opened.task.asks, "frames": moments(opened.views.channels), "runtime": engine.name,
            "explains": opened.task.explains, "threshold": opened.point.get("threshold"),
        }  # fmt: skip


def answer(ask: Ask) -> dict[str, Any]:
    """The answer to one picture, clip or volume: {"text", "json", "drawn": a data address}; every answer draws itself."""
    from omma.data.decode import to_rgb8
    from omma.data.moving.sampled import as_read, is_clip, moments, poster
    from omma.report.phrase import phrase

    run = runs.one(ask.studio.runs, ask.path["run"])
    if not ask.body:
        raise OmmaError(say("studio.no_bytes"))
    name = ask.query.get("name")
    with ask.studio.models.lock:
        opened, engine = ask.studio.models.get(run)
        if opened.task.asks == "seed":
            raise OmmaError(say("generate.no_pictures"), run.name)
        frames = moments(opened.views.channels)
        if frames == 1 and is_clip(Path(name or "")):
            raise OmmaError(say("studio.frame_by_frame"), name, say("studio.frame_by_frame_fix", run=run.name))
        picture = as_read(ask.body, opened.views.channels, name=name)
        found = _told(opened, engine, picture, ask.query)
    row = found.json()
    return {
        "text": phrase(found),
        "json": {k: v for k, v in row.items() if k not in ("png", "rle")},
        "drawn": data(found.draw(to_rgb8(poster(picture, frames)))),
    }


def _told(opened: Any, engine: Any, picture: Any, query: dict[str, str]) -> Any:
    frames = opened.views.frames(picture)
    spots = None if opened.views.fit == "own" else [opened.views.spot(*picture.shape[:2])]
    point = {"threshold": Ask.number(query["threshold"], 0, 1)} if "threshold" in query else {}
    return engine.answers(frames, point, spots)[0]


def why(ask: Ask) -> dict[str, Any]:
    """What the model looked at in one picture, and whether the map was proven to be faithful."""
    import tempfile

    from omma.verbs.explain import explain

    run = runs.one(ask.studio.runs, ask.path["run"])
    with ask.studio.models.lock, tempfile.TemporaryDirectory(prefix="omma-why-") as folder:
        picture = Path(folder) / f"picture{_suffix(ask)}"
        picture.write_bytes(ask.body)
        found = explain(run, picture, about=ask.query.get("about") or None, out=Path(folder) / "map.png")
        lines = [say("explain.asked", about=found.about, method=found.method)]
        lines.append(say("explain.faithful" if found.receipt.beats_random else "explain.unfaithful"))
        return {"drawn": data(found.overlay), "lines": lines, "faithful": found.receipt.beats_random}


def drawn(ask: Ask) -> dict[str, Any]:
    """What a model that draws makes of a seed."""
    import numpy as np

    from omma.engine.painting.drawing import drawn as draw

    run = runs.one(ask.studio.runs, ask.path["run"])
    with ask.studio.models.lock:
        opened, engine = ask.studio.models.get(run)
        if opened.task.asks != "seed":
            raise OmmaError(say("studio.asks_pictures"), run.name)
        seeds = opened.seeds(int(ask.number(ask.json().get("seed") or 0, 0, 2**53)), DRAWN, ask.text("class") or None)
        made = draw(engine.run, opened.task, seeds)
    return {"pictures": [data(one.draw(np.zeros((1, 1, 3), np.uint8))) for one in made]}


def _suffix(ask: Ask) -> str:
    name = Path(ask.query.get("name", "x.png")).suffix
    return name if name[1:].isalnum() else ".png"


def data(picture: Any) -> str:
    """(H, W, 3) uint8 as a data address; small ones without loss and enlarged by whole numbers, so that pixels can be judged."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    store = io.BytesIO()
    small = max(image.size) < 400
    image.save(store, "PNG") if small else image.save(store, "JPEG", quality=90)
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(store.getvalue()).decode()}"


TABLE = (
    ("GET", "/api/runs/{run}/about", about),
    ("POST", "/api/runs/{run}/answer", answer),
    ("POST", "/api/runs/{run}/why", why),
    ("POST", "/api/runs/{run}/draw", drawn),
)
