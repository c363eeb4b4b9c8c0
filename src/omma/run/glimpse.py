"""A few pictures of validation with what the network says of them on the way: truth on the left, answer on the right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from omma.answers.answer import Answer
from omma.data.decode import to_rgb8
from omma.data.sample import Dataset
from omma.errors import DataError
from omma.report.pictures import twice

MANY, SIDE, GAP = 4, 192, 12  # pictures; pixels of one, and between two
LIKELY = 0.3  # objects less probable than this would hide the picture: what is shown in the end is decided when it is over


class Glimpses:
    """The pictures are read once, and kept small.

    Args:
        dataset: whole pictures with their truths.
        places: those that are validated, in the order of the answers.
    """

    def __init__(self, dataset: Dataset, places: Sequence[int]) -> None:
        step = max(1, len(places) // MANY)
        self._rows = list(range(0, len(places), step))[:MANY]
        self._dataset, self._places = dataset, places
        self._seen: dict[int, np.ndarray] = {}

    def of(self, answers: Sequence[Answer]) -> list[np.ndarray]:
        """(H, W, 3) uint8 each, two pictures beside one another; one that cannot be read any more is left out."""
        shown = []
        for row in self._rows:
            truth = self._dataset.samples[self._places[row]].truth
            picture = self._picture(row)
            if truth is not None and picture is not None:
                shown.append(twice(picture, truth, answers[row].settle({"threshold": LIKELY})))
        return [_beside(shown[row : row + 2]) for row in range(0, len(shown), 2)]

    def _picture(self, row: int) -> np.ndarray | None:
        if row not in self._seen:
            try:
                image = Image.fromarray(to_rgb8(self._dataset.picture(self._places[row])))
            except DataError:
                return None
            scale = max(1, SIDE // max(image.size)) if max(image.size) < SIDE else SIDE / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            self._seen[row] = np.asarray(image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR))
        return self._seen[row]


def _beside(pictures: list[np.ndarray]) -> np.ndarray:
    high = max(len(one) for one in pictures)
    even = [
        np.pad(one, ((0, high - len(one)), (0, GAP * (place > 0)), (0, 0)), constant_values=255) for place, one in enumerate(pictures[::-1])
    ]
    return np.concatenate(even[::-1], 1)
