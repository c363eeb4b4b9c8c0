"""What every format keeps to, tried on a small dataset of its own; `omma.testing` offers it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from omma import catalog

if TYPE_CHECKING:
    from omma.data.sample import Dataset

SIDE = 64  # pixels of the frames a truth is put into


def check_format(name: str, where: str | Path, tmp: Path | None = None) -> Dataset:
    """A format reads without touching, twice the same, and what it writes it reads again; returns what it read.

    Args:
        name: in the catalogue.
        where: a small dataset in this format.
        tmp: an empty folder for the round trip of a format that writes; None leaves that out.

    Raises:
        AssertionError: which promise is broken.
    """
    from omma.data.views import Views
    from omma.progress import Watch

    where = Path(where)
    module = catalog.module("formats", name)
    before = _contents(where)
    sure = module.sniff(where)
    assert 0 < sure <= 1, f"sniff gives {sure} for its own format"
    dataset = module.read(where, Watch())
    again = module.read(where, Watch())
    assert _contents(where) == before, "reading has changed the files"
    ids = [sample.id for sample in dataset.samples]
    assert ids and len(set(ids)) == len(ids), "ids are unique"
    assert ids == sorted(ids) or dataset.pixels is not None, "samples are sorted by id"
    assert dataset.digest() == again.digest(), "reading twice gives two datasets"
    assert dataset.format == name, f"the dataset says its format is {dataset.format}"
    for place in range(min(8, len(dataset))):
        assert dataset.picture(place).ndim == 3, f"picture {place} is not (H, W, C)"
    if dataset.task is not None:
        truths = [t for t in dataset.truths() if t is not None]
        catalog.find("tasks", dataset.task).answer.tensors(truths, dataset.names, Views(SIDE))
    if tmp is not None and hasattr(module, "write"):
        target = tmp / where.name
        module.write(dataset, target)
        back = module.read(target, Watch())
        # A picture known to hold nothing has a truth of length 0: it is not None.
        assert [(s.truth is not None and s.truth.json(), s.split) for s in back.samples] == [
            (s.truth is not None and s.truth.json(), s.split) for s in dataset.samples
        ], "what was written does not read back the same"
    return dataset


def _contents(where: Path) -> dict[str, str]:
    files = [where] if where.is_file() else sorted(p for p in where.rglob("*") if p.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
