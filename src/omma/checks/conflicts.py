"""The same picture with different labels: at least one of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omma.checks.finding import Finding, Seen
from omma.data.duplicates import unite
from omma.data.sample import Sample


def conflicts(seen: Seen) -> Iterator[Finding]:
    """`conflict` among exact copies: nobody can say which label holds, so a clean list leaves all out. `near_conflict`: worth a look."""
    samples = seen.dataset.samples
    exact = [group for group in seen.near.exact if differ(samples, group)]
    if exact:
        yield Finding("conflict", "fault", groups=exact, reasons=_labels(samples, exact), drop=[i for group in exact for i in group])
    near = [group for group in unite((a, b) for a, b, _ in seen.near.near) if differ(samples, group)]
    if near:
        yield Finding("near_conflict", "advice", groups=near, reasons=_labels(samples, near))


def differ(samples: Sequence[Sample], group: Sequence[int]) -> bool:
    """Whether two truths of a group contradict each other."""
    truths = [samples[i].truth for i in group]
    known = [truth for truth in truths if truth is not None]
    return any(not known[0].same(other) for other in known[1:])


def _labels(samples: Sequence[Sample], groups: Sequence[Sequence[int]]) -> dict[str, str]:
    return {samples[i].id: ", ".join(told(samples[i])) for group in groups for i in group}


def classes(sample: Sample) -> list[str]:
    """The class names of a truth; none where it is numbers."""
    return [] if sample.truth is None or sample.truth.kind == "numbers" else told(sample)


def told(sample: Sample) -> list[str]:
    """A truth in a few words."""
    row = sample.truth.json() if sample.truth is not None else {}
    if "labels" in row:
        return [entry["label"] for entry in row["labels"]]
    return [row["label"]] if "label" in row else [f"{name} {value:.4g}" for name, value in row.get("numbers", {}).items()]
