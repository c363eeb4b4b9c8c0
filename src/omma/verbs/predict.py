"""Answers for pictures, one by one, as many as there are: files, folders, globs, a list on stdin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omma.errors import OmmaError
from omma.progress import Watch
from omma.verbs._answering import Job, Row
from omma.words import say

if TYPE_CHECKING:
    from omma.bundle import Bundle
    from omma.runtimes.runtime import Runtime
    from omma.verbs._clips import Latency
    from omma.verbs._features import Neighbours
    from omma.verbs._outputs import Folder

BATCH = {"cpu": 16, "cuda": 64}
# Seconds of work that are worth finding the fastest runtime for, when it was not measured before.
WORTH_MEASURING = 30.0
UNREADABLE = 3  # the exit code when a file could not be read; every other one was answered


class Predictions(Iterator[Row]):
    """Rows in the order of the pictures, computed as they are taken.

    Attributes:
        total: rows in all: pictures, and frames as far as clips tell; None where one does not.
        failed: how many so far could not be read.
        code: what a command exits with: 0, or 3 when a file could not be read.
        runtime: what computes.
        latency: of clips, how long the frames so far took: `.p50`, `.p99` in milliseconds; None where nothing moves.
    """

    def __init__(self, rows: Iterator[Row], total: int | None, runtime: str, latency: Latency | None = None) -> None:
        self._rows, self.total, self.failed, self.runtime, self.latency = rows, total, 0, runtime, latency

    def __next__(self) -> Row:
        row = next(self._rows)
        self.failed += "error" in row
        return row

    @property
    def code(self) -> int:
        return UNREADABLE if self.failed else 0

    def close(self) -> None:
        """Stop; what is written stays."""
        with suppress(AttributeError):
            self._rows.close()  # type: ignore[attr-defined]


def predict(
    bundle: str | Path,
    *paths: str | Path,
    out: str | Path | None = None,
    as_: Literal["jsonl", "csv", "folders", "drawn", "clip"] = "jsonl",
    threshold: float | None = None,
    embed: str | Path | None = None,
    nearest: int | None = None,
    data: str | None = None,
    device: str = "auto",
    batch: int | None = None,
    runtime: str | None = None,
    keep_format: bool = False,
    count: int | None = None,
    seed: int | None = None,
    class_: str | None = None,
    truncation: float | None = None,
    grid: bool = False,
    between: int | None = None,
    style: str | None = None,
    strength: float | None = None,
    watch: Watch = Watch(),
) -> Predictions:
    """Answer pictures one after the other; what cannot be read is named and the rest goes on.

    With `out` every row is also kept there as it comes: said again after an interruption, the same words go on where it was.

    A model that learned from clips answers each as a whole. With any other, a clip gives one row a frame, `{"path", "frame", …}`,
    answered in order and one at a time unless `batch` says more; how long a frame takes is told at the end. Drawn, it is a picture a
    frame or, as clip, a clip again; pictures become one, folder by folder, sorted as people count (frame2 before frame10). Where
    answers are pictures, a clip becomes a clip of them, without its sound.

    Args:
        bundle: a bundle or a run folder.
        paths: pictures, clips, folders, globs, or `-`: one path a line on stdin.
        out: a folder for what `as_` names; new, empty, or one of earlier predictions.
        as_: jsonl (predictions.jsonl), csv (a table too), folders (copies sorted by label), drawn (pictures with their answer)
            or clip (a clip with the answers on it).
        threshold: 0–1; for one label the probability under which it is unsure, for several the one from which each is present.
        embed: an .npz to write: `paths` and `features`.
        nearest: name so many of the most similar training pictures.
        data: where the training data lies now (nearest).
        device: cpu, cuda, cuda:0 or auto.
        batch: pictures at once; of clips 1 when left out.
        runtime: eager, ort or openvino; the fastest one that gives the same answers when left out.
        keep_format: answers that are pictures become files like their originals, as far as such files hold them; PNG when left out.
        count: how many pictures a generator draws, as 00000.png … in `out`; 16 when left out.
        seed: what they are drawn from; picture i depends on it and i alone, however many there are. 0 when left out.
        class_: the class they show; each another, as often as it was learned, when left out.
        truncation: 0–1: under 1 pictures are cleaner, and more alike.
        grid: also draw them all in one, grid.png.
        between: also draw what lies between one and the next in so many steps, between.png.
        style: of models that paint: the pictures to paint like, files or folders joined by commas; several are mixed.
        strength: of models that paint: 0 (the picture itself) to 1; as it was trained when left out.

    Raises:
        OmmaError: nothing was named, an address of the network was, a setting is out of range or has no meaning for clips.
        BundleError: no sound bundle.
    """
    from omma import bundle as bundles
    from omma.data.moving.sampled import moments
    from omma.engine.machine import device_of
    from omma.verbs._clips import Reel, takes
    from omma.verbs._inputs import gather

    _check(out, as_, threshold, nearest, batch)
    wish = {"count": count, "seed": seed, "class": class_, "truncation": truncation, "grid": grid or None, "between": between}
    if (drawing := _drawing(bundle, paths, {key: value for key, value in wish.items() if value is not None})) is not None:
        from omma.verbs._drawing import draw

        return draw(*drawing, out, device, runtime, watch)
    place = device_of(device)
    inputs = gather(paths, None if out is None else Path(out), in_time=as_ == "clip")
    opened = bundles.open(bundle)
    moving = takes(inputs, as_) if as_ == "clip" or moments(opened.views.channels) == 1 else None
    if moving is not None and (embed is not None or as_ == "folders"):
        raise OmmaError(say("predict.not_of_clips", flag="--as folders" if embed is None else "--embed"))
    _suits(opened, out is None, as_)
    painting = _restyled(opened, style, strength)
    runtime = "eager" if painting else runtime  # graphs are kept as the bundle is
    point = _point(opened, threshold, as_, watch)
    # Features come from PyTorch: a second library would only disturb it, unless the bundle answers with its own graph.
    featured = (embed is not None or nearest is not None) and not opened.card.get("runtime", {}).get("file")
    total = len(inputs.files) if moving is None else sum(take.total or 1000 for take in moving)
    engine = _engine(opened, runtime or ("eager" if featured else None), total, place, watch, None if moving is None else 1)
    still = moving is None or opened.views.fit == "own"
    many = _many(opened, batch, place.type, -(-total // engine.lanes), watch) if still else batch or 1
    kind: Callable[..., Job] = Job if moving is None else partial(Reel, takes=moving)
    job = kind(
        opened, engine, inputs, point, many, watch, as_, _neighbours(opened, nearest, data, watch),
        _folder(opened, out, point | painting, as_, nearest, embed), None if embed is None else Path(embed), keep_format,
    )  # fmt: skip
    return Predictions(job.rows(), job.total, engine.name, getattr(job, "latency", None))


def _drawing(
    bundle: str | Path, paths: Sequence[str | Path], wish: dict[str, Any]
) -> tuple[Bundle, Sequence[str | Path], dict[str, Any]] | None:
    """What is to be drawn, where no picture is answered: one names none, or says what only a drawing can be asked for."""
    if paths and not wish:
        return None
    from omma import bundle as bundles

    opened = bundles.open(bundle)
    return (opened, paths, wish) if opened.task.asks == "seed" or wish else None


def _suits(opened: Bundle, nowhere: bool, as_: str) -> None:
    """Refuse what the model's answers cannot become.

    Raises:
        OmmaError: pictures without a folder, pictures for a model that reads none, or answers that name no folders.
    """
    if opened.task.asks == "seed":
        raise OmmaError(say("generate.no_pictures"), None, say("generate.no_pictures_fix"))
    if opened.task.answer.kind == "picture" and nowhere:
        raise OmmaError(say("predict.pictures_out"))
    if as_ == "folders":
        from omma.verbs._outputs import sortable

        sortable(opened.task.answer.kind)


def _many(opened: Bundle, batch: int | None, device: str, share: int, watch: Watch) -> int:
    """Pictures at once. Nothing is divided among the threads of one picture: each answers pictures of its own, from file to answer.

    Args:
        share: pictures for each thread.
    """
    if opened.views.fit != "own":
        return batch or max(1, min(BATCH.get(device, 16), share))
    if batch not in (None, 1):
        watch.warn(say("predict.one_by_one"))
    return 1


def _point(opened: Bundle, threshold: float | None, as_: str, watch: Watch) -> dict[str, Any]:
    """What a person set of the operating point."""
    if threshold is not None and "threshold" not in opened.point:
        watch.warn(say("predict.threshold_unused"))
    if as_ in ("drawn", "clip"):
        _legend(opened.names, watch)
    return {} if threshold is None else {"threshold": float(threshold)}


def _restyled(opened: Bundle, style: str | None, strength: float | None) -> dict[str, Any]:
    """Tell the model what to paint like; returns what decides its answers beside its weights.

    Raises:
        OmmaError: it does not paint, or a copy of it answers by a graph, which is as it is.
    """
    if style is None and strength is None:
        return {}
    if opened.task.asks != "style":
        raise OmmaError(say("predict.no_style"))
    if opened.card.get("runtime", {}).get("file"):
        raise OmmaError(say("predict.style_of_copy"), opened.path)
    return opened.task.restyle(opened.net, style, strength)  # type: ignore[attr-defined]


def _check(out: Any, as_: str, threshold: float | None, nearest: int | None, batch: int | None) -> None:
    if as_ != "jsonl" and out is None:
        raise OmmaError(say("predict.out_wanted", as_=as_))
    if threshold is not None and not 0 <= threshold <= 1:
        raise OmmaError(say("predict.out_of_range", name="threshold", value=threshold, low=0, high=1))
    for name, value, high in (("nearest", nearest, 1000), ("batch", batch, 4096)):
        if value is not None and not 1 <= value <= high:
            raise OmmaError(say("predict.out_of_range", name=name, value=value, low=1, high=high))


def _engine(opened: Bundle, name: str | None, total: int, device: Any, watch: Watch, lanes: int | None = None) -> Runtime:
    """The runtime named, else the fastest if it is known or worth finding out for so many pictures; `lanes` of them at once."""
    from omma.runtimes import choose
    from omma.runtimes.runtime import cores

    if lanes is None:
        lanes = min(cores(), max(1, total)) if device.type == "cpu" else 2  # on an accelerator one thread decodes while the other computes
    if opened.card.get("runtime", {}).get("file"):
        return choose.named(name or "ort", opened, lanes=lanes)
    if name is not None or device.type != "cpu" or opened.net.optimises:
        return choose.named(name or "eager", opened, lanes=lanes, device=str(device))
    if not choose.ready(opened):
        eager, frame = choose.named("eager", opened), opened.asked()
        eager.infer(frame)
        began = time.perf_counter()
        eager.infer(frame)
        if (time.perf_counter() - began) * total < WORTH_MEASURING:
            return choose.named("eager", opened, lanes=lanes)
    return choose.fastest(opened, watch, "cpu", lanes=lanes)


def _legend(names: list[str], watch: Watch) -> None:
    """What the numbers on drawn pictures stand for, where no font of this system can draw the names."""
    from omma.answers.draw import legend

    if numbers := legend(names):
        watch.warn(say("predict.legend", names=", ".join(f"{number} = {name}" for number, name in numbers.items())))


def _neighbours(opened: Bundle, nearest: int | None, data: str | None, watch: Watch) -> Neighbours | None:
    if nearest is None:
        if data is not None:
            watch.warn(say("predict.data_unused"))
        return None
    from omma.verbs._features import Neighbours

    return Neighbours(opened, nearest, data, watch)


def _folder(opened: Bundle, out: Any, point: dict[str, Any], as_: str, nearest: int | None, embed: Any) -> Folder | None:
    if out is None:
        return None
    from omma.verbs._outputs import Folder, question_of

    return Folder(Path(out), question_of(opened, opened.point | point, as_, nearest, embed is not None))
