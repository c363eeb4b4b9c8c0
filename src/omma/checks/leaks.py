"""The same picture in training and in what is measured: scores flatter."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen

ORDER = {"test": 0, "val": 1, "train": 2}


def leaks(seen: Seen) -> Iterator[Finding]:
    """Duplicates across the splits the dataset came with, and groups (patients, videos) that they tear apart.

    A clean list keeps the copies in the most protected part and leaves the others out.
    """
    samples = seen.dataset.samples
    torn = [group for group in seen.near.clusters() if len({samples[i].split for i in group} - {None}) > 1]
    if torn:
        yield Finding("leak", "fault", {"pictures": sum(map(len, torn))}, groups=torn, drop=_others(samples, torn))
    people: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        if sample.group:
            people.setdefault(sample.group, []).append(i)
    split = [places for places in people.values() if len({samples[i].split for i in places} - {None}) > 1]
    if split:
        yield Finding("torn_group", "fault", {"pictures": sum(map(len, split))}, groups=split, drop=_others(samples, split))


def _others(samples: list, groups: list[list[int]]) -> list[int]:
    drop = []
    for group in groups:
        best = min(ORDER.get(samples[i].split or "", 3) for i in group)
        drop += [i for i in group if ORDER.get(samples[i].split or "", 3) != best]
    return drop
