"""What a look at both pictures of some pairs tells: whether they can be read, whether they show the same thing, and in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from omma.answers.picture import Picture
from omma.data.crew import in_threads
from omma.data.decode import Probe, probe
from omma.data.likeness.pairing import likeness, shift
from omma.data.sample import Dataset, good_file
from omma.errors import DataError
from omma.formats.pairs import factor
from omma.progress import Watch
from omma.words import say

LOOKED = 64  # pairs: a mistake of one in twenty is then seen with 96 %
ALIKE = 0.5  # correlation at thumbnail size; of two photographs taken at random seldom more

T = TypeVar("T")


@dataclass(slots=True)
class PairLook:
    """One pair.

    Args:
        error: why the good picture cannot be read; then nothing else is known.
        likeness: of brightness at thumbnail size, −1 to 1; NaN where it cannot be told.
        shift: (right, down) in pixels of the bad picture.
    """

    error: str = ""
    likeness: float = float("nan")
    shift: tuple[float, float] = (0.0, 0.0)


def pairs_of(dataset: Dataset) -> list[int]:
    """Places of the samples whose truth is a picture."""
    return [place for place, sample in enumerate(dataset.samples) if isinstance(sample.truth, Picture)]


def look_at_pairs(dataset: Dataset, watch: Watch = Watch()) -> dict[int, PairLook]:
    """Place → what was seen, of at most 64 pairs, evenly chosen; bad pictures that cannot be read are told elsewhere."""
    places = pairs_of(dataset)
    chosen = [places[i] for i in np.linspace(0, len(places) - 1, min(LOOKED, len(places))).astype(int)]
    looks = watch.each(say("check.pairing"), in_threads(lambda place: _look(dataset, place), chosen), len(chosen)) if chosen else ()
    return {place: look for place, look in zip(chosen, looks, strict=True) if look is not None}


def _look(dataset: Dataset, place: int) -> PairLook | None:
    truth = dataset.samples[place].truth
    assert isinstance(truth, Picture)
    try:
        good = truth.pixels
    except DataError as error:
        return PairLook(error.what)
    try:
        bad = dataset.picture(place)
    except DataError:
        return None
    look = PairLook(likeness=likeness(bad, good))
    if not look.likeness < ALIKE and factor(bad.shape[:2], good.shape[:2]):
        look.shift = shift(bad, good)
    return look


def bare(dataset: Dataset) -> bool:
    """Whether nobody says anything of any picture: then they may be good ones, to learn restoration from."""
    return all(sample.truth is None for sample in dataset.samples)


def of_files(dataset: Dataset, ask: Callable[[Path, Probe], T | None]) -> dict[int, T]:
    """Place → what the header of the good picture's file is asked, `ask(path, header)`; those left out that have none, or no answer.

    Where all pictures are bare, each is asked itself.
    """
    files = {place: file for place in pairs_of(dataset) if (file := good_file(dataset, dataset.samples[place])) is not None}
    if bare(dataset):
        files = {place: sample.path for place, sample in enumerate(dataset.samples) if sample.path is not None}

    def look(file: Path) -> T | None:
        try:
            return ask(file, probe(file))
        except (DataError, OSError):
            return None

    return {place: told for place, told in zip(files, in_threads(look, files.values()), strict=True) if told is not None}
