"""A dataset of pictures as the dataset of what a network sees: windows become samples of their own."""

from __future__ import annotations

from dataclasses import replace

from omma.answers.answer import Answer
from omma.answers.placed import Placed
from omma.data.sample import Dataset, Sample
from omma.data.views import Views
from omma.errors import DataError


def in_windows(dataset: Dataset, views: Views) -> Dataset:
    """The dataset itself; or, where pictures are read in windows, one sample for each of their frames, picture by picture.

    A picture whose size cannot be read stays one sample, and is named when it is to be decoded.
    """
    if views.fit != "windows":
        return dataset
    samples: list[Sample] = []
    for place, sample in enumerate(dataset.samples):
        try:
            parts = views.windows(*dataset.extent(place))
        except DataError:
            samples.append(replace(sample, of=place))
            continue
        truths: list[Answer | None] = [sample.truth] * len(parts)
        if len(parts) > 1 and isinstance(sample.truth, Placed):
            small = [sample.truth.aside_below(views.overlap / 2)] if views.whole else []
            truths = [*sample.truth.cut(parts[: len(parts) - len(small)]), *small]
        for number, (part, truth) in enumerate(zip(parts, truths, strict=True)):
            name = f"{sample.id}#{number}" if len(parts) > 1 else sample.id
            samples.append(replace(sample, id=name, truth=truth, window=part, of=place))
    return replace(dataset, samples=samples, whole=dataset)


def by_picture(dataset: Dataset, places: list[int]) -> dict[int, list[int]]:
    """Pictures → the places of their windows, for those all of whose windows are among `places`; in a plain dataset each its own."""
    if dataset.whole is None:
        return {place: [place] for place in places}
    wanted: dict[int, int] = {}
    for sample in dataset.samples:
        wanted[_of(sample)] = wanted.get(_of(sample), 0) + 1
    found: dict[int, list[int]] = {}
    for place in places:
        found.setdefault(_of(dataset.samples[place]), []).append(place)
    return {picture: mine for picture, mine in found.items() if len(mine) == wanted[picture]}


def _of(sample: Sample) -> int:
    assert sample.of is not None
    return sample.of
