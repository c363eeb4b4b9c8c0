"""ESPCN: three convolutions on the small picture, and a shuffle of channels into pixels (Shi et al. 2016); 25 K weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from omma.models._restorer import STEPS, Restorer, possible, sound


class Espcn(Restorer):
    """5×5, 3×3, 3×3 with tanh between; the last gives scale² numbers a pixel and channel, which become pixels.

    Args:
        widths: channels behind the first and the second convolution.
        channels, scale: see `Restorer`.
    """

    enlarges = True

    def __init__(self, widths: tuple[int, int], channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.body = nn.Sequential(
            nn.Conv2d(channels, widths[0], 5, padding=2), nn.Tanh(), nn.Conv2d(widths[0], widths[1], 3, padding=1), nn.Tanh()
        )
        self.head = nn.Conv2d(widths[1], channels * scale**2, 3, padding=1)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.body(pictures)

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(said, self.scale)


def build(name: str, *, channels: int, size: int, outputs: int, scale: int = 1, widths: tuple[int, ...] = (64, 32)) -> Espcn:
    """`espcn`; `widths=32-16` makes it lighter. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale, or not two widths.
    """
    sound(len(widths), *widths, least=2, most=2)
    return Espcn((widths[0], widths[1]), channels, possible(name, scale, list(STEPS)))
