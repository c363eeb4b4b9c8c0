"""The same picture with different labels: at least one of them is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from omma.answers.boxes import Boxes
from omma.answers.mask import Mask
from omma.answers.numbers import Numbers
from omma.answers.picture import Picture
from omma.checks.finding import Finding, Seen
from omma.data.duplicates import unite
from omma.data.recast import present
from omma.data.sample import Sample


def conflicts(seen: Seen) -> Iterator[Finding]:
    """`conflict` among exact copies: nobody can say which label holds, so a clean list leaves all out. `near_conflict`: worth a look."""
    samples = seen.dataset.samples
    exact = [group for group in seen.near.exact if differ(samples, group)]
    if exact:
        yield Finding("conflict", "fault", groups=exact, reasons=_labels(samples, exact), drop=[i for group in exact for i in group])
    # A copy that was cropped or mirrored has its objects and pixels elsewhere: only what is said of whole pictures can be compared.
    whole = [(a, b) for a, b, _ in seen.near.near if not isinstance(samples[a].truth, Boxes | Mask | Picture)]
    near = [group for group in unite(whole) if differ(samples, group)]
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
    """The class names of a truth, an object's once for each object; none where it is numbers."""
    return list(present(sample.truth))


def told(sample: Sample) -> list[str]:
    """A truth in a few words."""
    if isinstance(sample.truth, Numbers):
        return [f"{name} {value:.4g}" for name, value in sample.truth.numbers.items()]
    return [f"{count} × {name}" if count > 1 else name for name, count in Counter(classes(sample)).items()]
