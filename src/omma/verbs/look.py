"""Look inside a network on one's own picture: its layers, maps, sums, gradients and training, in the studio or on one page."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma.catalog import need
from omma.errors import DiskError, OmmaError
from omma.progress import Watch
from omma.verbs.studio import PORT
from omma.words import language, say

if TYPE_CHECKING:
    import numpy as np

    from omma.data.sample import Dataset
    from omma.inside.look import Inside
    from omma.inside.subject import Subject


@dataclass(slots=True)
class Look:
    """What was seen, and written where a page was named.

    Args:
        model: as named.
        picture: what the network looked at.
        answer: what it said; None where it says nothing about a picture.
        random: whether its weights were drawn from chance.
        layers: how many steps the page shows.
        parameters, macs: of the network, and of this one run.
        seconds: from the model on disk to the page on disk.
        size: of the page, bytes; 0 without one.
        notes, left: what a reader must know, and what is not on the page.
        out: the page; None: nothing was written, and the command line opens the studio, which shows `inside`.
        asked: what was looked at, in the words of the studio's page.
        inside: all of it, for Python.
        data, port, browser: of the studio, see `verbs.studio.Wanted`.
    """

    model: str
    picture: str
    answer: str | None
    random: bool
    layers: int
    parameters: int
    macs: int
    seconds: float
    size: int
    notes: list[str]
    left: list[str]
    out: str | None
    asked: dict[str, str]
    inside: Inside = field(repr=False)
    data: str | None = None
    port: int = PORT
    browser: bool = True

    @property
    def page(self) -> str | None:
        """The page of the studio that shows it; None where it is on a page of its own.

        Raises:
            OmmaError: a package of the studio is missing.
        """
        if self.out is not None:
            return None
        need("starlette", "studio", "omma look")
        need("uvicorn", "studio", "omma look")
        return "inside"

    def json(self) -> dict[str, Any]:
        names = ("model", "picture", "answer", "random", "layers", "parameters", "macs", "size", "notes", "left", "out")
        return {name: getattr(self, name) for name in names} | {"seconds": round(self.seconds, 3)}

    def lines(self) -> list[str]:
        return [
            *([] if self.answer is None else [say("look.says", answer=self.answer)]),
            *self.notes,
            *(say("look.left_line", what=one) for one in self.left),
            *([] if self.out is None else [say("look.written", count=self.layers, size=f"{self.size / 1e6:.1f}", out=self.out)]),
        ]


def look(
    model: str,
    picture: str | None = None,
    *,
    data: str | None = None,
    run: str | None = None,
    about: str | None = None,
    at: str | None = None,
    weights: str | None = None,
    size: int | None = None,
    full: bool = False,
    out: str | None = None,
    port: int = PORT,
    open_: bool = True,
    device: str = "auto",
    watch: Watch = Watch(),
) -> Look:
    """Look inside a network with a picture before it: in the studio, or with --out on one page that opens without a network.

    Args:
        model: a bundle, a run, or a network's name (ours, or one of timm's or torchvision's): then its weights are drawn from chance.
        picture: a picture file; one of --data, or a drawn one, when open.
        data: pictures that may excite its channels; of a run with --run its own data, for the loss around its weights.
        run: a run whose checkpoints are shown: filters, maps, and the loss around the last weights.
        about: the class that is followed back; the surest when open.
        at: x1,y1,x2,y2 in pixels: the box, or the region, that is followed back.
        weights: published weights for a named network, a .safetensors file.
        size: side of the frame of a named network, pixels.
        full: of --out: leave nothing out: all channels exactly, all inputs of every sum.
        out: the page to write; when open nothing is written, and the command line opens the studio's page, which computes on demand.
        port: of the studio, see `omma studio`.
        open_: open the browser at once.
        device: where to compute.

    Raises:
        BundleError, DataError: the model or the picture cannot be read.
        OmmaError: no such network, name or run.
        NotMeaningful: this model has no forward pass to look into, or its answers lie nowhere.
        DiskError: the page cannot be written.
    """
    start = time.perf_counter()
    found = inside_of(model, picture, data=data, run=run, about=about, at=at, weights=weights, size=size, device=device, watch=watch)
    answer, left, weight = (None, [], 0) if out is None else _written(found, full, Path(out), watch)
    tongue, words = language(), {"model": _whole(model), "picture": _whole(picture), "weights": _whole(weights), "size": size}
    return Look(
        model=model, picture=found.before.name, answer=_said(found) if out is None else answer, random=found.subject.random,
        layers=len(found.seen.steps), parameters=sum(one.numel() for one in found.subject.bundle.net.parameters()),
        macs=sum(step.macs for step in found.seen.steps), seconds=time.perf_counter() - start, size=weight,
        notes=[one[tongue] for one in found.notes], left=[one[tongue] for one in left], out=None if out is None else str(Path(out)),
        asked={key: str(value) for key, value in words.items() if value is not None}, inside=found, data=_whole(data), port=port,
        browser=open_,
    )  # fmt: skip


def _whole(path: str | None) -> str | None:
    """A path that means the same in every folder; a name as it is."""
    return str(Path(path).resolve()) if path is not None and Path(path).exists() else path


def inside_of(
    model: str,
    picture: str | int | tuple[bytes | np.ndarray, str] | None = None,
    *,
    data: str | Dataset | None = None,
    run: str | None = None,
    about: str | None = None,
    at: str | None = None,
    weights: str | None = None,
    size: int | None = None,
    device: str = "auto",
    back: bool = True,
    peaks: bool = True,
    watch: Watch = Watch(),
) -> Inside:
    """Everything that is computed; see `look`, whose parameters these are.

    Args:
        picture: a file, the place of one among the data, or (its bytes or pixels, its name).
        data: a path, or a dataset that is open already.
        back: follow the answer back at once.
        peaks: find which pictures of the data excite its channels; else the data only give the picture.

    Raises:
        BundleError, DataError, OmmaError, NotMeaningful: as `look`.
    """
    from omma.engine.machine import device_of
    from omma.inside.look import look_inside
    from omma.inside.subject import subject
    from omma.verbs.explain import corners_of

    corners = corners_of(at)
    of = subject(model, size, weights, str(device_of(device)))
    dataset = _opened(data, of, watch) if isinstance(data, str) else data
    original, name = _picture(of, picture, dataset, watch)
    learned = None if run is None else _data_of(run, of, watch, dataset)
    return look_inside(
        of, original, name, about=about, at=corners, data=dataset if peaks else None, run=run, run_data=learned, back=back, watch=watch
    )


def _said(found: Inside) -> str | None:
    """The answer in a few letters."""
    from omma.report.phrase import phrase

    return None if found.answer is None else phrase(found.answer)


def _written(found: Inside, full: bool, target: Path, watch: Watch) -> tuple[str | None, list[dict[str, str]], int]:
    """(the answer in a few letters, what is not on the page, its bytes)."""
    from omma.inside.page.html import page
    from omma.inside.page.sheet import sheet

    watch.step(say("look.writing"), 0, 1)
    made = sheet(found, full)
    text = page(made)
    watch.end(say("look.writing"))
    _write(text, target)
    return made.data["answer"], made.left, target.stat().st_size


def _picture(
    of: Subject, picture: str | int | tuple[bytes | np.ndarray, str] | None, dataset: Dataset | None, watch: Watch
) -> tuple[np.ndarray | None, str]:
    """(decoded picture, its name): the one that was named, one of the data, or a drawn one."""
    from omma.inside.subject import drawn_scene, stored

    if of.seeded:
        return None, say("look.seed", seed=0)
    if picture is None and dataset is not None and len(dataset):
        picture = next((i for i, sample in enumerate(dataset.samples) if sample.split in ("test", "val")), 0)
    if isinstance(picture, int):
        assert dataset is not None
        return stored(of, dataset, picture), dataset.samples[picture].id
    if picture is not None:
        from omma.data.moving.sampled import as_read

        given, name = (Path(picture), Path(picture).name) if isinstance(picture, str) else picture
        if isinstance(given, bytes | Path):
            return as_read(given, of.bundle.views.channels, name=name if isinstance(given, bytes) else None), name
        return given, name
    watch.say(say("look.of_chance", name=say("look.drawn_scene")))
    scene = drawn_scene()
    channels = of.bundle.views.channels
    if channels not in (1, 3):
        scene = scene[:, :, :1].repeat(channels, 2)
    return scene, say("look.drawn_scene")


def _opened(data: str, of: Subject, watch: Watch) -> Dataset:
    from omma.formats.format import open_data

    return open_data(data, None, watch, of.bundle.task.answer.kind)


def _data_of(run: str, of: Subject, watch: Watch, dataset: Dataset | None) -> Dataset | None:
    """What a run learned from, where it still lies; else the data that was named, and where none was that is said."""
    from omma.formats.format import open_data
    from omma.inside.course import folder_of

    _, facts = folder_of(run).read()
    try:
        return open_data(facts.where, facts.format, watch, of.bundle.task.answer.kind)
    except OmmaError as error:
        if dataset is None:
            watch.warn(say("look.no_data_of_run", reason=error.what))
        return dataset


def _write(text: str, target: Path) -> None:
    """The page, whole or not at all."""
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, "utf-8", errors="backslashreplace")
        partial.replace(target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise DiskError(say("look.not_written", reason=error.strerror or error), target) from None
