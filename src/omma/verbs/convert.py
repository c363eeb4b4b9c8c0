"""Write a dataset in another format: boxes, outlines, masks or classes; what the format cannot hold is said, nothing is asked."""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omma import catalog
from omma.errors import NotMeaningful, OmmaError
from omma.progress import Watch
from omma.words import say

if TYPE_CHECKING:
    from omma.data.sample import Dataset, Refused

# What a truth becomes where a format cannot hold it as it is: the nearest first.
NEAREST: dict[str, tuple[str, ...]] = {
    "boxes": ("instances", "mask"),
    "instances": ("boxes", "mask"),
    "mask": ("instances", "boxes"),
    "label": ("labels",),
    "labels": ("label",),
}


@dataclass
class Converted:
    """A dataset in its new format.

    Args:
        out: where it lies.
        format: its format.
        kind: of answer that was written.
        pictures, objects: how many were written.
        lost: what the new format could not hold, a sentence each.
        refused: files and records of the old one that could not be used, and so were left out.
    """

    out: Path
    format: str
    kind: str
    pictures: int
    objects: int
    lost: list[str]
    refused: list[Refused]

    def json(self) -> dict[str, Any]:
        """{"out", "format", "kind", "pictures", "objects", "lost", "refused": [{"where", "reason"}]}."""
        return vars(self) | {"out": str(self.out), "refused": [asdict(row) for row in self.refused]}

    def lines(self) -> list[str]:
        """What was written, and how to go on."""
        objects = {"objects": f"{self.objects:,}"} if self.objects else {}
        what = say(
            "convert.written" if objects else "convert.written_plain",
            pictures=f"{self.pictures:,}", format=self.format, out=self.out, **objects,
        )  # fmt: skip
        return [what, say("convert.next", out=shlex.quote(str(self.out)))]


def convert(data: str, out: str, *, format_: str, from_format: str | None = None, watch: Watch = Watch()) -> Converted:
    """Read a dataset, write it in another format with its pictures; it appears at `out` whole, or not at all.

    Args:
        data: a path or a source's name; left as it is.
        out: a new folder, or an empty one.
        format_: what to write: coco, voc, yolo, masks, labelme, csv (or that of a plug-in).
        from_format: how the data lies on disk; sniffed when left out.

    Raises:
        OmmaError: no such path, source or format, or `out` is there already.
        DataError: nothing there that could be a dataset.
        NotMeaningful: the format cannot hold what the labels say, in no form.
        DiskError, OSError: the disk does not take it.
    """
    from omma.data.recast import count_objects, kind_of, recast
    from omma.formats.format import describe, open_data

    holds, target = _holds(format_), _free(Path(out).expanduser())
    dataset = open_data(data, from_format, watch)
    for line in describe(dataset):
        watch.say(line)
    dataset, lost = recast(dataset, _nearest(kind_of(dataset), holds, format_))
    lost += _write(dataset, format_, target, watch)
    for line in lost:
        watch.warn(line)
    kind = str(kind_of(dataset))
    return Converted(target, format_, kind, len(dataset), count_objects(dataset), lost, dataset.refused)


def _holds(format: str) -> tuple[str, ...]:
    """The kinds of answers a format can write."""
    writers = _writers()
    if format not in catalog.names("formats"):
        raise catalog.unknown("format", format, list(writers))
    if format not in writers:
        raise OmmaError(say("convert.cannot_write", format=format), None, say("convert.cannot_write_fix", formats=", ".join(writers)))
    return writers[format]


def _writers() -> dict[str, tuple[str, ...]]:
    """Every format that can be written, with the kinds of answers it holds."""
    found = {name: catalog.module("formats", name) for name in catalog.names("formats")}
    return {name: module.HOLDS for name, module in found.items() if hasattr(module, "HOLDS")}


def _nearest(kind: str | None, holds: tuple[str, ...], format: str) -> str:
    """What the labels are written as; where nothing is labelled, what the format likes best (and `recast` will say so)."""
    if kind is None:
        return holds[0]
    for wanted in (kind, *NEAREST.get(kind, ())):
        if wanted in holds:
            return wanted
    able = [name for name, kinds in _writers().items() if {kind, *NEAREST.get(kind, ())} & set(kinds)]
    fix = say("convert.cannot_hold_fix", formats=", ".join(able)) if able else say("convert.nothing_holds")
    raise NotMeaningful(say("convert.cannot_hold", format=format, kind=say(f"convert.kind.{kind}")), None, fix)


def _free(out: Path) -> Path:
    """A path that may be written: nothing is there, or an empty folder."""
    if os.path.lexists(out) and (out.is_symlink() or not out.is_dir() or any(out.iterdir())):
        raise OmmaError(say("convert.taken"), out, say("convert.taken_fix"))
    return out


def _write(dataset: Dataset, format: str, out: Path, watch: Watch) -> list[str]:
    """Write beside the target, then take its name: whoever sees the target sees all of it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", suffix=".partial", dir=out.parent) as scratch:
        whole = Path(scratch) / out.name
        lost = catalog.module("formats", format).write(dataset, whole, watch)
        if out.is_dir():
            out.rmdir()
        whole.rename(out)
    return lost
