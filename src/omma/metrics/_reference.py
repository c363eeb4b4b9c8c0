"""Pictures as papers on restoration compare them: which channels, on which scale, without which border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omma.metrics.counts import counted, ratio
from omma.metrics.metric import Metric, Records

CHANNELS = ("auto", "RGB", "Y")
WHITE = 255.0
# Y of BT.601 in the range of a studio, 16–235, as MATLAB's rgb2ycbcr has it; and the same weights from 0 to white.
_STUDIO = np.array([65.481, 128.553, 24.966]) / WHITE
_LUMINANCE = np.array([0.299, 0.587, 0.114])


class AgainstReference(Metric):
    """A number of every picture, from what a model made (a `Picture`) and what it should be; the whole is their mean.

    The answer is rounded to the depth of the truth first: what is measured is the file that is kept. A picture without a number counts
    for nothing.

    Args:
        names: as of every metric; not used.
        channel: of colour, `Y` or `RGB`, all three together; `auto` is RGB. Grey is compared as it is, alpha never.
        border: pixels left out on each side, at least 0; where pictures are enlarged, papers leave out the scale.
    """

    def __init__(self, names: Sequence[str], channel: str = "auto", border: int = 0) -> None:
        super().__init__(names)
        assert channel in CHANNELS and border >= 0, f"a channel of {CHANNELS} and a border of 0 or more"
        self.channel, self.border = channel, border
        self.protocol = {"channel": channel, "border": border}

    def value(self, said: Any, true: Any) -> float:
        """Of one picture; NaN where it has none."""
        raise NotImplementedError

    def planes(self, said: Any, true: Any) -> tuple[np.ndarray, np.ndarray]:
        """Both as (h, w, c) float64 on 0–255, as they are compared.

        Raises:
            AssertionError: they are not of one size.
        """
        wanted = true.pixels
        given = said.deep(8 * wanted.dtype.itemsize)
        assert given.shape[:2] == wanted.shape[:2], f"the answer has {_size(given)} pixels, the truth {_size(wanted)}"
        return compared(given, wanted, self.channel, self.border)

    def records(self, predictions: Sequence[Any], truths: Sequence[Any]) -> Records:
        """{"value": (N,) float64}."""
        return {"value": np.array([self.value(said, true) for said, true in zip(predictions, truths, strict=True)], float)}

    def summaries(self, records: Records, weights: np.ndarray) -> np.ndarray:
        known = ~np.isnan(records["value"])
        return ratio(counted(np.where(known, records["value"], 0.0), weights), counted(known.astype(float), weights))

    def carriers(self, records: Records) -> np.ndarray:
        return np.array([float((~np.isnan(records["value"])).sum())])


def compared(one: np.ndarray, true: np.ndarray, channel: str, border: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures (H, W, C) of one size, uint8, uint16 or float on 0–255 → (h, w, c) float64 on 0–255, c = 1 or 3.

    Where one is grey and the other is not, it counts what the truth is: grey has the brightness of a colour, 0.299 R + 0.587 G + 0.114 B;
    a grey answer to colour has its three channels alike.
    """
    first, second = (_colour(picture) for picture in (one, true))
    if first.shape[2] > second.shape[2]:
        first = first @ _LUMINANCE[:, None]
    first = np.broadcast_to(first, (*first.shape[:2], second.shape[2]))
    if channel == "Y" and second.shape[2] == 3:
        first, second = (16 + picture @ _STUDIO[:, None] for picture in (first, second))
    rows, columns = (slice(border, max(border, side - border)) for side in second.shape[:2])
    return first[rows, columns], second[rows, columns]


def _colour(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) float64 on 0–255, alpha left out."""
    colour = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1]
    return colour.astype(np.float64) / (257 if pixels.dtype == np.uint16 else 1)


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} × {pixels.shape[0]}"
