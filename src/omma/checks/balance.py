"""How many pictures each class has: too few, too unequal, none, or only one class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from omma.checks.conflicts import classes
from omma.checks.finding import Finding, Seen, some
from omma.data.decode import PICTURE_SUFFIXES, hidden
from omma.data.sample import Dataset

UNEQUAL, FEW, FEW_ALTOGETHER = 5, 20, 100  # a ratio of 5 moves the decision visibly; 20 give a recall ± 20 points
DEEP = 3  # levels below the root at which class folders lie


def balance(seen: Seen) -> Iterator[Finding]:
    """`few`, `unlabelled`, and how the classes share the pictures."""
    dataset = seen.dataset
    if len(dataset) < FEW_ALTOGETHER:
        yield Finding("few", "advice", {"pictures": len(dataset), "want": FEW_ALTOGETHER}, files=[str(dataset.root)])
    if dataset.task is None:
        yield Finding("unlabelled", "advice", places=range(len(dataset)))
    if seen.objects or seen.masks or not any(classes(sample) for sample in dataset.samples):
        return  # of objects and pixels other checks know more
    counts = Counter(dict.fromkeys(dataset.names, 0))
    counts.update(name for sample in dataset.samples for name in classes(sample))
    empty = sorted([name for name in counts if not counts[name]] + _empty_folders(dataset))
    if empty:
        yield Finding("empty_class", "advice", {"names": some(empty)}, files=empty)
    counts = Counter({name: n for name, n in counts.items() if n})
    if len(counts) == 1:
        yield Finding("one_class", "advice", {"name": next(iter(counts))}, files=list(counts))
    few = sorted((name for name in counts if counts[name] < FEW), key=lambda name: (counts[name], name))
    if few:
        values = {"want": FEW, "names": some([f"{name} ({counts[name]})" for name in few])}
        yield Finding("few_in_class", "advice", values, files=few)
    if len(counts) > 1 and (ratio := max(counts.values()) / min(counts.values())) >= UNEQUAL:
        (most, high), (least, low) = counts.most_common(1)[0], min(counts.items(), key=lambda item: (item[1], item[0]))
        values = {"ratio": f"{ratio:.1f}", "most": most, "high": high, "least": least, "low": low}
        yield Finding("unbalanced", "advice", values, files=[least])


def _empty_folders(dataset: Dataset) -> list[str]:
    """Folders of a folder dataset below which no picture lies."""
    if dataset.format != "folders" or not dataset.root.is_dir():
        return []
    found, full = [], set[str]()
    for here, below, files in os.walk(dataset.root, topdown=False):
        if any(os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES and not hidden(name) for name in files) or any(
            os.path.join(here, name) in full for name in below
        ):
            full.add(here)
        else:
            place = os.path.relpath(here, dataset.root)
            if place != "." and place.count(os.sep) < DEEP and not any(hidden(part) for part in place.split(os.sep)):
                found.append(place.replace(os.sep, "/"))
    return [name for name in found if os.path.dirname(name) not in found]
