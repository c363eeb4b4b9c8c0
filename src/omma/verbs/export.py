"""One file that answers the same without omma, proven on the user's own pictures before it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma import catalog
from omma.errors import DataError, DiskError, OmmaError, Refused
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    import numpy as np

    from omma.bundle import Bundle
    from omma.data.sample import Dataset

PICTURES = 64  # of the user's own that the gate compares
TOGETHER, PIXELS = 8, 64_000_000  # most pictures and pixels of one batch
# Heights and widths nobody photographs in: where a graph made for one size goes wrong.
ODD = ((1, 1), (2, 3), (7, 5), (33, 97), (211, 64), (3, 500), (500, 3))


@dataclass(slots=True)
class Exported:
    """A file that was written, and what was proven before.

    Args:
        out: the file.
        to: the exporter.
        pictures: how many were compared: `own` of the user, the rest in odd sizes.
        own: the user's own.
        worst: the largest difference of any output, as a share of its size (at least of 1).
        size: bytes.
        inputs, outputs: names and shapes of what goes in and comes out.
    """

    out: Path
    to: str
    pictures: int
    own: int
    worst: float
    size: int
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return {
            "out": str(self.out), "to": self.to, "pictures": self.pictures, "own": self.own, "worst": self.worst, "bytes": self.size,
            "inputs": self.inputs, "outputs": self.outputs,
        }  # fmt: skip

    def lines(self) -> list[str]:
        reads, gives = (", ".join(f"{name} {shape}" for name, shape in side.items()) for side in (self.inputs, self.outputs))
        return [
            say("export.proven", pictures=self.pictures, own=self.own, worst=f"{self.worst:.1e}") if self.own
            else say("export.proven_seeds", pictures=self.pictures, worst=f"{self.worst:.1e}"),
            say("export.names", reads=reads, gives=gives),
            say("export.written", out=self.out, size=f"{self.size / 1e6:.1f}"),
        ]  # fmt: skip


def export(
    bundle: str | Path,
    *,
    to: str = "onnx",
    data: str | Path | None = None,
    out: str | Path | None = None,
    format: str | None = None,
    device: str = "cpu",
    watch: Watch = Watch(),
) -> Exported:
    """Write a model as one file, with everything inside: resize, normalisation, network, operating point, names.

    The file is written beside its place first and compared there with the model that was measured, on pictures of `data` at their
    own sizes and in odd ones. Where an answer differs nothing stays.

    Args:
        bundle: a bundle or a run folder.
        to: onnx or pt2.
        data: pictures to prove it on: a folder, any dataset, or a source's name; a model that draws needs none.
        out: the file; NAME.onnx in the working folder when left out.
        format: how the dataset lies on disk, when it is not recognised.
        device: where the measured side computes.

    Raises:
        OmmaError: no such exporter, no pictures named, or a package is missing.
        Refused: the exported file gives other answers, or the model cannot be written in this format.
        DiskError: the disk does not take it.
    """
    catalog.module("exporters", to)  # a misspelt name is told before anything slow is loaded
    from omma import bundle as bundles
    from omma.engine.machine import device_of
    from omma.exporters.graph import Graph
    from omma.models._styled import meaningful

    opened = bundles.open(bundle)
    meaningful(opened.net, "export")
    seeded = opened.task.asks == "seed"
    if data is None and not seeded:
        raise OmmaError(say("export.no_data"), fix=say("export.no_data_fix"))
    exporter = catalog.find("exporters", to)()
    if opened.card.get("runtime", {}).get("file") and not exporter.quantised:
        raise Refused(say("export.quantised", to=to), opened.path)
    target = Path(out) if out is not None else Path(_name_of(opened) + exporter.suffix)
    pictures = [] if seeded or data is None else own_pictures(opened, data, format, watch)
    batches = seeds_for(opened) if seeded else [*grouped(pictures), *odd(pictures[0])]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".omma-", dir=target.parent) as beside:
            partial = Path(beside) / target.name
            watch.step(say("export.writing", to=to), 0, 3)
            graph = Graph.of(opened)
            written(exporter, graph, partial)
            watch.step(say("export.proving"), 1, 3)
            worst, count = proven(opened, exporter, partial, batches, str(device_of(device)))
            partial.replace(target)
            watch.end(say("export.proving"))
    except OSError as error:
        raise DiskError(say("export.not_written", reason=error.strerror or error), target) from None
    read = f"float32 (N, {graph.example.shape[1]})" if seeded else f"uint8 (N, H, W, {graph.example.shape[-1]})"
    shapes = {name: f"(N{''.join(f', {n}' for n in shape)})" for name, shape in _shapes(graph).items()}
    return Exported(target, to, count, len(pictures), worst, target.stat().st_size, {graph.source: read}, shapes)


def written(exporter: Any, graph: Any, partial: Path) -> None:
    """The file, beside its place.

    Raises:
        Refused: the exporter cannot write this network; its own words.
    """
    try:
        exporter.write(graph, partial)
    except (OmmaError, OSError):
        raise
    except Exception as error:  # exporters raise whatever they like
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise Refused(say("export.cannot", reason=reason), graph.bundle.path) from None


def proven(opened: Bundle, exporter: Any, file: Path, batches: list[np.ndarray], device: str) -> tuple[float, int]:
    """(largest difference, pictures compared) between a file and the bundle it was made of.

    Args:
        batches: pictures, (N, H, W, C) uint8 each, or rows of seeds.

    Raises:
        Refused: an answer differs.
    """
    import numpy as np
    import torch

    from omma.exporters.graph import leave
    from omma.runtimes.choose import named
    from omma.runtimes.parity import Parity, compare

    # A quantised bundle answers with its own graph: that was measured, on the CPU.
    measured = named("ort", opened) if opened.card.get("runtime", {}).get("file") else named("eager", opened, device=device)
    parity = Parity()
    for batch, answers in zip(batches, exporter.answer(file, batches), strict=True):
        if opened.task.asks == "seed":
            compare(opened, measured.run(batch), answers, parity, located=True)
            continue
        frames = np.concatenate([opened.views.frames(picture) for picture in batch])
        place = opened.views.spot(*batch.shape[1:3])
        mine = {key: torch.from_numpy(value) for key, value in measured.run(frames).items()}
        located = {key: value.numpy() for key, value in leave(opened.task, mine, place, opened.point).items()}
        compare(opened, located, answers, parity, located=True)
    if not parity.ok:
        told = "; ".join(parity.lines)
        raise Refused(say("export.differs", failed=parity.failed, pictures=parity.pictures, lines=told), file.suffix.lstrip("."))
    return parity.worst, parity.pictures


def seeds_for(opened: Bundle) -> list[np.ndarray]:
    """What a model that draws is proven on: `PICTURES` rows of seeds, a few together, three and one alone."""
    from omma.engine.painting.drawing import rows_of

    rows = rows_of(opened.task, opened.net, 0, PICTURES + 4)
    return [*(rows[start : start + TOGETHER] for start in range(0, PICTURES, TOGETHER)), rows[-4:-1], rows[-1:]]


def grouped(pictures: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Pictures of one size together, as the input takes them: (N, H, W, C)."""
    import numpy as np

    sizes: dict[tuple[int, ...], list[np.ndarray]] = {}
    for picture in pictures:
        sizes.setdefault(picture.shape, []).append(picture)
    for shape, same in sizes.items():
        count = max(1, min(TOGETHER, PIXELS // (shape[0] * shape[1])))
        for start in range(0, len(same), count):
            yield np.stack(same[start : start + count])


def odd(picture: np.ndarray) -> Iterator[np.ndarray]:
    """The same picture repeated or cut to odd sizes, alone and three at a time."""
    import numpy as np

    height, width = picture.shape[:2]
    for count, (rows, columns) in enumerate(ODD):
        cut = picture[np.arange(rows) % height][:, np.arange(columns) % width]
        views = [cut, cut[::-1], cut[:, ::-1]]
        yield np.ascontiguousarray(np.stack(views[: 1 if count % 2 else 3]))


def own_pictures(opened: Bundle, data: str | Path, format: str | None, watch: Watch) -> list[np.ndarray]:
    """Up to `PICTURES` of the user's own, spread evenly, at their own sizes: (H, W, 3) uint8 each.

    Raises:
        DataError: there is not one that can be read.
    """
    from omma.data.crew import in_threads
    from omma.data.decode import decode, find_pictures
    from omma.exporters.graph import shown

    dataset = _as_data(data, format, watch)
    files = find_pictures(Path(data)) if dataset is None else []
    total = len(files) if dataset is None else len(dataset)
    places = sorted({place * total // PICTURES for place in range(PICTURES)}) if total else []

    def one(place: int) -> np.ndarray | None:
        try:
            return shown(opened, decode(files[place]) if dataset is None else dataset.picture(place))
        except DataError as error:
            watch.warn(str(error))
            return None

    pictures = [picture for picture in in_threads(one, places) if picture is not None]
    if not pictures:
        raise DataError(say("export.no_pictures"), str(data))
    return pictures


def _as_data(data: str | Path, format: str | None, watch: Watch) -> Dataset | None:
    """What is read as a data set, so that masks are not taken for pictures; None for a folder in which every picture is one."""
    from omma.data.decode import find_pictures
    from omma.formats.format import open_data

    plain = format is None and Path(data).is_dir()
    try:
        found = open_data(data, format, watch)
    except DataError:
        if plain and find_pictures(Path(data)):
            return None
        raise
    return None if plain and found.format == "folders" else found


def _shapes(graph: Any) -> dict[str, tuple[int | str, ...]]:
    import torch

    sides: dict[int, str] = {}
    if graph.example.dim() == 4:  # seeds have no sides
        named = tuple(zip(graph.example.shape[1:3], "HW", strict=True))
        sides = dict(named) | {times * side: f"{times}{name}" for times in (2, 3, 4, 8) for side, name in named}
    with torch.no_grad():
        return {name: tuple(sides.get(n, n) for n in tensor.shape[1:]) for name, tensor in graph.whole(graph.example).items()}


def _name_of(opened: Bundle) -> str:
    """A file's name for a bundle: of its folder, or of the run it lies in."""
    folder = (opened.path or Path("model")).resolve()
    return folder.parent.name if folder.name == "bundle" else folder.name
