"""SRCNN: three convolutions that sharpen an enlarged picture (Dong et al. 2014); the first of its kind, 8 K weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma import catalog
from omma.models._restorer import Restorer, possible, sound

MIDDLES = (1, 3, 5)


class Srcnn(Restorer):
    """9×9, then `middle`, then 5×5, ReLU between; pictures come in enlarged.

    The paper's convolutions cut off the border; here the picture's border is repeated first, so that sizes stay.

    Args:
        middle: side of the second convolution: 1 for 9-1-5, 5 for 9-5-5.
        widths: channels behind the first and the second.
        channels, scale: see `Restorer`.
    """

    def __init__(self, middle: int, widths: tuple[int, int], channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.margin = (9 + middle + 5 - 3) // 2
        self.body = nn.Sequential(
            nn.Conv2d(channels, widths[0], 9), nn.ReLU(inplace=True), nn.Conv2d(widths[0], widths[1], middle), nn.ReLU(inplace=True)
        )
        self.head = nn.Conv2d(widths[1], channels, 5)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.body(F.pad(pictures, (self.margin,) * 4, mode="replicate"))


def build(
    name: str, *, channels: int, size: int, outputs: int, scale: int = 1, middle: int = 1, widths: tuple[int, ...] = (64, 32)
) -> Srcnn:
    """`srcnn`; `middle=5` is 9-5-5, seven times the weights. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale or middle, or not two widths.
    """
    if middle not in MIDDLES:
        raise catalog.unknown("middle", str(middle), [str(one) for one in MIDDLES])
    sound(len(widths), *widths, least=2, most=2)
    return Srcnn(middle, (widths[0], widths[1]), channels, possible(name, scale))
