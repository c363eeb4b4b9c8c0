"""A class for every pixel: the answer of semantic segmentation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from omma.answers.answer import Answer

VOID = 255  # a pixel nobody labelled: neither right nor wrong


@dataclass(slots=True, eq=False)
class Mask(Answer):
    """The class of every pixel, kept packed: a picture's worth of labels takes a few kilobytes.

    Args:
        width, height: of the upright picture, pixels.
        classes: every class name; a pixel's value is a place in it, or `VOID`.
        packed: the pixels, row by row, one byte each, compressed with zlib; see `of` and `pixels`.
    """

    width: int
    height: int
    classes: Sequence[str]
    packed: bytes
    kind: ClassVar[str] = "mask"

    @classmethod
    def of(cls, pixels: np.ndarray, classes: Sequence[str]) -> Self:
        """From (H, W) whole numbers: places in `classes`, or `VOID`."""
        assert pixels.ndim == 2 and len(classes) <= VOID, "a mask is (H, W), of at most 255 classes"
        height, width = pixels.shape
        return cls(width, height, list(classes), zlib.compress(np.ascontiguousarray(pixels, np.uint8).tobytes(), 1))

    @property
    def pixels(self) -> np.ndarray:
        """(H, W) uint8: places in `classes`, or `VOID`."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.height, self.width)

    def json(self) -> dict[str, Any]:
        raise NotImplementedError
