"""EDSR, the baseline: sixteen residual blocks without batch norm (Lim et al. 2017); 1.4 M weights."""

from __future__ import annotations

import torch
from torch import nn

from omma.models._restorer import STEPS, Restorer, possible, sound


class Block(nn.Module):
    """Two 3×3 convolutions, ReLU between, beside a shortcut: (B, width, h, w) → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.conv2(self.conv1(maps).relu())


class Edsr(Restorer):
    """A convolution, blocks beside a shortcut around all of them, enlarging in steps of two or three, a convolution.

    Grey 0.5 is taken for zero inside, where the paper subtracts the mean colour of its data.

    Args:
        blocks: residual blocks.
        width: channels.
        channels, scale: see `Restorer`; 8 is three steps of two.
    """

    enlarges = True

    def __init__(self, blocks: int, width: int, channels: int, scale: int) -> None:
        super().__init__(channels, scale)
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.body = nn.Sequential(*(Block(width) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1))
        layers: list[nn.Module] = []
        for step in STEPS[scale]:
            layers += [nn.Conv2d(width, width * step**2, 3, padding=1), nn.PixelShuffle(step)]
        self.up = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, channels, 3, padding=1)

    def maps(self, pictures: torch.Tensor) -> torch.Tensor:
        first = self.stem(pictures - 0.5)
        return self.up(first + self.body(first))

    def finish(self, said: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        return said + 0.5

    def dead_ends(self) -> list[nn.Module]:
        """The head, and what is shuffled into pixels: there channels belong together by fours or nines."""
        return [self.head, *(layer for layer in self.up if isinstance(layer, nn.Conv2d))]


def build(name: str, *, channels: int, size: int, outputs: int, scale: int = 1, blocks: int = 16, width: int = 64) -> Edsr:
    """`edsr`; `blocks=32 width=256` is the paper's large one. `outputs` is not used: as many channels come out as go in.

    Raises:
        OmmaError: no such scale, or a shape that makes no network.
    """
    sound(blocks, width)
    return Edsr(blocks, width, channels, possible(name, scale, list(STEPS)))
