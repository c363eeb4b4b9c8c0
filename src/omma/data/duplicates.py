"""Pictures that are the same, or nearly: byte for byte, pixel for pixel, or after resizing, compression, mirroring and cropping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from omma.data.likeness.alike import alike_pairs
from omma.data.looks import Looks, look_over
from omma.data.sample import Dataset
from omma.progress import Watch

BURST_SECONDS = 3.0
BURST_SHARE = 0.2  # a "burst" of more than this share of a set is a clock that stood still


@dataclass(slots=True)
class Duplicates:
    """What is the same as what; places in the dataset.

    Args:
        exact: groups whose files or decoded pixels are equal.
        near: (first, second, how they differ: `same`, `mirrored`), first < second; of an exact group only its first member appears.
        bursts: groups taken by one camera within three seconds of each other, or with neighbouring names and much alike.
    """

    exact: list[list[int]] = field(default_factory=list)
    near: list[tuple[int, int, str]] = field(default_factory=list)
    bursts: list[list[int]] = field(default_factory=list)

    def among(self, places: Sequence[int]) -> Duplicates:
        """The same of a part of the dataset, the samples at these places, in its own places."""
        new = {old: place for place, old in enumerate(places)}
        exact, bursts = ([[new[i] for i in group if i in new] for group in groups] for groups in (self.exact, self.bursts))
        near = [(new[a], new[b], how) for a, b, how in self.near if a in new and b in new]
        return Duplicates([group for group in exact if len(group) > 1], near, [group for group in bursts if len(group) > 1])

    def clusters(self) -> list[list[int]]:
        """Groups of two and more that hang together by being equal or near, each sorted, ordered by first member."""
        return [group for group in unite([*self.exact, *((a, b) for a, b, _ in self.near)]) if len(group) > 1]

    def __len__(self) -> int:
        return len(self.exact) + len(self.near)


def near_duplicates(dataset: Dataset, watch: Watch = Watch(), looks: Looks | None = None) -> Duplicates:
    """Find what is the same in a dataset.

    Args:
        dataset: any; unreadable pictures are left out.
        watch: told about looking and comparing.
        looks: of the same dataset, if somebody has looked already.
    """
    looks = look_over(dataset, watch) if looks is None else looks
    exact = _equal(looks)
    doubles = {i for group in exact for i in group[1:]}
    places = np.array([i for i in np.flatnonzero(looks.readable()) if int(i) not in doubles], np.int64)
    near, cousins = alike_pairs(looks.thumbs, places, watch)
    return Duplicates(exact, near, _bursts(dataset, looks, cousins))


def unite(sets: Iterable[Iterable[int]]) -> list[list[int]]:
    """Merge overlapping sets of places; each result sorted, ordered by first member."""
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while parent.setdefault(i, i) != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for members in sets:
        first, *others = members
        top = root(first)
        for other in others:
            a, top = sorted((root(other), top), reverse=True)
            parent[a] = top
    found: dict[int, list[int]] = {}
    for i in sorted(parent):
        found.setdefault(root(i), []).append(i)
    return list(found.values())


def _equal(looks: Looks) -> list[list[int]]:
    """Groups of equal files, or equal pixels whatever the file."""
    same: list[list[int]] = []
    for hashes in (looks.file_hash, looks.pixel_hash):
        seen: dict[bytes, list[int]] = {}
        for i in np.flatnonzero(looks.readable()):
            if hashes[i].any():
                seen.setdefault(hashes[i].tobytes(), []).append(int(i))
        same += [group for group in seen.values() if len(group) > 1]
    return unite(same)


def _bursts(dataset: Dataset, looks: Looks, cousins: list[tuple[int, int]]) -> list[list[int]]:
    """One camera within three seconds; or much alike with names that follow one another in one folder."""
    chains: list[tuple[int, int]] = []
    timed = [int(i) for i in np.flatnonzero(~np.isnan(looks.seconds))]
    timed.sort(key=lambda i: (int(looks.cameras[i]), float(looks.seconds[i]), dataset.samples[i].id))
    for a, b in pairwise(timed):
        if looks.cameras[a] == looks.cameras[b] and looks.seconds[b] - looks.seconds[a] <= BURST_SECONDS:
            chains.append((a, b))
    sound = [group for group in unite(chains) if len(group) <= max(2, BURST_SHARE * len(dataset))]
    after = _next_names(dataset)
    return unite([*sound, *((a, b) for a, b in cousins if after.get(a) == b or after.get(b) == a)])


def _next_names(dataset: Dataset) -> dict[int, int]:
    """Place → place of the file whose name comes next in the same folder."""
    files = [i for i, sample in enumerate(dataset.samples) if sample.path is not None]
    files.sort(key=lambda i: (str(dataset.samples[i].path.parent), dataset.samples[i].path.name))  # type: ignore[union-attr]
    return {a: b for a, b in pairwise(files) if dataset.samples[a].path.parent == dataset.samples[b].path.parent}  # type: ignore[union-attr]
