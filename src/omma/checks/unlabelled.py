"""Pictures nobody labelled among pictures that are: they are not the same as pictures that hold nothing."""

from __future__ import annotations

from collections.abc import Iterator

from omma.checks.finding import Finding, Seen


def unlabelled(seen: Seen) -> Iterator[Finding]:
    """`unlabelled_some`, advice; a set without any label is told by `balance`."""
    places = [i for i, sample in enumerate(seen.dataset.samples) if sample.truth is None]
    if places and len(places) < len(seen.dataset):
        yield Finding("unlabelled_some", "advice", {"pictures": len(seen.dataset)}, places=places)
