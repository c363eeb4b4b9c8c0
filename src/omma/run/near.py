"""Near-duplicates of a dataset, remembered: the search is the slowest part of starting a second run on the same pictures."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from omma.data.duplicates import Duplicates, near_duplicates
from omma.data.sample import Dataset
from omma.data.sources import home
from omma.progress import Watch


def near_of(dataset: Dataset, watch: Watch) -> Duplicates:
    """`near_duplicates`, from the memory beside the fetched sources where nothing has changed since.

    The key holds each file's name, size and time of change, or the packed pixels; a memory that cannot be read or written is no
    memory.
    """
    path = home() / "near" / f"{_key(dataset)}.json"
    try:
        row = json.loads(path.read_text("utf-8"))
        return Duplicates(row["exact"], [tuple(pair) for pair in row["near"]], row["bursts"])
    except (OSError, ValueError, KeyError, TypeError):
        found = near_duplicates(dataset, watch)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps({"exact": found.exact, "near": found.near, "bursts": found.bursts}), "utf-8")
        partial.replace(path)
    except OSError:
        pass
    return found


def _key(dataset: Dataset) -> str:
    sha = hashlib.sha256(dataset.digest().encode())
    for sample in dataset.samples:
        sha.update(sample.id.encode())
        if sample.path is not None:
            sha.update(_stamp(sample.path))
    return sha.hexdigest()[:32]


def _stamp(path: Path) -> bytes:
    try:
        facts = path.stat()
    except OSError:
        return b"?"
    return f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}".encode()
