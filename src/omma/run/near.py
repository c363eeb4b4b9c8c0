"""Near-duplicates of a dataset, remembered: the search is the slowest part of starting a second run on the same pictures."""

from __future__ import annotations

import json
import os

from omma.data.duplicates import Duplicates, near_duplicates
from omma.data.sample import Dataset
from omma.data.sources import home
from omma.progress import Watch


def near_of(dataset: Dataset, watch: Watch) -> Duplicates:
    """`near_duplicates`, from the memory beside the fetched sources where nothing has changed since.

    A memory that cannot be read or written is no memory.
    """
    path = home() / "near" / f"{dataset.stamp()[:32]}.json"
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
