"""Who learns from which picture: a split that never tears a patient, a burst or a near-duplicate apart.

The split is a pure function of the seed and of the pictures there are: the order in which files were found plays no part.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from omma.answers.answer import Answer
from omma.answers.numbers import Numbers
from omma.answers.rebuilt import Rebuilt
from omma.data.duplicates import Duplicates, near_duplicates, unite
from omma.data.recast import ground_of, present
from omma.data.sample import SPLITS, Dataset
from omma.errors import DataError
from omma.progress import Watch
from omma.words import say

QUANTILES = 10  # numbers are spread evenly by tenths of their range


def split(
    dataset: Dataset, seed: int = 0, watch: Watch = Watch(), val: float = 0.1, test: float = 0.2, near: Duplicates | None = None
) -> Dataset:
    """Fill the splits that are open; those the dataset came with are kept.

    Without any split, `val` and `test` are shares of the whole. Where only a part is missing (a dataset with train and test), its share
    is taken out of the training part. A sample without a split that looks like one that has a split joins it. Odd pictures, which are
    never learned from, are tested on.

    Args:
        dataset: samples with `split` set or open (None).
        seed: what the draw derives from.
        watch: told about the search for near-duplicates.
        val, test: shares, 0–1; those of missing parts together below 1.
        near: near-duplicates already known; found here when None.

    Raises:
        DataError: there is nothing to train on.
    """
    if not dataset.samples:
        raise DataError(say("split.nothing"), dataset.root)
    if open_odd := {i for i, sample in enumerate(dataset.samples) if sample.split is None and is_odd(sample.truth)}:
        return _around(dataset, open_odd, seed, watch, val, test, near)
    given = dataset.counts()
    if sum(given.values()) == len(dataset) and len(given) == len(SPLITS):
        return replace(dataset, how_split=say("split.given", **_sizes(dataset)))
    if sum(given.values()) == len(dataset) and "train" not in given:
        raise DataError(say("split.no_train", parts=", ".join(given)), dataset.root, say("split.no_train_fix"))
    # What is missing comes out of training; a part that was given keeps its size, nothing is added to it by chance.
    wanted = {part: share for part, share in (("val", val), ("test", test)) if part not in given and share}
    if sum(wanted.values()) > 1 - 1e-9:
        shares = ", ".join(f"{part}={share:g}" for part, share in wanted.items())
        raise DataError(say("split.all_held", shares=shares), dataset.root, say("split.all_held_fix"))
    pieces, near = groups(dataset, watch, near)
    held = _follow(dataset, pieces)
    movable = [group for group in pieces if {held[i] for i in group} <= ({None, "train"} if wanted else {None})]
    parts = _assign(dataset, movable, seed, [("train", 1 - sum(wanted.values())), *wanted.items()])
    for group, part in zip(movable, parts, strict=True):
        held.update(dict.fromkeys(group, part))
    done = replace(dataset, samples=[s if s.split == held[i] else replace(s, split=held[i]) for i, s in enumerate(dataset.samples)])
    return replace(done, how_split=_how(done, given, movable, near, seed))


def is_odd(truth: Answer | None) -> bool:
    """Whether a picture is known to be odd: nobody may learn from it."""
    return isinstance(truth, Rebuilt) and bool(truth.odd)


def _around(
    dataset: Dataset, odd: set[int], seed: int, watch: Watch, val: float, test: float, near: Duplicates | None
) -> Dataset:  # fmt: skip
    """The split of the pictures that are not odd, as if there were no others; these are tested on."""
    kept = [i for i in range(len(dataset)) if i not in odd]
    done = split(dataset.choose(kept), seed, watch, val, test, None if near is None else near.among(kept))
    rows = iter(done.samples)
    samples = [replace(sample, split="test") if i in odd else next(rows) for i, sample in enumerate(dataset.samples)]
    return replace(dataset, samples=samples, how_split=f"{done.how_split} {say('split.odd', count=f'{len(odd):,}')}")


def random_split(dataset: Dataset, seed: int = 0, val: float = 0.1, test: float = 0.2) -> Dataset:
    """The split everybody else makes, every picture on its own: only to show what the leak-safe one changes."""
    shares = [("train", 1 - val - test), ("val", val), ("test", test)]
    parts = _assign(dataset, [[i] for i in range(len(dataset))], seed, shares)
    samples = [replace(s, split=part) for s, part in zip(dataset.samples, parts, strict=True)]
    done = replace(dataset, samples=samples)
    return replace(done, how_split=say("split.random", seed=seed, **_sizes(done)))


def folds(
    dataset: Dataset, k: int, seed: int = 0, watch: Watch = Watch(), val: float = 0.1, near: Duplicates | None = None
) -> list[Dataset]:
    """`k` datasets; every sample is in the test part of exactly one, validation comes out of the rest; given splits are dropped.

    Raises:
        DataError: there are fewer groups than folds.
    """
    bare = replace(dataset, samples=[replace(s, split=None) for s in dataset.samples])
    pieces, near = groups(bare, watch, near)
    if len(pieces) < k or k < 2:
        raise DataError(say("split.few_groups", groups=len(pieces), folds=k), dataset.root, say("split.few_groups_fix"))
    parts = _assign(bare, pieces, seed, [(str(fold), 1 / k) for fold in range(k)], first="")
    made = []
    for fold in range(k):
        rest = [g for g, part in zip(pieces, parts, strict=True) if part != str(fold)]
        inner = _assign(bare, rest, seed + 1 + fold, [("train", 1 - val), ("val", val)])
        where = {i: part for group, part in zip(rest, inner, strict=True) for i in group}
        held = {i: None if i in where and is_odd(s.truth) else where.get(i, "test") for i, s in enumerate(bare.samples)}
        done = replace(bare, samples=[replace(s, split=held[i]) for i, s in enumerate(bare.samples)])
        told = say("split.fold", fold=fold + 1, folds=k, seed=seed, groups=len(pieces), **_sizes(done))
        made.append(replace(done, how_split=told))
    return made


def groups(dataset: Dataset, watch: Watch = Watch(), near: Duplicates | None = None) -> tuple[list[list[int]], Duplicates]:
    """Places that must stay together — same group, burst or near-duplicate cluster — and the duplicates they rest on."""
    near = near_duplicates(dataset, watch) if near is None else near
    places: dict[str, list[int]] = {}
    for i, sample in enumerate(dataset.samples):
        if sample.group:
            places.setdefault(sample.group, []).append(i)
    alone = ([i] for i in range(len(dataset)))
    return unite([*alone, *places.values(), *near.clusters(), *near.bursts]), near


def _follow(dataset: Dataset, pieces: list[list[int]]) -> dict[int, str | None]:
    """Place → part: open samples follow the given ones of their group, into training where the dataset itself tears the group."""
    held = {i: sample.split for i, sample in enumerate(dataset.samples)}
    for group in pieces:
        found = {held[i] for i in group} - {None}
        if found:
            part = next(part for part in SPLITS if part in found)
            held.update({i: part for i in group if held[i] is None})
    return held


def _assign(dataset: Dataset, pieces: list[list[int]], seed: int, shares: list[tuple[str, float]], first: str = "train") -> list[str]:
    """The name of the part of each group; `shares` are (name, share), and every class is in the part called `first`."""
    if not pieces:
        return []
    flat = [i for group in pieces for i in group]
    kinds = _kinds([dataset.samples[i].truth for i in flat], ground_of(dataset))
    shown, strata = dict(zip(flat, kinds, strict=True)), dict(zip(flat, _rarest(kinds), strict=True))
    # Sorted, so that sums are added in the same order however the files were listed.
    tallies = [dict(sorted(Counter(strata[i] for i in group).items())) for group in pieces]
    draws = [_draw(seed, min(dataset.samples[i].id for i in group)) for group in pieces]
    seats = _Seats([name for name, share in shares if share > 0], [share for _, share in shares if share > 0], tallies)
    seats.fill(sorted(range(len(pieces)), key=lambda g: (-seats.size[g].bit_length(), draws[g])))
    seats.leave_no_part_empty()
    if first in seats.names:
        seats.show_every_class(seats.names.index(first), [set().union(*(shown[i] for i in group)) for group in pieces])
    return [seats.names[part] for part in seats.chosen]


class _Seats:
    """Groups on their way into parts: each goes to the part furthest behind its share, in all and in the group's own classes.

    That is Sainte-Laguë's rule for seats; what it makes small is the chi-square distance to the wanted proportions. Groups come largest
    first, by powers of two, so that small ones can level out; within a size the seed's hash decides.

    Args:
        names, shares: of the parts; only the ratio of the shares matters.
        tallies: of each group, class → samples.
    """

    def __init__(self, names: list[str], shares: list[float], tallies: list[dict]) -> None:
        self.names, self.shares, self.tallies = names, shares, tallies
        self.size = [sum(tally.values()) for tally in tallies]
        self.everyone = sum(self.size)
        self.whole: Counter = Counter()
        for tally in tallies:
            self.whole.update(tally)
        self.total = [0] * len(names)
        self.counts: list[Counter] = [Counter() for _ in names]
        self.chosen: list[int] = []
        self.order: list[int] = []

    def fill(self, order: list[int]) -> None:
        """Seat every group, in this order."""
        self.order, self.chosen = order, [-1] * len(order)
        for g in order:
            self._seat(g, min(range(len(self.names)), key=lambda part: self._full(part, g)))

    def _full(self, part: int, g: int) -> float:
        """How full a part would be halfway into taking the group."""
        size, counts = self.size[g], self.counts[part]
        full = size / self.everyone * (self.total[part] + size / 2)
        for kind, n in self.tallies[g].items():
            full += n / self.whole[kind] * (counts[kind] + n / 2)
        return full / self.shares[part]

    def _seat(self, g: int, part: int) -> None:
        if (old := self.chosen[g]) >= 0:
            self.total[old] -= self.size[g]
            self.counts[old].subtract(self.tallies[g])
        self.total[part] += self.size[g]
        self.counts[part].update(self.tallies[g])
        self.chosen[g] = part

    def leave_no_part_empty(self) -> None:
        """A part that came out empty gets the smallest group of the largest part, one whose classes stay there too if there is such."""
        for part in range(len(self.names)):
            donor = max(range(len(self.names)), key=lambda other: self.total[other])
            spare = [g for g in self.order if self.chosen[g] == donor]
            if self.total[part] or len(spare) < 2:
                continue
            whole = [g for g in spare if all(self.counts[donor][kind] > n for kind, n in self.tallies[g].items())]
            self._seat(min(whole or spare, key=lambda g: self.size[g]), part)

    def show_every_class(self, part: int, shown: list[set]) -> None:
        """A class the part lacks brings its smallest group there: what was never seen cannot be learned.

        Args:
            shown: all classes of each group, also those it is not spread by.
        """
        for kind in sorted(set().union(*shown)):
            having = [g for g in self.order if kind in shown[g]]
            if all(self.chosen[g] != part for g in having):
                self._seat(min(having, key=lambda g: self.size[g]), part)


def _draw(seed: int, id: str) -> bytes:
    """A hash that orders groups: depends on the seed and the id only."""
    return hashlib.blake2b(f"{seed}\0{id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _kinds(truths: list[Answer | None], ground: set[str]) -> list[set]:
    """What each sample shows: its classes, the empty one where there are none, or the tenth its first number lies in.

    Args:
        ground: classes that are no objects: a mask of nothing else is empty.
    """
    known = [t for t in truths if t is not None]
    if known and isinstance(known[0], Numbers):
        values = np.array([next(iter(t.numbers.values())) if isinstance(t, Numbers) and t.numbers else 0.0 for t in truths])
        bins = min(QUANTILES, max(1, len(values) // QUANTILES))
        edges = np.unique(np.quantile(values, np.arange(1, bins) / bins)) if bins > 1 else np.empty(0)
        return [{tenth} for tenth in np.searchsorted(edges, values, side="right").tolist()]
    return [set(present(truth)) - ground or {""} for truth in truths]


def _rarest(kinds: list[set]) -> list[Hashable]:
    """What each sample is to be spread by: what fewest others show, too."""
    count = Counter(kind for shown in kinds for kind in shown)
    return [min(shown, key=lambda kind: (count[kind], kind)) for shown in kinds]


def _sizes(dataset: Dataset) -> dict[str, str]:
    count = dataset.counts()
    return {part: f"{count.get(part, 0):,}" for part in SPLITS}


def _how(dataset: Dataset, given: dict[str, int], movable: list[list[int]], near: Duplicates, seed: int) -> str:
    """The sentence of the report: what was kept, what was filled in, and what was kept together."""
    words: dict[str, Any] = {"seed": seed, "groups": f"{len(movable):,}", "clusters": f"{len(near.clusters()):,}", **_sizes(dataset)}
    if not given:
        return say("split.made", **words)
    filled = [part for part in SPLITS if part not in given and dataset.counts().get(part)]
    return say("split.filled", kept=", ".join(given), filled=", ".join(filled) or "train", **words)
