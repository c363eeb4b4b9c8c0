"""Look inside a network on one's own picture: its layers, maps, sums, gradients and training on one page."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma.errors import DiskError, OmmaError
from omma.progress import Watch
from omma.words import language, say

if TYPE_CHECKING:
    import numpy as np

    from omma.data.sample import Dataset
    from omma.inside.look import Inside
    from omma.inside.subject import Subject


@dataclass(slots=True)
class Look:
    """What was written.

    Args:
        model: as named.
        picture: what the network looked at.
        answer: what it said; None where it says nothing about a picture.
        random: whether its weights were drawn from chance.
        layers: how many steps the page shows.
        parameters, macs: of the network, and of this one run.
        seconds: from the model on disk to the page on disk.
        size: of the page, bytes.
        notes, left: what a reader must know, and what is not on the page.
        out: the page.
        inside: all of it, for Python.
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
    out: str
    inside: Inside = field(repr=False)

    def json(self) -> dict[str, Any]:
        names = ("model", "picture", "answer", "random", "layers", "parameters", "macs", "size", "notes", "left", "out")
        return {name: getattr(self, name) for name in names} | {"seconds": round(self.seconds, 3)}

    def lines(self) -> list[str]:
        return [
            *([] if self.answer is None else [say("look.says", answer=self.answer)]),
            *self.notes,
            *(say("look.left_line", what=one) for one in self.left),
            say("look.written", count=self.layers, size=f"{self.size / 1e6:.1f}", out=self.out),
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
    device: str = "auto",
    watch: Watch = Watch(),
) -> Look:
    """Write one page that shows the inside of a network on a picture; it opens without a network.

    Args:
        model: a bundle, a run, or a network's name (ours, or one of timm's or torchvision's): then its weights are drawn from chance.
        picture: a picture file; one of --data, or a drawn one, when open.
        data: pictures that may excite its channels; of a run with --run its own data, for the loss around its weights.
        run: a run whose checkpoints are shown: filters, maps, and the loss around the last weights.
        about: the class that is followed back; the surest when open.
        at: x1,y1,x2,y2 in pixels: the box, or the region, that is followed back.
        weights: published weights for a named network, a .safetensors file.
        size: side of the frame of a named network, pixels.
        full: leave nothing out: all channels exactly, all inputs of every sum.
        out: the page to write; NAME.look.html in the working directory when open.
        device: where to compute.

    Raises:
        BundleError, DataError: the model or the picture cannot be read.
        OmmaError: no such network, name or run.
        NotMeaningful: this model has no forward pass to look into, or its answers lie nowhere.
        DiskError: the page cannot be written.
    """
    from omma.engine.machine import device_of
    from omma.inside.look import look_inside
    from omma.inside.page.html import page
    from omma.inside.page.sheet import sheet
    from omma.inside.subject import subject
    from omma.verbs.explain import corners_of

    corners, start = corners_of(at), time.perf_counter()
    of = subject(model, size, weights, str(device_of(device)))
    dataset = None if data is None else _opened(data, of, watch)
    original, name = _picture(of, picture, dataset, watch)
    learned = None if run is None else _data_of(run, of, watch, dataset)
    found = look_inside(of, original, name, about=about, at=corners, data=dataset, run=run, run_data=learned, watch=watch)
    watch.step(say("look.writing"), 0, 1)
    made = sheet(found, full)
    text = page(made)
    watch.end(say("look.writing"))
    target = Path(out) if out is not None else Path(f"{Path(of.title).name}.look.html")
    _write(text, target)
    tongue = language()
    return Look(
        model=model, picture=name, answer=made.data["answer"], random=of.random, layers=len(found.seen.steps),
        parameters=sum(one.numel() for one in of.bundle.net.parameters()), macs=sum(step.macs for step in found.seen.steps),
        seconds=time.perf_counter() - start, size=target.stat().st_size, notes=[one[tongue] for one in found.notes],
        left=[one[tongue] for one in made.left], out=str(target), inside=found,
    )  # fmt: skip


def _picture(of: Subject, picture: str | None, dataset: Dataset | None, watch: Watch) -> tuple[np.ndarray | None, str]:
    """(decoded picture, its name): the one that was named, one of the data, or a drawn one."""
    from omma.inside.subject import drawn_scene

    if of.seeded:
        return None, say("look.seed", seed=0)
    if picture is not None:
        from omma.data.moving.sampled import as_read

        return as_read(Path(picture), of.bundle.views.channels), Path(picture).name
    if dataset is not None and len(dataset):
        place = next((i for i, sample in enumerate(dataset.samples) if sample.split in ("test", "val")), 0)
        return dataset.picture(place), dataset.samples[place].id
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
